package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/spf13/cobra"
)

// exampleFile is a file of requests and of what the policies shall say to them. It may
// hold the policies, too.
type exampleFile struct {
	policySet
	Tests []example `json:"tests"`
}

// example is one request. Without who it has no token.
type example struct {
	Name    string   `json:"name"`
	Method  string   `json:"method"`
	Path    string   `json:"path"` // as in the request line; a query may follow
	Body    bool     `json:"body"`
	Upgrade bool     `json:"upgrade"`
	Who     *whoAsks `json:"who"`
	// Expect is a reason, as in the header x-authfi-verdict, or allow or refuse.
	Expect string `json:"expect"`
	// Route is the one that shall decide, as METHODS PATH, or none; empty: any.
	Route string `json:"route"`
}

// whoAsks is a user of the organization: a real one of the node, or one who has just
// these roles and permissions.
type whoAsks struct {
	User        string   `json:"user"`
	Roles       []string `json:"roles"`
	Permissions []string `json:"permissions"`
	AMR         []string `json:"amr"`
	OtherOrg    bool     `json:"other_org"`
}

// Words of expectations that are no reasons.
const (
	expectAllow  = "allow"
	expectRefuse = "refuse"
	routeNone    = "none"
)

// tried is what came of one example.
type tried struct {
	OK      bool   `json:"ok"`
	Name    string `json:"name"`
	Request string `json:"request"`
	Expect  string `json:"expect"`
	Verdict string `json:"verdict"`
	Route   string `json:"route"`
	Index   *int   `json:"index,omitempty"` // of the route in the policies
}

type triedAll struct {
	OK            bool    `json:"ok"`
	PolicyVersion uint64  `json:"policy_version"`
	Failed        int     `json:"failed"`
	Tests         []tried `json:"tests"`
}

// trial is one run of a file of examples.
type trial struct {
	*options
	service  string // of a node
	policies string // file
}

func (o *options) tryCommand() *cobra.Command {
	t := &trial{options: o}
	cmd := &cobra.Command{
		Use:   "FILE",
		Short: "Try examples of requests on route policies, as the gates decide",
		Long: "Try examples of requests on route policies: what the gates would say to each, and which\n" +
			"route would decide. It fails when one is not as the file expects. The policies are those\n" +
			"in the file itself, or in --policies, or of --service on a node; nothing is sent to the\n" +
			"service. What stands in FILE is in docs/reference/policies.md.",
		Example: "  authfi policy test examples.json --service patients --org city-clinic",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one file, or -", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			all, err := t.run(cmd, args[0])
			if err != nil {
				return err
			}
			return p.tried(all)
		},
	}
	cmd.Flags().StringVar(&t.service, "service", "", "a service of a node, by name or id, whose policies are tried")
	cmd.Flags().StringVar(&t.policies, "policies", "", "file of the policies that are tried")
	return cmd
}

func (t *trial) run(cmd *cobra.Command, name string) (*triedAll, error) {
	content, err := readWhole(cmd, name)
	if err != nil {
		return nil, err
	}
	var file exampleFile
	if err := strictly(content, &file); err != nil {
		return nil, usage("%s: %v", name, err)
	}
	if len(file.Tests) == 0 {
		return nil, usage("%s has no tests", name)
	}
	s, err := t.of(cmd, &file)
	if err != nil {
		return nil, err
	}
	all := &triedAll{OK: true, PolicyVersion: s.Version}
	for i := range file.Tests {
		if err := file.Tests[i].check(); err != nil {
			return nil, usage("%s: test %d: %v", name, i, err)
		}
	}
	for i := range file.Tests {
		one, err := t.try(cmd.Context(), s, &file.Tests[i])
		if err != nil {
			return nil, fmt.Errorf("%s: test %d: %w", name, i, err)
		}
		if !one.OK {
			all.OK = false
			all.Failed++
		}
		all.Tests = append(all.Tests, one)
	}
	return all, nil
}

// of finds the policies: they stand in one place.
func (t *trial) of(cmd *cobra.Command, file *exampleFile) (*policy.Service, error) {
	places := 0
	for _, there := range []bool{file.Policies != nil, t.policies != "", t.service != ""} {
		if there {
			places++
		}
	}
	switch {
	case places != 1:
		return nil, usage("the policies are in the file itself, or in --policies, or of --service: one of them")
	case t.service != "":
		held, err := t.heldService(cmd.Context(), t.service)
		if err != nil {
			return nil, err
		}
		if t.org == "" {
			t.org = held.OrgID // in which users are looked up
		}
		s := held.service()
		s.Version = held.PolicyVersion
		return s, nil
	case t.policies != "":
		set, err := readPolicies(cmd, t.policies)
		if err != nil {
			return nil, err
		}
		return set.service(), nil
	}
	return file.service(), nil
}

func (t *trial) try(ctx context.Context, s *policy.Service, e *example) (tried, error) {
	asked := policy.Example{Method: e.Method, Target: e.Path, Body: e.Body, Upgrade: e.Upgrade}
	if e.Who != nil {
		if err := t.identify(ctx, e.Who, &asked); err != nil {
			return tried{}, err
		}
	}
	d, err := s.Try(asked)
	if err != nil {
		return tried{}, err
	}
	one := tried{Name: e.Name, Request: e.Method + " " + e.Path, Expect: e.Expect, Verdict: d.Reason.String(), Route: routeNone}
	if d.Route != policy.NoRoute {
		one.Route, one.Index = s.Routes[d.Route].String(), &d.Route
	}
	one.OK = meets(d.Reason, e.Expect) && (e.Route == "" || e.Route == one.Route)
	if e.Route != "" {
		one.Expect += " by " + e.Route
	}
	return one, nil
}

// meets compares with what is expected.
func meets(reason policy.Reason, expect string) bool {
	switch expect {
	case expectAllow:
		return reason.Allows()
	case expectRefuse:
		return !reason.Allows()
	}
	return reason.String() == expect
}

// check refuses an example that says nothing definite.
func (e *example) check() error {
	if e.Expect != expectAllow && e.Expect != expectRefuse && !slices.Contains(reasons(), e.Expect) {
		return fmt.Errorf("expect %q is not allow, refuse or a reason, which are %s", e.Expect, strings.Join(reasons(), ", "))
	}
	if e.Who == nil {
		return nil
	}
	for _, p := range e.Who.Permissions {
		if err := directory.Permission(p).Check(); err != nil {
			return fmt.Errorf("who.permissions: %w", err)
		}
	}
	if e.Who.User != "" && len(e.Who.Roles)+len(e.Who.Permissions) > 0 {
		return errors.New("who.user is somebody real, who has roles and permissions of their own")
	}
	return nil
}

func reasons() (names []string) {
	for r := policy.ReasonNoRoute; r <= policy.ReasonInternal; r++ {
		names = append(names, r.String())
	}
	return names
}

func (t *trial) identify(ctx context.Context, who *whoAsks, asked *policy.Example) error {
	asked.Token, asked.Other, asked.Methods, asked.Roles = true, who.OtherOrg, who.AMR, who.Roles
	for _, p := range who.Permissions {
		asked.Permissions = append(asked.Permissions, directory.Permission(p))
	}
	if who.User == "" {
		return nil
	}
	return t.real(ctx, who.User, asked)
}

// real asks a node for what a user has: their own roles and those of every group that
// they are in, nested ones too.
func (t *trial) real(ctx context.Context, word string, asked *policy.Example) error {
	id, err := t.resolve(ctx, "USER", word)
	if err != nil {
		return err
	}
	var user struct{ Active bool }
	if err := t.answer(ctx, "UserService.GetUser", map[string]any{"id": id}, &user); err != nil {
		return err
	}
	asked.Inactive = !user.Active
	var held struct{ Effective []directory.Permission }
	if err := t.answer(ctx, "PermissionService.ListPermissions", map[string]any{"user_id": id}, &held); err != nil {
		return err
	}
	asked.Permissions = held.Effective
	add := func(r *struct {
		RoleName string `json:"role_name"`
	}) {
		asked.Roles = append(asked.Roles, r.RoleName)
	}
	if err := readAll(ctx, t.options, "AssignmentService.ListUserRoles", map[string]any{"user_id": id}, add); err != nil {
		return err
	}
	var groups []string
	err = readAll(ctx, t.options, "UserService.ListUserGroups", map[string]any{"id": id}, func(g *struct{ ID string }) {
		groups = append(groups, g.ID)
	})
	for i := 0; i < len(groups) && err == nil; i++ {
		err = readAll(ctx, t.options, "AssignmentService.ListGroupRoles", map[string]any{"group_id": groups[i]}, add)
	}
	return err
}

func (p *printer) tried(all *triedAll) error {
	body, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := p.list(body, "tests", "ok name request expect verdict route"); err != nil {
		return err
	}
	if all.OK {
		return nil
	}
	if p.table() {
		return fmt.Errorf("%d of %d examples are not as expected", all.Failed, len(all.Tests))
	}
	return errQuiet
}

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

func (o *options) explainCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "USER PERMISSION",
		Short: "Say why a user may do something, or what would allow it",
		Long: "Say why a user may do something, with every source, or why not, with the roles\nthat would allow it.\n\n" +
			"USER is an id, or with --org a user name or e-mail address that only one user has.",
		Example: "  authfi explain alice@clinic.example read:patients --org city-clinic",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return usage("%s takes a user and a permission", cmd.CommandPath())
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.complete("USER")(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return o.explain(cmd, args[0], args[1]) },
	}
}

// explanation is the answer as programs read it.
type explanation struct {
	UserID     string   `json:"user_id"`
	Permission string   `json:"permission"`
	Allowed    bool     `json:"allowed"`
	Index      uint64   `json:"index"`
	Source     []source `json:"source"`
	Active     bool     `json:"active"`
	// WouldAllow are the roles that hold the permission; empty when allowed.
	WouldAllow []string `json:"would_allow"`
}

func (o *options) explain(cmd *cobra.Command, user, permission string) error {
	p, err := o.printer(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	e := explanation{Permission: permission, Source: []source{}, WouldAllow: []string{}}
	if e.UserID, err = o.resolve(ctx, "USER", user); err != nil {
		return err
	}
	if err := o.answer(ctx, "PermissionService.Check", map[string]any{"user_id": e.UserID, "permission": permission}, &e); err != nil {
		return err
	}
	var about struct {
		OrgID  string `json:"org_id"`
		Active bool   `json:"active"`
	}
	if err := o.answer(ctx, "UserService.GetUser", map[string]any{"id": e.UserID}, &about); err != nil {
		return err
	}
	e.Active = about.Active
	if !e.Allowed {
		if e.WouldAllow, err = o.rolesWith(ctx, about.OrgID, permission); err != nil {
			return err
		}
	}
	if p.table() {
		return p.explanation(user, e)
	}
	body, err := marshal(e)
	if err != nil {
		return err
	}
	return p.object(body)
}

// answer asks a procedure and reads the JSON.
func (o *options) answer(ctx context.Context, procedure string, fields map[string]any, out any) error {
	route, _ := routeOf(methodOf(procedure))
	r, err := route.request(fields)
	if err != nil {
		return err
	}
	body, err := o.do(ctx, r)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, out)
}

func (o *options) rolesWith(ctx context.Context, org, permission string) ([]string, error) {
	names := []string{}
	within := *o
	within.org = org
	err := within.each(ctx, kinds["ROLE"], "", func(item map[string]any) bool {
		name, _ := item["name"].(string)
		held, _ := item["permissions"].([]any)
		if slices.ContainsFunc(held, func(p any) bool { return covers(fmt.Sprint(p), permission) }) {
			names = append(names, name)
		}
		return true
	})
	slices.Sort(names)
	return names, err
}

// covers: verb:* is every noun of the verb.
func covers(held, asked string) bool {
	verb, everything := strings.CutSuffix(held, ":*")
	return held == asked || everything && strings.HasPrefix(asked, verb+":")
}

func (p *printer) explanation(user string, e explanation) error {
	g := &grid{printer: p}
	if e.Allowed {
		if err := p.line(printable(user + " may " + e.Permission)); err != nil {
			return err
		}
		for _, s := range e.Source {
			g.add("  role "+s.Role, s.via())
		}
		return g.flush()
	}
	why := ""
	switch {
	case !e.Active:
		why = ": the user is deactivated, no grant counts"
	case len(e.WouldAllow) == 0:
		why = ": no role of the organization holds it"
	}
	if err := p.line(printable(user + " may not " + e.Permission + why)); err != nil {
		return err
	}
	for _, role := range e.WouldAllow {
		g.add("  role "+role, "would allow it")
	}
	return g.flush()
}

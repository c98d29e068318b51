package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/spf13/cobra"
)

// policySet is what a file of route policies holds: the list alone, or this object.
type policySet struct {
	Policies  []archive.Policy `json:"policies"`
	FoldCase  *bool            `json:"fold_case,omitempty"`
	FoldSlash *bool            `json:"fold_slash,omitempty"`
}

// policiesMax bounds a file: 500 routes of the longest names are well within.
const policiesMax = 8 << 20

// readPolicies reads such a file, or - for stdin.
func readPolicies(cmd *cobra.Command, name string) (*policySet, error) {
	content, err := readWhole(cmd, name)
	if err != nil {
		return nil, err
	}
	set := new(policySet)
	var into any = set
	if bytes.HasPrefix(content, []byte("[")) {
		into = &set.Policies
	}
	if err := strictly(content, into); err != nil {
		return nil, usage("%s: %v", name, err)
	}
	return set, nil
}

func readWhole(cmd *cobra.Command, name string) ([]byte, error) {
	in, err := open(cmd, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	content, err := io.ReadAll(io.LimitReader(in, policiesMax+1))
	if err == nil && len(content) > policiesMax {
		err = usage("%s has more than %d MiB", name, policiesMax>>20)
	}
	return bytes.TrimSpace(content), err
}

// strictly refuses names that nobody reads: a misspelled demand would be none.
func strictly(content []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("there is more than one JSON value")
	}
	return nil
}

// service is what the gates would decide by.
func (s *policySet) service() *policy.Service {
	out := &policy.Service{FoldCase: s.FoldCase != nil && *s.FoldCase, FoldSlash: s.FoldSlash != nil && *s.FoldSlash}
	for i := range s.Policies {
		out.Routes = append(out.Routes, s.Policies[i].Route())
	}
	return out
}

// heldService is what the API says of a service.
type heldService struct {
	policySet
	OrgID         string `json:"org_id"`
	Name          string `json:"name"`
	PolicyVersion uint64 `json:"policy_version"`
	DryRun        bool   `json:"dry_run"`
}

func (o *options) heldService(ctx context.Context, word string) (*heldService, error) {
	id, err := o.resolve(ctx, "SERVICE", word)
	if err != nil {
		return nil, err
	}
	held := new(heldService)
	return held, o.answer(ctx, "ServiceService.GetService", map[string]any{"id": id}, held)
}

// foundOne is a finding, as the API has it.
type foundOne struct {
	Route    *int   `json:"route,omitempty"`
	Severity string `json:"severity"`
	Code     string `json:"code"`
	Message  string `json:"message"`
}

type foundAll struct {
	Findings []foundOne `json:"findings"`
}

func (o *options) lintCommand() *cobra.Command {
	var service string
	var strict bool
	cmd := &cobra.Command{
		Use:   "[FILE]",
		Short: "Name what is probably not meant of route policies, route by route",
		Long: "Name what is probably not meant of route policies, route by route, and change nothing:\n" +
			"routes that decide nothing or before stricter ones, routes that are open wider than they\n" +
			"look, and names that there are not. FILE is the body of services policies set, or - for\n" +
			"stdin; without a node names are not looked up. With --service the policies are judged\n" +
			"within its organization, and without FILE they are the service's own.\n\n" +
			"It fails when something can never work, and with --strict when there is anything to say.",
		Example: "  authfi policy lint policies.json",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 0 && service == "" {
				return usage("%s takes one file, or --service, or both", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			found, err := o.lint(cmd, args, service)
			if err != nil {
				return err
			}
			return p.findings(found, strict)
		},
	}
	cmd.Flags().StringVar(&service, "service", "", "a service of a node, by name or id")
	cmd.Flags().BoolVar(&strict, "strict", false, "fail on warnings, too")
	return cmd
}

func (o *options) lint(cmd *cobra.Command, args []string, service string) (*foundAll, error) {
	set := new(policySet)
	if len(args) == 1 {
		var err error
		if set, err = readPolicies(cmd, args[0]); err != nil {
			return nil, err
		}
	}
	if service == "" {
		return lintAlone(set)
	}
	ctx := cmd.Context()
	id, err := o.resolve(ctx, "SERVICE", service)
	if err != nil {
		return nil, err
	}
	fields := map[string]any{"id": id, "policies": append([]archive.Policy{}, set.Policies...)}
	if set.FoldCase != nil {
		fields["fold_case"] = *set.FoldCase
	}
	if set.FoldSlash != nil {
		fields["fold_slash"] = *set.FoldSlash
	}
	found := new(foundAll)
	return found, o.answer(ctx, "PolicyService.LintPolicies", fields, found)
}

// lintAlone judges policies by themselves.
func lintAlone(set *policySet) (*foundAll, error) {
	findings, err := set.service().Lint(policy.Names{})
	if err != nil {
		return nil, err
	}
	all := &foundAll{Findings: []foundOne{}}
	for _, f := range findings {
		one := foundOne{Severity: "warning", Code: f.Code, Message: f.Message}
		if f.Error {
			one.Severity = "error"
		}
		if f.Route != policy.NoRoute {
			one.Route = &f.Route
		}
		all.Findings = append(all.Findings, one)
	}
	return all, nil
}

func (p *printer) findings(found *foundAll, strict bool) error {
	body, err := json.Marshal(found)
	if err != nil {
		return err
	}
	if p.table() && len(found.Findings) == 0 {
		err = p.line("nothing to say")
	} else {
		err = p.list(body, "findings", "route severity code message")
	}
	if err != nil {
		return err
	}
	for _, f := range found.Findings {
		if strict || f.Severity == "error" {
			return errQuiet
		}
	}
	return nil
}

package admin

import (
	"context"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// checkOrdinal stands for the organization in programs that are compiled only
// to see whether they can be.
const checkOrdinal = 1

// checkPolicies refuses what a node could not enforce, before it is in the log:
// the service's new routes must compile, and with them the organization must
// not name more roles and permissions than a mask has bits, or another of its
// services would close.
func checkPolicies(org *state.Org, changed directory.ServiceID, fresh *policy.Service) error {
	if err := fresh.Validate(); err != nil {
		return err
	}
	all := fresh.Routes
	org.EachService(func(s *directory.Service) bool {
		if s.ID != changed {
			all = append(all, routes(s.Policies)...)
		}
		return true
	})
	numbers := policy.NewNumbering(all)
	if err := numbers.Check(); err != nil {
		return err
	}
	_, err := fresh.Compile(checkOrdinal, numbers)
	return err
}

// lint names what is probably not meant of policies. A name that is spelled in
// another case is unknown: the gates compare names as they are.
func lint(org *state.Org, s *policy.Service) ([]policy.Finding, error) {
	granted := map[directory.Permission]bool{}
	org.EachRole(func(r *directory.Role) bool {
		for _, p := range r.Permissions {
			granted[p] = true
		}
		return true
	})
	return s.Lint(policy.Names{
		Role: func(name string) bool {
			r, ok := org.RoleByName(name)
			return ok && r.Name == name
		},
		Permission: func(name string) bool {
			p := directory.Permission(name)
			wildcard, ok := p.Wildcard()
			return granted[p] || ok && granted[wildcard]
		},
	})
}

// refuseErrors refuses policies of which a part can never work.
func refuseErrors(findings []policy.Finding) error {
	for _, f := range findings {
		if f.Error {
			return directory.Invalid(policy.Field(f.Route, "path"), "%s", f.Message)
		}
	}
	return nil
}

// routes are policies as the compiler takes them.
func routes(policies []directory.RoutePolicy) []policy.Route {
	return convert(policies, func(p directory.RoutePolicy) policy.Route {
		return policy.Route{
			Methods: p.Methods, Path: p.Path, Roles: p.Roles, RolesAll: p.RolesAll,
			Permissions: permissionTexts(p.Permissions), PermissionsAny: permissionTexts(p.PermissionsAny),
			MFA: p.MFA, Public: p.Public, Upgrade: p.Upgrade, GetBody: p.GetBody,
		}
	})
}

// LintPolicies implements PolicyService.
func (a *api) LintPolicies(ctx context.Context, r *authfiv1.LintPoliciesRequest) (*authfiv1.LintPoliciesResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atService(r.GetId())
	if err != nil {
		return nil, err
	}
	s, ok := pass.View().Service(id)
	if !ok {
		return nil, directory.NotFound("service")
	}
	asked := folded(s, r.FoldCase, r.FoldSlash)
	asked.Routes = routes(s.Policies)
	if len(r.GetPolicies()) > 0 {
		asked.Routes = routes(convert(r.GetPolicies(), routePolicy))
	}
	findings, err := lint(pass.View(), &asked)
	return &authfiv1.LintPoliciesResponse{Findings: convert(findings, finding)}, err
}

// folded is a service without routes, folding as it does or as a request says
// instead.
func folded(s *directory.Service, foldCase, foldSlash *bool) policy.Service {
	out := policy.Service{FoldCase: s.FoldCase, FoldSlash: s.FoldSlash}
	if foldCase != nil {
		out.FoldCase = *foldCase
	}
	if foldSlash != nil {
		out.FoldSlash = *foldSlash
	}
	return out
}

// SetPolicies implements ServiceService.
func (a *api) SetPolicies(ctx context.Context, r *authfiv1.SetPoliciesRequest) (*authfiv1.Service, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atService(r.GetId())
	if err != nil {
		return nil, err
	}
	s, ok := pass.View().Service(id)
	if !ok {
		return nil, directory.NotFound("service")
	}
	policies := convert(r.GetPolicies(), routePolicy)
	fresh := folded(s, r.FoldCase, r.FoldSlash)
	fresh.Routes = routes(policies)
	if err := checkPolicies(pass.View(), id, &fresh); err != nil {
		return nil, err
	}
	findings, err := lint(pass.View(), &fresh)
	if err == nil {
		err = refuseErrors(findings)
	}
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.WritePolicies{
		Service: id, Policies: policies, FoldCase: r.FoldCase, FoldSlash: r.FoldSlash, IfVersion: want,
	}, r); err != nil {
		return nil, err
	}
	answer, err := c.service(pass, id)
	if err == nil {
		answer.Findings = convert(findings, finding)
	}
	return answer, err
}

// SetDryRun implements PolicyService.
func (a *api) SetDryRun(ctx context.Context, r *authfiv1.SetDryRunRequest) (*authfiv1.Service, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atService(r.GetId())
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.SetDryRun{Service: id, On: r.GetDryRun(), IfVersion: want}, r); err != nil {
		return nil, err
	}
	return c.service(pass, id)
}

func finding(f policy.Finding) *authfiv1.PolicyFinding {
	out := &authfiv1.PolicyFinding{Severity: "warning", Code: f.Code, Message: f.Message}
	if f.Error {
		out.Severity = "error"
	}
	if f.Route != policy.NoRoute {
		route := int32(f.Route)
		out.Route = &route
	}
	return out
}

func routePolicy(p *authfiv1.RoutePolicy) directory.RoutePolicy {
	return directory.RoutePolicy{
		Methods: p.GetMethods(), Path: p.GetPath(), Roles: p.GetRoles(), RolesAll: p.GetRolesAll(),
		Permissions: permissions(p.GetPermissions()), PermissionsAny: permissions(p.GetPermissionsAny()),
		MFA: p.GetMfa(), Public: p.GetPublic(), Upgrade: p.GetUpgrade(), GetBody: p.GetGetBody(),
	}
}

func routePolicyMessage(p directory.RoutePolicy) *authfiv1.RoutePolicy {
	return &authfiv1.RoutePolicy{
		Methods: p.Methods, Path: p.Path, Roles: p.Roles, RolesAll: p.RolesAll,
		Permissions: permissionTexts(p.Permissions), PermissionsAny: permissionTexts(p.PermissionsAny),
		Mfa: p.MFA, Public: p.Public, Upgrade: p.Upgrade, GetBody: p.GetBody,
	}
}

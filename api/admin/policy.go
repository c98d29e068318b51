package admin

import (
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// checkOrdinal stands for the organization in programs that are compiled only
// to see whether they can be.
const checkOrdinal = 1

// checkPolicies refuses what a node could not enforce, before it is in the log:
// the service's new routes must compile, and with them the organization must
// not name more roles and permissions than a mask has bits, or another of its
// services would close.
func checkPolicies(org *state.Org, changed directory.ServiceID, policies []directory.RoutePolicy) error {
	fresh := routes(policies)
	if err := policy.Validate(fresh); err != nil {
		return err
	}
	all := fresh
	org.EachService(func(s *directory.Service) bool {
		if s.ID != changed {
			all = append(all, routes(s.Policies)...)
		}
		return true
	})
	numbers := policy.NewNumbering(all)
	if _, err := policy.Compile(checkOrdinal, fresh, numbers); err != nil {
		return err
	}
	_, err := policy.Compile(checkOrdinal, []policy.Route{everyName(all)}, numbers)
	return err
}

// everyName is a route that asks for all that any of the routes asks for.
func everyName(all []policy.Route) policy.Route {
	one := policy.Route{Path: "/"}
	for _, r := range all {
		one.Roles = append(one.Roles, r.Roles...)
		one.Permissions = append(one.Permissions, r.Permissions...)
	}
	return one
}

// routes are policies as the compiler takes them.
func routes(policies []directory.RoutePolicy) []policy.Route {
	return convert(policies, func(p directory.RoutePolicy) policy.Route {
		return policy.Route{
			Methods: p.Methods, Path: p.Path, Roles: p.Roles, Permissions: permissionTexts(p.Permissions),
			MFA: p.MFA, Public: p.Public,
		}
	})
}

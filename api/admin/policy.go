package admin

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// checkPolicies refuses what could not be enforced, before it is in the log.
func checkPolicies(org *state.Org, service directory.ServiceID, policies []directory.RoutePolicy) error {
	if len(policies) > directory.RoutesPerServiceMax {
		return directory.Invalid("policies", "more than %d", directory.RoutesPerServiceMax)
	}
	return nil
}

package policy

// reasons are the names and statuses of Reason, by number.
var reasons = [...]struct {
	name   string
	status int
}{
	ReasonNoRoute:        {"no_route", 403},
	ReasonAllowed:        {"allowed", 200},
	ReasonPublic:         {"public", 200},
	ReasonNoToken:        {"no_token", 401},
	ReasonUnknownToken:   {"unknown_token", 401},
	ReasonRevoked:        {"token_revoked", 401},
	ReasonExpired:        {"token_expired", 401},
	ReasonNotYetValid:    {"token_not_yet_valid", 401},
	ReasonInactive:       {"user_inactive", 401},
	ReasonOrganization:   {"wrong_organization", 403},
	ReasonMFA:            {"mfa_required", 403},
	ReasonRights:         {"insufficient_permission", 403},
	ReasonLease:          {"enforcement_unavailable", 503},
	ReasonMalformed:      {"malformed_request", 400},
	ReasonScheme:         {"not_bearer", 401},
	ReasonBody:           {"body_not_allowed", 400},
	ReasonTooLarge:       {"too_large", 431},
	ReasonNotImplemented: {"not_implemented", 501},
	ReasonVersion:        {"version", 505},
	ReasonTooMany:        {"too_many", 429},
	ReasonInternal:       {"internal", 503},
	ReasonUpstream:       {"service_unreachable", 502},
}

// String is the value of the header x-authfi-verdict.
func (r Reason) String() string {
	if int(r) >= len(reasons) {
		return "unknown"
	}
	return reasons[r].name
}

// Status is the HTTP status of a refusal; an unknown reason is a failure.
func (r Reason) Status() int {
	if int(r) >= len(reasons) {
		return 503
	}
	return reasons[r].status
}

// Allows reports whether the request goes through.
func (r Reason) Allows() bool { return r == ReasonAllowed || r == ReasonPublic }

package policy_test

import (
	"testing"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
)

func TestTry(t *testing.T) {
	s := policy.Service{Version: 7, Routes: []policy.Route{
		{Methods: []string{"GET"}, Path: "/health", Public: true},
		{Methods: []string{"GET"}, Path: "/patients/*", PermissionsAny: []string{"read:patients", "read:charts"}},
		{Methods: []string{"POST"}, Path: "/patients/*", RolesAll: []string{"doctor", "chief"}, MFA: true},
		{Path: "/socket", Upgrade: true},
	}}
	both, factors := []string{"doctor", "chief"}, []string{"pwd", "otp"}
	for _, row := range []struct {
		name    string
		example policy.Example
		want    policy.Reason
		route   int
	}{
		{"public", policy.Example{Method: "GET", Target: "/health"}, policy.ReasonPublic, 0},
		{"no token", policy.Example{Method: "GET", Target: "/patients/7"}, policy.ReasonNoToken, 1},
		{"none of the permissions", policy.Example{Method: "GET", Target: "/patients/7", Token: true}, policy.ReasonRights, 1},
		{"a wildcard", policy.Example{Method: "GET", Target: "/patients/7?x=1", Token: true, Permissions: []directory.Permission{"write:x", "read:*"}}, policy.ReasonAllowed, 1},
		{"one factor", policy.Example{Method: "POST", Target: "/patients/7", Token: true, Roles: both, Methods: []string{"pwd"}}, policy.ReasonMFA, 2},
		{"two factors", policy.Example{Method: "POST", Target: "/patients/7", Token: true, Roles: both, Methods: factors, Body: true}, policy.ReasonAllowed, 2},
		{"one of two roles", policy.Example{Method: "POST", Target: "/patients/7", Token: true, Roles: both[:1], Methods: factors}, policy.ReasonRights, 2},
		{"another organization", policy.Example{Method: "POST", Target: "/patients/7", Token: true, Roles: both, Methods: factors, Other: true}, policy.ReasonOrganization, 2},
		{"a deactivated user", policy.Example{Method: "GET", Target: "/patients/7", Token: true, Inactive: true}, policy.ReasonInactive, 1},
		{"no route", policy.Example{Method: "DELETE", Target: "/patients/7", Token: true}, policy.ReasonNoRoute, policy.NoRoute},
		{"a path that means another", policy.Example{Method: "GET", Target: "/patients/../health"}, policy.ReasonMalformed, policy.NoRoute},
		{"another request within", policy.Example{Method: "GET", Target: "/health HTTP/1.1\r\nX: x\r\n\r\n"}, policy.ReasonMalformed, policy.NoRoute},
		{"a socket", policy.Example{Method: "GET", Target: "/socket", Token: true, Upgrade: true}, policy.ReasonAllowed, 3},
		{"a socket elsewhere", policy.Example{Method: "GET", Target: "/health", Upgrade: true}, policy.ReasonNotImplemented, 0},
		{"a body with GET", policy.Example{Method: "GET", Target: "/health", Body: true}, policy.ReasonBody, 0},
	} {
		got, err := s.Try(row.example)
		if want := (policy.Decision{Reason: row.want, Route: row.route, Version: 7}); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", row.name, got, err, want)
		}
	}
	if _, err := (&policy.Service{Routes: []policy.Route{{Path: "x"}}}).Try(policy.Example{Method: "GET", Target: "/"}); err == nil {
		t.Error("a policy that does not compile is tried")
	}
}

package proto

import (
	"strings"
	"testing"
)

// TestComments reads a comment above, beside and over several lines.
func TestComments(t *testing.T) {
	for name, want := range map[string]string{
		"UserService.DeactivateUser": "DeactivateUser ends the user's sessions and access; the user and the memberships stay.",
		"ListUsersRequest.q":         "How the user name, the e-mail address",
		"CreateUserRequest.email":    "at most 320 bytes",
		"GrantSources":               "GrantSources are all the ways of one permission; an array in REST.",
	} {
		if got := Comments()[name]; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q…", name, got, want)
		}
	}
}

package access_test

import (
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestStandingEndsWithTheCredential: what was accepted once is refused as soon as
// it would be at its first showing.
func TestStandingEndsWithTheCredential(t *testing.T) {
	for what, end := range map[string]func(c *clinic, connection directory.ConnectionID, key directory.APIKeyID){
		"the key is revoked": func(c *clinic, _ directory.ConnectionID, key directory.APIKeyID) {
			c.change("api-keys.revoke", &fsm.RevokeAPIKey{ID: key})
		},
		"the key's time is over": func(c *clinic, _ directory.ConnectionID, _ directory.APIKeyID) { c.now = c.now.Add(time.Hour) },
		"the connection is deleted": func(c *clinic, connection directory.ConnectionID, _ directory.APIKeyID) {
			c.change("connections.delete", &fsm.DeleteConnection{ID: connection})
		},
		"the organization is suspended": func(c *clinic, _ directory.ConnectionID, _ directory.APIKeyID) {
			c.change("organizations.limit", &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		},
	} {
		c := newClinic(t)
		id, key := c.key(c.user("alice", directory.ReadDirectory), directory.TimeOf(c.now.Add(time.Hour)), directory.ReadDirectory)
		tokens := []string{key, c.token[0], c.token[1], c.operator}
		standings := make([]*access.Standing, len(tokens))
		for i, token := range tokens {
			var err error
			standings[i], err = c.gate.Stand(t.Context(), token)
			must(t, err)
			if standings[i].Caller() != c.caller(token) {
				t.Errorf("standing is %+v", standings[i].Caller())
			}
			must(t, standings[i].Again())
		}
		end(c, c.connection[0], id)
		ended := 0
		for i, token := range tokens {
			_, first := c.gate.Authenticate(token)
			again := standings[i].Again()
			if directory.KindOf(again) != directory.KindOf(first) || (again == nil) != (first == nil) {
				t.Errorf("%s: credential %d shown again: %v, shown first: %v", what, i, again, first)
			}
			if again != nil {
				ended++
			}
		}
		if ended == 0 || ended == len(tokens) {
			t.Errorf("%s: %d of %d credentials have ended", what, ended, len(tokens))
		}
	}
	if _, err := newClinic(t).gate.Stand(t.Context(), "afo_none"); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a token of nobody stands: %v", err)
	}
}

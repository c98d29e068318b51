package node_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
)

// TestCredentialsThroughALeaderChange: a session in which tokens are minted is the
// cluster's and not the node's that began it: with its leader gone the tokens live, the
// others mint in the same session, and the change of the account ends it.
func TestCredentialsThroughALeaderChange(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "steady")
	lead := leader(t, c, 0)
	fields, first := s.begin(lead, directory.GrantClientCredentials)
	c.Stop(lead)
	left := []int{(lead + 1) % nodetest.Size, (lead + 2) % nodetest.Size}
	for _, n := range left {
		c.Ready(n)
		if !s.active(n, first) {
			t.Errorf("the token does not live at node-%d", n+1)
		}
		if next := s.claims(fmt.Sprint(s.given(n, "the next", fields)["access_token"])); next["sid"] != s.claims(first)["sid"] {
			t.Errorf("node-%d has another session: %v", n+1, next)
		}
	}
	var list struct {
		Sessions []struct{ ID string }
	}
	s.at(left[0], http.MethodGet, "/sessions?user_id="+s.account, &list, "")
	if len(list.Sessions) != 1 || list.Sessions[0].ID != s.claims(first)["sid"] {
		t.Errorf("sessions of the account: %+v", list)
	}
	s.at(left[1], http.MethodPost, "/users/"+s.account+"/deactivate", nil, "")
	c.Start(lead)
	for n := range nodetest.Size {
		if s.active(n, first) {
			t.Errorf("the token of a deactivated account lives at node-%d", n+1)
		}
		s.refused(n, "a deactivated account", fields, "unauthorized_client")
	}
}

package node_test

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
)

// Class F: a code or a refresh token in the hands of another client, or at two nodes at
// once.
var codeAttacks = map[string]attack{
	"other client":       redeemedByAnother,
	"other redirect_uri": redeemedElsewhere,
	"other verifier":     redeemedWithoutVerifier,
	"two nodes at once":  redeemedAtTwoNodes,
}

func TestAttacksOnCodes(t *testing.T) { withstand(t, "F") }

const peopleGrants = `"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`

// redeemedByAnother: a client that is no worse than the right one gets nothing, and does
// not spoil it for the right one.
func redeemedByAnother(s *site, i int) {
	redirects := fmt.Sprintf(`,"redirect_uris":[%q]`, backURL)
	other := s.newClient("other", peopleGrants+redirects)
	public := s.newClient("public", `"public":true,`+peopleGrants+redirects)
	for _, grant := range []directory.GrantType{directory.GrantAuthorizationCode, directory.GrantRefreshToken, directory.GrantDevice} {
		fields, _ := s.begin(i, grant)
		s.refused(i, string(grant)+" by another client", as(fields, other), "invalid_grant")
		s.refused(i, string(grant)+" by a public client", as(fields, public), "invalid_grant")
		s.refused(i, string(grant)+" by the name of the right one", altered(fields, "client_secret", ""), "invalid_client")
		s.refused(i, string(grant)+" with the secret of another", altered(fields, "client_secret", other.Secret), "invalid_client")
		unproved := "invalid_client"
		if grant == directory.GrantRefreshToken {
			unproved = "invalid_grant" // one that no client has needs none
		}
		s.refused(i, string(grant)+" by nobody", altered(fields, "client_id", "", "client_secret", ""), unproved)
		s.given(i, string(grant)+" by the right one", fields)
	}
}

// redeemedElsewhere: the code was sent to one of two addresses that are registered.
func redeemedElsewhere(s *site, i int) {
	const second = "https://app.example/second"
	s.web = s.newClient("two", fmt.Sprintf(`"grant_types":["authorization_code"],"redirect_uris":[%q,%q]`, backURL, second))
	fields, _ := s.begin(i, directory.GrantAuthorizationCode)
	for what, uri := range map[string]string{
		"the other address": second, "a longer one": backURL + "/", "one with a query": backURL + "?", "in capitals": "https://APP.example/back",
		"one that nobody has registered": "https://evil.example/back",
	} {
		s.refused(i, what, altered(fields, "redirect_uri", uri), "invalid_grant")
	}
	s.refused(i, "no address", altered(fields, "redirect_uri", ""), "invalid_request")
	s.given(i, "the address that it was sent to", fields)
}

func redeemedWithoutVerifier(s *site, i int) {
	fields, _ := s.begin(i, directory.GrantAuthorizationCode)
	another, _ := s.begin(i, directory.GrantAuthorizationCode)
	for what, verifier := range map[string]string{
		"another verifier":      "another-verifier-of-forty-three-characters-",
		"the challenge":         challenge(pkceVerifier),
		"a longer verifier":     pkceVerifier + "A",
		"a verifier in capital": "A-verifier-of-at-least-forty-three-characters",
		"a short verifier":      "a",
	} {
		s.refused(i, what, altered(fields, "code_verifier", verifier), "invalid_grant")
	}
	s.refused(i, "no verifier", altered(fields, "code_verifier", ""), "invalid_request")
	s.given(i, "the verifier", fields)
	s.given(i, "another code", another)
}

// redeemedAtTwoNodes: of a code one node gives tokens at most, and they are dead because
// somebody came twice; a refresh token has one successor.
func redeemedAtTwoNodes(s *site, i int) {
	nodes := [2]int{i, (i + 1) % nodetest.Size}
	fields, _ := s.begin(i, directory.GrantAuthorizationCode)
	given := s.both(nodes, fields, "access_token")
	if len(given) > 1 {
		s.t.Error("a code gave tokens at two nodes")
	}
	for _, token := range given {
		if s.active(i, token) {
			s.t.Error("a code was used twice, and its tokens live")
		}
	}
	fields, _ = s.begin(i, directory.GrantRefreshToken)
	if next := s.both(nodes, fields, "refresh_token"); len(next) != 2 || next[0] != next[1] {
		s.t.Errorf("a refresh token that was shown to two nodes at once has %d successors, or not the same", len(next))
	}
}

// both asks two nodes at once, and gives what they have given of one name.
func (s *site) both(nodes [2]int, fields url.Values, name string) (given []string) {
	s.t.Helper()
	answers := make(chan map[string]any, len(nodes))
	for _, node := range nodes {
		go func() {
			_, said, err := s.try(node, "token", fields)
			if err != nil {
				s.t.Errorf("node-%d: %v", node+1, err)
			}
			answers <- said
		}()
	}
	for range nodes {
		if text, ok := (<-answers)[name].(string); ok {
			given = append(given, text)
		}
	}
	return given
}

package node_test

import (
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/nodetest"
)

// Class P: token exchange with what must not be exchanged.
var exchangeAttacks = map[string]attack{
	"foreign organization": exchangedAbroad,
	"expired":              exchangedTooLate,
	"revoked":              exchangedThoughRevoked,
	"disabled client":      exchangedByTheGone,
	"parameter removed":    exchangedWithLess,
}

func TestAttacksOnExchange(t *testing.T) { withstand(t, "P") }

func exchangedAbroad(s *site, i int) {
	other := s.neighbour()
	ours, _ := s.begin(i, directory.GrantTokenExchange)
	theirs, _ := other.begin(i, directory.GrantTokenExchange)
	token := theirs.Get("subject_token")
	s.refused(i, "another organization's token", altered(ours, "subject_token", token), "invalid_request")
	s.refused(i, "another organization's client", theirs, "invalid_client")
	s.refused(i, "another organization's client with our token", as(ours, other.broker), "invalid_client")
	other.given(i, "the token at home", theirs)
}

func exchangedThoughRevoked(s *site, i int) {
	at := (i + 1) % nodetest.Size
	fields, exchanged := s.begin(i, directory.GrantTokenExchange)
	token := fields.Get("subject_token")
	if status := s.revoke(at, token, s.web); status != http.StatusOK {
		s.t.Fatalf("revocation: %d", status)
	}
	s.refused(i, "a revoked token", fields, "invalid_request")
	if s.active(i, exchanged) {
		s.t.Error("what came of a token lives on without it")
	}
	s.refused(i, "what came of a revoked token", altered(fields, "subject_token", exchanged), "invalid_request")
	fields, _ = s.begin(i, directory.GrantTokenExchange)
	s.at(at, http.MethodPost, "/users/"+s.user+"/deactivate", nil, "")
	s.refused(i, "a token of somebody who is deactivated", fields, "invalid_request")
}

// exchangedByTheGone: a client that is there no more, or may no more, whichever of the two
// it is.
func exchangedByTheGone(s *site, i int) {
	at := (i + 1) % nodetest.Size
	client := func(id string) string { return "/organizations/" + s.org + "/clients/" + id }
	fields, _ := s.begin(i, directory.GrantTokenExchange)
	s.at(at, http.MethodPatch, client(s.broker.ID), nil, `{"grant_types":["authorization_code"],"redirect_uris":[%q]}`, backURL)
	s.refused(i, "a client that may not any more", fields, "unauthorized_client")
	s.at(at, http.MethodDelete, client(s.broker.ID), nil, "")
	s.refused(i, "a client that is deleted", fields, "invalid_client")
	s.broker = s.newClient("next", `"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]`)
	fields = as(fields, s.broker)
	s.given(i, "another client", fields)
	s.at(at, http.MethodDelete, client(s.web.ID), nil, "")
	s.refused(i, "a token of a client that is deleted", fields, "invalid_request")
}

// exchangedWithLess takes each parameter away, and what is not given must never be more.
func exchangedWithLess(s *site, i int) {
	s.web = s.newClient("narrow", fmt.Sprintf(`"grant_types":["authorization_code"],"redirect_uris":[%q]`, backURL))
	s.at(i, http.MethodPatch, "/organizations/"+s.org+"/clients/"+s.web.ID, nil, `{"permissions":["read:patients"]}`)
	fields, _ := s.begin(i, directory.GrantTokenExchange)
	for name, want := range map[string]string{
		"grant_type": "unsupported_grant_type", "subject_token": "invalid_request", "subject_token_type": "invalid_request",
		"client_id": "invalid_client", "client_secret": "invalid_client",
	} {
		s.refused(i, "without "+name, altered(fields, name, ""), want)
		s.refused(i, "with an empty "+name, emptied(fields, name), want)
	}
	for name, value := range map[string]string{"scope": "read:patients", "audience": s.issuer(), "resource": s.issuer(), "requested_token_type": fields.Get("subject_token_type")} {
		given := s.given(i, "with "+name, altered(fields, name, value))
		for what, form := range map[string]url.Values{"without " + name: fields, "with an empty " + name: emptied(fields, name)} {
			if less := s.given(i, what, form); less["scope"] != given["scope"] || less["scope"] != "read:patients" {
				s.t.Errorf("%s: %v, with it %v", what, less["scope"], given["scope"])
			}
		}
	}
}

func emptied(fields url.Values, name string) url.Values {
	out := altered(fields)
	out.Set(name, "")
	return out
}

// exchangedTooLate: the token is one of the node's own in all but the time.
func exchangedTooLate(s *site, i int) {
	fields, _ := s.begin(i, directory.GrantTokenExchange)
	off := slices.IndexFunc([]int{0, 1, 2}, func(n int) bool { return n != i && n != leader(s.t, s.c, i) })
	if !s.active(off, fields.Get("subject_token")) { // it has heard of the session
		s.t.Fatal("the token does not live")
	}
	now := time.Now()
	tokens := s.mintedAt(off, now, now.Add(-directory.AccessTokenLife-time.Minute), now.Add(-directory.AccessTokenLife+time.Minute))
	s.given(i, "a token of now", altered(fields, "subject_token", tokens[0]))
	s.refused(i, "a token that has expired", altered(fields, "subject_token", tokens[1]), "invalid_request")
	s.given(i, "a token that has a minute left", altered(fields, "subject_token", tokens[2]))
}

// mintedAt are tokens of Alice's session as a node would have made them at some times,
// from the disk of node i, which is off meanwhile.
func (s *site) mintedAt(i int, times ...time.Time) (tokens []string) {
	s.t.Helper()
	s.c.Stop(i)
	defer s.c.Start(i)
	storage, err := disk.Open(filepath.Join(s.c.Dir(i), "state"), 0)
	if err != nil {
		s.t.Fatal(err)
	}
	defer storage.Close()
	machine, err := fsm.Open(storage)
	if err != nil {
		s.t.Fatal(err)
	}
	ring, err := keyring.Load(filepath.Join(s.c.Dir(i), "cluster.key"))
	if err != nil {
		s.t.Fatal(err)
	}
	id, _ := directory.ParseOrgID(s.org)
	user, _ := directory.ParseUserID(s.user)
	org, ok := machine.Root().Org(id)
	alice, known := org.User(user)
	secret, err := login.OpenSecret(ring, machine.Root().System())
	if err != nil || !ok || !known {
		s.t.Fatal("the node does not know Alice", err)
	}
	session := signedIn(org, user)
	for _, at := range times {
		minted, err := login.NewTokens(ring, s.c.URL(0), func() time.Time { return at }).Mint(org, secret, alice, session)
		if err != nil {
			s.t.Fatal(err)
		}
		tokens = append(tokens, minted.Token)
	}
	return tokens
}

// signedIn is the session of a user that came of no other.
func signedIn(org *state.Org, user directory.UserID) (session *directory.Session) {
	org.EachUserSession(user, func(one *directory.Session) bool {
		if one.Origin.IsZero() {
			session = one
		}
		return true
	})
	return session
}

// revoke ends a token's session at node i, by the proof of a client.
func (s *site) revoke(i int, token string, client struct{ ID, Secret string }) int {
	s.t.Helper()
	fields := as(url.Values{"token": {token}}, client)
	return s.c.Call(i, http.MethodPost, "/o/"+s.slug+"/oauth2/revoke", fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "").Status
}

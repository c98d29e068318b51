package login_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

// took asks for a token of a robot and demands it.
func (w *world) took(c application, more ...string) (token string) {
	w.t.Helper()
	body := told(w.t, w.grant("north", plus(credentials, more...), c.basic()...))
	token, ok := body["access_token"].(string)
	if !ok {
		w.t.Fatalf("%v", body)
	}
	w.accepted("a new token", token)
	return token
}

func (w *world) sid(token string) string { return fmt.Sprint(part(w.t, token, 1)["sid"]) }

// sessionsOf are the live sessions of an account.
func (w *world) sessionsOf(account directory.UserID) (live []*directory.Session) {
	org, _ := w.gate.Root().Org(w.orgs[0])
	org.EachUserSession(account, func(s *directory.Session) bool {
		if s.Live(directory.TimeOf(w.clock), org.Record().SignIn) {
			live = append(live, s)
		}
		return true
	})
	return live
}

func (w *world) steady() application {
	w.t.Helper()
	c := w.robot(0, directory.Client{Permissions: []directory.Permission{"read:patients", "write:notes"}})
	w.allow(0, c.Account, "read:patients", "write:notes")
	return c
}

// TestTokensWithoutAnEntry: the first token of client credentials costs one, and the
// others cost none. What may do something else stands in another session.
func TestTokensWithoutAnEntry(t *testing.T) {
	w := newWorld(t)
	c := w.steady()
	first := w.took(c)
	at, seen := w.log.machine.Applied(), map[string]bool{first: true}
	for range 100 {
		token := w.took(c)
		if seen[token] || w.sid(token) != w.sid(first) {
			t.Fatalf("the token %v after %v", part(t, token, 1), part(t, first, 1))
		}
		seen[token] = true
	}
	if now := w.log.machine.Applied(); now != at {
		t.Errorf("100 tokens made %d entries", now-at)
	}
	narrow := w.took(c, "scope", "read:patients")
	if w.sid(narrow) == w.sid(first) || fmt.Sprint(part(t, narrow, 1)["permissions"]) != "[read:patients]" {
		t.Errorf("a narrow token %v", part(t, narrow, 1))
	}
	if w.sid(w.took(c, "scope", "read:patients")) != w.sid(narrow) || w.sid(w.took(c, "scope", "write:notes read:patients")) != w.sid(first) {
		t.Error("what may do the same does not stand in the same session")
	}
	other := w.steady()
	if w.sid(w.took(other)) == w.sid(first) {
		t.Error("two clients have one session")
	}
	if n := len(w.sessionsOf(c.Account)); n != 2 {
		t.Errorf("%d sessions", n)
	}
}

// TestWhatEndsAStandingSession ends all of its tokens, and the next one stands in
// another, if there is to be one.
func TestWhatEndsAStandingSession(t *testing.T) {
	for what, row := range map[string]struct {
		end  func(*world, application, string)
		want string // that the next request hears
	}{
		"a token of it is revoked": {func(w *world, c application, token string) {
			w.ask(w.handler(), "/o/north/oauth2/revoke", url.Values{"token": {token}}, c.basic()...)
		}, ""},
		"an administrator ends it": {func(w *world, c application, _ string) {
			w.change(0, "sessions.end", &fsm.EndSession{ID: w.sessionsOf(c.Account)[0].ID})
		}, ""},
		"everybody's are ended": {func(w *world, _ application, _ string) {
			w.change(0, "sessions.end-organization", &fsm.EndOrganizationSessions{})
		}, ""},
		"the account is deactivated": {func(w *world, c application, _ string) {
			w.change(0, "users.deactivate", &fsm.SetUserActive{User: c.Account})
		}, "unauthorized_client"},
		"the account was deactivated for a while": {func(w *world, c application, _ string) {
			w.change(0, "users.deactivate", &fsm.SetUserActive{User: c.Account})
			w.change(0, "users.activate", &fsm.SetUserActive{User: c.Account, Active: true})
		}, ""},
		"its owner is deactivated": {func(w *world, _ application, _ string) {
			w.change(0, "users.deactivate", &fsm.SetUserActive{User: w.users[0]})
		}, "unauthorized_client"},
		"the client may do less": {func(w *world, c application, _ string) {
			w.change(0, "clients.update", &fsm.UpdateClient{ID: c.ID, Permissions: &[]directory.Permission{"read:patients"}})
		}, ""},
		"the client is deleted": {func(w *world, c application, _ string) {
			w.change(0, "clients.delete", &fsm.DeleteClient{ID: c.ID})
		}, "invalid_client"},
	} {
		w := newWorld(t)
		c := w.steady()
		first, second := w.took(c), w.took(c)
		row.end(w, c, first)
		w.refused(what+": a token", first)
		w.refused(what+": another", second)
		body := told(t, w.grant("north", credentials, c.basic()...))
		if got, _ := body["error"].(string); got != row.want {
			t.Errorf("%s: %v", what, body)
		}
		if token, ok := body["access_token"].(string); ok && w.sid(token) == w.sid(first) {
			t.Errorf("%s: the session goes on", what)
		}
		w.refused(what+": the first after the next", first)
	}
}

// TestWhatAStandingSessionOutlives: a new secret or a new role ends nothing, and the next
// token has what is true then.
func TestWhatAStandingSessionOutlives(t *testing.T) {
	w := newWorld(t)
	c := w.steady()
	first := w.took(c)
	rotated := c
	var hash [32]byte
	rotated.secret, hash = access.NewClientSecret(w.orgs[0], c.ID)
	w.change(0, "clients.rotate", &fsm.UpdateClient{ID: c.ID, Secret: &hash})
	if body := told(t, w.grant("north", credentials, c.basic()...)); body["error"] != "invalid_client" {
		t.Errorf("the old secret: %v", body)
	}
	if w.sid(w.took(rotated)) != w.sid(first) {
		t.Error("the new secret has another session")
	}
	w.accepted("the token from before", first)
	org, _ := w.gate.Root().Org(w.orgs[0])
	for _, role := range org.Permissions().Roles(c.Account) {
		w.change(0, "roles.unassign", &fsm.UnassignRole{Role: role, User: c.Account})
	}
	if got := fmt.Sprint(part(t, w.took(rotated), 1)["permissions"]); got != "[]" {
		t.Errorf("permissions %s without a role", got)
	}
}

// TestStandingSessionEnds: no token outlives it, and in its last minutes the next begins.
func TestStandingSessionEnds(t *testing.T) {
	for idle, life := range map[time.Duration]time.Duration{0: directory.ClientSessionLife, 10 * time.Minute: 10 * time.Minute} {
		w := newWorld(t)
		c := w.steady()
		if idle != 0 {
			w.change(0, "organizations.update", &fsm.UpdateOrganization{SignIn: &directory.SignIn{SessionIdle: idle}})
		}
		first := w.took(c)
		w.clock = w.clock.Add(life - directory.AccessTokenLife)
		last := w.took(c)
		if w.sid(last) != w.sid(first) {
			t.Errorf("%s: another session while tokens fit", idle)
		}
		w.clock = w.clock.Add(time.Second)
		next := w.took(c)
		if w.sid(next) == w.sid(first) {
			t.Errorf("%s: the session goes on when tokens would be cut short", idle)
		}
		exp, iat := part(t, next, 1)["exp"].(float64), part(t, next, 1)["iat"].(float64)
		if exp-iat != directory.AccessTokenLife.Seconds() {
			t.Errorf("%s: the token lives %v s", idle, exp-iat)
		}
		w.clock = w.clock.Add(directory.AccessTokenLife - time.Second)
		w.refused("the last token when its session is over", last)
	}
}

// TestSingleSessions: where something enforces, where a key is shown, and in a cluster
// whose other nodes know no standing sessions, each token has its own entry.
func TestSingleSessions(t *testing.T) {
	single := func(w *world, what, token string) {
		t.Helper()
		id, err := directory.ParseSessionID(w.sid(token))
		must(t, err)
		org, _ := w.gate.Root().Org(w.orgs[0])
		if s, _ := org.Session(id); s == nil || !s.Single || len(s.Tokens) != 1 || s.Standing() {
			t.Errorf("%s: %+v", what, s)
		}
	}
	w := newWorldAt(t, 1)
	c := w.steady()
	single(w, "at level 1", w.took(c))
	w = newWorld(t)
	c = w.steady()
	standing := w.took(c)
	d := w.device()
	bound := d.tokens(plus(credentials, "client_id", c.ID.String(), "client_secret", c.secret))
	single(w, "bound to a key", fmt.Sprint(bound["access_token"]))
	w.change(0, "services.create", &fsm.CreateService{Service: directory.Service{
		ID: access.NewID[directory.ServiceID](w.clock), Name: "ward", Listen: []string{"192.0.2.1:80"},
	}})
	single(w, "beside a service", w.took(c))
	w.accepted("the token from before the service, outside of it", standing)
}

// TestTwoNodesStand each in a session of its own when they begin at once, and one that
// knows of none takes what is there.
func TestTwoNodesStand(t *testing.T) {
	w := newWorld(t)
	c := w.steady()
	at := func(sessions *login.Sessions) string {
		handler := login.Handler(w.gate, w.tokens, sessions, login.DevelopmentSignIn)
		token, _ := told(t, w.ask(handler, "/o/north/oauth2/token", credentials, c.basic()...))["access_token"].(string)
		return token
	}
	node := func() *login.Sessions { return login.NewSessions(w.gate, w.tokens, w.ring, nil) }
	first := w.took(c)
	if w.sid(at(node())) != w.sid(first) || len(w.sessionsOf(c.Account)) != 1 {
		t.Error("another node does not find the session")
	}
	org, _ := w.gate.Root().Org(w.orgs[0])
	_, err := w.gate.ProposeAsNode(t.Context(), org.ID(), &fsm.StartSession{ // as another node does at the same time
		ID: access.NewID[directory.SessionID](w.clock), User: c.Account, Client: c.ID, Bounded: true, Permissions: c.Permissions, Standing: true,
	})
	must(t, err)
	if w.sid(w.took(c)) != w.sid(first) {
		t.Error("a node leaves its session for another's")
	}
	w.change(0, "sessions.end-user", &fsm.EndUserSessions{User: c.Account})
	w.refused("the token", first)
}

// TestManyBeginAtOnce: of those who come before there is a session one begins it.
func TestManyBeginAtOnce(t *testing.T) {
	w := newWorld(t)
	c := w.steady()
	handler := w.handler()
	answers := make([]*httptest.ResponseRecorder, 32)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = w.ask(handler, "/o/north/oauth2/token", credentials, c.basic()...) })
	}
	all.Wait()
	for _, answer := range answers {
		if answer.Code != 200 {
			t.Errorf("%d %s", answer.Code, answer.Body)
		}
	}
	if n := len(w.sessionsOf(c.Account)); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// TestStandingSessionIsRestored: a node that got the state as a snapshot knows it, and its
// tokens live there.
func TestStandingSessionIsRestored(t *testing.T) {
	w := newWorld(t)
	c := w.steady()
	token := w.took(c)
	var stream bytes.Buffer
	must(t, fsm.WriteSnapshot(&stream, w.gate.Root()))
	other, err := fsm.Open(disk.NewMemory())
	must(t, err)
	must(t, other.Restore(&stream))
	if _, err := w.tokens.Verify(other.Root(), token); err != nil {
		t.Errorf("at a node with a snapshot: %v", err)
	}
	gate := access.NewGate(soloLog{other}, other.Root, w.tokens, w.now)
	sessions := login.NewSessions(gate, w.tokens, w.ring, nil)
	answer := w.ask(login.Handler(gate, w.tokens, sessions, login.DevelopmentSignIn), "/o/north/oauth2/token", credentials, c.basic()...)
	if next, _ := told(t, answer)["access_token"].(string); next == "" || w.sid(next) != w.sid(token) {
		t.Errorf("it has another session: %s", answer.Body)
	}
}

// BenchmarkClientCredentials is the token endpoint without the connection: what a token
// costs of one core.
func BenchmarkClientCredentials(b *testing.B) {
	w := newWorld(b)
	c := w.steady()
	handler, body, headers := w.handler(), credentials.Encode(), c.basic()
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest("POST", "/o/north/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set(headers[0], headers[1])
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		if answer.Code != 200 {
			b.Fatal(answer.Code, answer.Body)
		}
	}
}

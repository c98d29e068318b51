package login_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// ask posts a form to an endpoint of an issuer.
func (w *world) ask(handler http.Handler, path string, fields url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	return outsider(w.t, handler, http.MethodPost, path, fields.Encode(), headers...)
}

// told is the JSON of an answer.
func told(t testing.TB, answer *httptest.ResponseRecorder) (o object) {
	t.Helper()
	if err := json.Unmarshal(answer.Body.Bytes(), &o); err != nil {
		t.Fatalf("%d %q: %v", answer.Code, answer.Body, err)
	}
	return o
}

func (w *world) handler() http.Handler {
	return login.Handler(w.gate, w.tokens, w.sessions, login.DevelopmentSignIn)
}

// without is the same gate without a quorum.
func (w *world) without() http.Handler {
	gate := access.NewGate(lostLog{}, w.gate.Root, w.tokens, w.now)
	sessions := login.NewSessions(gate, w.tokens, w.ring, func(context.Context, directory.Index) {})
	return login.Handler(gate, w.tokens, sessions, login.DevelopmentSignIn)
}

// lostLog is a cluster that has lost its quorum.
type lostLog struct{}

func (lostLog) Propose(context.Context, []byte) (fsm.Result, error) {
	return fsm.Result{}, directory.Unavailable("there is no quorum")
}

func (lostLog) ReadIndex(context.Context) (directory.Index, error) {
	return 0, directory.Unavailable("there is no quorum")
}
func (lostLog) WaitApplied(context.Context, directory.Index) error { return nil }

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }

// TestIntrospect tells what a token is while it lives, and of everything else only
// that it is not one.
func TestIntrospect(t *testing.T) {
	w := newWorld(t)
	own, other := w.signIn(0), w.signIn(1)
	handler := w.handler()
	ask := func(token string) object {
		answer := w.ask(handler, "/o/north/oauth2/introspect", url.Values{"token": {token}}, bearer(w.token)...)
		if answer.Code != http.StatusOK || answer.Header().Get("Cache-Control") != "no-store" {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
		return told(t, answer)
	}
	claims := part(t, own.AccessToken, 1)
	said := ask(own.AccessToken)
	for _, name := range []string{"iss", "sub", "exp", "iat", "jti", "sid", "org_id"} {
		if said[name] != claims[name] || said[name] == nil {
			t.Errorf("%s is %v, the token has %v", name, said[name], claims[name])
		}
	}
	if said["active"] != true || said["token_type"] != "Bearer" || said["username"] != "alice@example.org" {
		t.Errorf("access token: %v", said)
	}
	if said := ask(own.RefreshToken); said["active"] != true || said["token_type"] != nil || said["sid"] != own.Session.String() {
		t.Errorf("refresh token: %v", said)
	}
	dead := map[string]string{
		"the other organization's access token":  other.AccessToken,
		"the other organization's refresh token": other.RefreshToken,
		"a cut access token":                     own.AccessToken[:len(own.AccessToken)-1],
		"a cut refresh token":                    own.RefreshToken[:len(own.RefreshToken)-1],
		"an operator's token":                    w.token,
		"nonsense":                               "nonsense",
	}
	w.clock = w.clock.Add(time.Second)
	next := w.refresh(own.RefreshToken)
	dead["a refresh token that was replaced"] = own.RefreshToken
	for what, token := range dead {
		if said := ask(token); len(said) != 1 || said["active"] != false {
			t.Errorf("%s: %v", what, said)
		}
	}
	w.change(0, "sessions.end", &fsm.EndSession{ID: own.Session})
	for what, token := range map[string]string{"access": own.AccessToken, "refresh": next.RefreshToken} {
		if said := ask(token); len(said) != 1 || said["active"] != false {
			t.Errorf("the %s token of an ended session: %v", what, said)
		}
	}
}

// TestRightsInEveryAnswer: the token of a sign-in, its successor and what introspection
// says of either hold the roles, groups and permissions of the user.
func TestRightsInEveryAnswer(t *testing.T) {
	w := newWorld(t)
	w.allow(0, w.users[0], "read:patients")
	w.change(0, "groups.create", &fsm.CreateGroup{
		Group: directory.Group{ID: directory.GroupID{1}, Name: "doctors"}, Members: w.users[:1],
	})
	first := w.signIn(0)
	for what, token := range map[string]string{"first": first.AccessToken, "second": w.refresh(first.RefreshToken).AccessToken} {
		said := told(t, w.ask(w.handler(), "/o/north/oauth2/introspect", url.Values{"token": {token}}, bearer(w.token)...))
		for from, claims := range map[string]object{"token": part(t, token, 1), "introspection": said} {
			roles, _ := claims["roles"].([]any)
			if len(roles) != 1 || fmt.Sprint(claims["groups"], claims["permissions"]) != "[doctors] [read:patients]" {
				t.Errorf("%s, %s: %v %v %v", what, from, roles, claims["groups"], claims["permissions"])
			}
		}
	}
}

// TestIntrospectIsForTheDirectorysReaders.
func TestIntrospectIsForTheDirectorysReaders(t *testing.T) {
	w := newWorld(t)
	own, other := w.signIn(0), w.signIn(1)
	fields := url.Values{"token": {own.AccessToken}}
	for what, row := range map[string]struct {
		slug   string
		token  string
		status int
		fields url.Values
	}{
		"nobody":                         {"north", "", 401, fields},
		"nonsense":                       {"north", "nonsense", 401, fields},
		"a user without the permission":  {"north", own.AccessToken, 403, fields},
		"a user of another organization": {"north", other.AccessToken, 401, fields},
		"an operator, of nothing":        {"western", w.token, 401, fields},
		"an operator, without a token":   {"north", w.token, 400, url.Values{}},
		"an operator, with two":          {"north", w.token, 400, url.Values{"token": {"a", "b"}}},
		"an operator":                    {"north", w.token, 200, fields},
	} {
		answer := w.ask(w.handler(), "/o/"+row.slug+"/oauth2/introspect", row.fields, bearer(row.token)...)
		if answer.Code != row.status {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
		if row.status == 401 && answer.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: no challenge", what)
		}
	}
	role := directory.RoleID{1}
	w.change(0, "roles.create", &fsm.CreateRole{Role: directory.Role{ID: role, Name: "reader", Permissions: []directory.Permission{directory.ReadDirectory}}})
	w.change(0, "roles.assign", &fsm.AssignRole{ID: directory.AssignmentID{1}, Role: role, User: w.users[0]})
	if answer := w.ask(w.handler(), "/o/north/oauth2/introspect", fields, bearer(own.AccessToken)...); answer.Code != 200 {
		t.Errorf("a user who may read the directory: %d %s", answer.Code, answer.Body)
	}
}

// TestRevoke: whoever holds any token of a session can end it, and nobody else.
func TestRevoke(t *testing.T) {
	for _, which := range []string{"access", "refresh", "replaced"} {
		w := newWorld(t)
		own, bystander, other := w.signIn(0), w.signIn(0), w.signIn(1)
		handler := w.handler()
		post := func(token string) int {
			return w.ask(handler, "/o/north/oauth2/revoke", url.Values{"token": {token}, "token_type_hint": {"refresh_token"}}).Code
		}
		forged, _ := access.NewRefreshToken(w.orgs[0], own.Session)
		for what, token := range map[string]string{
			"nonsense": "nonsense", "another organization's": other.AccessToken, "another organization's refresh": other.RefreshToken,
			"another secret of the same session": forged, "cut": own.AccessToken[:len(own.AccessToken)-2],
		} {
			if status := post(token); status != http.StatusOK {
				t.Errorf("%s: %d", what, status)
			}
		}
		w.accepted("after what was no token of the session", own.AccessToken)
		w.accepted("the other organization's", other.AccessToken)
		token := own.AccessToken
		if which != "access" {
			token = own.RefreshToken
		}
		if which == "replaced" {
			own = w.refresh(own.RefreshToken)
		}
		for range 2 { // the second time there is nothing left to do
			if status := post(token); status != http.StatusOK {
				t.Errorf("%s: %d", which, status)
			}
		}
		w.refused(which, own.AccessToken)
		w.noRefresh(which, own.RefreshToken)
		w.accepted("the user's other session", bystander.AccessToken)
	}
}

// TestNothingIsSaidWithoutAQuorum: neither that a token was revoked nor that it lives.
func TestNothingIsSaidWithoutAQuorum(t *testing.T) {
	w := newWorld(t)
	own := w.signIn(0)
	handler := w.without()
	for what, answer := range map[string]*httptest.ResponseRecorder{
		"revoke access":   w.ask(handler, "/o/north/oauth2/revoke", url.Values{"token": {own.AccessToken}}),
		"revoke refresh":  w.ask(handler, "/o/north/oauth2/revoke", url.Values{"token": {own.RefreshToken}}),
		"introspect":      w.ask(handler, "/o/north/oauth2/introspect", url.Values{"token": {own.AccessToken}}, bearer(w.token)...),
		"userinfo":        outsider(t, handler, "GET", "/o/north/oauth2/userinfo", "", bearer(own.AccessToken)...),
		"refresh":         w.ask(handler, "/o/north/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {own.RefreshToken}}),
		"another's token": w.ask(handler, "/o/north/oauth2/revoke", url.Values{"token": {unheard(w)}}),
	} {
		if answer.Code != http.StatusServiceUnavailable || answer.Header().Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
	}
	w.accepted("what could not be revoked", own.AccessToken)
	if answer := outsider(t, handler, "GET", "/o/north/.well-known/jwks.json", ""); answer.Code != 200 || answer.Header().Get("ETag") == "" ||
		!strings.Contains(answer.Header().Get("Cache-Control"), "stale-if-error=86400") {
		t.Errorf("the keys: %d %v", answer.Code, answer.Header())
	}
}

// unheard is a refresh token of a session that this node has not heard of: another
// node may have.
func unheard(w *world) string {
	token, _ := access.NewRefreshToken(w.orgs[0], access.NewID[directory.SessionID](w.clock))
	return token
}

// TestUserInfo tells who a token's user is, as the directory knows them now.
func TestUserInfo(t *testing.T) {
	w := newWorld(t)
	own, other := w.signIn(0), w.signIn(1)
	handler := w.handler()
	user, _ := w.pass(0, "users.get").View().User(w.users[0])
	named := *user
	named.DisplayName, named.GivenName, named.Email = "Alice Ng", "Alice", "alice@north.example"
	w.change(0, "users.update", &fsm.UpdateUser{User: named})
	for _, method := range []string{"GET", "POST"} {
		answer := outsider(t, handler, method, "/o/north/oauth2/userinfo", "", bearer(own.AccessToken)...)
		said := told(t, answer)
		if answer.Code != 200 || said["sub"] != w.users[0].String() || said["name"] != "Alice Ng" || said["given_name"] != "Alice" ||
			said["email"] != "alice@north.example" || said["email_verified"] != false || said["family_name"] != nil {
			t.Errorf("%s: %d %v", method, answer.Code, said)
		}
	}
	w.change(0, "organizations.update", &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: "north.example", Challenge: "c"}}})
	w.change(0, "organizations.verify-domain", &fsm.VerifyDomain{Name: "north.example", Challenge: "c"})
	if said := told(t, outsider(t, handler, "GET", "/o/north/oauth2/userinfo", "", bearer(own.AccessToken)...)); said["email_verified"] != true {
		t.Errorf("an address in a proved domain: %v", said)
	}
	w.change(0, "sessions.end", &fsm.EndSession{ID: own.Session})
	for what, token := range map[string]string{
		"nothing": "", "nonsense": "x", "an ended session's token": own.AccessToken, "another organization's": other.AccessToken,
		"a refresh token": other.RefreshToken, "an operator's": w.token, "too long": strings.Repeat("a", access.CredentialMax+1),
	} {
		answer := outsider(t, handler, "GET", "/o/north/oauth2/userinfo", "", bearer(token)...)
		challenge := answer.Header().Get("WWW-Authenticate")
		if answer.Code != http.StatusUnauthorized || !strings.HasPrefix(challenge, "Bearer") || (token != "") != strings.Contains(challenge, "invalid_token") {
			t.Errorf("%s: %d %q", what, answer.Code, challenge)
		}
	}
}

// TestEndpointsReadOneSpelling: what a node's own API refuses as another text is none for
// those who ask about tokens or exchange them either.
func TestEndpointsReadOneSpelling(t *testing.T) {
	w := newWorld(t)
	token, broker := w.signIn(0).AccessToken, w.broker(0)
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	spare := string(letters[strings.IndexByte(letters, token[last])^1]) // a bit that is no bit of the signature
	for what, text := range map[string]string{
		"a line behind it": token + "\n", "a space before it": " " + token, "a spare bit": token[:last] + spare, "padding": token + "==",
	} {
		told := told(t, w.ask(w.handler(), "/o/north/oauth2/introspect", url.Values{"token": {text}}, bearer(w.token)...))
		if told["active"] != false {
			t.Errorf("%s: introspection says %v", what, told)
		}
		if body := w.grant("north", broker.proved(exchanged(text))); body.Code != http.StatusBadRequest {
			t.Errorf("%s: it is exchanged: %s", what, body.Body)
		}
		w.ask(w.handler(), "/o/north/oauth2/revoke", url.Values{"token": {text}})
	}
	w.accepted("after all that", token)
}

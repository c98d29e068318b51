package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestLogout: an ID token ends its session, also when it has expired, and nothing else
// does; nobody is sent to where the client has not registered.
func TestLogout(t *testing.T) {
	w := newWorld(t)
	const after = "https://app.example/bye?a=b"
	app := w.application(0, directory.Client{PostLogout: []string{after}})
	other := w.application(0, directory.Client{})
	tokens := w.tokensOf(app, "openid")
	leave := func(fields url.Values) (int, string, string) {
		answer := outsider(t, w.handler(), http.MethodGet, "/o/north/oauth2/logout?"+fields.Encode(), "")
		return answer.Code, answer.Header().Get("Location"), answer.Body.String()
	}
	whole := url.Values{"id_token_hint": {tokens.id}, "post_logout_redirect_uri": {after}, "state": {"x y"}}
	for what, fields := range map[string]url.Values{
		"nothing":               {},
		"an access token":       plus(whole, "id_token_hint", tokens.access),
		"a cut token":           plus(whole, "id_token_hint", tokens.id[:len(tokens.id)-1]),
		"another client":        plus(whole, "client_id", other.ID.String()),
		"an address of its own": plus(whole, "post_logout_redirect_uri", "https://attacker.example"),
	} {
		if status, to, _ := leave(fields); status != 400 || to != "" {
			t.Errorf("%s: %d %q", what, status, to)
		}
	}
	w.accepted("nothing has ended it", tokens.access)
	w.clock = w.clock.Add(time.Hour) // the ID token has expired
	if status, to, _ := leave(plus(whole, "client_id", app.ID.String())); status != 303 || to != after+"&state=x+y" {
		t.Errorf("%d %q", status, to)
	}
	if body := told(t, w.grant("north", app.proved(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {tokens.refresh}}))); body["error"] != "invalid_grant" {
		t.Errorf("the session goes on: %v", body)
	}
	if status, to, page := leave(url.Values{"id_token_hint": {tokens.id}}); status != 200 || to != "" || !strings.Contains(page, "You are signed out") {
		t.Errorf("a second time, to nowhere: %d %q", status, to)
	}
	if answer := outsider(t, w.without(), http.MethodGet, "/o/north/oauth2/logout?"+whole.Encode(), ""); answer.Code != 503 {
		t.Errorf("without a quorum: %d", answer.Code)
	}
}

// TestLogoutToken says what the specification wants, and is no other token.
func TestLogoutToken(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{Logout: "https://app.example/logout"})
	tokens := w.tokensOf(app, "openid")
	w.change(0, "users.delete", &fsm.DeleteUser{User: w.users[0]})
	org, _ := w.gate.Root().Org(w.orgs[0])
	n := 0
	org.EachUntold(func(s *directory.Session) bool {
		n++
		logout, wanted, err := w.tokens.LogoutOf(org, s)
		must(t, err)
		claims, header := part(t, logout.Token, 1), part(t, logout.Token, 0)
		if !wanted || logout.URL != "https://app.example/logout" || header["typ"] != "logout+jwt" || claims["nonce"] != nil ||
			claims["sid"] != part(t, tokens.access, 1)["sid"] || claims["sub"] != w.users[0].String() || claims["events"] == nil {
			t.Errorf("%+v %v %v", logout, header, claims)
		}
		w.refused("a logout token", logout.Token)
		if answer := outsider(t, w.handler(), http.MethodGet, "/o/north/oauth2/logout?id_token_hint="+logout.Token, ""); answer.Code != 400 {
			t.Errorf("a logout token as an ID token: %d", answer.Code)
		}
		return true
	})
	if n != 1 {
		t.Errorf("%d sessions are to be told of", n)
	}
}

// TestWhoseEndIsTold: of every session that a client has got tokens of, until it is
// told or a day has passed.
func TestWhoseEndIsTold(t *testing.T) {
	w := newWorld(t)
	told := w.application(0, directory.Client{Logout: "https://app.example/logout"})
	silent := w.application(0, directory.Client{})
	untold := func() (ids []directory.SessionID) {
		org, _ := w.gate.Root().Org(w.orgs[0])
		org.EachUntold(func(s *directory.Session) bool { ids = append(ids, s.ID); return true })
		return ids
	}
	w.signIn(0)
	w.signedIn("north", told.request("openid")) // whose code nobody redeems
	w.tokensOf(silent, "openid")
	w.tokensOf(told, "openid")
	w.tokensOf(told, "openid")
	if n := len(untold()); n != 0 {
		t.Errorf("%d live sessions are told of", n)
	}
	w.change(0, "users.deactivate", &fsm.SetUserActive{User: w.users[0]})
	ended := untold()
	if len(ended) != 2 {
		t.Fatalf("%d sessions are told of, want 2", len(ended))
	}
	_, err := w.gate.ProposeAsNode(t.Context(), w.orgs[0], &fsm.ToldLogout{ID: ended[0]})
	must(t, err)
	if left := untold(); len(left) != 1 || left[0] != ended[1] {
		t.Errorf("left are %v", left)
	}
	org, _ := w.gate.Root().Org(w.orgs[0])
	session, _ := org.Session(ended[1])
	for what, row := range map[string]struct {
		after time.Duration
		want  bool
	}{"within a day": {directory.LogoutWait - time.Millisecond, false}, "after it": {directory.LogoutWait, true}} {
		if got := fsm.Forgettable(session, session.Ended.Add(row.after), directory.SignIn{}); got != row.want {
			t.Errorf("%s: forgettable %v", what, got)
		}
	}
}

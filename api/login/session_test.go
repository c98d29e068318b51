package login_test

import (
	"context"
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
	"github.com/authfi/authfi/fsm/state"
)

func (w *world) refresh(token string) login.Grant {
	w.t.Helper()
	grant, err := w.sessions.Refresh(w.t.Context(), token, directory.ClientID{})
	must(w.t, err)
	return grant
}

func (w *world) noRefresh(what, token string) {
	w.t.Helper()
	if grant, err := w.sessions.Refresh(w.t.Context(), token, directory.ClientID{}); directory.KindOf(err) != directory.KindUnauthenticated {
		w.t.Errorf("%s: %+v, %v", what, grant.Session, err)
	}
}

// TestRefreshIsRepeatable: an answer that was lost can be asked for again.
func TestRefreshIsRepeatable(t *testing.T) {
	w := newWorld(t)
	first := w.signIn(0)
	second := w.refresh(first.RefreshToken)
	w.clock = w.clock.Add(directory.RefreshGrace - time.Millisecond)
	repeat := w.refresh(first.RefreshToken)
	if repeat.RefreshToken != second.RefreshToken || repeat.Session != first.Session {
		t.Error("the repeat within the grace has another successor")
	}
	for what, grant := range map[string]login.Grant{"first": first, "second": second, "repeat": repeat} {
		w.accepted(what, grant.AccessToken)
	}
	third := w.refresh(second.RefreshToken)
	if third.RefreshToken == second.RefreshToken {
		t.Error("the refresh token does not rotate")
	}
	w.noRefresh("the token before the previous one", first.RefreshToken)
}

// TestReuseEndsTheSession: whoever comes late with an old token is a thief, or
// was robbed; neither goes on.
func TestReuseEndsTheSession(t *testing.T) {
	w := newWorld(t)
	first := w.signIn(0)
	second := w.refresh(first.RefreshToken)
	w.clock = w.clock.Add(directory.RefreshGrace)
	w.noRefresh("the old token after the grace", first.RefreshToken)
	w.noRefresh("its successor", second.RefreshToken)
	w.refused("the access token of the session", second.AccessToken)
}

// TestTokenDoesNotOutliveItsSession, whose whole life the organization has made
// shorter.
func TestTokenDoesNotOutliveItsSession(t *testing.T) {
	w := newWorld(t)
	w.change(0, "organizations.update", &fsm.UpdateOrganization{SignIn: &directory.SignIn{SessionMax: 10 * time.Minute}})
	first := w.signIn(0)
	if first.ExpiresIn != directory.AccessTokenLife {
		t.Errorf("the first token lives %v", first.ExpiresIn)
	}
	w.clock = w.clock.Add(8 * time.Minute)
	second := w.refresh(first.RefreshToken)
	if second.ExpiresIn != 2*time.Minute {
		t.Errorf("a token of a session that has two minutes left lives %v", second.ExpiresIn)
	}
	w.clock = w.clock.Add(2*time.Minute - time.Millisecond)
	w.accepted("at the end of the session", second.AccessToken)
	w.clock = w.clock.Add(time.Millisecond)
	w.refused("after the end of the session", second.AccessToken)
	w.noRefresh("after the end of the session", second.RefreshToken)
}

// laggard is the log of a node that has applied nothing of late, until it is told to
// wait for it.
type laggard struct {
	soloLog
	caughtUp *bool
}

func (l laggard) WaitApplied(ctx context.Context, index directory.Index) error {
	*l.caughtUp = true
	return l.soloLog.WaitApplied(ctx, index)
}

// TestRefreshAtANodeThatLags: a session that another node has opened a moment ago is
// not unknown.
func TestRefreshAtANodeThatLags(t *testing.T) {
	w := newWorld(t)
	old, caughtUp := w.gate.Root(), false
	root := func() *state.Root {
		if caughtUp {
			return w.gate.Root()
		}
		return old
	}
	gate := access.NewGate(laggard{w.log, &caughtUp}, root, w.tokens, w.now)
	sessions := login.NewSessions(gate, w.tokens, w.ring, func(context.Context, directory.Index) {})
	if _, err := sessions.Refresh(t.Context(), w.signIn(0).RefreshToken, directory.ClientID{}); err != nil {
		t.Error(err)
	}
}

func TestIdleSessionEnds(t *testing.T) {
	w := newWorld(t)
	grant := w.signIn(0)
	w.clock = w.clock.Add(directory.SessionIdleLife)
	w.noRefresh("after the idle life", grant.RefreshToken)
}

// TestTokenEndpoint: a refresh token works under its own issuer only, and what
// is wrong with a bad one is not told.
func TestTokenEndpoint(t *testing.T) {
	w := newWorld(t)
	north, south := w.signIn(0), w.signIn(1)
	handler := login.Handler(w.gate, w.tokens, w.sessions, login.DevelopmentSignIn)
	post := func(slug, body string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/o/"+slug+"/oauth2/token", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, r)
		return answer
	}
	form := func(token string) string {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()
	}
	unknown := post("north", form("afr_nonsense"))
	for what, token := range map[string]string{
		"the other organization's token": south.RefreshToken,
		"an access token":                north.AccessToken,
		"a cut token":                    north.RefreshToken[:len(north.RefreshToken)-1],
		"nothing":                        "",
	} {
		if answer := post("north", form(token)); answer.Code != 400 || answer.Body.String() != unknown.Body.String() {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
	}
	for what, c := range map[string]struct {
		slug, body string
		status     int
	}{
		"unknown organization": {"west", form(north.RefreshToken), 400},
		"no slug at all":       {"WEST", form(north.RefreshToken), 404},
		"another grant":        {"north", "grant_type=password&username=a&password=b", 400},
		"a broken form":        {"north", "%zz", 400},
		"a huge form":          {"north", "refresh_token=" + strings.Repeat("a", 1<<20), 400},
		"its own issuer":       {"north", form(north.RefreshToken), 200},
		"the other's own":      {"south", form(south.RefreshToken), 200},
	} {
		answer := post(c.slug, c.body)
		if answer.Code != c.status {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
		if c.status != 404 && answer.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be stored", what)
		}
	}
}

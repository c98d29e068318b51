package login_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
)

// outsider asks for the paths of an issuer that are open to everybody.
func outsider(t testing.TB, handler http.Handler, method, path, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	return answer
}

// shape is an answer without what differs between any two organizations: their
// names and their keys.
func shape(answer *httptest.ResponseRecorder, slug string) string {
	header := answer.Header().Clone()
	if etag := header.Get("ETag"); etag != "" {
		header.Set("ETag", fmt.Sprint(len(etag)))
	}
	body := strings.ReplaceAll(answer.Body.String(), slug, "SLUG")
	var set struct{ Keys []map[string]string }
	if json.Unmarshal([]byte(body), &set) == nil && set.Keys != nil {
		body = ""
		for _, key := range set.Keys {
			for _, secret := range []string{"kid", "x", "y"} {
				key[secret] = fmt.Sprint(len(key[secret]))
			}
			for _, name := range slices.Sorted(maps.Keys(key)) {
				body += name + "=" + key[name] + " "
			}
		}
	}
	return fmt.Sprint(answer.Code, header, body)
}

// TestUnknownOrganizationLooksLikeAnyOther to whoever asks without being in it.
func TestUnknownOrganizationLooksLikeAnyOther(t *testing.T) {
	w := newWorld(t)
	own := w.signIn(0)
	never, _ := access.NewRefreshToken(w.orgs[1], access.NewID[directory.SessionID](w.clock))
	handler := login.Handler(w.gate, w.tokens, w.sessions, login.DevelopmentSignIn)
	grant := func(token string) string {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}.Encode()
	}
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/.well-known/openid-configuration", ""},
		{"GET", "/.well-known/jwks.json", ""},
		{"HEAD", "/.well-known/jwks.json", ""},
		{"POST", "/.well-known/jwks.json", ""},
		{"POST", "/oauth2/token", grant(own.RefreshToken)}, // of an organization that is neither
		{"POST", "/oauth2/token", grant(never)},
		{"POST", "/oauth2/token", grant("")},
		{"POST", "/oauth2/token", grant("afr_nonsense")},
		{"POST", "/oauth2/token", "grant_type=password"},
		{"POST", "/oauth2/token", "%zz"},
		{"POST", "/oauth2/token", "refresh_token=" + strings.Repeat("a", 1<<20)},
		{"GET", "/oauth2/authorize", ""},
		{"POST", "/oauth2/revoke", ""},
		{"POST", "/oauth2/revoke", "token=" + own.AccessToken},
		{"POST", "/oauth2/revoke", "token=" + never[:len(never)-1]},
		{"POST", "/oauth2/introspect", "token=" + own.AccessToken},
		{"GET", "/oauth2/userinfo", ""},
		{"GET", "", ""},
	} {
		known := shape(outsider(t, handler, row.method, "/o/south"+row.path, row.body), "south")
		unknown := shape(outsider(t, handler, row.method, "/o/western"+row.path, row.body), "western")
		if known != unknown {
			t.Errorf("%s %s:\n%s\n%s", row.method, row.path, known, unknown)
		}
	}
	for _, slug := range []string{"", "West", "-west", "a.b", "%20", strings.Repeat("w", 64), "%2e%2e"} {
		answer := outsider(t, handler, "GET", "/o/"+slug+"/.well-known/openid-configuration", "")
		if answer.Code == http.StatusOK {
			t.Errorf("%q is an issuer: %s", slug, answer.Body)
		}
	}
}

// TestDecoysStay: every node publishes the same one, always, and each slug has its
// own; a client that has it is not sent it again.
func TestDecoysStay(t *testing.T) {
	w := newWorld(t)
	again := login.NewTokens(w.ring, issuer, w.now)
	one := login.Handler(w.gate, w.tokens, w.sessions, login.NoSignIn)
	other := login.Handler(w.gate, again, w.sessions, login.NoSignIn)
	path := func(slug string) string { return "/o/" + slug + "/.well-known/jwks.json" }
	first := outsider(t, one, "GET", path("western"), "")
	if body := outsider(t, other, "GET", path("western"), "").Body.String(); body != first.Body.String() || body == "" {
		t.Errorf("another node publishes %s, not %s", body, first.Body)
	}
	if body := outsider(t, one, "GET", path("eastern"), "").Body.String(); body == first.Body.String() {
		t.Error("two slugs have one key")
	}
	cached := outsider(t, one, "GET", path("western"), "", "If-None-Match", first.Header().Get("ETag"))
	if cached.Code != http.StatusNotModified {
		t.Errorf("a client that has the key gets %d", cached.Code)
	}
}

// TestDecoyKeysComeAndGo as those of an organization that is there: over a year there
// are one, two or three at a time, and none comes back.
func TestDecoyKeysComeAndGo(t *testing.T) {
	w := newWorld(t)
	last, gone, turns := map[string]bool{}, map[string]bool{}, 0
	for range 365 * 4 {
		w.clock = w.clock.Add(6 * time.Hour)
		now := map[string]bool{}
		set := told(t, outsider(t, w.handler(), http.MethodGet, "/o/nobody/.well-known/jwks.json", ""))
		for _, key := range set["keys"].([]any) {
			kid := key.(map[string]any)["kid"].(string)
			if now[kid] = true; gone[kid] {
				t.Fatalf("%s came back", kid)
			}
			if !last[kid] && len(last) > 0 {
				turns++
			}
		}
		for kid := range last {
			if !now[kid] {
				gone[kid] = true
			}
		}
		if last = now; len(now) < 1 || len(now) > 3 {
			t.Fatalf("%d keys at %v", len(now), w.clock)
		}
	}
	if turns < 3 || turns > 5 {
		t.Errorf("%d keys came in a year", turns)
	}
}

package authfitest_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authfi "github.com/authfi/authfi/sdk/go"
	"github.com/authfi/authfi/sdk/go/authfitest"
)

const user = "usr-00000000000000000000000000000007"

// ask is one request to a protected handler: its status and code.
func ask(auth *authfi.Auth, method, token string) (int, string) {
	handler := auth.Require("read:patients")(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	handler.ServeHTTP(w, r)
	for _, code := range []authfi.Code{authfi.TokenRevoked, authfi.TokenStale, authfi.InvalidToken, authfi.InsufficientPermission, authfi.AuthUnavailable, authfi.PermissionsUnavailable} {
		if strings.Contains(w.Body.String(), `"`+string(code)+`"`) {
			return w.Code, string(code)
		}
	}
	return w.Code, ""
}

func want(t *testing.T, auth *authfi.Auth, method, token string, status int, code string) {
	t.Helper()
	if s, c := ask(auth, method, token); s != status || c != code {
		t.Errorf("%d %q, want %d %q", s, c, status, code)
	}
}

func TestIssuer(t *testing.T) {
	issuer := authfitest.New(t)
	auth := issuer.Auth(t)
	doctor := authfitest.Person{ID: user, Permissions: []string{"read:patients"}, Roles: []string{"doctor"}}
	first, second := issuer.SignIn(doctor), issuer.SignIn(doctor)
	want(t, auth, "GET", first, 200, "")
	want(t, auth, "GET", issuer.SignIn(authfitest.Person{}), 403, "insufficient_permission")
	want(t, auth, "GET", issuer.SignIn(authfitest.Person{Claims: map[string]any{"aud": "another"}}), 401, "invalid_token")
	issuer.Revoke(first)
	want(t, auth, "GET", first, 401, "token_revoked")
	want(t, auth, "GET", second, 200, "")
	issuer.Permit(user)
	want(t, auth, "GET", second, 401, "token_stale")
	third := issuer.SignIn(doctor)
	issuer.Deactivate(user)
	want(t, auth, "GET", third, 401, "token_revoked")
	old := issuer.SignIn(doctor)
	issuer.RotateKeys()
	want(t, auth, "GET", old, 401, "invalid_token")
	want(t, auth, "GET", issuer.SignIn(doctor), 200, "")
}

// TestClock: tokens run out, and the feed grows old, by the clock of the issuer.
func TestClock(t *testing.T) {
	issuer := authfitest.New(t)
	auth := issuer.Auth(t)
	person := authfitest.Person{Permissions: []string{"read:patients"}}
	token := issuer.SignIn(person)
	issuer.Advance(5*time.Minute + authfi.SkewDefault - time.Second)
	want(t, auth, "GET", token, 200, "")
	issuer.Advance(2 * time.Second)
	want(t, auth, "GET", token, 401, "invalid_token")
	token = issuer.SignIn(person)
	issuer.GoOffline()
	want(t, auth, "POST", token, 200, "")
	issuer.Advance(16 * time.Second)
	want(t, auth, "POST", token, 200, "")
	issuer.Advance(45 * time.Second)
	want(t, auth, "GET", token, 200, "")
	want(t, auth, "POST", token, 503, "auth_unavailable")
	issuer.Revoke(token)
	want(t, auth, "GET", token, 200, "")
	issuer.GoOnline()
	want(t, auth, "GET", token, 401, "token_revoked")
}

// TestByReference: what a token leaves out is what its user has now.
func TestByReference(t *testing.T) {
	issuer := authfitest.New(t)
	auth := issuer.Auth(t)
	doctor := authfitest.Person{ID: user, Permissions: []string{"read:patients"}, Claims: map[string]any{
		"permissions": []string{}, "permissions_ref": authfitest.URL + "/oauth2/permissions",
	}}
	token := issuer.SignIn(doctor)
	want(t, auth, "GET", token, 200, "")
	issuer.Permit(user, "write:notes")
	want(t, auth, "GET", token, 403, "insufficient_permission")
	issuer.Permit(user, "read:patients")
	want(t, auth, "POST", token, 200, "")
	next := issuer.SignIn(doctor)
	issuer.GoOffline()
	want(t, auth, "GET", token, 200, "")
	want(t, auth, "GET", next, 503, "permissions_unavailable")
	issuer.GoOnline()
	issuer.Advance(2 * time.Second) // that nobody answered is remembered for one
	want(t, auth, "GET", next, 200, "")
	issuer.Revoke(token)
	want(t, auth, "GET", token, 401, "token_revoked")
}

func TestStrict(t *testing.T) {
	issuer := authfitest.New(t)
	config := issuer.Config()
	config.Posture = authfi.Strict
	auth := issuer.AuthWith(t, config)
	token := issuer.SignIn(authfitest.Person{Permissions: []string{"read:patients"}})
	issuer.GoOffline()
	want(t, auth, "GET", token, 200, "")
	issuer.Advance(16 * time.Second)
	want(t, auth, "GET", token, 503, "auth_unavailable")
}

// TestServicesRefuseIt: no configuration of a service trusts what tests sign.
func TestServicesRefuseIt(t *testing.T) {
	for _, host := range []string{"authfi.test", "AUTHFI.test", "authfi.test.", "authfi.test:443"} {
		config := authfitest.New(t).Config()
		config.Issuer, config.Client = "https://"+host+"/o/test", &http.Client{}
		if _, err := authfi.New(t.Context(), config); err == nil {
			t.Errorf("%s is trusted", host)
		}
	}
}

package login_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// request is what a client sends a browser with.
func (a application) request(scope string) url.Values {
	fields := url.Values{
		"client_id": {a.ID.String()}, "redirect_uri": {redirect}, "response_type": {"code"}, "state": {"the state"},
		"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"}, "nonce": {"the nonce"},
	}
	if scope != "" {
		fields.Set("scope", scope)
	}
	return fields
}

func (w *world) authorize(slug string, fields url.Values) *httptest.ResponseRecorder {
	w.t.Helper()
	return outsider(w.t, w.handler(), http.MethodGet, "/o/"+slug+"/oauth2/authorize?"+fields.Encode(), "")
}

// signedIn is where the browser is sent once the page is filled in.
func (w *world) signedIn(slug string, fields url.Values) url.Values {
	w.t.Helper()
	answer := w.ask(w.handler(), "/o/"+slug+"/oauth2/authorize", plus(fields, "user_name", "alice@example.org"), "Sec-Fetch-Site", "same-origin")
	return w.sentBack(answer)
}

func (w *world) sentBack(answer *httptest.ResponseRecorder) url.Values {
	w.t.Helper()
	location, query, _ := strings.Cut(answer.Header().Get("Location"), "?")
	if answer.Code != http.StatusSeeOther || location != redirect {
		w.t.Fatalf("%d %s %s", answer.Code, answer.Header(), answer.Body)
	}
	values, err := url.ParseQuery(query)
	must(w.t, err)
	return values
}

func (a application) redemption(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
}

// proved is a form with a client's proof.
func (a application) proved(fields url.Values) url.Values {
	return plus(fields, "client_id", a.ID.String(), "client_secret", a.secret)
}

type got struct{ access, refresh, id string }

// tokensOf goes the whole way for a client of the first organization.
func (w *world) tokensOf(a application, scope string) (g got) {
	w.t.Helper()
	values := w.signedIn("north", a.request(scope))
	answer := w.grant("north", a.proved(a.redemption(values.Get("code"))))
	body := told(w.t, answer)
	if answer.Code != 200 {
		w.t.Fatalf("%d %v", answer.Code, body)
	}
	g.access, _ = body["access_token"].(string)
	g.refresh, _ = body["refresh_token"].(string)
	g.id, _ = body["id_token"].(string)
	return g
}

// TestAuthorizationCode goes the whole way, as OpenID Connect has it.
func TestAuthorizationCode(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{Permissions: []directory.Permission{"read:patients"}})
	w.allow(0, w.users[0], "read:patients", "write:patients")
	page := w.authorize("north", app.request("openid email"))
	if page.Code != 200 || !strings.Contains(page.Body.String(), "Development sign-in") || page.Header().Get("X-Frame-Options") != "DENY" ||
		page.Header().Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", page.Code, page.Header(), page.Body)
	}
	sent := w.signedIn("north", app.request("openid email"))
	if sent.Get("state") != "the state" || sent.Get("iss") != issuer+"/o/north" || len(sent) != 3 {
		t.Errorf("sent back with %v", sent)
	}
	w.clock = w.clock.Add(10 * time.Second)
	body := told(t, w.grant("north", app.proved(app.redemption(sent.Get("code")))))
	if body["scope"] != "email openid read:patients" {
		t.Errorf("%v", body)
	}
	access, id := body["access_token"].(string), part(t, body["id_token"].(string), 1)
	half := sha256.Sum256([]byte(access))
	for name, want := range map[string]any{
		"iss": issuer + "/o/north", "sub": w.users[0].String(), "nonce": "the nonce", "amr": []any{"user"},
		"auth_time": float64(w.clock.Add(-10 * time.Second).Unix()), "sid": part(t, access, 1)["sid"],
		"at_hash": base64.RawURLEncoding.EncodeToString(half[:16]),
	} {
		if fmt.Sprint(id[name]) != fmt.Sprint(want) {
			t.Errorf("%s is %v, want %v", name, id[name], want)
		}
	}
	if fmt.Sprint(id["aud"]) != fmt.Sprint([]any{app.ID.String()}) && id["aud"] != app.ID.String() {
		t.Errorf("aud is %v", id["aud"])
	}
	if got := fmt.Sprint(part(t, access, 1)["permissions"]); got != "[read:patients]" {
		t.Errorf("permissions %s", got)
	}
	w.accepted("the access token", access)
	w.refused("the ID token as an access token", body["id_token"].(string))
	said := told(t, outsider(t, w.handler(), "GET", "/o/north/oauth2/userinfo", "", bearer(access)...))
	if said["sub"] != w.users[0].String() || said["preferred_username"] != nil {
		t.Errorf("userinfo without profile: %v", said)
	}
	next := told(t, w.grant("north", app.proved(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {body["refresh_token"].(string)}})))
	if next["scope"] != "email openid read:patients" || part(t, next["access_token"].(string), 1)["client_id"] != app.ID.String() {
		t.Errorf("refreshed: %v", next)
	}
	if reuse := told(t, w.grant("north", app.proved(app.redemption(sent.Get("code"))))); reuse["error"] != "invalid_grant" {
		t.Errorf("the code again: %v", reuse)
	}
	w.refused("what the code became, once it was used again", next["access_token"].(string))
}

// TestScopes: who is not asked for is not told.
func TestScopes(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{})
	if g := w.tokensOf(app, ""); g.id != "" {
		t.Error("an ID token without the scope openid")
	} else if answer := outsider(t, w.handler(), "GET", "/o/north/oauth2/userinfo", "", bearer(g.access)...); answer.Code != http.StatusForbidden {
		t.Errorf("userinfo without the scope openid: %d", answer.Code)
	}
	g := w.tokensOf(app, "openid profile offline_access phone")
	if said := told(t, outsider(t, w.handler(), "GET", "/o/north/oauth2/userinfo", "", bearer(g.access)...)); said["preferred_username"] != "alice@example.org" {
		t.Errorf("userinfo with profile: %v", said)
	}
	single := w.application(0, directory.Client{Grants: []directory.GrantType{directory.GrantAuthorizationCode}, Redirects: []string{redirect}})
	if g := w.tokensOf(single, "openid"); g.refresh != "" || g.id == "" {
		t.Error("a refresh token for a client without that grant")
	}
}

// TestRefreshTokenIsItsClients: to everybody else it does not exist, and whoever has
// tried has not used it up.
func TestRefreshTokenIsItsClients(t *testing.T) {
	w := newWorld(t)
	app, other := w.application(0, directory.Client{}), w.application(0, directory.Client{})
	public := w.application(0, directory.Client{Public: true})
	g, mobile, own := w.tokensOf(app, ""), w.tokensOf(public, ""), w.signIn(0)
	grant := func(token string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	}
	for what, row := range map[string]struct {
		fields url.Values
		want   string
	}{
		"no client":                 {grant(g.refresh), "invalid_grant"},
		"its name alone":            {plus(grant(g.refresh), "client_id", app.ID.String()), "invalid_client"},
		"another client":            {other.proved(grant(g.refresh)), "invalid_grant"},
		"a public client":           {plus(grant(g.refresh), "client_id", public.ID.String()), "invalid_grant"},
		"a public one's, no client": {grant(mobile.refresh), "invalid_grant"},
		"a public one's, another":   {app.proved(grant(mobile.refresh)), "invalid_grant"},
		"nobody's, by a client":     {app.proved(grant(own.RefreshToken)), "invalid_grant"},
	} {
		if body := told(t, w.grant("north", row.fields)); body["error"] != row.want {
			t.Errorf("%s: %v", what, body)
		}
	}
	w.noRefresh("a client's, without its client", g.refresh)
	for what, fields := range map[string]url.Values{
		"its client": app.proved(grant(g.refresh)), "its public client": plus(grant(mobile.refresh), "client_id", public.ID.String()),
		"nobody's, by nobody": grant(own.RefreshToken),
	} {
		if body := told(t, w.grant("north", fields)); body["error"] != nil {
			t.Errorf("%s: %v", what, body)
		}
	}
}

// TestRedemptionIsBound: each attempt differs from the good one in one thing, and
// buys nothing; the code is still good afterwards.
func TestRedemptionIsBound(t *testing.T) {
	w := newWorld(t)
	app, other, public := w.application(0, directory.Client{}), w.application(0, directory.Client{}), w.application(0, directory.Client{Public: true})
	code := w.signedIn("north", app.request("openid")).Get("code")
	good := app.redemption(code)
	for what, row := range map[string]struct {
		fields url.Values
		want   string
	}{
		"another client":       {other.proved(good), "invalid_grant"},
		"a public client":      {plus(good, "client_id", public.ID.String()), "invalid_grant"},
		"no client":            {good, "invalid_client"},
		"its name alone":       {plus(good, "client_id", app.ID.String()), "invalid_client"},
		"another redirect URI": {app.proved(plus(good, "redirect_uri", redirect+"/")), "invalid_grant"},
		"no redirect URI":      {app.proved(plus(good, "redirect_uri", "")), "invalid_request"},
		"another verifier":     {app.proved(plus(good, "code_verifier", strings.Repeat("v", 43))), "invalid_grant"},
		"the challenge itself": {app.proved(plus(good, "code_verifier", challengeOf(verifier))), "invalid_grant"},
		"a short verifier":     {app.proved(plus(good, "code_verifier", verifier[:42])), "invalid_grant"},
		"a long verifier":      {app.proved(plus(good, "code_verifier", strings.Repeat("v", 129))), "invalid_grant"},
		"no verifier":          {app.proved(plus(good, "code_verifier", "")), "invalid_request"},
		"a cut code":           {app.proved(plus(good, "code", code[:len(code)-1])), "invalid_grant"},
		"a refresh token":      {app.proved(plus(good, "code", w.signIn(0).RefreshToken)), "invalid_grant"},
		"two codes":            {app.proved(url.Values{"grant_type": good["grant_type"], "code": {code, code}}), "invalid_request"},
		"as a refresh token":   {app.proved(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {code}}), "invalid_grant"},
	} {
		if body := told(t, w.grant("north", row.fields)); body["error"] != row.want {
			t.Errorf("%s: %v", what, body)
		}
	}
	if body := told(t, w.grant("south", app.proved(good))); body["error"] != "invalid_client" {
		t.Errorf("under another issuer: %v", body)
	}
	if answer := w.ask(w.without(), "/o/north/oauth2/token", app.proved(good)); answer.Code != http.StatusServiceUnavailable {
		t.Errorf("without a quorum: %d %s", answer.Code, answer.Body)
	}
	if body := told(t, w.grant("north", app.proved(good))); body["error"] != nil {
		t.Errorf("after all that: %v", body)
	}
}

// TestAuthorizeErrors: what may be told to the client is, and nobody is sent anywhere
// that is not the client's.
func TestAuthorizeErrors(t *testing.T) {
	w := newWorld(t)
	app, robot := w.application(0, directory.Client{}), w.robot(0, directory.Client{Unbounded: true})
	good := app.request("openid")
	for what, row := range map[string]struct{ name, value, want string }{
		"an implicit response":    {"response_type", "token", "unsupported_response_type"},
		"a hybrid response":       {"response_type", "code id_token", "unsupported_response_type"},
		"no response type":        {"response_type", "", "unsupported_response_type"},
		"a fragment":              {"response_mode", "fragment", "invalid_request"},
		"no challenge":            {"code_challenge", "", "invalid_request"},
		"a short challenge":       {"code_challenge", "abc", "invalid_request"},
		"a plain challenge":       {"code_challenge_method", "plain", "invalid_request"},
		"no challenge method":     {"code_challenge_method", "", "invalid_request"},
		"prompt none":             {"prompt", "none", "login_required"},
		"prompt none and another": {"prompt", "none login", "invalid_request"},
		"a request object":        {"request", "x.y.z", "request_not_supported"},
		"a request URI":           {"request_uri", "https://app.example/r", "request_uri_not_supported"},
		"a registration":          {"registration", "{}", "registration_not_supported"},
		"an age that is none":     {"max_age", "-1", "invalid_request"},
		"a huge nonce":            {"nonce", strings.Repeat("n", directory.NonceMax+1), "invalid_request"},
		"a permission too many":   {"scope", "openid read:patients", "invalid_scope"},
	} {
		sent := w.sentBack(w.authorize("north", plus(good, row.name, row.value)))
		if sent.Get("error") != row.want || sent.Get("state") != "the state" || sent.Get("iss") != issuer+"/o/north" || sent.Has("code") {
			t.Errorf("%s: %v", what, sent)
		}
	}
	if w.signedIn("north", emptied(good, "request", "request_uri", "registration")).Get("code") == "" {
		t.Error("what is not offered is refused though it has no value")
	}
	for what, fields := range map[string]url.Values{
		"no client":               plus(good, "client_id", ""),
		"an unknown client":       plus(good, "client_id", "cli-00000000000000000000000000000001"),
		"no redirect URI":         plus(good, "redirect_uri", ""),
		"another redirect URI":    plus(good, "redirect_uri", redirect+"?x"),
		"a user in it":            plus(good, "redirect_uri", "https://app.example@evil.example/back"),
		"a client without people": plus(good, "client_id", robot.ID.String()),
		"two clients":             {"client_id": {app.ID.String(), robot.ID.String()}, "redirect_uri": {redirect}},
	} {
		answer := w.authorize("north", fields)
		if answer.Code != http.StatusBadRequest || answer.Header().Get("Location") != "" || !strings.Contains(answer.Body.String(), "<h1>") {
			t.Errorf("%s: %d %v", what, answer.Code, answer.Header())
		}
	}
	for what, fields := range map[string]url.Values{
		"any age": plus(good, "max_age", "0"), "a hint": plus(good, "login_hint", "bob"), "consent": plus(good, "prompt", "consent"),
		"a claim": plus(good, "claims", "{}"), "an unknown parameter": plus(good, "foo", "bar"), "the mode query": plus(good, "response_mode", "query"),
	} {
		if answer := w.authorize("north", fields); answer.Code != 200 {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
		if answer := w.ask(w.handler(), "/o/north/oauth2/authorize", fields, "Sec-Fetch-Site", "cross-site"); answer.Code != 200 {
			t.Errorf("%s, posted by the client's page: %d", what, answer.Code)
		}
	}
	hostile := w.authorize("north", plus(good, "state", `"><script>alert(1)</script>`, "login_hint", `"><img src=x>`)).Body.String()
	if strings.Contains(hostile, "<script") || strings.Contains(hostile, "<img") {
		t.Errorf("the page holds what the request brought: %s", hostile)
	}
	known := shape(w.authorize("south", plus(good, "client_id", "cli-00000000000000000000000000000001")), "south")
	if unknown := shape(w.authorize("western", plus(good, "client_id", "cli-00000000000000000000000000000001")), "western"); known != unknown {
		t.Errorf("an organization that is not there is told from one that is:\n%s\n%s", known, unknown)
	}
}

// TestSignInPage: who cannot sign in stays on the page, and only the page signs in.
func TestSignInPage(t *testing.T) {
	w := newWorld(t)
	app, robot := w.application(0, directory.Client{}), w.robot(0, directory.Client{Unbounded: true})
	account, _ := w.pass(0, "users.get").View().User(robot.Account)
	post := func(name, from string, more ...string) *httptest.ResponseRecorder {
		fields := plus(app.request("openid"), append([]string{"user_name", name}, more...)...)
		return w.ask(w.handler(), "/o/north/oauth2/authorize", fields, "Sec-Fetch-Site", from)
	}
	for what, name := range map[string]string{"nobody": "bob@example.org", "a service account": account.UserName, "a blank": " "} {
		if answer := post(name, "same-origin"); answer.Code != 200 || !strings.Contains(answer.Body.String(), `role="alert"`) {
			t.Errorf("%s: %d %v", what, answer.Code, answer.Header())
		}
	}
	for _, from := range []string{"cross-site", "same-site"} {
		if answer := post("alice@example.org", from); answer.Code != http.StatusForbidden {
			t.Errorf("from %s: %d", from, answer.Code)
		}
	}
	w.change(0, "organizations.update", &fsm.UpdateOrganization{SignIn: &directory.SignIn{MFA: true}})
	if answer := post("alice@example.org", "same-origin"); answer.Code != 200 || !strings.Contains(answer.Body.String(), "more than one factor") {
		t.Errorf("one factor where two are due: %d %s", answer.Code, answer.Body)
	}
	if sent := w.sentBack(post("ALICE@example.org", "same-origin", "second_factor", "yes")); sent.Get("code") == "" {
		t.Errorf("two factors: %v", sent)
	}
	w.change(0, "users.deactivate", &fsm.SetUserActive{User: w.users[0]})
	if answer := post("alice@example.org", "same-origin", "second_factor", "yes"); answer.Code != 200 {
		t.Errorf("a deactivated person: %d %v", answer.Code, answer.Header())
	}
}

// TestNobodySignsInWithoutAPage: without the development sign-in nothing is shown,
// nothing is started and nothing is promised, whatever is asked.
func TestNobodySignsInWithoutAPage(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{})
	handler := login.Handler(w.gate, w.tokens, w.sessions, login.NoSignIn)
	before := w.gate.Root().Applied()
	for _, fields := range []url.Values{{}, app.request("openid"), plus(app.request("openid"), "user_name", "alice@example.org")} {
		for _, method := range []string{"GET", "POST"} {
			answer := outsider(t, handler, method, "/o/north/oauth2/authorize?"+fields.Encode(), fields.Encode(), "Sec-Fetch-Site", "same-origin")
			if answer.Code != http.StatusForbidden || answer.Header().Get("Location") != "" || !strings.Contains(answer.Body.String(), "no sign-in page") {
				t.Errorf("%s %v: %d %s", method, fields, answer.Code, answer.Body)
			}
		}
	}
	if w.gate.Root().Applied() != before {
		t.Error("something was written")
	}
	document := told(t, outsider(t, handler, "GET", "/o/north/.well-known/openid-configuration", ""))
	if document["authorization_endpoint"] != nil || fmt.Sprint(document["grant_types_supported"], document["response_types_supported"]) != "[client_credentials refresh_token urn:ietf:params:oauth:grant-type:token-exchange] []" {
		t.Errorf("%v", document)
	}
	document = told(t, outsider(t, w.handler(), "GET", "/o/north/.well-known/openid-configuration", ""))
	if document["authorization_endpoint"] != issuer+"/o/north/oauth2/authorize" || fmt.Sprint(document["code_challenge_methods_supported"]) != "[S256]" {
		t.Errorf("%v", document)
	}
}

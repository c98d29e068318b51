package login_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

func (w *world) push(fields url.Values, headers ...string) (object, int) {
	w.t.Helper()
	answer := w.ask(w.handler(), "/o/north/oauth2/par", fields, headers...)
	return told(w.t, answer), answer.Code
}

func reference(a application, uri any) url.Values {
	text, _ := uri.(string)
	return url.Values{"client_id": {a.ID.String()}, "request_uri": {text}}
}

// TestPushedRequest: the browser carries a reference alone, which is good once, for its
// client, and not for long.
func TestPushedRequest(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{Pushes: true})
	other := w.application(0, directory.Client{})
	pushed, status := w.push(app.proved(app.request("openid")))
	if status != http.StatusCreated || pushed["expires_in"] != 300.0 || !strings.HasPrefix(pushed["request_uri"].(string), "urn:ietf:params:oauth:request_uri:") {
		t.Fatalf("%d %v", status, pushed)
	}
	fields := reference(app, pushed["request_uri"])
	page := w.authorize("north", fields)
	if page.Code != 200 || strings.Contains(page.Body.String(), "the nonce") {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	if answer := w.authorize("north", reference(other, pushed["request_uri"])); answer.Code != 400 {
		t.Errorf("another client: %d", answer.Code)
	}
	// What stands beside the reference counts for nothing.
	sent := w.signedIn("north", plus(fields, "state", "another", "redirect_uri", "https://attacker.example"))
	if sent.Get("state") != "the state" {
		t.Errorf("sent back with %v", sent)
	}
	if body := told(t, w.grant("north", app.proved(app.redemption(sent.Get("code"))))); body["id_token"] == nil {
		t.Errorf("%v", body)
	}
	twice := w.ask(w.handler(), "/o/north/oauth2/authorize", plus(fields, "user_name", "alice@example.org"), "Sec-Fetch-Site", "same-origin")
	if twice.Code != 400 {
		t.Errorf("a second time: %d %v", twice.Code, twice.Header())
	}
	again, _ := w.push(app.proved(app.request("openid")))
	w.clock = w.clock.Add(5 * time.Minute)
	if answer := w.authorize("north", reference(app, again["request_uri"])); answer.Code != 400 {
		t.Errorf("too late: %d", answer.Code)
	}
	if sent := w.sentBack(w.authorize("north", app.request("openid"))); sent.Get("error") != "invalid_request" {
		t.Errorf("a client that pushes, without: %v", sent)
	}
}

// TestPushRefuses says to the client what a person would be told, or be sent back with.
func TestPushRefuses(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{})
	asked := app.request("openid")
	for what, row := range map[string]struct {
		fields url.Values
		status int
		code   string
	}{
		"nobody":                       {asked, 401, "invalid_client"},
		"a wrong secret":               {plus(asked, "client_secret", "wrong"), 401, "invalid_client"},
		"a foreign address":            {app.proved(plus(asked, "redirect_uri", "https://attacker.example")), 400, "invalid_request"},
		"no challenge":                 {app.proved(plus(asked, "code_challenge", "")), 400, "invalid_request"},
		"a reference":                  {app.proved(plus(asked, "request_uri", "urn:x")), 400, "invalid_request"},
		"another type":                 {app.proved(plus(asked, "response_type", "token")), 400, "unsupported_response_type"},
		"too much":                     {app.proved(plus(asked, "state", strings.Repeat("x", 3<<10))), 413, "invalid_request"},
		"a permission that it has not": {app.proved(plus(asked, "scope", "read:labs")), 400, "invalid_scope"},
	} {
		if said, status := w.push(row.fields); status != row.status || said["error"] != row.code {
			t.Errorf("%s: %d %v", what, status, said)
		}
	}
}

// TestPushedKey: the proof beside a pushed request says which key the code is for.
func TestPushedKey(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{})
	d, thief := w.device(), w.device()
	d.tokens(app.proved(url.Values{"grant_type": {"authorization_code"}})) // gets a nonce
	const path = "/o/north/oauth2/par"
	said, status := w.push(app.proved(app.request("openid")), "DPoP", d.proof("POST", path, ""))
	if status != 201 {
		t.Fatalf("%d %v", status, said)
	}
	if said, _ := w.push(app.proved(plus(app.request("openid"), "dpop_jkt", thief.thumbprint())), "DPoP", d.proof("POST", path, "")); said["error"] != "invalid_request" {
		t.Errorf("two keys: %v", said)
	}
	code := w.signedIn("north", reference(app, said["request_uri"])).Get("code")
	if body := told(t, w.grant("north", app.proved(app.redemption(code)))); body["error"] != "invalid_grant" {
		t.Errorf("without the key: %v", body)
	}
	if body := d.tokens(app.proved(app.redemption(code))); body["token_type"] != "DPoP" {
		t.Errorf("with the key: %v", body)
	}
}

package login_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

// television is a client that has no browser.
func (w *world) television(c directory.Client) application {
	c.Grants, c.Public = []directory.GrantType{directory.GrantDevice, directory.GrantRefreshToken}, true
	return w.application(0, c)
}

// asksFor begins the grant: what the device shows, and what it polls with.
func (w *world) asksFor(a application, scope string) (code string, poll url.Values) {
	w.t.Helper()
	answer := w.ask(w.handler(), "/o/north/oauth2/device_authorization", url.Values{"client_id": {a.ID.String()}, "scope": {scope}})
	body := told(w.t, answer)
	code, _ = body["user_code"].(string)
	device, _ := body["device_code"].(string)
	if answer.Code != 200 || len(code) != 9 || body["expires_in"] != 600.0 || body["interval"] != 5.0 ||
		body["verification_uri_complete"] != issuer+"/o/north/oauth2/device?user_code="+code {
		w.t.Fatalf("%d %v", answer.Code, body)
	}
	return code, url.Values{"grant_type": {deviceGrant}, "client_id": {a.ID.String()}, "device_code": {device}}
}

func (w *world) decides(code, decision, user string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	if len(headers) == 0 {
		headers = []string{"Sec-Fetch-Site", "same-origin"}
	}
	return w.ask(w.handler(), "/o/north/oauth2/device", url.Values{"user_code": {code}, "decision": {decision}, "user_name": {user}}, headers...)
}

func (w *world) polled(fields url.Values) string {
	w.t.Helper()
	body := told(w.t, w.grant("north", fields))
	if body["access_token"] != nil {
		return ""
	}
	return fmt.Sprint(body["error"])
}

// TestDevice goes the whole way: a person sees who asks and for what, allows it, and the
// device gets its tokens once.
func TestDevice(t *testing.T) {
	w := newWorld(t)
	w.allow(0, w.users[0], "read:patients", "write:notes")
	tv := w.television(directory.Client{Permissions: []directory.Permission{"read:patients"}})
	code, poll := w.asksFor(tv, "openid read:patients")
	if got := w.polled(poll); got != "authorization_pending" {
		t.Errorf("before anybody has decided: %s", got)
	}
	page := outsider(t, w.handler(), http.MethodGet, "/o/north/oauth2/device?user_code="+strings.ToLower(strings.ReplaceAll(code, "-", "+")), "")
	if page.Code != 200 || !strings.Contains(page.Body.String(), "app asks for: openid read:patients") || page.Header().Get("X-Frame-Options") != "DENY" {
		t.Errorf("%d %s", page.Code, page.Body)
	}
	if answer := w.decides(code, "allow", "alice@example.org", "Sec-Fetch-Site", "cross-site"); answer.Code != 403 {
		t.Errorf("a decision from elsewhere: %d", answer.Code)
	}
	if answer := w.decides(code, "allow", "nobody@example.org"); !strings.Contains(answer.Body.String(), `role="alert"`) {
		t.Errorf("nobody: %s", answer.Body)
	}
	if answer := w.decides(code, "allow", "alice@example.org"); !strings.Contains(answer.Body.String(), "signed in") {
		t.Fatalf("%d %s", answer.Code, answer.Body)
	}
	if answer := w.decides(code, "allow", "alice@example.org"); !strings.Contains(answer.Body.String(), "No device") {
		t.Errorf("a second decision: %s", answer.Body)
	}
	body := told(t, w.grant("north", poll))
	access, _ := body["access_token"].(string)
	if body["refresh_token"] == nil || body["id_token"] == nil || body["scope"] != "openid read:patients" {
		t.Fatalf("%v", body)
	}
	if got := fmt.Sprint(part(t, access, 1)["permissions"]); got != "[read:patients]" {
		t.Errorf("permissions %s", got)
	}
	if got := w.polled(poll); got != "invalid_grant" {
		t.Errorf("a second time: %s", got)
	}
	w.refused("whoever has the code twice", access)
}

// TestDeviceRefused is every other end of it.
func TestDeviceRefused(t *testing.T) {
	w := newWorld(t)
	tv, other := w.television(directory.Client{}), w.television(directory.Client{})
	web := w.application(0, directory.Client{})
	code, poll := w.asksFor(tv, "")
	for what, fields := range map[string]url.Values{
		"another client":                  plus(poll, "client_id", other.ID.String()),
		"a cut code":                      plus(poll, "device_code", poll.Get("device_code")[:20]),
		"another code":                    plus(poll, "device_code", poll.Get("device_code")[:len(poll.Get("device_code"))-2]+"AA"),
		"the code as that of a browser's": plus(poll, "grant_type", "authorization_code", "code", poll.Get("device_code"), "code_verifier", verifier, "redirect_uri", redirect),
	} {
		if got := w.polled(fields); got != "invalid_grant" && got != "unauthorized_client" {
			t.Errorf("%s: %s", what, got)
		}
	}
	w.decides(code, "deny", "alice@example.org")
	if got := w.polled(poll); got != "access_denied" {
		t.Errorf("refused: %s", got)
	}
	_, late := w.asksFor(tv, "")
	w.clock = w.clock.Add(10 * time.Minute)
	if got := w.polled(late); got != "expired_token" {
		t.Errorf("too late: %s", got)
	}
	code, poll = w.asksFor(tv, "")
	w.decides(code, "allow", "alice@example.org")
	w.change(0, "users.deactivate", &fsm.SetUserActive{User: w.users[0]})
	w.change(0, "users.activate", &fsm.SetUserActive{User: w.users[0], Active: true})
	if got := w.polled(poll); got != "invalid_grant" {
		t.Errorf("deactivated and back between the two: %s", got)
	}
	answer := w.ask(w.handler(), "/o/north/oauth2/device_authorization", web.proved(url.Values{}))
	if told(t, answer)["error"] != "unauthorized_client" {
		t.Errorf("a client that may not: %s", answer.Body)
	}
}

// TestDeviceSlowsDown: who asks too early waits longer from then on, and hears of the
// decision all the same.
func TestDeviceSlowsDown(t *testing.T) {
	w := newWorld(t)
	tv := w.television(directory.Client{})
	code, poll := w.asksFor(tv, "")
	_, another := w.asksFor(tv, "")
	for _, row := range []struct {
		after time.Duration
		want  string
	}{
		{0, "authorization_pending"}, {3 * time.Second, "slow_down"}, {5 * time.Second, "slow_down"},
		{15 * time.Second, "authorization_pending"}, {15 * time.Second, "authorization_pending"}, {5 * time.Second, "slow_down"},
	} {
		w.clock = w.clock.Add(row.after)
		if got := w.polled(poll); got != row.want {
			t.Errorf("after %v: %s, want %s", row.after, got, row.want)
		}
	}
	if got := w.polled(another); got != "authorization_pending" {
		t.Errorf("another device: %s", got)
	}
	if w.decides(code, "allow", "alice@example.org"); w.polled(poll) != "" {
		t.Error("what was allowed is not given at once")
	}
}

// TestDevicesMax at the limit and one past it; those that nobody has decided on make
// room.
func TestDevicesMax(t *testing.T) {
	w := newWorld(t)
	tv := w.television(directory.Client{})
	ask := func() int {
		return w.ask(w.handler(), "/o/north/oauth2/device_authorization", url.Values{"client_id": {tv.ID.String()}}).Code
	}
	for n := range directory.DevicesMax {
		if status := ask(); status != 200 {
			t.Fatalf("the device %d: %d", n, status)
		}
	}
	if status := ask(); status != 503 {
		t.Errorf("one more: %d", status)
	}
	w.clock = w.clock.Add(directory.DeviceLife)
	if status := ask(); status != 200 {
		t.Errorf("after their time: %d", status)
	}
}

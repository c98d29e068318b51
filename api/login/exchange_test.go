package login_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const tokenType = "urn:ietf:params:oauth:token-type:access_token"

func exchanged(subject string, more ...string) url.Values {
	return plus(url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {subject}, "subject_token_type": {tokenType},
	}, more...)
}

// emptied is a form in which fields are there and have no value, which is as if they were
// not (RFC 6749, section 3.2); some libraries send all that they know.
func emptied(fields url.Values, names ...string) url.Values {
	out := plus(fields)
	for _, name := range names {
		out.Set(name, "")
	}
	return out
}

func (w *world) broker(i int, permissions ...directory.Permission) application {
	return w.application(i, directory.Client{Grants: []directory.GrantType{directory.GrantTokenExchange}, Permissions: permissions})
}

// TestExchange: a service gets a token of the user for itself, for less and not for
// longer, which dies with the first.
func TestExchange(t *testing.T) {
	w := newWorld(t)
	w.allow(0, w.users[0], "read:patients", "write:notes", "read:labs")
	app := w.application(0, directory.Client{Permissions: []directory.Permission{"read:*", "write:notes"}})
	broker := w.broker(0, "read:patients", "read:labs", "delete:everything")
	first := w.tokensOf(app, "openid read:patients write:notes")
	w.clock = w.clock.Add(time.Minute)
	body := told(t, w.grant("north", broker.proved(exchanged(first.access))))
	second, _ := body["access_token"].(string)
	if body["issued_token_type"] != tokenType || body["token_type"] != "Bearer" || body["refresh_token"] != nil || body["expires_in"] != 240.0 {
		t.Fatalf("%v", body)
	}
	was, is := part(t, first.access, 1), part(t, second, 1)
	for name, same := range map[string]bool{"sub": true, "org_id": true, "amr": true, "exp": true, "sid": false, "client_id": false} {
		if (fmt.Sprint(was[name]) == fmt.Sprint(is[name])) != same {
			t.Errorf("%s was %v and is %v", name, was[name], is[name])
		}
	}
	if got := fmt.Sprint(is["permissions"]); got != "[read:patients]" {
		t.Errorf("permissions %s", got)
	}
	w.change(0, "sessions.end", &fsm.EndUserSessions{User: w.users[0]})
	w.refused("the first", first.access)
	w.refused("the second", second)
}

// TestExchangeIsNarrow: what it does not do it says.
func TestExchangeIsNarrow(t *testing.T) {
	w := newWorld(t)
	w.allow(0, w.users[0], "read:patients", "write:notes")
	app := w.application(0, directory.Client{Permissions: []directory.Permission{"read:patients"}})
	broker := w.broker(0, "read:patients", "write:notes")
	public := w.application(0, directory.Client{Public: true})
	first, own, other := w.tokensOf(app, "openid"), w.signIn(0), w.signIn(1)
	second, _ := told(t, w.grant("north", broker.proved(exchanged(first.access))))["access_token"].(string)
	for what, row := range map[string]struct {
		fields url.Values
		code   string
	}{
		"more than the token has":               {broker.proved(exchanged(first.access, "scope", "write:notes")), "invalid_scope"},
		"more than the client has":              {broker.proved(exchanged(first.access, "scope", "read:labs")), "invalid_scope"},
		"an identity that was not asked for":    {broker.proved(exchanged(first.access, "scope", "email")), "invalid_scope"},
		"another organization's token":          {broker.proved(exchanged(other.AccessToken)), "invalid_request"},
		"a token that was exchanged":            {broker.proved(exchanged(second)), "invalid_request"},
		"a refresh token":                       {broker.proved(exchanged(first.refresh)), "invalid_request"},
		"an ID token":                           {broker.proved(exchanged(first.id)), "invalid_request"},
		"a cut token":                           {broker.proved(exchanged(first.access[:len(first.access)-1])), "invalid_request"},
		"no token":                              {broker.proved(exchanged("")), "invalid_request"},
		"another type":                          {broker.proved(exchanged(first.access, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt")), "invalid_request"},
		"for a refresh token":                   {broker.proved(exchanged(first.access, "requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")), "invalid_request"},
		"in the name of somebody":               {broker.proved(exchanged(first.access, "actor_token", own.AccessToken, "actor_token_type", tokenType)), "invalid_request"},
		"for elsewhere":                         {broker.proved(exchanged(first.access, "audience", "https://elsewhere.example")), "invalid_target"},
		"for another resource":                  {broker.proved(exchanged(first.access, "resource", "https://elsewhere.example")), "invalid_target"},
		"in the name of somebody of some type":  {broker.proved(exchanged(first.access, "actor_token_type", tokenType)), "invalid_request"},
		"in nobody's name, spelt out":           {broker.proved(emptied(exchanged(first.access), "actor_token", "actor_token_type", "requested_token_type", "audience", "resource", "scope")), ""},
		"for the issuer":                        {broker.proved(exchanged(first.access, "audience", issuer+"/o/north")), ""},
		"a client that may not":                 {app.proved(exchanged(first.access)), "unauthorized_client"},
		"a client that cannot prove itself":     {plus(exchanged(first.access), "client_id", public.ID.String()), "unauthorized_client"},
		"nobody":                                {exchanged(first.access), "invalid_client"},
		"what the user's own backend was given": {broker.proved(exchanged(own.AccessToken)), ""},
	} {
		if code, _ := told(t, w.grant("north", row.fields))["error"].(string); code != row.code {
			t.Errorf("%s: %q, want %q", what, code, row.code)
		}
	}
}

// TestExchangeOfEverything: a client of everything gets no more than the token has.
func TestExchangeOfEverything(t *testing.T) {
	w := newWorld(t)
	w.allow(0, w.users[0], "read:patients", "write:notes")
	app := w.application(0, directory.Client{Permissions: []directory.Permission{"read:patients"}})
	all := w.application(0, directory.Client{Grants: []directory.GrantType{directory.GrantTokenExchange}, Unbounded: true})
	first := w.tokensOf(app, "openid")
	second, _ := told(t, w.grant("north", all.proved(exchanged(first.access))))["access_token"].(string)
	if claims := part(t, second, 1); fmt.Sprint(claims["permissions"], claims["roles"]) != "[read:patients] []" {
		t.Errorf("%v %v", claims["permissions"], claims["roles"])
	}
}

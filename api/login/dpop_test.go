package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

// device is a program with a key of its own and the nonce of the last answer.
type device struct {
	w     *world
	key   *ecdsa.PrivateKey
	nonce string
	made  int
}

func (w *world) device() *device {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(w.t, err)
	return &device{w: w, key: key}
}

func (d *device) jwk() object {
	b, err := d.key.PublicKey.Bytes()
	must(d.w.t, err)
	encode := base64.RawURLEncoding.EncodeToString
	return object{"kty": "EC", "crv": "P-256", "x": encode(b[1:33]), "y": encode(b[33:])}
}

// thumbprint as RFC 7638 has it.
func (d *device) thumbprint() string {
	k := d.jwk()
	sum := sha256.Sum256([]byte(fmt.Sprintf(`{"crv":"P-256","kty":"EC","x":%q,"y":%q}`, k["x"], k["y"])))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (d *device) claims(method, path, token string) object {
	d.made++
	claims := object{"jti": fmt.Sprint("proof ", d.made), "htm": method, "htu": issuer + path, "iat": d.w.clock.Unix(), "nonce": d.nonce}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = base64.RawURLEncoding.EncodeToString(sum[:])
	}
	return claims
}

func (d *device) header() object { return object{"typ": "dpop+jwt", "alg": "ES256", "jwk": d.jwk()} }

func (d *device) proof(method, path, token string) string {
	return forge(d.w.t, d.key, d.header(), d.claims(method, path, token))
}

// heard keeps the nonce of an answer.
func (d *device) heard(answer *httptest.ResponseRecorder) *httptest.ResponseRecorder {
	if nonce := answer.Header().Get("DPoP-Nonce"); nonce != "" {
		d.nonce = nonce
	}
	return answer
}

const tokenPath = "/o/north/oauth2/token"

// tokens asks the token endpoint with a proof, and a second time with its nonce.
func (d *device) tokens(fields url.Values) object {
	d.w.t.Helper()
	for {
		answer := d.heard(d.w.grant("north", fields, "DPoP", d.proof("POST", tokenPath, "")))
		body := told(d.w.t, answer)
		if body["error"] != "use_dpop_nonce" {
			return body
		}
		if answer.Code != 400 {
			d.w.t.Fatalf("%d %v", answer.Code, body)
		}
	}
}

func (d *device) userinfo(token, proof string) *httptest.ResponseRecorder {
	return d.heard(outsider(d.w.t, d.w.handler(), http.MethodGet, "/o/north/oauth2/userinfo", "", "Authorization", "DPoP "+token, "DPoP", proof))
}

// TestBoundTokens go the whole way: code, token, userinfo, refresh; and they are worth
// nothing to whoever has stolen them.
func TestBoundTokens(t *testing.T) {
	w := newWorld(t)
	app := w.application(0, directory.Client{Public: true, Binds: true})
	d, thief := w.device(), w.device()
	code := func() url.Values {
		fields := app.request("openid")
		fields.Set("dpop_jkt", d.thumbprint())
		return plus(app.redemption(w.signedIn("north", fields).Get("code")), "client_id", app.ID.String())
	}
	if body := thief.tokens(code()); body["error"] != "invalid_grant" {
		t.Errorf("the code with another key: %v", body)
	}
	if body := told(t, w.grant("north", code())); body["error"] != "invalid_dpop_proof" {
		t.Errorf("the code without a key: %v", body)
	}
	body := d.tokens(code())
	access, _ := body["access_token"].(string)
	refresh, _ := body["refresh_token"].(string)
	if body["token_type"] != "DPoP" || access == "" || refresh == "" {
		t.Fatalf("%v", body)
	}
	if got := fmt.Sprint(part(t, access, 1)["cnf"]); got != fmt.Sprint(object{"jkt": d.thumbprint()}) {
		t.Errorf("cnf %s", got)
	}
	said := told(t, w.ask(w.handler(), "/o/north/oauth2/introspect", url.Values{"token": {access}}, bearer(w.token)...))
	if said["token_type"] != "DPoP" || fmt.Sprint(said["cnf"]) != fmt.Sprint(object{"jkt": d.thumbprint()}) {
		t.Errorf("introspection: %v", said)
	}
	const path = "/o/north/oauth2/userinfo"
	proof := d.proof("GET", path, access)
	if answer := d.userinfo(access, proof); answer.Code != 200 {
		t.Errorf("with its proof: %d %s", answer.Code, answer.Body)
	}
	stolen := map[string]*httptest.ResponseRecorder{
		"the same proof again":   d.userinfo(access, proof),
		"another key":            thief.userinfo(access, thief.proof("GET", path, access)),
		"as a bearer":            outsider(t, w.handler(), http.MethodGet, path, "", bearer(access)...),
		"a proof for nothing":    d.userinfo(access, d.proof("GET", path, "")),
		"a proof for a POST":     d.userinfo(access, d.proof("POST", path, access)),
		"a proof for elsewhere":  d.userinfo(access, d.proof("GET", "/o/south/oauth2/userinfo", access)),
		"two proofs":             outsider(t, w.handler(), http.MethodGet, path, "", "Authorization", "DPoP "+access, "DPoP", "a", "DPoP", "b"),
		"without a proof at all": outsider(t, w.handler(), http.MethodGet, path, "", "Authorization", "DPoP "+access),
	}
	for what, answer := range stolen {
		if answer.Code != 401 || answer.Header().Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %d %s", what, answer.Code, answer.Body)
		}
	}
	thief.nonce = d.nonce
	again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {app.ID.String()}}
	if body := thief.tokens(again); body["error"] != "invalid_grant" {
		t.Errorf("the refresh token with another key: %v", body)
	}
	if body := told(t, w.grant("north", again)); body["error"] != "invalid_grant" {
		t.Errorf("the refresh token without a key: %v", body)
	}
	if body := d.tokens(again); body["token_type"] != "DPoP" {
		t.Errorf("the refresh token: %v", body)
	}
}

// TestProofs is every thing that can be wrong with one, at the token endpoint.
func TestProofs(t *testing.T) {
	w := newWorld(t)
	robot := w.robot(0, directory.Client{Permissions: []directory.Permission{"read:patients"}})
	d, other := w.device(), w.device()
	if body := d.tokens(robot.proved(credentials)); body["token_type"] != "DPoP" {
		t.Fatalf("%v", body)
	}
	type change func(header, claims object)
	for what, row := range map[string]struct {
		change change
		code   string
	}{
		"nothing":            {func(object, object) {}, ""},
		"another type":       {func(h, _ object) { h["typ"] = "jwt" }, "invalid_dpop_proof"},
		"no algorithm":       {func(h, _ object) { h["alg"] = "none" }, "invalid_dpop_proof"},
		"a symmetric one":    {func(h, _ object) { h["alg"] = "HS256" }, "invalid_dpop_proof"},
		"another's key":      {func(h, _ object) { h["jwk"] = other.jwk() }, "invalid_dpop_proof"},
		"a private key":      {func(h, _ object) { k := d.jwk(); k["d"] = k["x"]; h["jwk"] = k }, "invalid_dpop_proof"},
		"no key":             {func(h, _ object) { delete(h, "jwk") }, "invalid_dpop_proof"},
		"a name of a key":    {func(h, _ object) { h["kid"] = "a" }, "invalid_dpop_proof"},
		"another method":     {func(_, c object) { c["htm"] = "GET" }, "invalid_dpop_proof"},
		"another address":    {func(_, c object) { c["htu"] = issuer + "/o/south/oauth2/token" }, "invalid_dpop_proof"},
		"another host":       {func(_, c object) { c["htu"] = "https://else.example" + tokenPath }, "invalid_dpop_proof"},
		"with a query":       {func(_, c object) { c["htu"] = issuer + tokenPath + "?a=b" }, ""},
		"without an id":      {func(_, c object) { delete(c, "jti") }, "invalid_dpop_proof"},
		"without its time":   {func(_, c object) { delete(c, "iat") }, "invalid_dpop_proof"},
		"from long ago":      {func(_, c object) { c["iat"] = w.clock.Add(-5*time.Minute - time.Second).Unix() }, "invalid_dpop_proof"},
		"from the future":    {func(_, c object) { c["iat"] = w.clock.Add(5*time.Minute + time.Second).Unix() }, "invalid_dpop_proof"},
		"without a nonce":    {func(_, c object) { delete(c, "nonce") }, "use_dpop_nonce"},
		"with a made-up one": {func(_, c object) { c["nonce"] = "AAAA" }, "use_dpop_nonce"},
	} {
		header, claims := d.header(), d.claims("POST", tokenPath, "")
		row.change(header, claims)
		answer := d.heard(w.grant("north", robot.proved(credentials), "DPoP", forge(t, d.key, header, claims)))
		if code, _ := told(t, answer)["error"].(string); code != row.code {
			t.Errorf("%s: %q, want %q", what, code, row.code)
		}
	}
	proof := d.proof("POST", tokenPath, "")
	for _, want := range []string{"", "invalid_dpop_proof"} {
		if code, _ := told(t, w.grant("north", robot.proved(credentials), "DPoP", proof))["error"].(string); code != want {
			t.Errorf("the same proof: %q, want %q", code, want)
		}
	}
	late := d.proof("POST", tokenPath, "")
	w.clock = w.clock.Add(5 * time.Minute)
	if code := told(t, w.grant("north", robot.proved(credentials), "DPoP", late))["error"]; code != "use_dpop_nonce" {
		t.Errorf("after the life of its nonce: %v", code)
	}
	if code := told(t, w.grant("north", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {w.signIn(0).RefreshToken}}, "DPoP", d.proof("POST", tokenPath, "")))["error"]; code == nil {
		t.Error("a token of no client is bound")
	}
}

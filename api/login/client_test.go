package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
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

const (
	redirect = "https://app.example/back"
	verifier = "dBjftJeZ4CVP-mBZ27uLZRhJKNDCb6pHrdBnOZdLh0E" // some 43 characters
)

// application is a client with its secret.
type application struct {
	directory.Client
	secret string
}

// application makes a client of organization i; one without grants is of people.
func (w *world) application(i int, c directory.Client) application {
	w.t.Helper()
	made := application{Client: c}
	made.ID = access.NewID[directory.ClientID](w.clock)
	made.Name = "app"
	if len(made.Grants) == 0 {
		made.Grants = []directory.GrantType{directory.GrantAuthorizationCode, directory.GrantRefreshToken}
		made.Redirects = []string{redirect}
	}
	if !made.Public && len(made.Keys) == 0 {
		made.secret, made.Secret = access.NewClientSecret(w.orgs[i], made.ID)
	}
	w.change(i, "clients.create", &fsm.CreateClient{Client: made.Client})
	return made
}

// robot makes a service account of user i and a client that acts as it.
func (w *world) robot(i int, c directory.Client) application {
	w.t.Helper()
	c.Account = access.NewID[directory.UserID](w.clock)
	w.change(i, "users.create", &fsm.CreateUser{User: directory.User{
		ID: c.Account, UserName: "robot-" + c.Account.String(), Active: true, Service: true, Owner: w.users[i],
	}})
	c.Grants = []directory.GrantType{directory.GrantClientCredentials}
	return w.application(i, c)
}

// allow gives a user permissions by a role of their own.
func (w *world) allow(i int, user directory.UserID, permissions ...directory.Permission) {
	w.t.Helper()
	role := access.NewID[directory.RoleID](w.clock)
	w.change(i, "roles.create", &fsm.CreateRole{Role: directory.Role{ID: role, Name: role.String(), Permissions: permissions}})
	w.change(i, "roles.assign", &fsm.AssignRole{ID: access.NewID[directory.AssignmentID](w.clock), Role: role, User: user})
}

func (a application) basic() []string {
	return []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte(a.ID.String()+":"+a.secret))}
}

func (w *world) grant(slug string, fields url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	return w.ask(w.handler(), "/o/"+slug+"/oauth2/token", fields, headers...)
}

var credentials = url.Values{"grant_type": {"client_credentials"}}

// plus is a copy of a form with more in it; an empty value takes a field away.
func plus(fields url.Values, more ...string) url.Values {
	out := url.Values{}
	for name, values := range fields {
		out[name] = values
	}
	for i := 0; i < len(more); i += 2 {
		if out.Set(more[i], more[i+1]); more[i+1] == "" {
			out.Del(more[i])
		}
	}
	return out
}

// TestClientCredentials: the token is the service account's, with what the client may
// have of its permissions, and is no credential of our own API.
func TestClientCredentials(t *testing.T) {
	w := newWorld(t)
	c := w.robot(0, directory.Client{Permissions: []directory.Permission{"read:*", "write:notes"}})
	w.allow(0, c.Account, "read:patients", "write:*", directory.ManageUsers, directory.ReadDirectory)
	answer := w.grant("north", credentials, c.basic()...)
	body := told(t, answer)
	if answer.Code != 200 || body["refresh_token"] != nil || body["token_type"] != "Bearer" || body["scope"] != "read:* write:notes" {
		t.Fatalf("%d %v", answer.Code, body)
	}
	token := body["access_token"].(string)
	claims := part(t, token, 1)
	if got := fmt.Sprint(claims["permissions"]); got != "[read:directory read:patients write:notes]" {
		t.Errorf("permissions %s", got)
	}
	if claims["sub"] != c.Account.String() || claims["client_id"] != c.ID.String() || claims["scope"] != "read:* write:notes" ||
		fmt.Sprint(claims["roles"], claims["groups"]) != "[] []" {
		t.Errorf("claims %v", claims)
	}
	w.accepted("the token", token)
	if _, err := w.gate.Authenticate(token); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a client's token is a credential of the API: %v", err)
	}
	narrow := told(t, w.grant("north", plus(credentials, "scope", "read:patients write:notes"), c.basic()...))
	if got := fmt.Sprint(part(t, narrow["access_token"].(string), 1)["permissions"]); got != "[read:patients write:notes]" {
		t.Errorf("of two permissions asked for: %s", got)
	}
	for scope, want := range map[string]string{"delete:patients": "invalid_scope", "openid": "invalid_scope"} {
		if body := told(t, w.grant("north", plus(credentials, "scope", scope), c.basic()...)); body["error"] != want {
			t.Errorf("%s: %v", scope, body)
		}
	}
	answer = outsider(t, w.handler(), "GET", "/o/north/oauth2/userinfo", "", bearer(token)...)
	if answer.Code != http.StatusForbidden || !strings.Contains(answer.Header().Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("userinfo of a service account: %d", answer.Code)
	}
	w.change(0, "users.deactivate", &fsm.SetUserActive{User: c.Account})
	w.refused("the token of a deactivated account", token)
}

// TestUnboundedClient carries what its account has, roles too.
func TestUnboundedClient(t *testing.T) {
	w := newWorld(t)
	c := w.robot(0, directory.Client{Unbounded: true})
	w.allow(0, c.Account, "read:patients")
	claims := part(t, told(t, w.grant("north", credentials, c.basic()...))["access_token"].(string), 1)
	if fmt.Sprint(claims["permissions"]) != "[read:patients]" || len(claims["roles"].([]any)) != 1 {
		t.Errorf("%v", claims)
	}
	claims = part(t, told(t, w.grant("north", plus(credentials, "scope", "write:x"), c.basic()...))["access_token"].(string), 1)
	if fmt.Sprint(claims["permissions"], claims["roles"]) != "[] []" {
		t.Errorf("a permission that the account does not hold: %v", claims)
	}
}

// TestClientAuthentication: one way at a time, by the right client, and all failures
// look alike.
func TestClientAuthentication(t *testing.T) {
	w := newWorld(t)
	c, foreign := w.robot(0, directory.Client{Unbounded: true}), w.robot(1, directory.Client{Unbounded: true})
	public := w.application(0, directory.Client{Public: true})
	people := w.application(0, directory.Client{})
	other := c
	other.secret, _ = access.NewClientSecret(w.orgs[0], c.ID)
	post := func(a application) url.Values {
		return plus(credentials, "client_id", a.ID.String(), "client_secret", a.secret)
	}
	var first string
	for what, row := range map[string]struct {
		fields  url.Values
		headers []string
		want    string
	}{
		"basic":                      {credentials, c.basic(), ""},
		"basic, encoded":             {credentials, []string{"Authorization", "basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(c.ID.String())+":"+url.QueryEscape(c.secret)))}, ""},
		"basic with its name":        {plus(credentials, "client_id", c.ID.String()), c.basic(), ""},
		"post":                       {post(c), nil, ""},
		"nothing":                    {credentials, nil, "invalid_client"},
		"its name alone":             {plus(credentials, "client_id", c.ID.String()), nil, "invalid_client"},
		"no name":                    {plus(credentials, "client_secret", c.secret), nil, "invalid_client"},
		"another secret":             {post(other), nil, "invalid_client"},
		"another secret, basic":      {credentials, other.basic(), "invalid_client"},
		"a cut secret":               {plus(post(c), "client_secret", c.secret[:len(c.secret)-1]), nil, "invalid_client"},
		"another organization's":     {post(foreign), nil, "invalid_client"},
		"another client's name":      {plus(post(c), "client_id", people.ID.String()), nil, "invalid_client"},
		"basic with another's name":  {plus(credentials, "client_id", people.ID.String()), c.basic(), "invalid_client"},
		"a public client":            {plus(credentials, "client_id", public.ID.String()), nil, "unauthorized_client"},
		"a public one with a secret": {plus(credentials, "client_id", public.ID.String(), "client_secret", "x"), nil, "invalid_client"},
		"a client of people":         {post(people), nil, "unauthorized_client"},
		"a bearer token":             {credentials, bearer(w.token), "invalid_client"},
		"two ways":                   {post(c), c.basic(), "invalid_request"},
		"a name that is none":        {plus(post(c), "client_id", "app"), nil, "invalid_client"},
		"an assertion":               {plus(credentials, "client_assertion", "x.y.z", "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), nil, "invalid_client"},
	} {
		answer := w.grant("north", row.fields, row.headers...)
		body := told(t, answer)
		if got, _ := body["error"].(string); got != row.want {
			t.Errorf("%s: %d %v", what, answer.Code, body)
		}
		if row.want == "invalid_client" {
			seen := fmt.Sprint(answer.Code, answer.Header(), answer.Body)
			if first == "" {
				first = seen
			}
			if seen != first || answer.Code != 401 || answer.Header().Get("WWW-Authenticate") == "" {
				t.Errorf("%s is told from others: %s", what, seen)
			}
		}
	}
	unknown := w.grant("western", credentials, c.basic()...)
	if seen := fmt.Sprint(unknown.Code, unknown.Header(), unknown.Body); seen != first {
		t.Errorf("an organization that is not there: %s", seen)
	}
}

// keyPair is a client's own, with the public half as a JWKS.
func keyPair(t *testing.T) (*ecdsa.PrivateKey, string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	point, err := private.PublicKey.Bytes()
	must(t, err)
	set, err := json.Marshal(object{"keys": []object{{
		"kty": "EC", "crv": "P-256", "kid": "mine",
		"x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:]),
	}}})
	must(t, err)
	return private, string(set)
}

// TestPrivateKeyJWT: an assertion is the client's own, about itself, for this issuer,
// short and good once; each bad one differs in one thing.
func TestPrivateKeyJWT(t *testing.T) {
	w := newWorld(t)
	private, set := keyPair(t)
	keys, err := login.CheckClientKeys(set)
	must(t, err)
	c := w.robot(0, directory.Client{Unbounded: true, Keys: keys})
	stranger, _ := keyPair(t)
	n := 0
	header := object{"alg": "ES256", "kid": "mine"}
	claims := func() object {
		n++
		return object{
			"iss": c.ID.String(), "sub": c.ID.String(), "aud": issuer + "/o/north", "jti": fmt.Sprint("jti-", n),
			"iat": w.clock.Unix(), "exp": w.clock.Add(time.Minute).Unix(),
		}
	}
	ask := func(assertion string, more ...string) string {
		fields := plus(credentials, append([]string{
			"client_assertion", assertion, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
		}, more...)...)
		failure, _ := told(t, w.grant("north", fields))["error"].(string)
		return failure
	}
	good := claims()
	once := forge(t, private, header, good)
	for what, row := range map[string]struct{ assertion, want string }{
		"a good one":             {once, ""},
		"for the token endpoint": {forge(t, private, header, with(claims(), object{"aud": []string{issuer + "/o/north/oauth2/token"}})), ""},
		"without a kid":          {forge(t, private, object{"alg": "ES256"}, claims()), ""},
		"a stranger's key":       {forge(t, stranger, header, claims()), "invalid_client"},
		"another issuer's":       {forge(t, private, header, with(claims(), object{"iss": "x"})), "invalid_client"},
		"another subject":        {forge(t, private, header, with(claims(), object{"sub": w.users[0].String()})), "invalid_client"},
		"another organization's": {forge(t, private, header, with(claims(), object{"aud": issuer + "/o/south"})), "invalid_client"},
		"two audiences":          {forge(t, private, header, with(claims(), object{"aud": []string{issuer + "/o/north", "https://evil.example"}})), "invalid_client"},
		"no audience":            {forge(t, private, header, with(claims(), object{"aud": nil})), "invalid_client"},
		"no end":                 {forge(t, private, header, with(claims(), object{"exp": nil})), "invalid_client"},
		"over":                   {forge(t, private, header, with(claims(), object{"exp": w.clock.Add(-time.Minute).Unix()})), "invalid_client"},
		"long, made now":         {forge(t, private, header, with(claims(), object{"exp": w.clock.Add(time.Hour).Unix()})), ""},
		"long, made long ago":    {forge(t, private, header, with(claims(), object{"exp": w.clock.Add(time.Minute).Unix(), "iat": w.clock.Add(-6 * time.Minute).Unix()})), "invalid_client"},
		"long, made later":       {forge(t, private, header, with(claims(), object{"exp": w.clock.Add(time.Hour).Unix(), "iat": w.clock.Add(time.Minute).Unix()})), "invalid_client"},
		"long, made some time":   {forge(t, private, header, with(claims(), object{"exp": w.clock.Add(time.Hour).Unix(), "iat": nil})), "invalid_client"},
		"no jti":                 {forge(t, private, header, with(claims(), object{"jti": nil})), "invalid_client"},
		"an empty jti":           {forge(t, private, header, with(claims(), object{"jti": ""})), "invalid_client"},
		"a huge jti":             {forge(t, private, header, with(claims(), object{"jti": strings.Repeat("j", 257)})), "invalid_client"},
		"no signature":           {unsigned(t, object{"alg": "none"}, claims()) + ".", "invalid_client"},
		"a secret's algorithm":   {forge(t, private, object{"alg": "HS256", "kid": "mine"}, claims()), "invalid_client"},
		"the node's own key":     {w.forgeByNode(header, claims()), "invalid_client"},
	} {
		if got := ask(row.assertion); got != row.want {
			t.Errorf("%s: %q", what, got)
		}
	}
	if got := ask(once); got != "invalid_client" {
		t.Errorf("the second time: %q", got)
	}
	if got := ask(forge(t, private, header, claims()), "client_id", c.ID.String()); got != "" {
		t.Errorf("with its name: %q", got)
	}
	if got := ask(forge(t, private, header, claims()), "client_id", w.orgs[0].String()); got != "invalid_client" {
		t.Errorf("with another name: %q", got)
	}
	if body := told(t, w.grant("north", plus(credentials, "client_id", c.ID.String(), "client_secret", "x"))); body["error"] != "invalid_client" {
		t.Errorf("by a secret: %v", body)
	}
}

// TestLongAssertionCountsOnce: one that was signed for an hour is forgotten when it is no
// good any more, and not before.
func TestLongAssertionCountsOnce(t *testing.T) {
	w := newWorld(t)
	private, set := keyPair(t)
	keys, err := login.CheckClientKeys(set)
	must(t, err)
	c := w.robot(0, directory.Client{Unbounded: true, Keys: keys})
	long := forge(t, private, object{"alg": "ES256", "kid": "mine"}, object{
		"iss": c.ID.String(), "sub": c.ID.String(), "aud": issuer + "/o/north", "jti": "long",
		"iat": w.clock.Unix(), "exp": w.clock.Add(time.Hour).Unix(),
	})
	ask := func() any {
		return told(t, w.grant("north", plus(credentials,
			"client_assertion", long, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")))["error"]
	}
	if got := ask(); got != nil {
		t.Fatalf("the first time: %v", got)
	}
	for range 61 {
		if got := ask(); got != "invalid_client" {
			t.Fatalf("at %v: %v", w.clock, got)
		}
		w.clock = w.clock.Add(time.Minute)
	}
}

func (w *world) forgeByNode(header, claims object) string {
	key, _ := w.private(0)
	return forge(w.t, key, header, claims)
}

// TestClientKeys: public keys of our algorithms, and nothing else is kept.
func TestClientKeys(t *testing.T) {
	_, set := keyPair(t)
	one := func(change string) string {
		return strings.Replace(set, `"kty":"EC"`, change, 1)
	}
	for what, row := range map[string]struct {
		text string
		good bool
	}{
		"as it is":              {set, true},
		"for signatures":        {one(`"kty":"EC","use":"sig","alg":"ES256"`), true},
		"a private key":         {one(`"kty":"EC","d":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE"`), false},
		"for encryption":        {one(`"kty":"EC","use":"enc"`), false},
		"of another algorithm":  {one(`"kty":"EC","alg":"RS256"`), false},
		"a secret":              {`{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`, false},
		"a weak RSA key":        {`{"keys":[{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("A", 171) + `"}]}`, false},
		"none":                  {`{"keys":[]}`, false},
		"no JSON":               {"x", false},
		"nothing":               {"", false},
		"one that is too large": {`{"keys":[],"x":"` + strings.Repeat("x", directory.ClientKeysMax) + `"}`, false},
	} {
		kept, err := login.CheckClientKeys(row.text)
		if (err == nil) != row.good || row.good && !strings.Contains(string(kept), `"alg":"ES256"`) {
			t.Errorf("%s: %s %v", what, kept, err)
		}
	}
}

// TestIntrospectByClients: one that can prove itself may ask about access tokens of
// its organization, and about refresh tokens of its own.
func TestIntrospectByClients(t *testing.T) {
	w := newWorld(t)
	app, service := w.application(0, directory.Client{}), w.application(0, directory.Client{})
	public, foreign := w.application(0, directory.Client{Public: true}), w.application(1, directory.Client{})
	got := w.tokensOf(app, "openid")
	ask := func(slug string, a application, token string) (int, object) {
		answer := w.ask(w.handler(), "/o/"+slug+"/oauth2/introspect", url.Values{"token": {token}}, a.basic()...)
		return answer.Code, told(t, answer)
	}
	if code, said := ask("north", service, got.access); code != 200 || said["active"] != true || said["client_id"] != app.ID.String() || said["scope"] != "openid" {
		t.Errorf("a service about an access token: %d %v", code, said)
	}
	if _, said := ask("north", service, got.refresh); said["active"] != false {
		t.Errorf("a service about another's refresh token: %v", said)
	}
	if _, said := ask("north", app, got.refresh); said["active"] != true {
		t.Errorf("a client about its own refresh token: %v", said)
	}
	if code, _ := ask("south", foreign, got.access); code != 200 {
		t.Errorf("a client in its own organization: %d", code)
	} else if _, said := ask("south", foreign, got.access); said["active"] != false {
		t.Errorf("another organization's token: %v", said)
	}
	for what, a := range map[string]application{"a public client": public, "another organization's": foreign} {
		if code, said := ask("north", a, got.access); code != 401 {
			t.Errorf("%s: %d %v", what, code, said)
		}
	}
	fields := url.Values{"token": {got.access}, "client_id": {public.ID.String()}}
	if answer := w.ask(w.handler(), "/o/north/oauth2/introspect", fields); answer.Code != 401 {
		t.Errorf("a public client by its name: %d", answer.Code)
	}
}

// TestRevokeByClients: a client's token is its own to revoke.
func TestRevokeByClients(t *testing.T) {
	w := newWorld(t)
	app, other, public := w.application(0, directory.Client{}), w.application(0, directory.Client{}), w.application(0, directory.Client{Public: true})
	post := func(token string, fields url.Values, headers ...string) int {
		return w.ask(w.handler(), "/o/north/oauth2/revoke", plus(fields, "token", token), headers...).Code
	}
	got, mobile := w.tokensOf(app, ""), w.tokensOf(public, "")
	session := w.signIn(0)
	for what, status := range map[string]int{
		"nobody":           post(got.access, nil),
		"its name alone":   post(got.access, url.Values{"client_id": {app.ID.String()}}),
		"another's secret": post(got.access, nil, application{Client: app.Client, secret: other.secret}.basic()...),
	} {
		if status != 401 {
			t.Errorf("%s: %d", what, status)
		}
	}
	if status := post(got.refresh, nil, other.basic()...); status != 400 {
		t.Errorf("another client: %d", status)
	}
	if status := post(session.AccessToken, nil, app.basic()...); status != 400 {
		t.Errorf("a client about a token that is no client's: %d", status)
	}
	w.accepted("after all that", got.access)
	if status := post("nonsense", nil, app.basic()...); status != 200 {
		t.Errorf("nonsense: %d", status)
	}
	if status := post(got.access, nil, app.basic()...); status != 200 {
		t.Errorf("its own: %d", status)
	}
	w.refused("what its client revoked", got.access)
	if status := post(mobile.refresh, url.Values{"client_id": {public.ID.String()}}); status != 200 {
		t.Errorf("a public client's own: %d", status)
	}
	w.refused("what a public client revoked", mobile.access)
}

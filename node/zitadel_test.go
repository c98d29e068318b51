package node_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
	assertions "github.com/zitadel/oidc/v3/pkg/client"
	"github.com/zitadel/oidc/v3/pkg/client/rp"
	"github.com/zitadel/oidc/v3/pkg/client/rs"
	"github.com/zitadel/oidc/v3/pkg/client/tokenexchange"
	httphelper "github.com/zitadel/oidc/v3/pkg/http"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"golang.org/x/oauth2"
)

const outURL = "https://app.example/out"

// zitadel is a site as the library of that name sees it: its clients prove themselves by
// keys, and what they ask goes to whichever node comes next.
type zitadel struct {
	*site
	http   *http.Client
	web    keyed // signs people in
	robot  keyed // is its own account
	broker keyed // exchanges tokens
}

// keyed is a client with a key of its own.
type keyed struct {
	id  string
	kid string
	pem []byte
}

// inTurn sends each request to the next node.
type inTurn struct {
	nodes []string
	next  int
	way   http.RoundTripper
}

func (i *inTurn) RoundTrip(r *http.Request) (*http.Response, error) {
	i.next++
	return through{i.nodes[i.next%len(i.nodes)], i.way}.RoundTrip(r)
}

func newZitadel(t *testing.T, c *nodetest.Cluster) *zitadel {
	t.Helper()
	turns := &inTurn{way: c.Transport()}
	for i := range nodetest.Size {
		turns.nodes = append(turns.nodes, strings.TrimPrefix(c.URL(i), "https://"))
	}
	z := &zitadel{site: newSite(t, c, "zitadel"), http: &http.Client{Transport: turns}}
	z.web = z.keyedClient("keyed web", fmt.Sprintf(`"grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],
		"redirect_uris":[%q],"post_logout_redirect_uris":[%q]`, backURL, outURL))
	z.robot = z.keyedClient("keyed robot", fmt.Sprintf(`"grant_types":["client_credentials"],"account_id":%q`, z.account))
	z.broker = z.keyedClient("keyed broker", `"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]`)
	return z
}

func (z *zitadel) keyedClient(name, fields string) keyed {
	z.t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		z.t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		z.t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": name, "x": part(point[1:33]), "y": part(point[33:]),
	}}})
	if err != nil {
		z.t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		z.t.Fatal(err)
	}
	var made newClient
	z.at(0, "POST", "/organizations/"+z.org+"/clients", &made, `{"name":%q,"keys":%q,"permissions":["read:patients","write:notes"],%s}`, name, set, fields)
	return keyed{made.Client.ID, name, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})}
}

// relying is the library as a client.
func (z *zitadel) relying(k keyed, redirect string, scopes ...string) rp.RelyingParty {
	z.t.Helper()
	relying, err := rp.NewRelyingPartyOIDC(z.t.Context(), z.issuer(), k.id, "", redirect, scopes,
		rp.WithHTTPClient(z.http), rp.WithAuthStyle(oauth2.AuthStyleInParams), rp.WithSigningAlgsFromDiscovery(),
		rp.WithPKCEFromDiscovery(httphelper.NewCookieHandler([]byte(strings.Repeat("k", 32)), nil, httphelper.WithUnsecure())),
		rp.WithJWTProfile(rp.SignerFromKeyAndKeyID(k.pem, k.kid)))
	if err != nil {
		z.t.Fatal(err)
	}
	return relying
}

type zitadelTokens = *oidc.Tokens[*oidc.IDTokenClaims]

// signIn goes the way of a browser through the library's own handlers.
func (z *zitadel) signIn(relying rp.RelyingParty) (tokens zitadelTokens) {
	z.t.Helper()
	begun := httptest.NewRecorder()
	rp.AuthURLHandler(func() string { return "some state" }, relying)(begun, httptest.NewRequest(http.MethodGet, "/login", nil))
	sent := z.browse(1, begun.Header().Get("Location"))
	back := httptest.NewRequest(http.MethodGet, "/back?"+sent.Encode(), nil)
	for _, cookie := range begun.Result().Cookies() {
		back.AddCookie(cookie)
	}
	ended := httptest.NewRecorder()
	rp.CodeExchangeHandler(func(_ http.ResponseWriter, _ *http.Request, got zitadelTokens, state string, _ rp.RelyingParty) {
		if tokens = got; state != "some state" {
			z.t.Errorf("came back with the state %q", state)
		}
	}, relying)(ended, back)
	if tokens == nil {
		z.t.Fatalf("code exchange: %d %s", ended.Code, ended.Body)
	}
	return tokens
}

// introspected is what the broker hears of a token, by a proof of its key.
func (z *zitadel) introspected(token string) *oidc.IntrospectionResponse {
	z.t.Helper()
	server, err := rs.NewResourceServerJWTProfile(z.t.Context(), z.issuer(), z.broker.id, z.broker.kid, z.broker.pem, rs.WithClient(z.http))
	if err != nil {
		z.t.Fatal(err)
	}
	told, err := rs.Introspect[*oidc.IntrospectionResponse](z.t.Context(), server, token)
	if err != nil {
		z.t.Fatal(err)
	}
	return told
}

// TestZitadelRelyingParty: the library signs a person in with PKCE and a key, and does
// with the tokens all that it can, each request at another node.
func TestZitadelRelyingParty(t *testing.T) {
	z := newZitadel(t, nodetest.Start(t, developing))
	relying := z.relying(z.web, backURL, oidc.ScopeOpenID, oidc.ScopeProfile, oidc.ScopeEmail, "read:patients")
	if !relying.IsPKCE() {
		t.Error("discovery does not say that PKCE is offered")
	}
	tokens := z.signIn(relying)
	if tokens.IDTokenClaims.Subject != z.user || !slices.Contains(tokens.IDTokenClaims.Audience, z.web.id) {
		t.Errorf("ID token %+v", tokens.IDTokenClaims)
	}
	next, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), relying, tokens.RefreshToken, "", "")
	if err != nil || next.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refresh: %v", err)
	}
	info, err := rp.Userinfo[*oidc.UserInfo](t.Context(), next.AccessToken, next.TokenType, z.user, relying)
	if err != nil || info.Email != "alice@site.example" || info.Name != "Alice Ng" {
		t.Fatalf("userinfo: %+v %v", info, err)
	}
	if told := z.introspected(next.AccessToken); !told.Active || told.Subject != z.user || told.ClientID != z.web.id {
		t.Errorf("introspection: %+v", told)
	}
	to, err := rp.EndSession(t.Context(), relying, tokens.IDToken, outURL, "bye", "", nil)
	if err != nil || to == nil || to.String() != outURL+"?state=bye" {
		t.Errorf("end session: %v %v", to, err)
	}
	if told := z.introspected(next.AccessToken); told.Active {
		t.Errorf("after signing out: %+v", told)
	}
	if _, err := rp.RefreshTokens[*oidc.IDTokenClaims](t.Context(), relying, next.RefreshToken, "", ""); err == nil {
		t.Error("a refresh after signing out")
	}
}

// TestZitadelMachines: client credentials, token exchange and revocation.
func TestZitadelMachines(t *testing.T) {
	z := newZitadel(t, nodetest.Start(t, developing))
	robot := z.relying(z.robot, "", "read:patients")
	signer, err := assertions.NewSignerFromPrivateKeyByte(z.robot.pem, z.robot.kid)
	if err != nil {
		t.Fatal(err)
	}
	assertion, err := assertions.SignedJWTProfileAssertion(z.robot.id, []string{z.issuer()}, time.Hour, signer)
	if err != nil {
		t.Fatal(err)
	}
	proof := url.Values{"client_assertion": {assertion}, "client_assertion_type": {oidc.ClientAssertionTypeJWTAssertion}}
	token, err := rp.ClientCredentials(t.Context(), robot, proof)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rp.ClientCredentials(t.Context(), robot, proof); err == nil {
		t.Error("an assertion counts twice")
	}
	if told := z.introspected(token.AccessToken); !told.Active || told.Subject != z.account || !slices.Equal(told.Scope, []string{"read:patients"}) {
		t.Errorf("client credentials: %+v", told)
	}
	z.exchanges()
	if err := rp.RevokeToken(t.Context(), robot, token.AccessToken, "access_token"); err != nil {
		t.Errorf("revocation: %v", err)
	}
	if told := z.introspected(token.AccessToken); told.Active {
		t.Errorf("after its revocation: %+v", told)
	}
}

// exchanges takes a person's token for one of the broker's own.
func (z *zitadel) exchanges() {
	z.t.Helper()
	tokens := z.signIn(z.relying(z.web, backURL, oidc.ScopeOpenID, "read:patients", "write:notes"))
	signer, err := assertions.NewSignerFromPrivateKeyByte(z.broker.pem, z.broker.kid)
	if err != nil {
		z.t.Fatal(err)
	}
	exchanger, err := tokenexchange.NewTokenExchangerJWTProfile(z.t.Context(), z.issuer(), z.broker.id, signer, tokenexchange.WithHTTPClient(z.http))
	if err != nil {
		z.t.Fatal(err)
	}
	got, err := tokenexchange.ExchangeToken(z.t.Context(), exchanger, tokens.AccessToken, oidc.AccessTokenType, "", "", nil, nil, []string{"write:notes"}, oidc.AccessTokenType)
	if err != nil || got.IssuedTokenType != oidc.AccessTokenType {
		z.t.Fatalf("token exchange: %+v %v", got, err)
	}
	if told := z.introspected(got.AccessToken); !told.Active || told.Subject != z.user || !slices.Equal(told.Scope, []string{"write:notes"}) {
		z.t.Errorf("exchanged: %+v", told)
	}
}

// TestZitadelDevice: the device asks at one node, a person allows it at another, and the
// library polls.
func TestZitadelDevice(t *testing.T) {
	z := newZitadel(t, nodetest.Start(t, developing))
	relying := z.relying(z.web, "")
	asked, err := rp.DeviceAuthorization(t.Context(), []string{oidc.ScopeOpenID, "read:patients"}, relying, nil)
	if err != nil || asked.Interval != 5 {
		t.Fatalf("%+v %v", asked, err)
	}
	z.allowDevice(1, asked.UserCode)
	ctx, leave := context.WithTimeout(t.Context(), time.Minute)
	defer leave()
	got, err := rp.DeviceAccessToken(ctx, asked.DeviceCode, time.Second, relying)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := rp.VerifyTokens[*oidc.IDTokenClaims](t.Context(), got.AccessToken, got.IDToken, relying.IDTokenVerifier())
	if err != nil || claims.Subject != z.user {
		t.Errorf("the device's tokens: %+v %v", claims, err)
	}
	if _, err := rp.DeviceAccessToken(ctx, asked.DeviceCode, time.Second, relying); err == nil {
		t.Errorf("a device code gives tokens twice with %s", directory.GrantDevice)
	}
}

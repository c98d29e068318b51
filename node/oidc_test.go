package node_test

import (
	"context"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

const backURL = "https://app.example/back"

// developing lets anybody sign in as anybody.
func developing(c *node.Config) { c.DevelopmentSignIn = true }

// through sends every request to one node, whatever node its URL names: what stands
// in front of a cluster does so.
type through struct {
	host string
	next http.RoundTripper
}

func (t through) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Host = t.host
	return t.next.RoundTrip(r)
}

// by is a context in which the libraries ask node i.
func by(t *testing.T, c *nodetest.Cluster, i int) context.Context {
	client := &http.Client{Transport: through{strings.TrimPrefix(c.URL(i), "https://"), c.Transport()}}
	return oidc.ClientContext(context.WithValue(t.Context(), oauth2.HTTPClient, client), client)
}

// site is an organization with a person, a service account, and a client of each.
type site struct {
	t       *testing.T
	c       *nodetest.Cluster
	slug    string
	org     string
	user    string
	account string
	web     struct{ ID, Secret string }
	robot   struct{ ID, Secret string }
	broker  struct{ ID, Secret string } // exchanges tokens
}

type named struct {
	ID string `json:"id"`
}

type newClient struct {
	Client       named  `json:"client"`
	ClientSecret string `json:"client_secret"`
}

// at sends a request of the operator to node i.
func (s *site) at(i int, method, path string, out any, format string, args ...any) {
	s.t.Helper()
	s.c.Do(i, method, "/api/v1"+path, fmt.Sprintf(format, args...), out)
}

func newSite(t *testing.T, c *nodetest.Cluster, slug string) *site {
	t.Helper()
	s := &site{t: t, c: c, slug: slug}
	var made named
	s.at(0, "POST", "/organizations", &made, `{"slug":%q,"name":%q}`, slug, slug)
	s.org = made.ID
	s.at(0, "POST", "/users", &made, `{"org_id":%q,"email":"alice@site.example","display_name":"Alice Ng"}`, s.org)
	s.user = made.ID
	s.at(0, "POST", "/service-accounts", &made, `{"org_id":%q,"user_name":"robot","owner_id":%q}`, s.org, s.user)
	s.account = made.ID
	s.at(0, "POST", "/roles", &made, `{"org_id":%q,"name":"reader","permissions":["read:patients","write:notes"]}`, s.org)
	for _, holder := range []string{s.user, s.account} {
		s.at(0, "POST", "/users/"+holder+"/roles", nil, `{"role_id":%q}`, made.ID)
	}
	var client newClient
	s.at(0, "POST", "/organizations/"+s.org+"/clients", &client,
		`{"name":"web","grant_types":["authorization_code","refresh_token","urn:ietf:params:oauth:grant-type:device_code"],"redirect_uris":[%q],"permissions":["read:patients","write:notes"]}`, backURL)
	s.web.ID, s.web.Secret = client.Client.ID, client.ClientSecret
	s.at(0, "POST", "/organizations/"+s.org+"/clients", &client,
		`{"name":"robot","grant_types":["client_credentials"],"account_id":%q,"permissions":["read:patients","write:notes"]}`, s.account)
	s.robot.ID, s.robot.Secret = client.Client.ID, client.ClientSecret
	s.at(0, "POST", "/organizations/"+s.org+"/clients", &client,
		`{"name":"broker","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],"permissions":["read:patients","write:notes"]}`)
	s.broker.ID, s.broker.Secret = client.Client.ID, client.ClientSecret
	return s
}

func (s *site) issuer() string { return s.c.URL(0) + "/o/" + s.slug }

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)

// browse signs Alice in at node i as a browser does: it fills in the form of the page
// and follows to where it is sent.
func (s *site) browse(i int, address string) url.Values {
	s.t.Helper()
	browser := &http.Client{
		Transport:     through{strings.TrimPrefix(s.c.URL(i), "https://"), s.c.Transport()},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	res, err := browser.Get(address)
	if err != nil {
		s.t.Fatal(err)
	}
	page, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("the sign-in page: %d %s %v", res.StatusCode, page, err)
	}
	form := url.Values{"user_name": {"alice@site.example"}}
	for _, field := range hiddenInput.FindAllStringSubmatch(string(page), -1) {
		form.Set(html.UnescapeString(field[1]), html.UnescapeString(field[2]))
	}
	post, err := http.NewRequest(http.MethodPost, s.issuer()+"/oauth2/authorize", strings.NewReader(form.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	post.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	post.Header.Set("Sec-Fetch-Site", "same-origin")
	if res, err = browser.Do(post); err != nil {
		s.t.Fatal(err)
	}
	res.Body.Close()
	back, err := res.Location()
	if err != nil || !strings.HasPrefix(back.String(), backURL+"?") {
		s.t.Fatalf("sent back: %d %v %v", res.StatusCode, back, err)
	}
	return back.Query()
}

// TestRelyingParty: libraries that we did not write sign a person in at one node,
// redeem the code at another and refresh at the third; and a deactivation at any ends
// it at all.
func TestRelyingParty(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "clinic")
	provider, err := oidc.NewProvider(by(t, c, 0), s.issuer())
	if err != nil {
		t.Fatal(err)
	}
	config := oauth2.Config{
		ClientID: s.web.ID, ClientSecret: s.web.Secret, Endpoint: provider.Endpoint(), RedirectURL: backURL,
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", "read:patients"},
	}
	verifier := oauth2.GenerateVerifier()
	sent := s.browse(1, config.AuthCodeURL("some state", oauth2.S256ChallengeOption(verifier), oidc.Nonce("some nonce")))
	if sent.Get("state") != "some state" || sent.Get("iss") != s.issuer() {
		t.Errorf("sent back with %v", sent)
	}
	token, err := config.Exchange(by(t, c, 2), sent.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	s.idToken(provider, token)
	next, err := config.TokenSource(by(t, c, 1), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err != nil || next.RefreshToken == token.RefreshToken {
		t.Fatalf("refresh: %v", err)
	}
	info, err := provider.UserInfo(by(t, c, 2), oauth2.StaticTokenSource(next))
	if err != nil || info.Subject != s.user || info.Email != "alice@site.example" {
		t.Fatalf("userinfo: %+v %v", info, err)
	}
	machine := clientcredentials.Config{ClientID: s.robot.ID, ClientSecret: s.robot.Secret, TokenURL: provider.Endpoint().TokenURL}
	if _, err := machine.Token(by(t, c, 1)); err != nil {
		t.Errorf("client credentials: %v", err)
	}
	began := time.Now()
	s.at(1, "POST", "/users/"+s.user+"/deactivate", nil, "")
	for i := range nodetest.Size {
		if _, err := provider.UserInfo(by(t, c, i), oauth2.StaticTokenSource(next)); err == nil {
			t.Errorf("node-%d answers for a deactivated user", i+1)
		}
		if _, err := config.TokenSource(by(t, c, i), &oauth2.Token{RefreshToken: next.RefreshToken}).Token(); err == nil {
			t.Errorf("node-%d refreshes for a deactivated user", i+1)
		}
		if _, err := machine.Token(by(t, c, i)); err == nil {
			t.Errorf("node-%d gives a token to a service account whose owner is deactivated", i+1)
		}
	}
	t.Logf("deactivated and refused at all nodes within %v", time.Since(began))
}

// idToken verifies as the library does, and that the token belongs to the access
// token.
func (s *site) idToken(provider *oidc.Provider, token *oauth2.Token) {
	s.t.Helper()
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: s.web.ID}).Verify(by(s.t, s.c, 1), raw)
	if err != nil {
		s.t.Fatal(err)
	}
	if id.Subject != s.user || id.Nonce != "some nonce" {
		s.t.Errorf("ID token %+v", id)
	}
	if err := id.VerifyAccessToken(token.AccessToken); err != nil {
		s.t.Error(err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: s.robot.ID}).Verify(by(s.t, s.c, 1), raw); err == nil {
		s.t.Error("the ID token is good for another client")
	}
}

// TestDevelopmentSignInStaysOnThisMachine: a node that others reach does not start
// with it.
func TestDevelopmentSignInStaysOnThisMachine(t *testing.T) {
	for what, change := range map[string]func(*node.Config){
		"api":      func(c *node.Config) { c.API = "0.0.0.0:443" },
		"api name": func(c *node.Config) { c.API = "localhost:443" },
		"peer":     func(c *node.Config) { c.Peer = "192.0.2.1:8541" },
		"issuer":   func(c *node.Config) { c.Issuer = "https://auth.example" },
	} {
		cfg := node.Config{
			NodeID: "node-1", API: "127.0.0.1:1", Peer: "127.0.0.1:2", Issuer: "https://127.0.0.1:1", Dir: t.TempDir(),
			Enforce: node.EnforceConfig{Mode: "gate"}, DevelopmentSignIn: true,
		}
		change(&cfg)
		if _, err := node.Init(cfg, nil); err == nil || !strings.Contains(err.Error(), "development sign-in") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestRevocationIsNeverOnlySaid: without a quorum it is an error, while the keys are
// still served; and what was revoked stays so when every node starts again.
func TestRevocationIsNeverOnlySaid(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "clinic")
	var tokens [2]string
	for n := range tokens {
		fields, _ := s.begin(0, directory.GrantClientCredentials)
		tokens[n], _ = s.tokens(0, fields)["access_token"].(string)
	}
	proof := url.Values{"client_id": {s.robot.ID}, "client_secret": {s.robot.Secret}}
	revoke := func(token string) int {
		fields := url.Values{"token": {token}}
		for name, value := range proof {
			fields[name] = value
		}
		return c.Call(0, "POST", "/o/clinic/oauth2/revoke", fields.Encode(), "Content-Type", "application/x-www-form-urlencoded", "Authorization", "").Status
	}
	if status := revoke(tokens[0]); status != http.StatusOK {
		t.Fatalf("with a quorum: %d", status)
	}
	keys := c.Call(0, "GET", "/o/clinic/.well-known/jwks.json", "")
	c.Stop(1)
	c.Stop(2)
	if status := revoke(tokens[1]); status != http.StatusServiceUnavailable {
		t.Errorf("without a quorum: %d", status)
	}
	alone := c.Call(0, "GET", "/o/clinic/.well-known/jwks.json", "")
	if alone.Status != http.StatusOK || alone.Header.Get("ETag") != keys.Header.Get("ETag") || alone.Header.Get("ETag") == "" {
		t.Errorf("the keys without a quorum: %d %v", alone.Status, alone.Header)
	}
	c.Stop(0)
	for i := range nodetest.Size {
		c.Launch(i)
	}
	for i := range nodetest.Size {
		c.Ready(i)
		if s.active(i, tokens[0]) {
			t.Errorf("node-%d lets a revoked token live again", i+1)
		}
	}
}

// TestCodeAtTwoNodesAtOnce: at most one of them gives tokens, and because somebody
// came twice, what it gave is dead.
func TestCodeAtTwoNodesAtOnce(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "clinic")
	for range 5 {
		fields, _ := s.begin(2, directory.GrantAuthorizationCode)
		answers := make(chan map[string]any, 2)
		for i := range cap(answers) {
			go func() {
				_, said, err := s.try(i, "token", fields)
				if err != nil {
					t.Errorf("node-%d: %v", i+1, err)
				}
				answers <- said
			}()
		}
		var given []string
		for range cap(answers) {
			if token, ok := (<-answers)["access_token"].(string); ok {
				given = append(given, token)
			}
		}
		if len(given) > 1 {
			t.Error("a code gave tokens twice")
		}
		for _, token := range given { // both have been answered
			for i := range nodetest.Size {
				if s.active(i, token) {
					t.Errorf("the code was used twice, and the token lives at node-%d", i+1)
				}
			}
		}
	}
}

// TestGateKnowsBounds: what a client's token may do less than its user, it may do less
// at the gate in front of a service, and a role is more than it has.
func TestGateKnowsBounds(t *testing.T) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
	defer service.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	guarded := listener.Addr().String()
	listener.Close()
	nodes := 0
	c := nodetest.Start(t, developing, func(cfg *node.Config) {
		if nodes++; nodes == 1 {
			cfg.Enforce.Listen = []string{guarded}
			cfg.Enforce.Upstreams = map[string]string{guarded: service.Listener.Addr().String()}
		}
	})
	s := newSite(t, c, "clinic")
	var made named
	s.at(0, "POST", "/services", &made, `{"org_id":%q,"name":"charts","listen":[%q]}`, s.org, guarded)
	s.at(0, "PUT", "/services/"+made.ID+"/policies", nil,
		`[{"path":"/charts/**","permissions":["read:patients"]},{"path":"/notes/**","permissions":["write:notes"]},{"path":"/readers/**","roles":["reader"]}]`)
	var client newClient
	s.at(0, "POST", "/organizations/"+s.org+"/clients", &client,
		`{"name":"all","grant_types":["client_credentials"],"account_id":%q,"all_permissions":true}`, s.account)
	bounded, _ := s.begin(0, directory.GrantClientCredentials)
	unbounded := url.Values{"grant_type": {"client_credentials"}, "client_id": {client.Client.ID}, "client_secret": {client.ClientSecret}}
	bounded.Set("scope", "read:patients")
	for _, row := range []struct {
		fields url.Values
		want   map[string]int // by path
	}{
		{bounded, map[string]int{"/charts/7": http.StatusOK, "/notes/7": http.StatusForbidden, "/readers/7": http.StatusForbidden}},
		{unbounded, map[string]int{"/charts/7": http.StatusOK, "/notes/7": http.StatusOK, "/readers/7": http.StatusOK}},
	} {
		token, _ := s.tokens(0, row.fields)["access_token"].(string)
		for path, want := range row.want {
			request, err := http.NewRequest(http.MethodGet, "http://"+guarded+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Authorization", "Bearer "+token)
			res, err := http.DefaultClient.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s: the gate says %d, want %d", path, res.StatusCode, want)
			}
		}
	}
}

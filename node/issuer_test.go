package node_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

const entraAudience = "8adf8e6e-67b2-4cf2-a259-e3dc5476c621" // of all custom applications

// provider issues tokens as Entra does; written out here, so that the library that
// verifies them does not judge itself.
type provider struct {
	t      *testing.T
	server *httptest.Server
	key    *rsa.PrivateKey
	silent atomic.Bool
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key}
	p.server = httptest.NewTLSServer(p)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) issuer() string { return p.server.URL + "/tenant/" }

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case p.silent.Load():
		http.Error(w, "silent", http.StatusServiceUnavailable)
	case r.URL.Path == "/tenant/.well-known/openid-configuration":
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, p.issuer(), p.server.URL+"/keys")
	case r.URL.Path == "/keys":
		e := big.NewInt(int64(p.key.E)).Bytes()
		fmt.Fprintf(w, `{"keys":[{"kty":"RSA","use":"sig","kid":"k","n":%q,"e":%q}]}`, part(p.key.N.Bytes()), part(e))
	default:
		http.NotFound(w, r)
	}
}

func part(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// token is signed with RS256 for an application.
func (p *provider) token(application string, expires time.Time) string {
	p.t.Helper()
	claims, err := json.Marshal(map[string]any{
		"iss": p.issuer(), "aud": entraAudience, "appid": application, "tid": "tenant",
		"iat": time.Now().Unix(), "nbf": time.Now().Unix(), "exp": expires.Unix(),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	text := part([]byte(`{"alg":"RS256","typ":"JWT","kid":"k"}`)) + "." + part(claims)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Fatal(err)
	}
	return text + "." + part(signature)
}

// trusting lets a node ask the provider.
func (p *provider) trusting(cfg *node.Config) {
	file := filepath.Join(p.t.TempDir(), "issuers.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.server.Certificate().Raw})
	if err := os.WriteFile(file, block, 0o600); err != nil {
		p.t.Fatal(err)
	}
	cfg.Issuers = node.IssuersConfig{Hosts: []string{strings.TrimPrefix(p.server.URL, "https://")}, CAFile: file}
}

// TestIssuedToken: with a token of the issuer that its connection trusts, a provider
// provisions on every node; with any other it does nothing.
func TestIssuedToken(t *testing.T) {
	p := newProvider(t)
	c := nodetest.Start(t, p.trusting)
	org, neighbour := organization(c, "memorial"), organization(c, "depot")
	connect := func(org object) (at string) {
		var connection object
		list := "/api/v1/organizations/" + org.ID + "/scim-connections"
		c.Do(0, http.MethodPost, list, `{"provider":"entra"}`, &connection)
		return list + "/" + connection.ID
	}
	one, two := connect(org), connect(org)
	connect(neighbour)
	ask := func(node int, slug, token string) int {
		return c.Call(node, http.MethodGet, "/scim/v2/"+slug+"/Users?count=1", "", "Authorization", "Bearer "+token).Status
	}
	hour := time.Now().Add(time.Hour)
	good := p.token("ours", hour)
	if got := ask(0, "memorial", good); got != http.StatusUnauthorized {
		t.Errorf("before anybody is trusted: %d", got)
	}
	trust := fmt.Sprintf(`{"issuer":%q,"audience":%q,"application":"ours"}`, p.issuer(), entraAudience)
	c.Do(1, http.MethodPatch, one, trust, nil)
	if answer := c.Call(0, http.MethodPatch, two, trust); answer.Status != http.StatusConflict {
		t.Errorf("the same trust twice: %d %s", answer.Status, answer.Body)
	}
	if answer := c.Call(0, http.MethodPatch, two, `{"issuer":"https://169.254.169.254/","audience":"x"}`); answer.Status != http.StatusBadRequest {
		t.Errorf("a host that nobody allowed: %d %s", answer.Status, answer.Body)
	}
	for node := range nodetest.Size {
		for _, row := range []struct {
			name, slug, token string
			want              int
		}{
			{"its token", "memorial", good, 200},
			{"an expired one", "memorial", p.token("ours", time.Now().Add(-time.Hour)), 401},
			{"another application's", "memorial", p.token("another", hour), 401},
			{"another organization", "depot", good, 401},
			{"no organization", "nobody", good, 401},
			{"a changed one", "memorial", good[:len(good)-4] + "AAAA", 401},
		} {
			if got := ask(node, row.slug, row.token); got != row.want {
				t.Errorf("node-%d: %s: %d, want %d", node+1, row.name, got, row.want)
			}
		}
		made := c.Call(node, http.MethodPost, "/scim/v2/memorial/Users", fmt.Sprintf(`{"userName":"u%d"}`, node), "Authorization", "Bearer "+good)
		if made.Status != http.StatusCreated {
			t.Errorf("node-%d: %d %s", node+1, made.Status, made.Body)
		}
	}
	if answer := c.Call(0, http.MethodGet, "/api/v1/users?org_id="+org.ID, "", "Authorization", "Bearer "+good); answer.Status != http.StatusUnauthorized {
		t.Errorf("beyond SCIM: %d", answer.Status)
	}
	var state struct {
		Issued string `json:"last_issuer_token"`
		Counts struct {
			Refused int `json:"refused_tokens"`
		}
	}
	c.Do(0, http.MethodGet, "/api/v1/scim-connections/"+filepath.Base(one)+"/state", "", &state)
	if state.Issued == "" || state.Counts.Refused != 2*nodetest.Size { // the expired and the changed ones
		t.Errorf("%+v", state)
	}

	c.Do(0, http.MethodPatch, one, `{"disabled":true}`, nil)
	c.Do(0, http.MethodPatch, two, strings.Replace(trust, "ours", "", 1), nil)
	if got := ask(2, "memorial", p.token("another", hour)); got != http.StatusOK {
		t.Errorf("any application: %d", got)
	}
	c.Do(0, http.MethodPatch, two, `{"issuer":"","audience":"","application":""}`, nil)
	for node := range nodetest.Size {
		if got := ask(node, "memorial", good); got != http.StatusUnauthorized {
			t.Errorf("node-%d: after the trust has ended: %d", node+1, got)
		}
	}

	// A node that comes back knows no keys, and lets nobody in without.
	c.Do(0, http.MethodPatch, one, `{"disabled":false}`, nil)
	p.silent.Store(true)
	c.Stop(2)
	c.Start(2)
	if got := ask(2, "memorial", good); got != http.StatusServiceUnavailable {
		t.Errorf("without keys: %d", got)
	}
	if got := ask(0, "memorial", good); got != http.StatusOK {
		t.Errorf("a node that has the keys: %d", got)
	}
}

package node_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node/nodetest"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// signed is a token of any kind by a key of the test's own.
func signed(t *testing.T, key *ecdsa.PrivateKey, header map[string]any, claims map[string]any) string {
	t.Helper()
	token, headers := jwt.New(), jws.NewHeaders()
	for name, value := range claims {
		if err := token.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range header {
		if err := headers.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	text, err := jwt.Sign(token, jwt.WithKey(jwa.ES256(), key, jws.WithProtectedHeaders(headers)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newKeyPair(t *testing.T) (*ecdsa.PrivateKey, jwk.Key) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, err := jwk.Import(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// TestProofsCountOnceOnAllNodes: what was shown to one node is worth nothing at another,
// also after every node has started again.
func TestProofsCountOnceOnAllNodes(t *testing.T) {
	c := nodetest.Start(t)
	s := newSite(t, c, "proofs")
	key, public := newKeyPair(t)
	set, err := json.Marshal(map[string]any{"keys": []jwk.Key{public}})
	if err != nil {
		t.Fatal(err)
	}
	var made newClient
	s.at(0, "POST", "/organizations/"+s.org+"/clients", &made,
		`{"name":"keyed","grant_types":["client_credentials"],"account_id":%q,"permissions":["read:patients"],"keys":%q}`, s.account, set)
	n := 0
	assertion := func() url.Values {
		n++
		text := signed(t, key, nil, map[string]any{
			"iss": made.Client.ID, "sub": made.Client.ID, "aud": s.issuer(), "exp": time.Now().Add(4 * time.Minute), "jti": fmt.Sprint(n),
		})
		return url.Values{
			"grant_type": {"client_credentials"}, "client_assertion": {text},
			"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
		}
	}
	nonce := ""
	asked := func(i int, fields url.Values, proof string) (map[string]any, *http.Response) {
		t.Helper()
		request, err := http.NewRequest(http.MethodPost, c.URL(i)+"/o/"+s.slug+"/oauth2/token", strings.NewReader(fields.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("DPoP", proof)
		res, err := c.Transport().RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var said map[string]any
		if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
			t.Fatal(err)
		}
		nonce = res.Header.Get("DPoP-Nonce")
		return said, res
	}
	proof := func() string {
		n++
		return signed(t, key, map[string]any{"typ": "dpop+jwt", "jwk": public}, map[string]any{
			"jti": fmt.Sprint(n), "htm": "POST", "htu": s.issuer() + "/oauth2/token", "iat": time.Now(), "nonce": nonce,
		})
	}
	first := assertion()
	if said := s.tokens(1, first); said["access_token"] == nil {
		t.Fatalf("an assertion: %v", said)
	}
	if said, _ := asked(0, assertion(), proof()); said["error"] != "use_dpop_nonce" {
		t.Errorf("without a nonce: %v", said)
	}
	bound, robot := proof(), url.Values{"grant_type": {"client_credentials"}, "client_id": {s.robot.ID}, "client_secret": {s.robot.Secret}}
	if said, _ := asked(2, robot, bound); said["token_type"] != "DPoP" { // the nonce is another node's
		t.Fatalf("a proof: %v", said)
	}
	replayed := func(when string) {
		t.Helper()
		for i := range nodetest.Size {
			if said := s.tokens(i, first); said["error"] != "invalid_client" {
				t.Errorf("%s, node-%d takes an assertion again: %v", when, i+1, said)
			}
			if said, _ := asked(i, robot, bound); said["error"] != "invalid_dpop_proof" {
				t.Errorf("%s, node-%d takes a proof again: %v", when, i+1, said)
			}
		}
	}
	replayed("at once")
	for i := range nodetest.Size {
		c.Stop(i)
	}
	for i := range nodetest.Size {
		c.Launch(i)
	}
	for i := range nodetest.Size {
		c.Ready(i)
	}
	replayed("after a restart")
	once := assertion()
	fields := url.Values{"token": {"nonsense"}, "client_assertion": once["client_assertion"], "client_assertion_type": once["client_assertion_type"]}
	if status, said := s.postAs(0, "introspect", fields); status != http.StatusOK {
		t.Fatalf("introspection: %d %v", status, said)
	}
	if status, said := s.postAs(1, "introspect", fields); said["error"] != "invalid_client" {
		t.Errorf("an assertion was used twice to introspect: %d %v", status, said)
	}
}

// postAs is post without the operator's token.
func (s *site) postAs(i int, endpoint string, fields url.Values) (status int, said map[string]any) {
	s.t.Helper()
	answer := s.c.Call(i, http.MethodPost, "/o/"+s.slug+"/oauth2/"+endpoint, fields.Encode(),
		"Content-Type", "application/x-www-form-urlencoded", "Authorization", "")
	if err := json.Unmarshal(answer.Body, &said); err != nil {
		s.t.Fatalf("%s: %d %s", endpoint, answer.Status, answer.Body)
	}
	return answer.Status, said
}

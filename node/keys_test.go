package node_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/node/nodetest"
)

type signingKey struct{ KID, Algorithm, State string }

// keys are the signing keys of the site as node i lists them.
func (s *site) keys(i int) (keys []signingKey) {
	var list struct {
		Keys []signingKey `json:"signing_keys"`
	}
	s.at(i, "GET", "/organizations/"+s.org+"/signing-keys", &list, "")
	return list.Keys
}

// key is one in a state; empty: there is none.
func (s *site) key(i int, algorithm, state string) string {
	for _, k := range s.keys(i) {
		if k.Algorithm == algorithm && k.State == state {
			return k.KID
		}
	}
	return ""
}

// published are the names of the keys in the key set that node i serves.
func (s *site) published(i int) (kids []string) {
	s.t.Helper()
	var set struct{ Keys []struct{ KID string } }
	answer := s.c.Call(i, http.MethodGet, "/o/"+s.slug+"/.well-known/jwks.json", "")
	if answer.Status != http.StatusOK || answer.Header.Get("ETag") == "" || !strings.Contains(answer.Header.Get("Cache-Control"), "stale-if-error=86400") {
		s.t.Fatalf("the key set of node-%d: %d %v", i+1, answer.Status, answer.Header)
	}
	if err := json.Unmarshal(answer.Body, &set); err != nil {
		s.t.Fatal(err)
	}
	for _, k := range set.Keys {
		kids = append(kids, k.KID)
	}
	return kids
}

// robotToken is a token of client credentials from node i, with what its header says.
func (s *site) robotToken(i int) (token, algorithm, kid string) {
	s.t.Helper()
	said := s.tokens(i, url.Values{"grant_type": {"client_credentials"}, "client_id": {s.robot.ID}, "client_secret": {s.robot.Secret}})
	token, _ = said["access_token"].(string)
	head, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var header struct{ Alg, KID string }
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		s.t.Fatalf("%v: %v", said, err)
	}
	return token, header.Alg, header.KID
}

func (s *site) policy(text string) {
	s.t.Helper()
	s.at(0, "PUT", "/organizations/"+s.org+"/signing-key-policy", nil, "%s", text)
}

// TestKeysTurn by themselves on three nodes: a key signs once every voter knows it, and
// what the one before it signed goes on.
func TestKeysTurn(t *testing.T) {
	c := nodetest.Start(t)
	s := newSite(t, c, "turning")
	s.policy(`{"announce_seconds":1}`)
	before, _, first := s.robotToken(1)
	s.at(2, "POST", "/organizations/"+s.org+"/signing-keys", nil, `{}`)
	until(t, "no other key signs", func() bool { _, _, kid := s.robotToken(0); return kid != first })
	_, _, second := s.robotToken(0)
	for i := range nodetest.Size {
		until(t, "a node does not publish both", func() bool {
			kids := s.published(i)
			return slices.Contains(kids, first) && slices.Contains(kids, second)
		})
		if !s.active(i, before) {
			t.Errorf("node-%d refuses what the retiring key signed", i+1)
		}
	}
	// A voter that is away has not applied the next one, so nobody may sign by it.
	away := 0
	for c.Status((away+1)%nodetest.Size, 0).Leader == c.Config(away).NodeID {
		away++
	}
	asked := (away + 1) % nodetest.Size
	c.Stop(away)
	s.at(asked, "POST", "/organizations/"+s.org+"/signing-keys", nil, `{}`)
	third := s.key(asked, "ES256", "announced")
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for range 30 { // three turns of the timer after its second has passed
		<-ticker.C
		if _, _, kid := s.robotToken(asked); kid != second {
			t.Fatalf("%s signs, which node-%d has not heard of", kid, away+1)
		}
	}
	c.Start(away)
	until(t, "the third does not sign", func() bool { _, _, kid := s.robotToken(away); return kid == third })
}

// TestRevokedKeyIsDeadEverywhere, with every token that it signed; sessions go on.
func TestRevokedKeyIsDeadEverywhere(t *testing.T) {
	c := nodetest.Start(t, developing)
	s := newSite(t, c, "stolen")
	old, _, kid := s.robotToken(0)
	fields, before := s.begin(0, "refresh_token")
	s.at(1, "DELETE", "/organizations/"+s.org+"/signing-keys/"+kid, nil, "")
	index := c.Status(1, 0).Index
	for i := range nodetest.Size {
		c.Status(i, index)
		if slices.Contains(s.published(i), kid) || s.active(i, old) || s.active(i, before) {
			t.Errorf("node-%d goes on with a revoked key", i+1)
		}
	}
	said := s.tokens(2, fields)
	fresh, _ := said["access_token"].(string)
	for i := range nodetest.Size {
		c.Status(i, c.Status(2, 0).Index)
		if !s.active(i, fresh) {
			t.Errorf("node-%d refuses the token of the key in its place: %v", i+1, said)
		}
	}
	if answer := c.Call(0, "DELETE", "/api/v1/organizations/"+s.org+"/signing-keys/"+kid, ""); answer.Status != http.StatusNotFound {
		t.Errorf("revoked twice: %d", answer.Status)
	}
}

// TestAlgorithms: each client gets tokens of the algorithm that it asks for, all nodes
// verify all of them, and the keys are there without a quorum.
func TestAlgorithms(t *testing.T) {
	c := nodetest.Start(t)
	s := newSite(t, c, "many")
	s.policy(`{"algorithms":["EdDSA","ES256","RS256"],"announce_seconds":1}`)
	client := "/organizations/" + s.org + "/clients/" + s.robot.ID
	for _, algorithm := range []string{"EdDSA", "ES256", "RS256"} {
		until(t, algorithm+" does not sign", func() bool { return s.key(0, algorithm, "active") != "" })
		s.at(0, "PATCH", client, nil, `{"signing_algorithm":%q}`, algorithm)
		token, got, _ := s.robotToken(1)
		if got != algorithm || len(token) > 4096 {
			t.Errorf("asked for %s, got %s in %d bytes", algorithm, got, len(token))
		}
		for i := range nodetest.Size {
			c.Status(i, c.Status(1, 0).Index)
			if !s.active(i, token) {
				t.Errorf("node-%d refuses %s", i+1, algorithm)
			}
		}
	}
	s.at(0, "PATCH", client, nil, `{"signing_algorithm":""}`)
	if _, got, _ := s.robotToken(1); got != "EdDSA" {
		t.Errorf("the first of the policy is EdDSA, and %s signs", got)
	}
	var found struct {
		Offered []string `json:"id_token_signing_alg_values_supported"`
	}
	c.Do(2, "GET", "/o/"+s.slug+"/.well-known/openid-configuration", "", &found)
	if fmt.Sprint(found.Offered) != "[EdDSA ES256 RS256]" {
		t.Errorf("discovery offers %v", found.Offered)
	}
	all := s.published(2)
	c.Stop(0)
	c.Stop(1)
	if left := s.published(2); !slices.Equal(left, all) {
		t.Errorf("without a quorum the keys are %v, were %v", left, all)
	}
}

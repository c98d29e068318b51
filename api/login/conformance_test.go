package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"os"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/sdk/conformance"
)

// TestConformance: the node's own verifier says of every token of the SDKs'
// vectors what the SDKs say, but where a case names the reason why not.
func TestConformance(t *testing.T) {
	text, err := os.ReadFile("../../sdk/conformance/tokens.json")
	must(t, err)
	var file conformance.Tokens
	must(t, json.Unmarshal(text, &file))
	w := newWorld(t)
	w.conform(file)
	for _, c := range file.Cases {
		want := c.Expect
		if c.Node != "" {
			want = c.Node
		}
		w.clock = time.Unix(int64(file.Now), 0)
		if c.Now != 0 {
			w.clock = time.Unix(int64(c.Now), 0)
		}
		got := "ok"
		if _, err := w.tokens.Verify(w.gate.Root(), c.Token); err != nil {
			got = "invalid_token"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", c.Name, got, want)
		}
	}
}

// conform makes the organization, its key, the user and the session that the
// vectors speak of.
func (w *world) conform(file conformance.Tokens) {
	w.t.Helper()
	w.clock = time.Unix(int64(file.Now), 0)
	org, err := directory.ParseOrgID(file.Org)
	must(w.t, err)
	user, err := directory.ParseUserID(conformance.User)
	must(w.t, err)
	session, err := directory.ParseSessionID(conformance.Session)
	must(w.t, err)
	w.orgs[0] = org
	first := file.KeySet["keys"].([]any)[0].(object)
	key := directory.SigningKey{ID: first["kid"].(string), Public: public(w.t, first), Sealed: []byte{1}, State: directory.KeyActive}
	system, err := w.gate.AdmitSystem(w.t.Context(), w.operator, "organizations.create", access.Freshness{})
	must(w.t, err)
	_, err = system.Propose(w.t.Context(), &fsm.CreateOrganization{
		Organization: directory.Organization{ID: org, Slug: "vectors", Name: "Vectors"}, Key: key,
	}, access.IdempotencyKey{}, "organizations.create")
	must(w.t, err)
	w.change(0, "users.create", &fsm.CreateUser{User: directory.User{ID: user, UserName: "carol@example.org", Active: true}})
	w.change(0, "sessions.start", &fsm.StartSession{ID: session, User: user, Methods: []string{"pwd"}})
}

func public(t testing.TB, jwk object) []byte {
	t.Helper()
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		b, err := base64.RawURLEncoding.DecodeString(jwk[name].(string))
		must(t, err)
		point = append(point, b...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	must(t, err)
	der, err := x509.MarshalPKIXPublicKey(key)
	must(t, err)
	return der
}

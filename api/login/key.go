package login

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// NewSigningKey makes an ES256 key for an organization. The private half
// leaves this function only sealed; the key's name is its RFC 7638 thumbprint.
func NewSigningKey(ring *keyring.Keyring, org directory.OrgID) (directory.SigningKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	published, err := publicJWK(&private.PublicKey)
	if err != nil {
		return directory.SigningKey{}, err
	}
	kid, _ := published.KeyID()
	sealed, err := ring.Seal(keyPurpose(org, kid), secret)
	if err != nil {
		return directory.SigningKey{}, err
	}
	return directory.SigningKey{ID: kid, Public: public, Sealed: sealed, State: directory.KeyActive}, nil
}

func keyPurpose(org directory.OrgID, kid string) string {
	return "signing-key " + org.String() + " " + kid
}

// publicJWK is the key as it is published and as verification uses it.
func publicJWK(public crypto.PublicKey) (jwk.Key, error) {
	key, err := jwk.Import(public)
	if err != nil {
		return nil, fmt.Errorf("publish signing key: %w", err)
	}
	thumbprint, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("publish signing key: %w", err)
	}
	fields := map[string]any{
		jwk.KeyIDKey:     base64.RawURLEncoding.EncodeToString(thumbprint),
		jwk.AlgorithmKey: jwa.ES256(),
		jwk.KeyUsageKey:  "sig",
	}
	for name, value := range fields {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("publish signing key: %w", err)
		}
	}
	return key, nil
}

// KeySet is the JWKS of an organization: every key that may still verify.
func KeySet(org *state.Org) (jwk.Set, error) {
	var keys []*directory.SigningKey
	org.EachKey(func(k *directory.SigningKey) bool { keys = append(keys, k); return true })
	return keySet(keys)
}

func keySet(keys []*directory.SigningKey) (jwk.Set, error) {
	set := jwk.NewSet()
	for _, k := range keys {
		key, err := verifying(k)
		if err != nil {
			return nil, err
		}
		if err := set.AddKey(key); err != nil {
			return nil, fmt.Errorf("publish signing key: %w", err)
		}
	}
	return set, nil
}

// decoyKey is what an organization that is not there publishes: a key that looks
// like any other, stays the same on every node, and signs nothing.
func decoyKey(ring *keyring.Keyring, slug string) (*directory.SigningKey, error) {
	for attempt := 0; ; attempt++ {
		scalar := ring.Derive(fmt.Sprintf("decoy signing key %d of %s", attempt, slug))
		private, err := ecdh.P256().NewPrivateKey(scalar[:])
		if err != nil {
			continue // not below the order of the curve, as one in 2^32 is
		}
		public, err := x509.MarshalPKIXPublicKey(private.PublicKey())
		if err != nil {
			return nil, fmt.Errorf("publish signing key: %w", err)
		}
		return &directory.SigningKey{Public: public}, nil
	}
}

func verifying(k *directory.SigningKey) (jwk.Key, error) {
	public, err := x509.ParsePKIXPublicKey(k.Public)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	return publicJWK(public)
}

// signing opens the newest active key of an organization.
func signing(ring *keyring.Keyring, org *state.Org) (jwk.Key, error) {
	var newest *directory.SigningKey
	org.EachKey(func(k *directory.SigningKey) bool {
		if k.State == directory.KeyActive && (newest == nil || k.Created > newest.Created) {
			newest = k
		}
		return true
	})
	if newest == nil {
		return nil, fmt.Errorf("%s has no active signing key", org.ID())
	}
	secret, err := ring.Open(keyPurpose(org.ID(), newest.ID), newest.Sealed)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", newest.ID, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", newest.ID, err)
	}
	key, err := jwk.Import(private)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", newest.ID, err)
	}
	return key, key.Set(jwk.KeyIDKey, newest.ID)
}

package login

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// rsaBits is what RS256 demands at least (RFC 7518, section 3.3): more makes signing
// three times as dear.
const rsaBits = 2048

// NewSigningKey makes an ES256 key for a new organization, which signs at once.
func NewSigningKey(ring *keyring.Keyring, org directory.OrgID) (directory.SigningKey, error) {
	key, err := newKey(ring, org, directory.ES256)
	key.State = directory.KeyActive
	return key, err
}

// newKey makes a key of an organization. The private half leaves this function only
// sealed; the key's name is its RFC 7638 thumbprint.
func newKey(ring *keyring.Keyring, org directory.OrgID, by directory.KeyAlgorithm) (directory.SigningKey, error) {
	private, err := generate(by)
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	public, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		return directory.SigningKey{}, fmt.Errorf("generate signing key: %w", err)
	}
	published, err := publicJWK(private.Public(), by)
	if err != nil {
		return directory.SigningKey{}, err
	}
	kid, _ := published.KeyID()
	sealed, err := ring.Seal(keyPurpose(org, kid), secret)
	if err != nil {
		return directory.SigningKey{}, err
	}
	key := directory.SigningKey{ID: kid, Public: public, Sealed: sealed, Algorithm: by}
	if by == directory.ES256 {
		key.Algorithm = "" // as it is kept
	}
	return key, nil
}

func generate(by directory.KeyAlgorithm) (crypto.Signer, error) {
	switch by {
	case directory.ES256:
		return ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case directory.EdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case directory.RS256:
		return rsa.GenerateKey(rand.Reader, rsaBits)
	}
	return nil, fmt.Errorf("there are no keys of the algorithm %q", by)
}

// jwaOf is the algorithm as the library names it. The zero value verifies nothing.
func jwaOf(by directory.KeyAlgorithm) (none jwa.SignatureAlgorithm) {
	switch by {
	case directory.ES256:
		return jwa.ES256()
	case directory.EdDSA:
		return jwa.EdDSA()
	case directory.RS256:
		return jwa.RS256()
	}
	return none
}

func keyPurpose(org directory.OrgID, kid string) string {
	return "signing-key " + org.String() + " " + kid
}

// publicJWK is the key as it is published and as verification uses it.
func publicJWK(public crypto.PublicKey, by directory.KeyAlgorithm) (jwk.Key, error) {
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
		jwk.AlgorithmKey: jwaOf(by),
		jwk.KeyUsageKey:  "sig",
	}
	for name, value := range fields {
		if err := key.Set(name, value); err != nil {
			return nil, fmt.Errorf("publish signing key: %w", err)
		}
	}
	return key, nil
}

// KeySet is the JWKS of an organization: every key that may still verify, and those
// that will.
func KeySet(org *state.Org) (jwk.Set, error) { return keySet(keysOf(org)) }

func keysOf(org *state.Org) (keys []*directory.SigningKey) {
	org.EachKey(func(k *directory.SigningKey) bool { keys = append(keys, k); return true })
	return keys
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

// decoyKeys are what an organization that is not there publishes: keys that look and
// come and go like those of any other, are the same on every node, and sign nothing.
func decoyKeys(ring *keyring.Keyring, slug string, now time.Time) ([]*directory.SigningKey, error) {
	life, announce, retire := new(directory.KeyPolicy).Times()
	phase := ring.Derive("decoy phase of " + slug)
	at := now.Unix() + (int64(phase[0])<<16 | int64(phase[1])<<8)
	turn, into := at/int64(life.Seconds()), time.Duration(at%int64(life.Seconds()))*time.Second
	turns := []int64{turn}
	if into < retire {
		turns = append(turns, turn-1)
	}
	if life-into < announce {
		turns = append(turns, turn+1)
	}
	var keys []*directory.SigningKey
	for _, turn := range turns {
		key, err := decoyKey(ring, slug, turn)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	return keys, nil
}

func decoyKey(ring *keyring.Keyring, slug string, turn int64) (*directory.SigningKey, error) {
	for attempt := 0; ; attempt++ {
		scalar := ring.Derive(fmt.Sprintf("decoy signing key %d %d of %s", turn, attempt, slug))
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
	return publicJWK(public, k.Signs())
}

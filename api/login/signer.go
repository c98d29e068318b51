package login

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// signer is an open key.
type signer struct {
	kid     string
	by      directory.KeyAlgorithm
	private crypto.PrivateKey
	access  string // the header of an access token, encoded
}

// openSigner opens the private half of a key.
func openSigner(ring *keyring.Keyring, org directory.OrgID, k *directory.SigningKey) (*signer, error) {
	secret, err := ring.Open(keyPurpose(org, k.ID), k.Sealed)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	private, err := x509.ParsePKCS8PrivateKey(secret)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", k.ID, err)
	}
	s := &signer{kid: k.ID, by: k.Signs(), private: private}
	s.access = s.header(typeAccess)
	return s, nil
}

// header is that of a token of a type, encoded.
func (s *signer) header(typ string) string {
	if typ == typeAccess && s.access != "" {
		return s.access
	}
	header, err := json.Marshal(map[string]string{"alg": string(s.by), "kid": s.kid, "typ": typ})
	if err != nil {
		panic("login: text cannot be written as JSON: " + err.Error())
	}
	return base64.RawURLEncoding.EncodeToString(header)
}

// tokenBytes is the length of a token of a type.
func (s *signer) tokenBytes(typ string, payload int) int {
	encoded := base64.RawURLEncoding.EncodedLen
	return len(s.header(typ)) + 1 + encoded(payload) + 1 + encoded(s.signatureBytes())
}

// signatureBytes is the length of what the key signs with.
func (s *signer) signatureBytes() int {
	if s.by == directory.RS256 {
		return rsaBits / 8
	}
	return 2 * wordBytes
}

// wordBytes is the length of a number of P-256, and of half a signature by Ed25519.
const wordBytes = 32

// compact writes a signed token of a type: what one type is good for another is not
// (RFC 7515, section 7.1).
func (s *signer) compact(typ string, payload []byte) (string, error) {
	token := make([]byte, 0, s.tokenBytes(typ, len(payload)))
	token = append(append(token, s.header(typ)...), '.')
	token = base64.RawURLEncoding.AppendEncode(token, payload)
	signature, err := s.signature(token)
	if err != nil {
		return "", err
	}
	return string(base64.RawURLEncoding.AppendEncode(append(token, '.'), signature)), nil
}

// signature is that of RFC 7518, sections 3.3 and 3.4, and of RFC 8037, section 3.1.
func (s *signer) signature(input []byte) ([]byte, error) {
	switch key := s.private.(type) {
	case *ecdsa.PrivateKey:
		sum := sha256.Sum256(input)
		r, ss, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 2*wordBytes)
		r.FillBytes(out[:wordBytes])
		ss.FillBytes(out[wordBytes:])
		return out, nil
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *rsa.PrivateKey:
		sum := sha256.Sum256(input)
		return rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	return nil, fmt.Errorf("signing key %s cannot sign", s.kid)
}

// sign signs a token of a type.
func sign(token jwt.Token, s *signer, typ string) (string, error) {
	payload, err := json.Marshal(token)
	if err != nil {
		return "", err
	}
	return s.compact(typ, payload)
}

// signersMax are the open keys of a node. One that is not among them is opened, which
// takes as long as a signature.
const signersMax = 1_000

// signers are the keys that a node has open: of each organization and algorithm the one
// that it has signed with last. Which one signs the state says each time.
type signers struct {
	mu   sync.Mutex
	open map[signerPlace]*signer // guarded by mu
}

type signerPlace struct {
	org directory.OrgID
	by  directory.KeyAlgorithm
}

// of opens the newest active key of an organization: of the algorithm that is asked for,
// or else of the first that the organization has a key of.
func (s *signers) of(ring *keyring.Keyring, org *state.Org, by directory.KeyAlgorithm) (*signer, error) {
	k := active(org, by)
	if k == nil {
		return nil, fmt.Errorf("%s has no active signing key", org.ID())
	}
	place := signerPlace{org.ID(), k.Signs()}
	s.mu.Lock()
	known, ok := s.open[place]
	s.mu.Unlock()
	if ok && known.kid == k.ID { // the name is made of the key
		return known, nil
	}
	opened, err := openSigner(ring, org.ID(), k)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[signerPlace]*signer{}
	}
	for other := range s.open {
		if len(s.open) < signersMax {
			break
		}
		delete(s.open, other)
	}
	s.open[place] = opened
	return opened, nil
}

func active(org *state.Org, by directory.KeyAlgorithm) *directory.SigningKey {
	if k := newestActive(org, by); k != nil {
		return k
	}
	for _, by := range slices.Concat(org.Record().Keys.Signs(), directory.KeyAlgorithms()) {
		if k := newestActive(org, by); k != nil {
			return k
		}
	}
	return nil
}

func newestActive(org *state.Org, by directory.KeyAlgorithm) (newest *directory.SigningKey) {
	if by == "" {
		return nil
	}
	org.EachKey(func(k *directory.SigningKey) bool {
		if k.State == directory.KeyActive && k.Signs() == by && (newest == nil || k.Since() > newest.Since()) {
			newest = k
		}
		return true
	})
	return newest
}

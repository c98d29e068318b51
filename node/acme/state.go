package acme

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"time"

	"github.com/authfi/authfi/durable"
)

// FileName is where a data directory has the state.
const FileName = "acme.json"

// Purposes bind sealed keys to their place.
const (
	accountPurpose     = "key of the account at the ACME server"
	certificatePurpose = "key of the certificate by ACME"
)

// Sealer is the keyring of the cluster: what one node seals, each opens.
type Sealer interface {
	Seal(purpose string, plain []byte) ([]byte, error)
	Open(purpose string, sealed []byte) ([]byte, error)
}

// state is what is on the disk: all that must outlive a restart. Keys are sealed.
type state struct {
	Of      Settings `json:"of"` // what it was made for
	Account []byte   `json:"account,omitempty"`
	pair
	attempts
}

// pair is a certificate with those that vouch for it, as PEM, and its sealed key.
type pair struct {
	Chain string `json:"chain,omitempty"`
	Key   []byte `json:"key,omitempty"`
}

// attempts are what was tried since the last success.
type attempts struct {
	Failures  int       `json:"failures,omitempty"`
	LastError string    `json:"last_error,omitempty"`
	Last      time.Time `json:"last,omitzero"`
	Next      time.Time `json:"next,omitzero"` // not before
}

// load reads the state; of a file that is not there it is empty.
func load(file string) (s state, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &s)
	}
	if err != nil {
		return state{}, fmt.Errorf("state of the certificate by ACME: %w", err)
	}
	return s, nil
}

func (s state) save(file string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(file, durable.OwnerOnly, durable.Content(append(text, '\n')))
}

// fit is the state for settings that may be others than it was made for. Account and
// certificate are one authority's; a certificate for other names is kept, since it is
// shown for those that it has until the next one comes.
func (s state) fit(now Settings, retryFirst time.Duration) state {
	if s.Of.Directory != now.Directory {
		return state{Of: now}
	}
	if !reflect.DeepEqual(s.Of, now) {
		s.attempts = attempts{} // what failed may be mended
	}
	// Whoever starts the node anew may have mended what is elsewhere, but a node that is
	// started in a loop is no reason to ask in a loop.
	if soon := s.Last.Add(retryFirst); s.Next.After(soon) {
		s.Next = soon
	}
	s.Of = now
	return s
}

// account is the key of the account; a new one is sealed into the state.
func (s *state) account(ring Sealer) (crypto.Signer, error) {
	if s.Account != nil {
		return openKey(ring, accountPurpose, s.Account)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	s.Account, err = sealKey(ring, accountPurpose, key)
	return key, err
}

func sealKey(ring Sealer, purpose string, key *ecdsa.PrivateKey) ([]byte, error) {
	plain, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return ring.Seal(purpose, plain)
}

func openKey(ring Sealer, purpose string, sealed []byte) (crypto.Signer, error) {
	plain, err := ring.Open(purpose, sealed)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", purpose, err)
	}
	key, err := x509.ParsePKCS8PrivateKey(plain)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", purpose, err)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, fmt.Errorf("%s: it is a %T", purpose, key)
	}
	return signer, nil
}

// sealPair makes what is stored and given to peers.
func sealPair(ring Sealer, chain [][]byte, key *ecdsa.PrivateKey) (p pair, err error) {
	var text bytes.Buffer
	for _, der := range chain {
		if err := pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: der}); err != nil {
			return pair{}, err
		}
	}
	p.Chain = text.String()
	p.Key, err = sealKey(ring, certificatePurpose, key)
	return p, err
}

// leaf is the certificate of a pair, which needs no keyring; nil: there is none.
func (p pair) leaf() (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(p.Chain))
	if block == nil {
		return nil, nil
	}
	return x509.ParseCertificate(block.Bytes)
}

// open makes a pair ready to be shown; nil: there is none.
func (p pair) open(ring Sealer) (*tls.Certificate, error) {
	leaf, err := p.leaf()
	if leaf == nil || err != nil {
		return nil, err
	}
	key, err := openKey(ring, certificatePurpose, p.Key)
	if err != nil {
		return nil, err
	}
	if public, ok := key.Public().(*ecdsa.PublicKey); !ok || !public.Equal(leaf.PublicKey) {
		return nil, errors.New("certificate by ACME: its key is another one's")
	}
	cert := &tls.Certificate{PrivateKey: key, Leaf: leaf}
	for block, rest := pem.Decode([]byte(p.Chain)); block != nil; block, rest = pem.Decode(rest) {
		cert.Certificate = append(cert.Certificate, block.Bytes)
	}
	return cert, nil
}

// serves says why a certificate is not one for all of the names now; nil: it is.
func serves(leaf *x509.Certificate, domains []string, now time.Time) error {
	if !now.Before(leaf.NotAfter) {
		return fmt.Errorf("the certificate ended at %s", leaf.NotAfter.Format(time.RFC3339))
	}
	for _, domain := range domains {
		if err := leaf.VerifyHostname(domain); err != nil {
			return err
		}
	}
	return nil
}

// renewAt is when a certificate is to be renewed: at two thirds of its life and up to a
// thirtieth later, so that what began together does not come together for ever. It is
// the same on every node that has the certificate, and after a restart.
func renewAt(leaf *x509.Certificate) time.Time {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	sum := sha256.Sum256(leaf.Raw)
	part := time.Duration(binary.BigEndian.Uint16(sum[:]))
	return leaf.NotBefore.Add(life / 3 * 2).Add(life / 30 / (1 << 16) * part)
}

// sameNames compares names whatever their order.
func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

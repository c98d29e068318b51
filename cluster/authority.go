package cluster

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// authorities are the CAs that a node goes by: one signs, and while a rotation is on its
// way another one is trusted as well. They are replaced as a whole.
type authorities struct {
	ca  *x509.Certificate // of the one that signs
	key *ecdsa.PrivateKey
	// other is trusted too: the next one before it signs, the one before once it does.
	other *x509.Certificate
	// cross is the key of the one that signs, signed by the one before: by it those who do
	// not know the new one yet trust what it signs. Nil unless other is the one before.
	cross *x509.Certificate
	pool  *x509.CertPool // of all that are trusted
}

func newAuthorities(ca *x509.Certificate, key *ecdsa.PrivateKey, other, cross *x509.Certificate) *authorities {
	a := &authorities{ca: ca, key: key, other: other, cross: cross, pool: x509.NewCertPool()}
	for _, trusted := range a.trusted() {
		a.pool.AddCert(trusted)
	}
	return a
}

func (a *authorities) trusted() []*x509.Certificate {
	if a.other == nil {
		return []*x509.Certificate{a.ca}
	}
	return []*x509.Certificate{a.ca, a.other}
}

// above are the certificates that go along with a leaf. Whoever trusts one of the CAs
// finds a way to it, and so does a joining node, which pins the key of one before it
// knows any.
func (a *authorities) above(leaf *x509.Certificate) [][]byte {
	switch {
	case !a.signed(leaf):
		return [][]byte{a.other.Raw}
	case a.cross != nil:
		return [][]byte{a.cross.Raw, a.other.Raw}
	}
	return [][]byte{a.ca.Raw}
}

// signed is true of a leaf that is of the CA that signs, and not of the one before.
func (a *authorities) signed(leaf *x509.Certificate) bool {
	return a.other == nil || leaf.CheckSignatureFrom(a.ca) == nil
}

func (a *authorities) pem() (out []byte) {
	for _, trusted := range a.trusted() {
		out = append(out, pemBlock("CERTIFICATE", trusted.Raw)...)
	}
	return out
}

// authorityIDBytes are enough to tell the few CAs of a cluster apart.
const authorityIDBytes = 8

// authorityID names a CA by its key.
func authorityID(ca *x509.Certificate) string {
	sum := sha256.Sum256(ca.RawSubjectPublicKeyInfo)
	return hex.EncodeToString(sum[:authorityIDBytes])
}

// newAuthority makes a key and its certificate by itself. The name tells it from others,
// for tools that go by names.
func newAuthority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, nil, err
	}
	t := template("authfi cluster CA "+authorityID(&x509.Certificate{RawSubjectPublicKeyInfo: public}), caLifetime)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	ca, err := certify(t, t, key.Public(), key)
	return ca, key, err
}

func certify(t, parent *x509.Certificate, public any, key *ecdsa.PrivateKey) (*x509.Certificate, error) {
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, fmt.Errorf("making the cluster CA: %w", err)
	}
	return x509.ParseCertificate(der)
}

// NextAuthority is a CA that is to take the place of the one that signs.
type NextAuthority struct {
	ID, Replaces          string
	Previous, Next, Cross []byte // certificates, DER: the CA that signs now, the next, and the next one's key signed by the first
	Key                   []byte // of the next one, PKCS #8, DER
}

// NextAuthority makes one. No node knows it until it is told.
func (id *Identity) NextAuthority() (NextAuthority, error) {
	now := id.authorities.Load()
	next, key, err := newAuthority()
	if err != nil {
		return NextAuthority{}, err
	}
	t := template(next.Subject.CommonName, time.Until(now.ca.NotAfter))
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	t.SubjectKeyId = next.SubjectKeyId
	cross, err := certify(t, now.ca, key.Public(), now.key)
	if err != nil {
		return NextAuthority{}, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return NextAuthority{ID: authorityID(next), Replaces: authorityID(now.ca), Previous: now.ca.Raw, Next: next.Raw, Cross: cross.Raw, Key: der}, err
}

// ErrForeign means that a rotation is none of this cluster: the CA that signs here is
// neither the one before nor the next. It came with a backup of another cluster.
var ErrForeign = errors.New("the rotation is of another cluster's CA")

// Trust lets this node trust the next CA besides its own. A node whose CA the next one
// is already stays as it is.
func (id *Identity) Trust(r NextAuthority) (changed bool, err error) {
	return id.follow(r, func(now *authorities, next *x509.Certificate) (*authorities, error) {
		if now.ca.Equal(next) || now.other != nil && now.other.Equal(next) {
			return now, nil
		}
		return newAuthorities(now.ca, now.key, next, nil), nil
	})
}

// SignBy lets the next CA sign from now on, and renews the certificate of this node by
// it. The one before is trusted until Distrust.
func (id *Identity) SignBy(r NextAuthority) (changed bool, err error) {
	return id.follow(r, func(now *authorities, next *x509.Certificate) (*authorities, error) {
		if now.ca.Equal(next) {
			return now, nil
		}
		cross, err := x509.ParseCertificate(r.Cross)
		if err != nil {
			return nil, err
		}
		key, err := parseAuthorityKey(r.Key, next)
		if err != nil {
			return nil, err
		}
		return newAuthorities(next, key, now.ca, cross), nil
	})
}

// Distrust ends the trust in the CA before. It is refused as long as the next one does
// not sign here.
func (id *Identity) Distrust(r NextAuthority) (changed bool, err error) {
	return id.follow(r, func(now *authorities, next *x509.Certificate) (*authorities, error) {
		switch {
		case !now.ca.Equal(next):
			return nil, errors.New("cluster: the next CA does not sign here yet")
		case now.other == nil || !bytes.Equal(now.other.Raw, r.Previous):
			return now, nil
		}
		return newAuthorities(now.ca, now.key, nil, nil), nil
	})
}

// follow replaces the authorities, on disk first, and then the certificate of the node
// and what goes along with it. A crash between the two leaves a certificate of the CA
// before, which is trusted still and renewed at the start.
func (id *Identity) follow(r NextAuthority, change func(*authorities, *x509.Certificate) (*authorities, error)) (changed bool, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	now := id.authorities.Load()
	next, err := x509.ParseCertificate(r.Next)
	if err != nil {
		return false, fmt.Errorf("the next CA: %w", err)
	}
	if !bytes.Equal(now.ca.Raw, r.Previous) && !now.ca.Equal(next) {
		return false, ErrForeign
	}
	to, err := change(now, next)
	if err != nil {
		return false, err
	}
	if to != now {
		if err := saveAuthorities(id.dir, to); err != nil {
			return false, fmt.Errorf("storing the CAs: %w", err)
		}
		id.authorities.Store(to)
		id.rechain(to)
	}
	renewed, err := id.renew(time.Now())
	return to != now || renewed, err
}

// rechain shows the certificate with what belongs above it now.
func (id *Identity) rechain(a *authorities) {
	cert := *id.cert.Load()
	cert.Certificate = append([][]byte{cert.Leaf.Raw}, a.above(cert.Leaf)...)
	id.cert.Store(&cert)
}

// Standing is where a node is with the CAs, by their names.
type Standing struct {
	Signs string `json:"signs"`           // what this node issues is signed by it
	Other string `json:"other,omitempty"` // is trusted too
	Shows string `json:"shows"`           // has signed the certificate that this node shows to its peers
}

// Trusts is true of a CA whose certificates the node accepts.
func (s Standing) Trusts(ca string) bool { return ca != "" && (s.Signs == ca || s.Other == ca) }

// Standing tells where this node is.
func (id *Identity) Standing() Standing {
	now := id.authorities.Load()
	s := Standing{Signs: authorityID(now.ca)}
	s.Shows = s.Signs
	if now.other != nil {
		s.Other = authorityID(now.other)
		if !now.signed(id.cert.Load().Leaf) {
			s.Shows = s.Other
		}
	}
	return s
}

// DropDistrusted ends the connections of peers with certificates of a CA that is trusted
// no more, without losing a call, and says how many those are.
func (c *Cluster) DropDistrusted() int { return c.peers.dropDistrusted() }

// AuthorityDue is true when the CA that signs has a third of its life left.
func (id *Identity) AuthorityDue(now time.Time) bool { return due(id.authorities.Load().ca, now) }

func parseAuthorityKey(der []byte, ca *x509.Certificate) (*ecdsa.PrivateKey, error) {
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(ca.PublicKey) {
		return nil, errors.New("the CA's key does not fit its certificate")
	}
	return key, nil
}

// Files of the CAs, below the directory of the keys. A node that has never seen a
// rotation has a pair of files; since the first one all is in one file, which is replaced
// as a whole.
const (
	authoritiesFile = "authorities.pem"
	caFile          = "ca.pem"
	caKeyFile       = "ca.key"
)

// saveNew writes the pair where that is all: until the first rotation a build from before
// there were any must be able to take the node over. What an earlier attempt to join left
// in the directory goes.
func saveNew(dir string, a *authorities) error {
	if a.other != nil {
		return saveAuthorities(dir, a)
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, authoritiesFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return errors.Join(
		writeFile(filepath.Join(dir, caFile), a.pem()),
		writeFile(filepath.Join(dir, caKeyFile), pemBlock("PRIVATE KEY", key)))
}

// saveAuthorities writes certificate and key of the CA that signs, then the other one and
// the cross certificate where there are such.
func saveAuthorities(dir string, a *authorities) error {
	if dir == "" {
		return nil // of a node that is not stored
	}
	key, err := x509.MarshalPKCS8PrivateKey(a.key)
	if err != nil {
		return err
	}
	out := append(pemBlock("CERTIFICATE", a.ca.Raw), pemBlock("PRIVATE KEY", key)...)
	for _, more := range []*x509.Certificate{a.other, a.cross} {
		if more != nil {
			out = append(out, pemBlock("CERTIFICATE", more.Raw)...)
		}
	}
	if err := writeFile(filepath.Join(dir, authoritiesFile), out); err != nil {
		return err
	}
	// The pair is of no use any more, and an old key must not lie about.
	for _, name := range []string{caKeyFile, caFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func readAuthorities(dir string) (*authorities, error) {
	content, err := os.ReadFile(filepath.Join(dir, authoritiesFile))
	if errors.Is(err, fs.ErrNotExist) {
		return readPair(dir)
	}
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	var key []byte
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "PRIVATE KEY" {
			key = block.Bytes
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	if len(certs) == 0 || len(certs) > 3 {
		return nil, fmt.Errorf("%s has %d certificates", authoritiesFile, len(certs))
	}
	certs = append(certs, nil, nil)
	parsed, err := parseAuthorityKey(key, certs[0])
	if err != nil {
		return nil, err
	}
	return newAuthorities(certs[0], parsed, certs[1], certs[2]), nil
}

func readPair(dir string) (*authorities, error) {
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, caFile), filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("the CA key is not ECDSA")
	}
	return newAuthorities(pair.Leaf, key, nil, nil), nil
}

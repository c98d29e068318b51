package cluster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/durable"
)

const (
	caLifetime = 20 * 365 * 24 * time.Hour
	// leafLifetime bounds for how long a stolen key serves. A certificate is renewed
	// while the node runs and whenever it starts, so nothing depends on it.
	leafLifetime = 30 * 24 * time.Hour
	// clockSkewMax is how far behind a peer's clock may be.
	clockSkewMax = time.Hour
)

// Identity is a node's certificate, which is renewed, and the cluster's CAs: the one that
// signs, and while it is being replaced the other one that is trusted.
type Identity struct {
	NodeID      string
	cert        atomic.Pointer[tls.Certificate]
	authorities atomic.Pointer[authorities]
	dir         string     // of the files; empty until they are saved or if they were not
	mu          sync.Mutex // whoever replaces certificate or authorities
}

func identity(nodeID string, a *authorities) *Identity {
	id := &Identity{NodeID: nodeID}
	id.authorities.Store(a)
	return id
}

// InitIdentity makes a cluster CA and this node's certificate under dir/pki.
func InitIdentity(dir, nodeID string, hosts []string) (*Identity, error) {
	ca, key, err := newAuthority()
	if err != nil {
		return nil, err
	}
	return identity(nodeID, newAuthorities(ca, key, nil, nil)).issueTo(dir, nodeID, hosts)
}

// issueTo signs a certificate for another node and stores it under dir/pki.
func (id *Identity) issueTo(dir, nodeID string, hosts []string) (*Identity, error) {
	cert, err := id.issue(nodeID, append([]string{nodeID}, hosts...),
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	node := identity(nodeID, id.authorities.Load())
	node.cert.Store(cert)
	return node, node.save(filepath.Join(dir, "pki"))
}

// CA are the certificates of the CAs that are trusted as PEM, the one that signs first.
func (id *Identity) CA() []byte { return id.authorities.Load().pem() }

// CASPKI is the DER-encoded public key of the CA that signs, which join tokens pin.
func (id *Identity) CASPKI() []byte { return id.authorities.Load().ca.RawSubjectPublicKeyInfo }

func (id *Identity) issue(name string, hosts []string, usage ...x509.ExtKeyUsage) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	now := id.authorities.Load()
	der, err := now.sign(name, hosts, key.Public(), usage...)
	if err != nil {
		return nil, err
	}
	return now.chain(der, key)
}

// chain is a certificate that one of these CAs has signed, with what goes along.
func (a *authorities) chain(der []byte, key *ecdsa.PrivateKey) (*tls.Certificate, error) {
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: append([][]byte{der}, a.above(leaf)...), PrivateKey: key, Leaf: leaf}, nil
}

// sign makes a certificate for a public key whose private half may be elsewhere.
func (a *authorities) sign(name string, hosts []string, public any, usage ...x509.ExtKeyUsage) ([]byte, error) {
	t := template(name, leafLifetime)
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = usage
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.ca, public, a.key)
	if err != nil {
		return nil, fmt.Errorf("signing the certificate of %s: %w", name, err)
	}
	return der, nil
}

func template(name string, lifetime time.Duration) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	now := time.Now()
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-clockSkewMax), NotAfter: now.Add(lifetime)}
}

func pemBlock(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func (id *Identity) save(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	id.dir = dir
	return errors.Join(saveNew(dir, id.authorities.Load()), id.saveNode(id.cert.Load()))
}

// saveNode stores a certificate and its key in one file: a pair of files could be
// left by a crash as two that do not fit together.
func (id *Identity) saveNode(cert *tls.Certificate) error {
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(id.dir, "node.pem"), append(pemBlock("CERTIFICATE", cert.Certificate[0]), pemBlock("PRIVATE KEY", key)...))
}

// writeFile replaces a file as a whole.
func writeFile(name string, content []byte) error {
	return durable.Replace(name, durable.OwnerOnly, durable.Content(content))
}

// LoadIdentity reads what InitIdentity wrote. A certificate that ended while the node
// was off, or soon will, is renewed.
func LoadIdentity(dir string) (*Identity, error) {
	id, err := ReadIdentity(dir)
	if err != nil {
		return nil, err
	}
	_, err = id.Renew(time.Now())
	return id, err
}

// ReadIdentity is LoadIdentity that changes nothing.
func ReadIdentity(dir string) (*Identity, error) {
	dir = filepath.Join(dir, "pki")
	now, err := readAuthorities(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the cluster CA: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.pem"))
	if err != nil { // of a node that was made when the key had a file of its own
		if cert, err = tls.LoadX509KeyPair(filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key")); err != nil {
			return nil, fmt.Errorf("reading the node certificate: %w", err)
		}
	}
	cert.Certificate = append(cert.Certificate, now.above(cert.Leaf)...)
	id := identity(cert.Leaf.Subject.CommonName, now)
	id.cert.Store(&cert)
	id.dir = dir
	return id, nil
}

// peerTLS requires both sides to hold a certificate of a CA that is trusted now. It is
// asked for anew for each connection.
func (id *Identity) peerTLS(protocols ...string) *tls.Config {
	pool := id.authorities.Load().pool
	return &tls.Config{MinVersion: tls.VersionTLS13,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return id.cert.Load(), nil },
		RootCAs:              pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: protocols}
}

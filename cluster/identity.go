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
	"time"
)

const (
	caLifetime   = 20 * 365 * 24 * time.Hour
	leafLifetime = 5 * 365 * 24 * time.Hour
	// clockSkewMax is how far behind a peer's clock may be.
	clockSkewMax = time.Hour
)

// Identity is a node's certificate and the cluster CA that signed it.
type Identity struct {
	NodeID string
	cert   tls.Certificate
	ca     *x509.Certificate
	caKey  *ecdsa.PrivateKey
}

// InitIdentity makes a cluster CA and this node's certificate under dir/pki.
func InitIdentity(dir, nodeID string, hosts []string) (*Identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := template("authfi cluster CA", caLifetime)
	t.IsCA, t.BasicConstraintsValid, t.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the cluster CA: %w", err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return (&Identity{ca: ca, caKey: key}).issueTo(dir, nodeID, hosts)
}

// issueTo signs a certificate for another node and stores it under dir/pki.
func (id *Identity) issueTo(dir, nodeID string, hosts []string) (*Identity, error) {
	cert, err := id.issue(nodeID, append([]string{nodeID}, hosts...),
		x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, err
	}
	node := &Identity{NodeID: nodeID, cert: cert, ca: id.ca, caKey: id.caKey}
	return node, node.save(filepath.Join(dir, "pki"))
}

// IssueServerCertificate signs a certificate for the API of this node. It does
// not serve to dial a peer.
func (id *Identity) IssueServerCertificate(hosts []string) (tls.Certificate, []byte, error) {
	cert, err := id.issue("authfi api", hosts, x509.ExtKeyUsageServerAuth)
	return cert, pemBlock("CERTIFICATE", id.ca.Raw), err
}

// CASPKI is the DER-encoded public key of the CA, which join tokens pin.
func (id *Identity) CASPKI() []byte { return id.ca.RawSubjectPublicKeyInfo }

func (id *Identity) issue(name string, hosts []string, usage ...x509.ExtKeyUsage) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := id.sign(name, hosts, key.Public(), usage...)
	if err != nil {
		return tls.Certificate{}, err
	}
	// The CA goes along: a joining node pins it before it knows it.
	return tls.Certificate{Certificate: [][]byte{der, id.ca.Raw}, PrivateKey: key}, nil
}

// sign makes a certificate for a public key whose private half may be elsewhere.
func (id *Identity) sign(name string, hosts []string, public any, usage ...x509.ExtKeyUsage) ([]byte, error) {
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
	der, err := x509.CreateCertificate(rand.Reader, t, id.ca, public, id.caKey)
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
	nodeKey, err := x509.MarshalPKCS8PrivateKey(id.cert.PrivateKey)
	if err != nil {
		return err
	}
	caKey, err := x509.MarshalPKCS8PrivateKey(id.caKey)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "ca.pem"), pemBlock("CERTIFICATE", id.ca.Raw), 0o600),
		os.WriteFile(filepath.Join(dir, "ca.key"), pemBlock("PRIVATE KEY", caKey), 0o600),
		os.WriteFile(filepath.Join(dir, "node.pem"), pemBlock("CERTIFICATE", id.cert.Certificate[0]), 0o600),
		os.WriteFile(filepath.Join(dir, "node.key"), pemBlock("PRIVATE KEY", nodeKey), 0o600))
}

// LoadIdentity reads what InitIdentity wrote.
func LoadIdentity(dir string) (*Identity, error) {
	dir = filepath.Join(dir, "pki")
	ca, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the cluster CA: %w", err)
	}
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "node.pem"), filepath.Join(dir, "node.key"))
	if err != nil {
		return nil, fmt.Errorf("reading the node certificate: %w", err)
	}
	caKey, ok := ca.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("cluster: the CA key is not ECDSA")
	}
	cert.Certificate = append(cert.Certificate, ca.Certificate[0])
	return &Identity{NodeID: cert.Leaf.Subject.CommonName, cert: cert, ca: ca.Leaf, caKey: caKey}, nil
}

// peerTLS requires both sides to hold a certificate of the cluster CA.
func (id *Identity) peerTLS(protocols ...string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(id.ca)
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{id.cert},
		RootCAs: pool, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, NextProtos: protocols}
}

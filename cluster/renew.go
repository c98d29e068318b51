package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

// RenewEvery is how often a node looks whether a certificate is to be renewed: often
// enough that a clock that was set right, or a disk that was full, is no matter.
const RenewEvery = time.Hour

// due is true of a certificate with a third of its life left, so that ten days in
// which it cannot be renewed go by unnoticed, and of one that is of a future that a
// wrong clock saw.
func due(leaf *x509.Certificate, now time.Time) bool {
	life := leaf.NotAfter.Sub(leaf.NotBefore)
	return now.Before(leaf.NotBefore) || !now.Before(leaf.NotBefore.Add(life/3*2))
}

// Renew replaces the node's certificate if it is due, or of the CA before. Connections
// that are open stay.
func (id *Identity) Renew(now time.Time) (renewed bool, err error) {
	id.mu.Lock()
	defer id.mu.Unlock()
	return id.renew(now)
}

// renew is Renew under the lock.
func (id *Identity) renew(now time.Time) (renewed bool, err error) {
	leaf := id.cert.Load().Leaf
	if !due(leaf, now) && id.authorities.Load().signed(leaf) {
		return false, nil
	}
	cert, err := id.issue(id.NodeID, names(leaf), x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return false, err
	}
	if err := id.saveNode(cert); err != nil {
		return false, fmt.Errorf("storing the renewed certificate of the node: %w", err)
	}
	id.cert.Store(cert)
	return true, nil
}

// Expires is when the node's certificate ends, and the CA's.
func (id *Identity) Expires() (node, ca time.Time) {
	return id.cert.Load().Leaf.NotAfter, id.authorities.Load().ca.NotAfter
}

func names(leaf *x509.Certificate) []string {
	hosts := leaf.DNSNames
	for _, ip := range leaf.IPAddresses {
		hosts = append(hosts, ip.String())
	}
	return hosts
}

// ServerCertificate is the certificate of the API of a node, which is renewed. It
// does not serve to dial a peer, and is stored nowhere.
type ServerCertificate struct {
	id    *Identity
	hosts []string
	cert  atomic.Pointer[serverPair]
}

// serverPair is a certificate with the CAs of the moment at which it was made.
type serverPair struct {
	*tls.Certificate
	under *authorities
}

// ServerCertificate signs a certificate for names and addresses of this node.
func (id *Identity) ServerCertificate(hosts []string) (*ServerCertificate, error) {
	s := &ServerCertificate{id: id, hosts: hosts}
	return s, s.issue()
}

func (s *ServerCertificate) issue() error {
	under := s.id.authorities.Load() // should they change meanwhile, it is renewed once more
	cert, err := s.id.issue("authfi api", s.hosts, x509.ExtKeyUsageServerAuth)
	if err != nil {
		return err
	}
	s.cert.Store(&serverPair{cert, under})
	return nil
}

// Get is the certificate to show, for a tls.Config.
func (s *ServerCertificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return s.cert.Load().Certificate, nil
}

// Renew replaces the certificate if it is due, or if the CAs have changed.
func (s *ServerCertificate) Renew(now time.Time) (renewed bool, err error) {
	if pair := s.cert.Load(); !due(pair.Leaf, now) && pair.under == s.id.authorities.Load() {
		return false, nil
	}
	err = s.issue()
	return err == nil, err
}

// Authority names the CA that has signed the certificate.
func (s *ServerCertificate) Authority() string { return authorityID(s.cert.Load().under.ca) }

// Expires is when the certificate ends.
func (s *ServerCertificate) Expires() time.Time { return s.cert.Load().Leaf.NotAfter }

// Renewable is what KeepRenewed keeps: an Identity, a ServerCertificate.
type Renewable interface {
	Renew(now time.Time) (renewed bool, err error)
}

// KeepRenewed renews certificates until the context ends. One that cannot be renewed
// is tried again, long before it ends.
func KeepRenewed(ctx context.Context, log *slog.Logger, every time.Duration, certificates map[string]Renewable) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		for name, certificate := range certificates {
			renewed, err := certificate.Renew(time.Now())
			switch {
			case err != nil:
				log.Error("a certificate cannot be renewed", "certificate", name, "error", err)
			case renewed:
				log.Info("a certificate was renewed", "certificate", name)
			}
		}
	}
}

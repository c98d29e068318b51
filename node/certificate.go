package node

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/cluster"
	"github.com/prometheus/client_golang/prometheus"
)

// openCertificates keeps what this node shows to peers and clients renewed, and gives
// the certificate of the HTTPS server, but for the one by ACME, which goes before it.
func (n *Node) openCertificates(background context.Context) (get func(*tls.ClientHelloInfo) (*tls.Certificate, error), err error) {
	n.expires = expiries{
		"peers": func() time.Time { node, _ := n.identity.Expires(); return node },
		"ca":    func() time.Time { _, ca := n.identity.Expires(); return ca },
	}
	keep := func(every time.Duration, name string, certificate cluster.Renewable) {
		n.background.Go(func() {
			cluster.KeepRenewed(background, n.log, every, map[string]cluster.Renewable{name: certificate})
		})
	}
	keep(cluster.RenewEvery, "peers", n.identity)
	if c := n.cfg.Certificate; c.CertFile != "" {
		own, err := openOwnCertificate(c)
		if err != nil {
			return nil, err
		}
		n.settled.own = own
		keep(ownCertificateEvery, "api", own)
		n.expires["api"] = func() time.Time { return own.cert.Load().Leaf.NotAfter }
		return own.get, nil
	}
	n.openACME()
	// That of the cluster has the names of the one by ACME too: it stands in for it.
	if n.signed, err = n.identity.ServerCertificate(append(hosts(n.cfg), n.cfg.Certificate.ACME.Domains...)); err != nil {
		return nil, err
	}
	keep(cluster.RenewEvery, "api", n.signed)
	n.expires["api"] = n.signed.Expires
	return n.signed.Get, nil
}

// ownCertificateEvery is how often the files of an own certificate are looked at.
const ownCertificateEvery = time.Minute

// ownCertificate is one that the administrator's tools renew.
type ownCertificate struct {
	cert atomic.Pointer[tls.Certificate]

	mu   sync.Mutex
	cfg  CertificateConfig // guarded by mu
	seen time.Time         // guarded by mu: when the newer of the files was written
}

func openOwnCertificate(cfg CertificateConfig) (*ownCertificate, error) {
	o := &ownCertificate{}
	return o, o.take(cfg, time.Now())
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return o.cert.Load(), nil
}

// Renew reads the files again if one was written since. Of a pair that does not fit,
// as while a tool replaces one file after the other, the old one stays.
func (o *ownCertificate) Renew(now time.Time) (renewed bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest, err := o.cfg.written()
	if err != nil || newest.Equal(o.seen) {
		return false, err
	}
	if err := o.read(o.cfg, newest, now); err != nil {
		return false, err
	}
	return true, nil
}

// take reads files, whenever they were written, and goes by them from now on; with an
// error it goes by those before.
func (o *ownCertificate) take(cfg CertificateConfig, now time.Time) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	newest, err := cfg.written()
	if err != nil {
		return err
	}
	return o.read(cfg, newest, now)
}

// read is called with the lock held.
func (o *ownCertificate) read(cfg CertificateConfig, written, now time.Time) error {
	cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
	if err == nil {
		err = usableNow(cert.Leaf, now)
	}
	if err != nil {
		return fmt.Errorf("certificate of the HTTPS server, %s and %s: %w", cfg.CertFile, cfg.KeyFile, err)
	}
	o.cert.Store(&cert)
	o.cfg, o.seen = cfg, written
	return nil
}

// written is when the newer of the files was.
func (c CertificateConfig) written() (newest time.Time, err error) {
	for _, name := range []string{c.CertFile, c.KeyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return time.Time{}, fmt.Errorf("certificate of the HTTPS server: %w", err)
		}
		if info.ModTime().After(newest) {
			newest = info.ModTime()
		}
	}
	return newest, nil
}

func usableNow(leaf *x509.Certificate, now time.Time) error {
	switch {
	case now.After(leaf.NotAfter):
		return fmt.Errorf("it ended on %s", leaf.NotAfter.Format(time.DateOnly))
	case now.Before(leaf.NotBefore):
		return fmt.Errorf("it begins on %s", leaf.NotBefore.Format(time.DateOnly))
	}
	return nil
}

var expiresDesc = prometheus.NewDesc("authfi_certificate_expires_timestamp_seconds", "When a certificate that this node shows ends.", []string{"certificate"}, nil)

// expiries tells when certificates end, when it is scraped.
type expiries map[string]func() time.Time

// Describe implements prometheus.Collector.
func (expiries) Describe(out chan<- *prometheus.Desc) { out <- expiresDesc }

// Collect implements prometheus.Collector.
func (e expiries) Collect(out chan<- prometheus.Metric) {
	for name, expires := range e {
		out <- prometheus.MustNewConstMetric(expiresDesc, prometheus.GaugeValue, float64(expires().Unix()), name)
	}
}

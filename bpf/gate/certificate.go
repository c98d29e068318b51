package gate

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateEvery is how often the files are looked at, at most: two stats a
// second are nothing, and a renewed certificate need not wait longer.
const certificateEvery = time.Second

// certificate is a key pair that is read again when its files change. One that
// cannot be read leaves the last in place.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate // guarded by mu
	stamp   [2]fileStamp     // guarded by mu: of the files that pair was read from
	checked time.Time        // guarded by mu
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func openCertificate(certFile, keyFile string, log *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	stamp, err := c.stat()
	if err != nil {
		return nil, err
	}
	return c, c.load(stamp)
}

func (c *certificate) stat() (stamps [2]fileStamp, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, fmt.Errorf("certificate of the gate: %w", err)
		}
		stamps[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

func (c *certificate) load(stamp [2]fileStamp) error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("certificate of the gate: %w", err)
	}
	c.pair, c.stamp = &pair, stamp
	return nil
}

// get is a tls.Config's GetCertificate.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.checked) >= certificateEvery {
		c.checked = now
		c.refresh()
	}
	return c.pair, nil
}

// refresh reads files that have changed. Between the writes of the two they do
// not belong together, which the next look puts right.
func (c *certificate) refresh() {
	stamp, err := c.stat()
	if err == nil && stamp != c.stamp {
		err = c.load(stamp)
	}
	if err != nil {
		c.log.Warn("the certificate is not renewed", "error", err)
	}
}

// serverConfig is what clients meet: TLS 1.2 with the forward-secret AEAD suites
// or 1.3, and the protocols that the gate speaks.
func (c *certificate) serverConfig(http2 bool) *tls.Config {
	config := &tls.Config{
		GetCertificate: c.get,
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		},
	}
	if http2 {
		config.NextProtos = []string{"h2", "http/1.1"}
	}
	return config
}

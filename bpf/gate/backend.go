package gate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"time"
)

const dialTimeout = 5 * time.Second

// backend is the way to the service.
type backend struct {
	address string
	proxy   int // version of the PROXY header, 0 for none
	tls     *tls.Config
	// pair, where the service speaks HTTP/2, is a connection of HTTP/1.1 to a
	// translator in this process.
	pair func(*origin) (net.Conn, error)
}

func openBackend(address string, s BackendSettings) (*backend, error) {
	b := &backend{address: address, proxy: s.SendProxy}
	if !s.TLS {
		return b, nil
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address of the service: %w", err)
	}
	if s.ServerName != "" {
		host = s.ServerName
	}
	b.tls = &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
	if s.CAFile == "" {
		return b, nil
	}
	pem, err := os.ReadFile(s.CAFile)
	if err != nil {
		return nil, fmt.Errorf("CA of the service: %w", err)
	}
	b.tls.RootCAs = x509.NewCertPool()
	if !b.tls.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA of the service: %s holds no certificate", s.CAFile)
	}
	return b, nil
}

// dial opens a connection that speaks HTTP/1.1.
func (b *backend) dial(ctx context.Context, from *origin) (net.Conn, error) {
	if b.pair != nil {
		return b.pair(from)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", b.address)
	if err != nil {
		return nil, err
	}
	if b.proxy != 0 {
		if _, err := raw.Write(proxyHeader(b.proxy, from.client, from.local)); err != nil {
			raw.Close()
			return nil, err
		}
	}
	if b.tls == nil {
		return raw, nil
	}
	secure := tls.Client(raw, b.tls)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return secure, nil
}

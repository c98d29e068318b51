// Package dial makes the HTTP clients of the SDK: they trust one CA, follow no
// redirect, and keep no connection on which nothing comes back.
package dial

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"time"
)

// Client trusts the certificates in caFile, or those of the system when it is empty. A
// connection that is silent for this long is asked whether it is alive.
func Client(caFile string, silence time.Duration) (*http.Client, error) {
	settings := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		pem, err := os.ReadFile(caFile)
		if err != nil {
			return nil, fmt.Errorf("authfi: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("authfi: %s holds no certificate", caFile)
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			TLSClientConfig: settings, Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			// A connection on which nothing comes back is not kept for the next request.
			HTTP2: &http.HTTP2Config{SendPingTimeout: silence, PingTimeout: silence},
		},
		// A node does not redirect; whoever does would get the credential.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

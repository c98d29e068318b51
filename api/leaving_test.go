package api_test

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/authfi/authfi/api"
)

// TestLeavingEndsConnections with an answer, by either protocol: none is ended between
// two requests, where the next one of its client could meet the end.
func TestLeavingEndsConnections(t *testing.T) {
	var leaving atomic.Bool
	nothing := http.NotFoundHandler()
	handler := api.New(api.Handlers{
		SCIM: nothing, REST: nothing, OIDC: nothing, Events: nothing, Polls: nothing, AuthZEN: nothing, Metrics: nothing,
		Health: api.Health{Leaving: leaving.Load},
	}, slog.New(slog.DiscardHandler))
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0"} {
		leaving.Store(false)
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = protocol == "HTTP/2.0"
		connections := &atomic.Int64{}
		server.StartTLS()
		t.Cleanup(server.Close)
		client := server.Client()
		transport := client.Transport.(*http.Transport)
		transport.TLSClientConfig.VerifyConnection = func(tls.ConnectionState) error { connections.Add(1); return nil }
		get := func(path string) {
			res, err := client.Get(server.URL + path)
			if err != nil {
				t.Fatalf("%s: %v", protocol, err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.Proto != protocol {
				t.Fatalf("%s instead of %s", res.Proto, protocol)
			}
		}
		for _, path := range []string{"/healthz", "/api/v1/users", "/authfi.v1.UserService/ListUsers"} {
			get(path)
		}
		if n := connections.Load(); n != 1 {
			t.Errorf("%s: %d connections while the node stays", protocol, n)
		}
		leaving.Store(true)
		for _, path := range []string{"/healthz", "/api/v1/users", "/authfi.v1.UserService/ListUsers"} {
			get(path)
		}
		if n := connections.Load(); n != 3 {
			t.Errorf("%s: %d connections, want 3: the first, and one for each answer but the last", protocol, n)
		}
	}
}

// Package acmetest runs a real ACME server in tests, pebble of Let's Encrypt, with the
// name server that it asks, and a balancer before the nodes that it validates.
package acmetest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/letsencrypt/challtestsrv"
	"github.com/letsencrypt/pebble/v2/ca"
	"github.com/letsencrypt/pebble/v2/db"
	"github.com/letsencrypt/pebble/v2/va"
	"github.com/letsencrypt/pebble/v2/wfe"
)

// Elsewhere is a name whose address nobody listens on.
const Elsewhere = "elsewhere.test"

// elsewhere is of the loopback range, and not the one that the nodes are on.
const elsewhere = "127.86.0.1"

// nameServerWait bounds the start of the name server.
const nameServerWait = 10 * time.Second

// Authority is a certification authority. Every name but Elsewhere has the address of
// this machine.
type Authority struct {
	server  *httptest.Server
	roots   *x509.CertPool
	between *x509.CertPool
	file    string
	down    atomic.Bool
	mu      sync.Mutex
	orders  map[string]bool // by path; guarded by mu
}

// Options are of one authority.
type Options struct {
	Life time.Duration // of certificates, in whole seconds
	// TLS and HTTP are the addresses of 127.0.0.1 at which it looks for TLS-ALPN-01 and
	// HTTP-01.
	TLS, HTTP string
	// AccountKeyID and AccountKey, in base64url, are demanded of new accounts.
	AccountKeyID, AccountKey string
}

// Start starts an authority.
func Start(t testing.TB, o Options) *Authority {
	t.Helper()
	t.Setenv("PEBBLE_VA_NOSLEEP", "1")
	t.Setenv("PEBBLE_AUTHZREUSE", "0")
	logger := log.New(io.Discard, "", 0)
	store := db.NewMemoryStore()
	if o.AccountKeyID != "" {
		if err := store.AddExternalAccountKeyByID(o.AccountKeyID, o.AccountKey); err != nil {
			t.Fatal(err)
		}
	}
	profiles := map[string]ca.Profile{"default": {Description: "for tests", ValidityPeriod: uint64(o.Life / time.Second)}}
	issuer := ca.New(logger, store, "", "ecdsa", 0, 1, profiles)
	validator := va.New(logger, port(t, o.HTTP), port(t, o.TLS), true, startNames(t, logger), store)
	front := wfe.New(logger, store, validator, issuer, []string{"pebble.test"}, true, o.AccountKeyID != "", 1, 1)

	a := &Authority{orders: map[string]bool{}, roots: x509.NewCertPool(), between: x509.NewCertPool(), file: filepath.Join(t.TempDir(), "acme-ca.pem")}
	handler := front.Handler()
	a.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.down.Load() {
			panic(http.ErrAbortHandler) // as a server that was lost on the way
		}
		if strings.HasPrefix(r.URL.Path, "/finalize-order/") {
			a.finalize(r.URL.Path)
		}
		handler.ServeHTTP(w, r)
	}))
	a.server.Config.ErrorLog = logger
	a.server.StartTLS()
	t.Cleanup(a.server.Close)
	own := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.server.Certificate().Raw})
	if err := os.WriteFile(a.file, own, 0o600); err != nil {
		t.Fatal(err)
	}
	a.roots.AddCert(issuer.GetRootCert(0).Cert)
	a.between.AddCert(issuer.GetIntermediateCert(0).Cert)
	return a
}

func port(t testing.TB, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// startNames starts a name server on a free port.
func startNames(t testing.TB, logger *log.Logger) (address string) {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address = free.Addr().String()
	free.Close()
	names, err := challtestsrv.New(challtestsrv.Config{Log: logger, DNSAddrs: []string{address}})
	if err != nil {
		t.Fatal(err)
	}
	names.SetDefaultDNSIPv4("127.0.0.1")
	names.SetDefaultDNSIPv6("")
	names.AddDNSARecord(Elsewhere, []string{elsewhere})
	names.Run()
	t.Cleanup(names.Shutdown)
	for deadline := time.Now().Add(nameServerWait); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// Directory is the URL of the authority.
func (a *Authority) Directory() string { return a.server.URL + wfe.DirectoryPath }

// CAFile vouches for the authority's own server.
func (a *Authority) CAFile() string { return a.file }

// Roots are what clients trust.
func (a *Authority) Roots() *x509.CertPool { return a.roots }

// Intermediates are between them and a certificate.
func (a *Authority) Intermediates() *x509.CertPool { return a.between }

// SetDown makes the authority unreachable, or reachable again.
func (a *Authority) SetDown(down bool) { a.down.Store(down) }

// Orders is how many orders came so far that a certificate was asked for.
func (a *Authority) Orders() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.orders)
}

// finalize counts an order once: pebble refuses one nonce of twenty, and the request
// comes again.
func (a *Authority) finalize(path string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.orders[path] = true
}

// Balance passes connections to addresses in turn, as a balancer of TCP does; one that
// nobody listens on takes none.
func Balance(t testing.TB, listen string, to ...string) {
	t.Helper()
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	var passing sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		passing.Wait()
	})
	passing.Go(func() {
		for turn := 0; ; turn++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			passing.Go(func() { pass(conn, to[turn%len(to)]) })
		}
	})
}

func pass(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() {
		io.Copy(in, out)
		in.Close()
	})
	io.Copy(out, in)
	out.Close()
	back.Wait()
}

// Shown is the certificate that a server shows to clients of a name, or of none.
func Shown(address, name string) (*x509.Certificate, error) {
	conn, err := tls.Dial("tcp", address, &tls.Config{ServerName: name, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

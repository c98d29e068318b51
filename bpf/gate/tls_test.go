package gate_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
)

// authority issues certificates for 127.0.0.1.
type authority struct {
	t    testing.TB
	dir  string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	file string
	last int64
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key = a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &a.key.PublicKey, a.key)
	a.must(err)
	a.cert, err = x509.ParseCertificate(der)
	a.must(err)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a *authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	a.must(err)
	return key
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	a.must(os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	return path
}

// issue writes a new key pair into the files of a name.
func (a *authority) issue(name string) (certFile, keyFile string) {
	a.last++
	key := a.newKey()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(100 + a.last), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	a.must(err)
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	a.must(err)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+"-key.pem", "PRIVATE KEY", encoded)
}

func (a *authority) clientConfig() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return &tls.Config{RootCAs: pool}
}

// settings are those of a gate with a certificate.
func (a *authority) settings() gate.Settings {
	certFile, keyFile := a.issue("gate.example")
	return gate.Settings{CertFile: certFile, KeyFile: keyFile}
}

// client speaks the protocols that set names.
func (a *authority) client(set func(*http.Protocols)) *http.Client {
	protocols := new(http.Protocols)
	set(protocols)
	transport := &http.Transport{TLSClientConfig: a.clientConfig(), Protocols: protocols}
	a.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func http1(p *http.Protocols) { p.SetHTTP1(true) }
func http2(p *http.Protocols) { p.SetHTTP2(true) }
func h2c(p *http.Protocols)   { p.SetUnencryptedHTTP2(true) }

// fetch sends one request and returns the answer with its body.
func (f *fixture) fetch(client *http.Client, scheme, path, token string, body io.Reader) (*http.Response, string) {
	f.t.Helper()
	method := "GET"
	if body != nil {
		method = "POST"
	}
	r, err := http.NewRequest(method, scheme+"://"+f.gate.Addr().String()+path, body)
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return answer, string(got)
}

func TestTLSSpeaksBothProtocols(t *testing.T) {
	a := newAuthority(t)
	f := startWith(t, a.settings(), showHeaders)
	for proto, set := range map[string]func(*http.Protocols){"HTTP/1.1": http1, "HTTP/2.0": http2} {
		client := a.client(set)
		answer, _ := f.fetch(client, "https", "/data/a", "", nil)
		if answer.StatusCode != 401 || answer.Header.Get("X-Authfi-Verdict") != "no_token" || answer.Proto != proto ||
			answer.Header.Get("Content-Type") != "application/problem+json" || answer.Header.Get("Www-Authenticate") != "Bearer" {
			t.Errorf("%s without a token: %v", proto, answer)
		}
		answer, got := f.fetch(client, "https", "/data/%61?q=%2e;&r", token, nil)
		if answer.StatusCode != 200 || answer.Proto != proto {
			t.Errorf("%s: %v %s", proto, answer, got)
		}
		for _, want := range []string{"GET /data/%61?q=%2e;&r host=127.0.0.1:", "X-Forwarded-Proto=https\n", "X-Forwarded-For=127.0.0.1\n", "X-Authfi-User=user-5\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("%s: without %q the service got %s", proto, want, got)
			}
		}
		if strings.Contains(got, "Accept-Encoding=gzip|") {
			t.Errorf("%s: the gate asks for a coding of its own: %s", proto, got)
		}
	}
	f.reached(2)
}

func TestTLSIsModern(t *testing.T) {
	a := newAuthority(t)
	f := startWith(t, a.settings(), nil)
	for why, change := range map[string]func(*tls.Config){
		"TLS 1.1": func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 },
		"a CBC suite": func(c *tls.Config) {
			c.MaxVersion = tls.VersionTLS12
			c.CipherSuites = []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}
		},
		"another protocol": func(c *tls.Config) { c.NextProtos = []string{"smtp"} },
	} {
		config := a.clientConfig()
		change(config)
		if conn, err := tls.Dial("tcp", f.gate.Addr().String(), config); err == nil {
			conn.Close()
			t.Errorf("%s is spoken", why)
		}
	}
}

// serial is that of the certificate that the gate shows now.
func (f *fixture) serial(a *authority) int64 {
	f.t.Helper()
	conn, err := tls.Dial("tcp", f.gate.Addr().String(), a.clientConfig())
	if err != nil {
		f.t.Fatal(err)
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
}

func TestCertificatesAreReadAgain(t *testing.T) {
	a := newAuthority(t)
	settings := a.settings()
	f := startWith(t, settings, nil)
	first := f.serial(a)
	a.issue("gate.example")
	deadline := time.Now().Add(10 * time.Second)
	for f.serial(a) == first {
		if time.Now().After(deadline) {
			t.Fatal("the certificate is never renewed")
		}
	}
	a.must(os.WriteFile(settings.KeyFile, []byte("nonsense"), 0o600))
	looked := time.Now().Add(1500 * time.Millisecond) // longer than the gate waits to look
	for time.Now().Before(looked) {
		if f.serial(a) != first+1 {
			t.Fatal("a pair that cannot be read took the place of one that can")
		}
	}
}

// A service that speaks TLS is reached if the pinned authority vouches for it,
// and by nobody else's word.
func TestServicesWithTLSArePinned(t *testing.T) {
	front, right, wrong := newAuthority(t), newAuthority(t), newAuthority(t)
	certFile, keyFile := right.issue("service.example")
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, upstream2 := range []bool{false, true} {
		var served fixture
		service := httptest.NewUnstartedServer(served.counting(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
		service.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
		service.EnableHTTP2 = upstream2
		service.StartTLS()
		t.Cleanup(service.Close)
		want := map[bool]string{false: "HTTP/1.1", true: "HTTP/2.0"}[upstream2]
		for _, c := range []struct {
			why, ca, name string
			status        int
		}{
			{"pinned", right.file, "service.example", 200},
			{"by its address", right.file, "", 200},
			{"another authority", wrong.file, "service.example", 502},
			{"another name", right.file, "other.example", 502},
			{"the machine's authorities", "", "service.example", 502},
		} {
			settings := front.settings()
			settings.Upstream = service.Listener.Addr().String()
			settings.Backend = gate.BackendSettings{TLS: true, CAFile: c.ca, ServerName: c.name, HTTP2: upstream2}
			f := startWith(t, settings, nil)
			for _, set := range []func(*http.Protocols){http1, http2} {
				before := served.served.Load()
				answer, got := f.fetch(front.client(set), "https", "/data/a", token, nil)
				if answer.StatusCode != c.status || c.status == 200 && got != want {
					t.Errorf("%s, to %s: %d %s", c.why, want, answer.StatusCode, got)
				}
				if reached := served.served.Load() > before; reached != (c.status == 200) {
					t.Errorf("%s, to %s: reached %v", c.why, want, reached)
				}
			}
			f.stop()
		}
	}
}

func TestSettingsAreChecked(t *testing.T) {
	a := newAuthority(t)
	good := a.settings()
	for why, settings := range map[string]gate.Settings{
		"half a key pair":       {CertFile: good.CertFile},
		"h2c and TLS":           {CertFile: good.CertFile, KeyFile: good.KeyFile, H2C: true},
		"a CA without TLS":      {Backend: gate.BackendSettings{CAFile: a.file}},
		"PROXY version 3":       {Backend: gate.BackendSettings{SendProxy: 3}},
		"PROXY over HTTP/2":     {Backend: gate.BackendSettings{SendProxy: 1, HTTP2: true}},
		"no prefix":             {ProxyFrom: []string{"somewhere"}},
		"no such file":          {CertFile: "/nowhere", KeyFile: "/nowhere"},
		"a CA that is none":     {Upstream: "127.0.0.1:1", Backend: gate.BackendSettings{TLS: true, CAFile: good.KeyFile}},
		"a certificate as key":  {CertFile: good.CertFile, KeyFile: good.CertFile},
		"a name with a port":    {Backend: gate.BackendSettings{TLS: true, ServerName: "a:1"}},
		"an upstream sans port": {Upstream: "service", Backend: gate.BackendSettings{TLS: true}},
	} {
		g := gate.New(gate.Config{Listen: "127.0.0.1:0", Settings: settings})
		if err := g.Listen(); err == nil {
			t.Errorf("%s: the address is taken", why)
		}
		if err := g.Run(context.Background()); err == nil || g.Addr() != nil {
			t.Errorf("%s: it runs", why)
		}
		g.Close()
	}
}

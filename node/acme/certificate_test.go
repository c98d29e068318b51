package acme

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/acme"

	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/acme/acmetest"
)

const domain = "id.test"

// quick is for certificates that live for seconds.
var quick = Timing{Look: 100 * time.Millisecond, Patience: time.Hour, RetryFirst: 200 * time.Millisecond, RetryMax: 400 * time.Millisecond}

// heldLog is a log that a test reads.
type heldLog struct {
	mu   sync.Mutex
	text bytes.Buffer // guarded by mu
}

func (h *heldLog) Write(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(b)
}

func (h *heldLog) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// neighbour is a node as far as a certificate knows one: an HTTPS server.
type neighbour struct {
	cert    *Certificate
	address string
	log     *heldLog
}

// neighbours are nodes that know each other, behind one address.
type neighbours struct {
	t         testing.TB
	authority *acmetest.Authority
	ring      *keyring.Keyring
	settings  Settings
	front     string
	all       []*neighbour
}

// reserve finds addresses for the balancers.
func reserve(t testing.TB, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// meet starts neighbours, of which the first leads; change is made to each one's settings.
func meet(t *testing.T, n int, life time.Duration, change func(i int, c *Config)) *neighbours {
	t.Helper()
	return meetAt(t, n, acmetest.Options{Life: life}, change)
}

func meetAt(t *testing.T, n int, o acmetest.Options, change func(i int, c *Config)) *neighbours {
	t.Helper()
	fronts := reserve(t, 2)
	o.TLS, o.HTTP = fronts[0], fronts[1]
	ring, err := keyring.Generate()
	if err != nil {
		t.Fatal(err)
	}
	all := &neighbours{t: t, authority: acmetest.Start(t, o), ring: ring, front: fronts[0]}
	all.settings = Settings{Domains: []string{domain}, Directory: all.authority.Directory(), CAFile: all.authority.CAFile(), TermsAgreed: true, Email: "ops@id.test"}
	var behind, web []string
	for i := range n {
		cfg := Config{Settings: all.settings, File: filepath.Join(t.TempDir(), FileName), Ring: ring, Leads: func() bool { return i == 0 }, Timing: quick, Agent: "authfi-test"}
		if change != nil {
			change(i, &cfg)
		}
		all.all = append(all.all, all.open(cfg))
		behind = append(behind, all.all[i].address)
		web = append(web, cfg.Settings.HTTP)
	}
	acmetest.Balance(t, fronts[0], behind...)
	if web[0] != "" {
		acmetest.Balance(t, fronts[1], web...)
	}
	return all
}

// open makes the HTTPS server of one, which does not order yet.
func (n *neighbours) open(cfg Config) *neighbour {
	log := new(heldLog)
	cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	place := len(n.all)
	cfg.Ask = func(ctx context.Context, question []byte) (answers [][]byte) {
		for i, peer := range n.all {
			if i != place {
				if text, err := peer.cert.ServePeer(ctx, "", question); err == nil {
					answers = append(answers, text)
				}
			}
		}
		return answers
	}
	made := &neighbour{cert: Open(cfg), log: log}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.StartTLS() // for the certificate of the tests, which stands for the cluster's
	own := server.TLS.Certificates[0]
	server.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	real := &http.Server{TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}, ErrorLog: made.cert.errorLog()}
	made.cert.Secure(real, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil })
	var serving sync.WaitGroup
	serving.Go(func() { _ = real.ServeTLS(listener, "", "") })
	n.t.Cleanup(func() {
		real.Close()
		serving.Wait()
	})
	made.address = listener.Addr().String()
	return made
}

// run starts to order.
func (n *neighbours) run() {
	for _, one := range n.all {
		n.t.Cleanup(one.start())
	}
}

func (one *neighbour) start() (end func()) {
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { one.cert.Run(ctx) })
	return func() {
		stop()
		running.Wait()
	}
}

// trusted is the certificate that a client of the authority's gets for a name; nil: it
// gets another one, or one that has ended.
func (n *neighbours) trusted(one *neighbour) *x509.Certificate {
	conn, err := tls.Dial("tcp", one.address, &tls.Config{RootCAs: n.authority.Roots(), ServerName: domain, MinVersion: tls.VersionTLS12})
	if err != nil {
		return nil
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0]
}

// until waits for something that real servers do.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(30 * time.Second)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("not yet: %s", what)
		}
	}
}

// TestOneOrderServesAll: the authority looks at each of three nodes, of which one has
// ordered, and all of them show one certificate. It is renewed while the one before
// still holds: no client sees one that has ended.
func TestOneOrderServesAll(t *testing.T) {
	n := meet(t, 3, 15*time.Second, nil) // a third of it is for the renewal, on a machine that is busy
	n.run()
	shown := func() string {
		var serial string
		for _, one := range n.all {
			leaf := n.trusted(one)
			if leaf == nil || serial != "" && leaf.SerialNumber.String() != serial {
				return ""
			}
			serial = leaf.SerialNumber.String()
		}
		return serial
	}
	var first string
	until(t, "all have a certificate", func() bool { first = shown(); return first != "" })
	if orders := n.authority.Orders(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
	until(t, "all have the next one", func() bool {
		for i, one := range n.all {
			if n.trusted(one) == nil {
				t.Fatalf("node %d shows none that holds: %s", i, one.log)
			}
		}
		now := shown()
		return now != "" && now != first
	})
	for i, one := range n.all {
		if text := one.log.String(); strings.Contains(text, "level=ERROR") || strings.Contains(text, "taken over") != (i > 0) {
			t.Errorf("node %d: %s", i, text)
		}
	}
	if cert, err := acmetest.Shown(n.all[0].address, "other.test"); err != nil || cert.VerifyHostname("example.com") != nil {
		t.Errorf("for another name: %v, %v", cert, err)
	}
}

// TestHTTP01: the authority asks any of them for a token.
func TestHTTP01(t *testing.T) {
	ports := reserve(t, 3)
	n := meet(t, 3, time.Hour, func(i int, c *Config) { c.Settings.HTTP = ports[i] })
	n.run()
	for i, one := range n.all {
		until(t, "each has a certificate", func() bool { return n.trusted(one) != nil })
		for path, want := range map[string]int{"/": 404, wellKnown: 404, wellKnown + "unknown": 404, wellKnown + strings.Repeat("a", tokenMax+1): 404} {
			res, err := http.Get("http://" + ports[i] + path)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s: %d", path, res.StatusCode)
			}
		}
	}
	if orders := n.authority.Orders(); orders != 1 {
		t.Errorf("%d orders", orders)
	}
}

// TestAuthorityDown: what is there is shown until it ends, then that of the cluster, and
// when the authority is back, a new one.
func TestAuthorityDown(t *testing.T) {
	n := meet(t, 1, 4*time.Second, nil)
	one := n.all[0]
	n.authority.SetDown(true)
	n.run()
	until(t, "failures are counted", func() bool { return one.cert.Standing().Failures > 1 })
	if s := one.cert.Standing(); s.LastError == "" || !s.Missing(time.Now()) || n.trusted(one) != nil {
		t.Errorf("%+v", s)
	}
	if cert, err := acmetest.Shown(one.address, domain); err != nil || cert.VerifyHostname("example.com") != nil {
		t.Errorf("without one by ACME: %v, %v", cert, err)
	}
	n.authority.SetDown(false)
	until(t, "there is a certificate", func() bool { return n.trusted(one) != nil })
	n.authority.SetDown(true)
	until(t, "it cannot be renewed", func() bool { return one.cert.Standing().Failures > 0 })
	if s := one.cert.Standing(); s.Missing(time.Now()) || n.trusted(one) == nil {
		t.Errorf("it is not shown while it holds: %+v", s)
	}
	until(t, "it has ended", func() bool { return one.cert.Standing().Missing(time.Now()) })
	if cert, err := acmetest.Shown(one.address, domain); err != nil || time.Now().After(cert.NotAfter) {
		t.Errorf("one that has ended is shown: %v, %v", cert, err)
	}
	n.authority.SetDown(false)
	until(t, "it is renewed", func() bool { return n.trusted(one) != nil })
	if text := one.log.String(); !strings.Contains(text, "the one of the cluster's CA") || !strings.Contains(text, "the one by ACME until") {
		t.Errorf("the log does not say what is shown: %s", text)
	}
}

// TestWrongDomain: of two names one leads elsewhere. The log says which, and nothing is
// tried again in a loop.
func TestWrongDomain(t *testing.T) {
	n := meet(t, 1, time.Hour, func(_ int, c *Config) {
		c.Settings.Domains = []string{acmetest.Elsewhere, domain}
		c.Timing.RetryFirst, c.Timing.RetryMax = time.Hour, time.Hour
	})
	one := n.all[0]
	began := time.Now()
	end := one.start()
	until(t, "it has failed", func() bool { return one.cert.Standing().Failures == 1 })
	end()
	s := one.cert.Standing()
	if !strings.Contains(s.LastError, acmetest.Elsewhere) || s.Next.Before(began.Add(time.Hour)) || n.authority.Orders() != 0 {
		t.Errorf("%+v, %d orders", s, n.authority.Orders())
	}
	if read, err := StandingOf(one.cert.cfg.File); err != nil || read.Failures != 1 || !read.Next.Equal(s.Next) {
		t.Errorf("read from outside: %+v, %v", read, err)
	}
	// The next process knows of it; other settings begin anew.
	if again := Open(one.cert.cfg).Standing(); again.Failures != 1 || time.Until(again.Next) < 50*time.Minute {
		t.Errorf("after a restart: %+v", again)
	}
	mended := one.cert.cfg
	mended.Settings.Domains = []string{domain}
	one.cert = Open(mended)
	if again := one.cert.Standing(); again.Failures != 0 || !again.Next.IsZero() {
		t.Errorf("with other settings: %+v", again)
	}
}

// TestStored: the next process shows the certificate at once and orders none, its keys
// are nowhere in clear, and without the keyring all begins anew.
func TestStored(t *testing.T) {
	n := meet(t, 1, time.Hour, nil)
	one := n.all[0]
	end := one.start()
	until(t, "there is a certificate", func() bool { return n.trusted(one) != nil })
	end()
	cfg := one.cert.cfg
	text, err := os.ReadFile(cfg.File)
	if err != nil || bytes.Contains(text, []byte("PRIVATE KEY")) {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(cfg.File); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	hello := &tls.ClientHelloInfo{ServerName: domain}
	again := Open(cfg)
	if again.Get(hello) == nil || again.Get(&tls.ClientHelloInfo{}) != nil || again.Get(&tls.ClientHelloInfo{ServerName: "a." + domain}) != nil {
		t.Error("the stored certificate is not shown to whom it is for")
	}
	if again.step(t.Context()) < 30*time.Minute || n.authority.Orders() != 1 {
		t.Error("it is ordered again")
	}
	if cfg.Ring, err = keyring.Generate(); err != nil {
		t.Fatal(err)
	}
	if Open(cfg).Get(hello) != nil || !strings.Contains(one.log.String(), "of no use") {
		t.Error("another keyring opens it")
	}
	cfg.Ring = n.ring
	cfg.Settings.Directory += "/staging"
	if s := Open(cfg).state; s.Account != nil || s.Chain != "" {
		t.Errorf("another authority's: %+v", s)
	}
	if err := os.WriteFile(cfg.File, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if Open(cfg).Get(hello) != nil {
		t.Error("half a file is read")
	}
	if _, err := StandingOf(cfg.File); err == nil {
		t.Error("half a file stands well")
	}
}

// TestPatience: who does not lead orders when the leader has not for long enough, and
// not while another one does.
func TestPatience(t *testing.T) {
	n := meet(t, 2, time.Hour, func(_ int, c *Config) { c.Leads = func() bool { return false } })
	one, other := n.all[0].cert, n.all[1].cert
	one.step(t.Context())
	one.opened = time.Now().Add(-one.cfg.Timing.Patience)
	other.ordering.Store(true)
	one.step(t.Context())
	if n.authority.Orders() != 0 {
		t.Error("it does not wait")
	}
	other.ordering.Store(false)
	one.step(t.Context())
	if n.authority.Orders() != 1 || n.trusted(n.all[0]) == nil {
		t.Errorf("it waits for ever: %s", n.all[0].log)
	}
}

// TestNotAnAuthority: who asks for a challenge that is not open gets no handshake, and
// none of it reaches the peers for a name that is not ours.
func TestNotAnAuthority(t *testing.T) {
	n := meet(t, 1, time.Hour, nil)
	asked := 0
	n.all[0].cert.cfg.Ask = func(context.Context, []byte) [][]byte { asked++; return [][]byte{[]byte("{}"), []byte("no answer")} }
	for name, want := range map[string]int{"other.test": 0, domain: 1} {
		asked = 0
		_, err := tls.Dial("tcp", n.all[0].address, &tls.Config{ServerName: name, NextProtos: []string{acme.ALPNProto}, InsecureSkipVerify: true})
		if err == nil || asked != want {
			t.Errorf("%s: %v, %d asked", name, err, asked)
		}
	}
	for range asksMax {
		n.all[0].cert.challenges.asking <- struct{}{}
	}
	if asked = 0; n.all[0].cert.askForChallenge(t.Context(), question{}) != nil || asked != 0 {
		t.Error("one more than may be is asked for")
	}
}

// TestAccountKey: an authority that lets in only whom it knows.
func TestAccountKey(t *testing.T) {
	key := strings.Repeat("a2V5", 11)
	file := filepath.Join(t.TempDir(), "account.key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := meetAt(t, 1, acmetest.Options{Life: time.Hour, AccountKeyID: "customer", AccountKey: key}, nil)
	one := n.all[0]
	one.cert.step(t.Context())
	if s := one.cert.Standing(); s.Failures != 1 || !strings.Contains(s.LastError, "account") {
		t.Errorf("without a key: %+v", s)
	}
	cfg := one.cert.cfg
	for _, wrong := range []string{"", "no key"} {
		if err := os.WriteFile(cfg.Settings.CAFile+".key", []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		s := Settings{AccountKeyID: "customer", AccountKeyFile: cfg.Settings.CAFile + ".key"}
		if _, err := s.binding(); err == nil {
			t.Errorf("%q is taken for a key", wrong)
		}
	}
	one.cert.cfg.Settings.AccountKeyID, one.cert.cfg.Settings.AccountKeyFile = "customer", file
	one.cert.attempt(t.Context())
	if n.trusted(one) == nil {
		t.Errorf("with its key: %s", one.log)
	}
}

// TestPause doubles, ends at the bound, and does what an authority asks for within
// reason.
func TestPause(t *testing.T) {
	timing := Timing{}.orDefaults()
	limited := func(after string) error {
		return &acme.Error{StatusCode: http.StatusTooManyRequests, ProblemType: "urn:ietf:params:acme:error:rateLimited", Header: http.Header{"Retry-After": {after}}}
	}
	for _, c := range []struct {
		failures int
		err      error
		random   float64
		want     time.Duration
	}{
		{1, errors.New("x"), 0, 15 * time.Minute},
		{2, errors.New("x"), 0, 30 * time.Minute},
		{2, errors.New("x"), 1, 36 * time.Minute},
		{5, errors.New("x"), 0, 4 * time.Hour},
		{6, errors.New("x"), 0, 6 * time.Hour},
		{1000, errors.New("x"), 0, 6 * time.Hour},
		{1, limited("36000"), 0, 10 * time.Hour},
		{1, limited("1"), 0, 15 * time.Minute},
		{1, limited("31536000"), 0, 24 * time.Hour},
	} {
		if got := timing.pause(c.failures, c.err, c.random); got != c.want {
			t.Errorf("%d failures, %v: %s, want %s", c.failures, c.err, got, c.want)
		}
	}
}

// TestRenewalIsSpread: a certificate of months is renewed neither before two thirds of its
// life nor more than a thirtieth later. In nanoseconds a month times the spread has more
// than 63 bits.
func TestRenewalIsSpread(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, life := range []time.Duration{time.Hour, 90 * 24 * time.Hour, 398 * 24 * time.Hour} {
		seen := map[time.Time]bool{}
		for i := range byte(200) {
			at := renewAt(&x509.Certificate{Raw: []byte{i}, NotBefore: began, NotAfter: began.Add(life)})
			if earliest := began.Add(life / 3 * 2); at.Before(earliest) || at.After(earliest.Add(life/30)) {
				t.Fatalf("of %s, renewed at %s", life, at.Sub(began))
			}
			seen[at] = true
		}
		if len(seen) < 150 {
			t.Errorf("of %s, %d certificates are renewed at %d times", life, 200, len(seen))
		}
	}
}

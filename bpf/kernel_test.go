package bpf

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// kernelOrNothing fails a test on a kernel that should enforce and cannot. A
// run that is not root sets AUTHFI_TEST_NO_KERNEL=1, as `make test` does with a
// line that says so.
func kernelOrNothing(t testing.TB) bool {
	t.Helper()
	if os.Getenv("AUTHFI_TEST_NO_KERNEL") == "1" {
		return false
	}
	if err := errors.Join(MountPins(), Supported()); err != nil {
		t.Fatalf("the kernel gate cannot be tested here: %v", err)
	}
	return true
}

// rig is a real server behind a real gate.
type rig struct {
	*Enforcer
	address netip.AddrPort
	served  atomic.Int64
	hostile atomic.Int64 // of those, the ones of a siege
	numbers *policy.Numbering
}

const (
	tokenDoctor = "doctor.token.0123456789"
	tokenNurse  = "nurse.token.0123456789"
	secret0     = 11
	secret1     = 12
	theOrg      = 1
)

var doctor, nurse = policy.Subject{15: 1}, policy.Subject{15: 2}

var theRoutes = []policy.Route{
	{Methods: []string{"POST"}, Path: "/api/patients/*", Roles: []string{"doctor"}, MFA: true},
	{Methods: []string{"GET", "HEAD"}, Path: "/api/patients/*", Permissions: []string{"read:patients"}},
	{Methods: []string{"GET"}, Path: "/health", Public: true},
}

// pins is a pin directory of the test's own, without what a killed run left.
func pins(t testing.TB, suffix string) string {
	t.Helper()
	dir := filepath.Join("/sys/fs/bpf", "authfi-test-"+strings.NewReplacer("/", "-", ".", "-", ":", "-", "[", "", "]", "").Replace(t.Name())+suffix)
	detach := func() {
		if err := Detach(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("detach: %v", err)
		}
	}
	detach()
	t.Cleanup(detach)
	return dir
}

func newRig(t testing.TB, listen string) *rig {
	t.Helper()
	r := serve(t, listen)
	r.open(t, pins(t, ""))
	return r
}

// serve starts the server alone.
func serve(t testing.TB, listen string) *rig {
	t.Helper()
	r := &rig{numbers: policy.NewNumbering(theRoutes)}
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	l, err := config.Listen(context.Background(), "tcp", listen)
	if err != nil {
		t.Fatal(err)
	}
	r.serveOn(t, l)
	return r
}

// serveOn counts and answers what reaches a listener.
func (r *rig) serveOn(t testing.TB, l net.Listener) {
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.served.Add(1)
		if strings.Contains(q.URL.Path, "hostile") {
			r.hostile.Add(1)
		}
		n, _ := io.Copy(io.Discard, q.Body)
		if strings.HasSuffix(q.URL.Path, "/stream") {
			goOn(w, q)
			return
		}
		fmt.Fprintf(w, "%s %s %d", q.Method, q.URL.Path, n)
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	r.address = netip.MustParseAddrPort(l.Addr().String())
}

// goOn writes until the connection ends.
func goOn(w http.ResponseWriter, q *http.Request) {
	for every := time.Tick(5 * time.Millisecond); ; {
		io.WriteString(w, "more ")
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
		select {
		case <-every:
		case <-q.Context().Done():
			return
		}
	}
}

// open puts a gate before the server.
func (r *rig) open(t testing.TB, pinDir string) {
	t.Helper()
	var err error
	if r.Enforcer, err = Open(configAt(pinDir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	r.fill(t)
}

func configAt(pinDir string) Config {
	return Config{PinDir: pinDir, Measure: true, Logger: slog.New(slog.DiscardHandler)}
}

func (r *rig) fill(t testing.TB) {
	t.Helper()
	if err := r.set(theRoutes, time.Hour); err != nil {
		t.Fatal(err)
	}
}

// set writes the address, everything that its requests need, and the lease.
func (r *rig) set(routes []policy.Route, lease time.Duration) error {
	program, err := policy.Compile(theOrg, routes, r.numbers)
	if err != nil {
		return err
	}
	return errors.Join(
		r.SetKey(secret0, secret1),
		r.SetService(r.address, program),
		r.PutSubject(doctor, policy.SubjectEntry{Org: theOrg, Rights: r.rights(policy.RoleName("doctor"), policy.PermissionName("read:patients"))}),
		r.PutSubject(nurse, policy.SubjectEntry{Org: theOrg, Rights: r.rights(policy.PermissionName("read:patients"))}),
		r.token(tokenDoctor, func(*policy.TokenEntry) {}),
		r.token(tokenNurse, func(e *policy.TokenEntry) { e.Subject = nurse }),
		r.ExtendLease(BootNow()+uint64(lease)),
	)
}

func (r *rig) rights(names ...string) (rights policy.Rights) {
	for _, n := range names {
		rights = r.numbers.With(rights, n)
	}
	return rights
}

func (r *rig) token(token string, change func(*policy.TokenEntry)) error {
	e := policy.TokenEntry{ExpiresNs: BootNow() + uint64(time.Hour), Subject: doctor, Org: theOrg, Length: uint32(len(token)), MFA: 1}
	change(&e)
	return r.PutToken(policy.SipHash128(secret0, secret1, []byte(token)), e)
}

// send writes the parts of a stream one by one and reads up to n answers; a
// refusal is the last. The client's side stays open: an application that sees
// its end may close the socket before the kernel's answer has left it.
func (r *rig) send(t testing.TB, n int, parts ...string) (answers []string) {
	t.Helper()
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	for _, p := range parts {
		if _, err := c.Write([]byte(p)); err != nil {
			break // refused meanwhile: the answer is what counts
		}
	}
	return readAnswers(c, n)
}

func readAnswers(c net.Conn, n int) (answers []string) {
	in := bufio.NewReader(c)
	for len(answers) < n {
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(res.Body)
		verdict := res.Header.Get("X-Authfi-Verdict")
		if verdict != "" && (res.Header.Get("Content-Type") != "application/problem+json" || !res.Close) {
			verdict += " without the contract's headers"
		}
		if verdict == "" {
			verdict = string(body)
		}
		answers = append(answers, fmt.Sprintf("%d %s", res.StatusCode, verdict))
	}
	return answers
}

func get(path, token string) string        { return ask("GET", path, token, "") }
func post(path, token, body string) string { return ask("POST", path, token, body) }

func ask(method, path, token, body string) string {
	s := method + " " + path + " HTTP/1.1\r\nHost: x\r\n"
	if token != "" {
		s += "Authorization: Bearer " + token + "\r\n"
	}
	if body != "" {
		s += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return s + "\r\n" + body
}

func split(s string, size int) (parts []string) {
	for len(s) > size {
		parts, s = append(parts, s[:size]), s[size:]
	}
	return append(parts, s)
}

func TestKernelGate(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) { gateAt(t, listen) })
	}
}

func gateAt(t *testing.T, listen string) {
	r := newRig(t, listen)
	big := strings.Repeat("b", 300_000)
	var chunks strings.Builder
	for range 12_000 {
		chunks.WriteString("a\r\n0123456789\r\n")
	}
	for _, c := range []struct {
		why    string
		parts  []string
		want   string
		served int64
	}{
		{"a public route", []string{get("/health", "")}, "200 GET /health 0", 1},
		{"a doctor's POST", []string{post("/api/patients/7", tokenDoctor, "hello")}, "200 POST /api/patients/7 5", 1},
		{"a nurse's GET", []string{get("/api/patients/7", tokenNurse)}, "200 GET /api/patients/7 0", 1},
		{"an encoded path", []string{get("/api/p%61tients/7", tokenNurse)}, "200 GET /api/patients/7 0", 1},
		{"one byte at a time", split(post("/api/patients/7", tokenDoctor, "hello"), 1), "200 POST /api/patients/7 5", 1},
		{"300 KB", []string{post("/api/patients/7", tokenDoctor, big)}, "200 POST /api/patients/7 300000", 1},
		{"12,000 chunks at once", []string{
			"POST /api/patients/7 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokenDoctor + "\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks.String() + "0\r\n\r\n",
		}, "200 POST /api/patients/7 120000", 1},
		{"two requests at once", []string{get("/health", "") + get("/api/patients/1", tokenDoctor)}, "200 GET /health 0, 200 GET /api/patients/1 0", 2},
		{"a body that looks like a request", []string{post("/api/patients/7", tokenDoctor, get("/admin", ""))}, "200 POST /api/patients/7 " + fmt.Sprint(len(get("/admin", ""))), 1},

		{"no token", []string{get("/api/patients/7", "")}, "401 no_token", 0},
		{"an unknown token", []string{get("/api/patients/7", "stranger")}, "401 unknown_token", 0},
		{"a nurse's POST", []string{post("/api/patients/7", tokenNurse, "x")}, "403 insufficient_permission", 0},
		{"a nurse's POST in pieces of 37", split(post("/api/patients/7", tokenNurse, "x"), 37), "403 insufficient_permission", 0},
		{"a path without a rule", []string{get("/admin", tokenDoctor)}, "403 no_route", 0},
		{"a method without a rule", []string{ask("DELETE", "/api/patients/7", tokenDoctor, "")}, "403 no_route", 0},
		{"two segments under one star", []string{get("/api/patients/7/notes", tokenDoctor)}, "403 no_route", 0},
		{"allowed and refused at once", []string{get("/health", "") + get("/admin", tokenDoctor)}, "403 no_route", 0},
		{"an upgrade", []string{"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"}, "501 not_implemented", 0},
		{"Basic", []string{"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Basic YTpi\r\n\r\n"}, "401 not_bearer", 0},
		{"a body on GET", []string{ask("GET", "/health", "", "abc")}, "400 body_not_allowed", 0},
		{"two Authorization headers", []string{"GET /health HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"}, "400 malformed_request", 0},
		{"length and coding", []string{"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"}, "400 malformed_request", 0},
		{"dot segments", []string{get("/health/../admin", "")}, "400 malformed_request", 0},
		{"an encoded slash", []string{get("/health%2f", "")}, "400 malformed_request", 0},
		{"a method override", []string{"POST /health HTTP/1.1\r\nHost: x\r\nX-HTTP-Method-Override: DELETE\r\n\r\n"}, "400 malformed_request", 0},
		{"40 KB of headers", []string{"GET /health HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 40_000) + "\r\n\r\n"}, "431 too_large", 0},
		{"33 requests at once", []string{strings.Repeat(get("/health", ""), 33)}, "429 too_many", 0},
		{"TLS", []string{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"}, "400 malformed_request", 0},
	} {
		before := r.served.Load()
		got := strings.Join(r.send(t, 1+strings.Count(c.want, ", "), c.parts...), ", ")
		if got != c.want || r.served.Load()-before != c.served {
			t.Errorf("%s: %q and %d served, want %q and %d", c.why, got, r.served.Load()-before, c.want, c.served)
		}
	}
}

func TestKernelRefusesWhateverItCannotProve(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	entry := policy.SubjectEntry{Org: theOrg, Rights: r.rights(policy.RoleName("doctor"), policy.PermissionName("read:patients"))}
	for _, c := range []struct {
		why    string
		change func() error
		want   string
	}{
		{"nothing changed", func() error { return nil }, "200 GET /api/patients/7 0"},
		{"a revoked token", func() error { return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.Revoked = 1 }) }, "401 token_revoked"},
		{"an expired token", func() error { return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.ExpiresNs = BootNow() }) }, "401 token_expired"},
		{"a token before its time", func() error {
			return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.NotBeforeNs = BootNow() + uint64(time.Hour) })
		}, "401 token_not_yet_valid"},
		{"a key of another token's length", func() error { return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.Length++ }) }, "401 unknown_token"},
		{"a token of another organization", func() error { return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.Org = 2 }) }, "403 wrong_organization"},
		{"a token without its user", func() error {
			return r.token(tokenDoctor, func(e *policy.TokenEntry) { e.Subject = policy.Subject{99} })
		}, "401 user_inactive"},
		{"the token as it was", func() error { return r.token(tokenDoctor, func(*policy.TokenEntry) {}) }, "200 GET /api/patients/7 0"},
		{"a deactivated user", func() error { return r.PutSubject(doctor, policy.SubjectEntry{Disabled: 1, Org: theOrg}) }, "401 user_inactive"},
		{"a user without rights", func() error { return r.PutSubject(doctor, policy.SubjectEntry{Org: theOrg}) }, "403 insufficient_permission"},
		{"the user as it was", func() error { return r.PutSubject(doctor, entry) }, "200 GET /api/patients/7 0"},
		{"a reset", r.Reset, "503 enforcement_unavailable"},
	} {
		if err := c.change(); err != nil {
			t.Fatal(err)
		}
		before := r.served.Load()
		got := strings.Join(r.send(t, 1, get("/api/patients/7", tokenDoctor)), ", ")
		if got != c.want || !strings.HasPrefix(c.want, "200") && r.served.Load() != before {
			t.Errorf("%s: %q, want %q", c.why, got, c.want)
		}
	}
}

func TestLapsedLeaseShutsTokenRoutesOnly(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	r.fillWithoutLease(t)
	if got := r.send(t, 1, get("/api/patients/7", tokenDoctor)); fmt.Sprint(got) != "[503 enforcement_unavailable]" {
		t.Errorf("without a lease: %v", got)
	}
	if got := r.send(t, 1, get("/health", "")); fmt.Sprint(got) != "[200 GET /health 0]" {
		t.Errorf("a public route without a lease: %v", got)
	}
}

func (r *rig) fillWithoutLease(t *testing.T) {
	t.Helper()
	r.fill(t)
	if err := r.objects.Controls.Put(uint32(0), &struct{ K0, K1, Lease uint64 }{secret0, secret1, 0}); err != nil {
		t.Fatal(err)
	}
}

func TestHEADIsRefusedWithoutABody(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(c, ask("HEAD", "/api/patients/7", "", ""))
	raw := make([]byte, 4096)
	n, err := c.Read(raw)
	if err != nil || string(raw[:n]) != string(policy.Response(policy.ReasonNoToken, true)) {
		t.Fatalf("%q, %v", raw[:n], err)
	}
}

func TestOpenConnectionOfARevokedUserIsRefusedAndThenEnded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", r.address.String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(c, get("/api/patients/7", tokenDoctor))
		in := bufio.NewReader(c)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			t.Fatalf("%v %v", res, err)
		}
		io.Copy(io.Discard, res.Body)
		return c, in
	}
	active, in := dial()
	defer active.Close()
	idle, idleIn := dial()
	defer idle.Close()
	if err := r.PutSubject(doctor, policy.SubjectEntry{Disabled: 1, Org: theOrg}); err != nil {
		t.Fatal(err)
	}
	io.WriteString(active, get("/api/patients/7", tokenDoctor))
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 401 {
		t.Fatalf("the next request of the open connection: %v %v", res, err)
	}
	if err := r.Sweep(doctor); err != nil {
		t.Fatal(err)
	}
	if _, err := idleIn.ReadByte(); err == nil || os.IsTimeout(err) {
		t.Fatalf("the idle connection is still open: %v", err)
	}
}

func TestConnectionOlderThanTheGateIsEnded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.RemoveService(r.address); err != nil {
		t.Fatal(err)
	}
	old, err := net.Dial("tcp", r.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	old.SetDeadline(time.Now().Add(5 * time.Second))
	io.WriteString(old, get("/open", ""))
	if res, err := http.ReadResponse(bufio.NewReader(old), nil); err != nil || res.StatusCode != 200 {
		t.Fatalf("before the gate: %v %v", res, err)
	}
	r.fill(t)
	io.WriteString(old, get("/admin", ""))
	if b, err := io.ReadAll(old); len(b) > 0 && bytes.Contains(b, []byte("200 OK")) {
		t.Fatalf("the older connection got %q, %v", b, err)
	}
	if got := r.send(t, 1, get("/admin", tokenDoctor)); fmt.Sprint(got) != "[403 no_route]" {
		t.Fatalf("a new connection: %v", got)
	}
}

func TestGateOutlivesItsDaemonAndIsAdopted(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.Close(); err != nil { // as a killed process: everything stays pinned
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		get("/api/patients/7", ""):          "[401 no_token]",
		get("/api/patients/7", tokenDoctor): "[200 GET /api/patients/7 0]",
		get("/health", ""):                  "[200 GET /health 0]",
	} {
		if got := fmt.Sprint(r.send(t, 1, request)); got != want {
			t.Errorf("without a daemon: %s, want %s", got, want)
		}
	}
	again, err := Open(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { again.Close() })
	if got := fmt.Sprint(r.send(t, 1, get("/api/patients/7", tokenDoctor))); got != "[503 enforcement_unavailable]" {
		t.Errorf("adopted and not yet filled: %s", got)
	}
	r.Enforcer = again
	r.fill(t)
	if got := fmt.Sprint(r.send(t, 1, get("/api/patients/7", tokenDoctor))); got != "[200 GET /api/patients/7 0]" {
		t.Errorf("adopted and filled: %s", got)
	}
}

func TestPolicySwapReachesTheNextRequestOfAnOpenConnection(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	in := bufio.NewReader(c)
	io.WriteString(c, get("/health", ""))
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%v %v", res, err)
	}
	io.Copy(io.Discard, res.Body)
	program, err := policy.Compile(theOrg, []policy.Route{{Path: "/other", Public: true}}, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
	io.WriteString(c, get("/health", ""))
	if res, err = http.ReadResponse(in, nil); err != nil || res.StatusCode != 403 {
		t.Fatalf("after the swap: %v %v", res, err)
	}
}

func BenchmarkKernelVerdict(b *testing.B) {
	if !kernelOrNothing(b) {
		return
	}
	r := newRig(b, "127.0.0.1:0")
	token := strings.Repeat("t", 1024)
	if err := r.token(token, func(*policy.TokenEntry) {}); err != nil {
		b.Fatal(err)
	}
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	in := bufio.NewReader(c)
	request := []byte(get("/api/patients/7", token))
	for b.Loop() {
		c.Write(request)
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != 200 {
			b.Fatal(res, err)
		}
		io.Copy(io.Discard, res.Body)
	}
	measured, err := r.Histogram()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(measured.Quantile(0.5)), "verdict-p50-ns")
}

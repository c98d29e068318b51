package gate_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

var token = strings.Repeat("the-token-", 100)

var subject = policy.Subject{5}

// fixture is a gate in front of a service that counts what reaches it.
type fixture struct {
	t        testing.TB
	gate     *gate.Gate
	served   atomic.Int64
	counter  *fixture // counts for this one, where the service was there before
	revoked  atomic.Bool
	lapsed   atomic.Bool // the lease
	program  atomic.Pointer[policy.Program]
	upstream string
	stop     func() // ends the gate and waits for it
}

func (f *fixture) Token(key policy.TokenKey) (policy.TokenEntry, bool) {
	entry := policy.TokenEntry{ExpiresNs: 100, Subject: subject, Org: 1, Length: uint32(len(token))}
	if f.revoked.Load() {
		entry.Revoked = 1
	}
	return entry, key == policy.SipHash128(1, 2, []byte(token))
}

func (f *fixture) Subject(id policy.Subject) (policy.SubjectEntry, bool) {
	return policy.SubjectEntry{Org: 1}, id == subject
}

func (f *fixture) decide(program *policy.Program, flow policy.Flow) (policy.Reason, gate.Grant) {
	lease := uint64(20)
	if f.lapsed.Load() {
		lease = 0
	}
	reason := policy.Verdict(program, flow, f, 10, lease)
	if reason != policy.ReasonAllowed {
		return reason, gate.Grant{}
	}
	return reason, gate.Grant{Subject: subject}
}

// routes are those of the fixture's service.
var routes = []policy.Route{
	{Path: "/data/**"}, {Path: "/open", Public: true}, {Path: "/ws/**", Upgrade: true},
	{Path: "/echo.Echo/**"}, // a gRPC service
}

func compile(t testing.TB, routes []policy.Route) *policy.Program {
	t.Helper()
	program, err := policy.Compile(1, routes, policy.NewNumbering(routes))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// enforce puts a policy in place as the tables do.
func (f *fixture) enforce(routes []policy.Route) {
	f.program.Store(compile(f.t, routes))
	if f.gate != nil {
		f.gate.ReviewAll()
	}
}

func start(t testing.TB) *fixture { return startWith(t, gate.Settings{}, nil) }

// startWith runs a gate with settings before a handler; nil answers with what it
// has read.
func startWith(t testing.TB, settings gate.Settings, handler http.HandlerFunc) *fixture {
	f := &fixture{t: t}
	if handler == nil {
		handler = func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s %d", r.URL.Path, len(body))
		}
	}
	if settings.Upstream == "" {
		service := httptest.NewServer(f.counting(handler))
		t.Cleanup(service.Close)
		settings.Upstream = service.Listener.Addr().String()
	}
	f.run("127.0.0.1:0", settings)
	t.Cleanup(func() { f.stop() })
	return f
}

func (f *fixture) counting(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.served.Add(1)
		next(w, r)
	})
}

// run starts a gate, also in the place of one that has ended.
func (f *fixture) run(listen string, settings gate.Settings) {
	f.t.Helper()
	if f.program.Load() == nil {
		f.enforce(routes)
	}
	f.upstream = settings.Upstream
	f.gate = gate.New(gate.Config{
		Listen: listen, Settings: settings, Decide: f.decide, Program: f.program.Load,
		Stands: func(p *policy.Program, flow policy.Flow, _ gate.Grant) (policy.Reason, bool) {
			reason, _ := f.decide(p, flow)
			return reason, true
		},
		Known: func(policy.Flow) bool { return true },
		Keys:  func() (uint64, uint64) { return 1, 2 },
		User:  func(s policy.Subject) string { return fmt.Sprintf("user-%d", s[0]) },
	})
	if err := f.gate.Listen(); err != nil {
		f.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func(g *gate.Gate) { ended <- g.Run(ctx) }(f.gate)
	f.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			f.t.Error(err)
		}
	})
}

// client is a raw connection to the gate.
type client struct {
	*fixture
	conn   net.Conn
	reader *bufio.Reader
}

func (f *fixture) dial() *client {
	conn, err := net.Dial("tcp", f.gate.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	return &client{f, conn, bufio.NewReader(conn)}
}

func (c *client) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, s); err != nil {
		c.t.Fatal(err)
	}
}

// expect reads one answer.
func (c *client) expect(status int, verdict, body string) {
	c.t.Helper()
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	if answer.StatusCode != status || answer.Header.Get("X-Authfi-Verdict") != verdict || !strings.Contains(string(got), body) {
		c.t.Fatalf("answer %d %q %q, want %d %q %q", answer.StatusCode, answer.Header.Get("X-Authfi-Verdict"), got, status, verdict, body)
	}
}

// ends asserts that nothing more arrives and the connection is over.
func (c *client) ends() {
	c.t.Helper()
	if b, err := c.reader.ReadByte(); err == nil {
		c.t.Fatalf("byte %q after the end", b)
	} else if failed, ok := err.(net.Error); ok && failed.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

func (f *fixture) reached(want int64) {
	f.t.Helper()
	served := &f.served
	if f.counter != nil {
		served = &f.counter.served
	}
	if got := served.Load(); got != want {
		f.t.Errorf("%d requests reached the service, want %d", got, want)
	}
}

func request(method, path, headers, body string) string {
	return method + " " + path + " HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer " + token + "\r\n" + headers + "\r\n" + body
}

func TestAllowedRequestsPass(t *testing.T) {
	c := start(t).dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(200, "", "/data/a 0")
	c.send("GET /open HTTP/1.1\r\nHost: s\r\n\r\n")
	c.expect(200, "", "/open 0")
	counts := c.gate.Counts()
	if counts[policy.ReasonAllowed] != 1 || counts[policy.ReasonPublic] != 1 {
		t.Errorf("counts %v", counts)
	}
}

func TestRefusedRequestsNeverReachTheService(t *testing.T) {
	f := start(t)
	for _, r := range []struct {
		raw, verdict string
		status       int
	}{
		{"GET /data/a HTTP/1.1\r\nHost: s\r\n\r\n", "no_token", 401},
		{"GET /data/a HTTP/1.1\r\nHost: s\r\nAuthorization: Bearer other\r\n\r\n", "unknown_token", 401},
		{request("GET", "/other", "", ""), "no_route", 403},
		{request("GET", "/data//a", "", ""), "malformed_request", 400},
		{request("POST", "/data/a", "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), "malformed_request", 400},
		{request("GET", "/open", "Connection: upgrade\r\nUpgrade: websocket\r\n", ""), "not_implemented", 501},
		{request("GET", "/ws/a", "Connection: upgrade\r\nUpgrade: h2c\r\n", ""), "not_implemented", 501},
		{request("GET", "/ws/a", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", ""), "not_implemented", 501},
		{request("GET", "/ws/a", "Upgrade: websocket\r\n", ""), "malformed_request", 400},
		{request("POST", "/ws/a", "Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n", "x"), "malformed_request", 400},
		{request("GET", "/data/a", "X: "+strings.Repeat("x", policy.HeaderMax)+"\r\n", ""), "too_large", 431},
	} {
		c := f.dial()
		c.send(r.raw)
		c.expect(r.status, r.verdict, r.verdict)
		c.ends()
	}
	f.reached(0)
}

func TestPipelinedRequestsAreDecidedOneByOne(t *testing.T) {
	c := start(t).dial()
	c.send(request("GET", "/data/1", "", "") + request("POST", "/data/2", "Content-Length: 3\r\n", "abc"))
	c.expect(200, "", "/data/1 0")
	c.expect(200, "", "/data/2 3")
	c.send("GET /data/3 HTTP/1.1\r\nHost: s\r\n\r\n" + request("GET", "/data/4", "", ""))
	c.expect(401, "no_token", "")
	c.ends()
	c.reached(2)
}

func TestBodiesPassUnchanged(t *testing.T) {
	c := start(t).dial()
	body := string(bytes.Repeat([]byte("GET / HTTP/1.1\r\n"), 300<<10/16))
	c.send(request("PUT", "/data/a", fmt.Sprintf("Content-Length: %d\r\n", len(body)), body))
	c.expect(200, "", fmt.Sprintf("/data/a %d", len(body)))
	c.send(request("PUT", "/data/b", "Transfer-Encoding: chunked\r\n", fmt.Sprintf("%x\r\n%s\r\n3\r\nabc\r\n0\r\n\r\n", len(body), body)))
	c.expect(200, "", fmt.Sprintf("/data/b %d", len(body)+3))
}

func TestRevocationReachesTheNextRequestOfAConnection(t *testing.T) {
	c := start(t).dial()
	c.send(request("GET", "/data/a", "", ""))
	c.expect(200, "", "")
	c.revoked.Store(true)
	c.send(request("GET", "/data/a", "", ""))
	c.expect(401, "token_revoked", "")
	c.ends()
	c.reached(1)
}

func TestSweepEndsOnlyTheSubjectsConnections(t *testing.T) {
	f := start(t)
	mine, other := f.dial(), f.dial()
	mine.send(request("GET", "/data/a", "", ""))
	mine.expect(200, "", "")
	other.send("GET /open HTTP/1.1\r\nHost: s\r\n\r\n")
	other.expect(200, "", "")
	f.gate.Sweep(subject)
	mine.ends()
	other.send("GET /open HTTP/1.1\r\nHost: s\r\n\r\n")
	other.expect(200, "", "")
}

func TestHalfClosedClientGetsItsAnswer(t *testing.T) {
	c := start(t).dial()
	c.send("GET /open HTTP/1.1\r\nHost: s\r\nConnection: close\r\n\r\n")
	c.conn.(*net.TCPConn).CloseWrite()
	c.expect(200, "", "/open 0")
	c.ends()
}

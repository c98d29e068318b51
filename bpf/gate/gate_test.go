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
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

const token = "the-token"

var subject = policy.Subject{5}

// fixture is a gate in front of a service that counts what reaches it.
type fixture struct {
	t       *testing.T
	gate    *gate.Gate
	served  atomic.Int64
	revoked atomic.Bool
	program *policy.Program
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

func (f *fixture) decide(program *policy.Program, flow policy.Flow) (policy.Reason, policy.Subject) {
	reason := policy.Verdict(program, flow, f, 10, 20)
	if reason != policy.ReasonAllowed {
		return reason, policy.Subject{}
	}
	return reason, subject
}

func start(t *testing.T) *fixture {
	f := &fixture{t: t}
	routes := []policy.Route{{Path: "/data/**"}, {Path: "/open", Public: true, Upgrade: true}}
	program, err := policy.Compile(1, routes, policy.NewNumbering(routes))
	if err != nil {
		t.Fatal(err)
	}
	f.program = program
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.served.Add(1)
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %d", r.URL.Path, len(body))
	}))
	t.Cleanup(service.Close)
	f.gate = gate.New(gate.Config{
		Listen: "127.0.0.1:0", Upstream: service.Listener.Addr().String(), Decide: f.decide,
		Program: func() *policy.Program { return f.program },
		Keys:    func() (uint64, uint64) { return 1, 2 },
	})
	if err := f.gate.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.gate.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
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
	if got := f.served.Load(); got != want {
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

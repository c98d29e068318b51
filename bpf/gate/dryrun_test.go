package gate_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

// trial is a gate in front of a service that answers whatever it is sent with what it
// was sent, so that nothing is lost on a parser of its own.
type trial struct {
	*fixture
	program atomic.Pointer[policy.Program]
	mu      sync.Mutex
	told    []string    // method, route and reason
	gone    atomic.Bool // the token's session, and with it the row
}

func startTrial(t *testing.T) *trial {
	service, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { service.Close() })
	go func() {
		for {
			c, err := service.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); io.Copy(c, c) }()
		}
	}()
	tr := &trial{fixture: &fixture{t: t}}
	tr.set(true)
	tr.gate = gate.New(gate.Config{
		Listen: "127.0.0.1:0", Settings: gate.Settings{Upstream: service.Addr().String()}, Decide: tr.decide, Program: tr.program.Load,
		Stands: func(p *policy.Program, flow policy.Flow, _ gate.Grant) (policy.Reason, bool) {
			reason, _ := tr.decide(p, flow)
			return reason, true
		},
		Known: func(policy.Flow) bool { return !tr.gone.Load() },
		Keys:  func() (uint64, uint64) { return 1, 2 }, Told: tr.hear,
	})
	if err := tr.gate.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- tr.gate.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return tr
}

func (tr *trial) set(dry bool) {
	s := policy.Service{Routes: []policy.Route{{Path: "/data/**"}}, DryRun: dry}
	program, err := s.Compile(1, policy.NewNumbering(s.Routes))
	if err != nil {
		tr.t.Fatal(err)
	}
	tr.program.Store(program)
	if tr.gate != nil {
		tr.gate.ReviewAll()
	}
}

func (tr *trial) hear(p *policy.Program, flow *policy.Flow, reason policy.Reason, _ policy.Subject) {
	line := "unread " + reason.String()
	if flow != nil {
		line = fmt.Sprintf("%s %d %s", policy.MethodName(flow.Method), p.Name(*flow, reason).Route, reason)
	}
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.told = append(tr.told, line)
}

func (tr *trial) heard() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return fmt.Sprint(tr.told)
}

// toldToService are the lines that the gate adds to a request which it can read.
var toldToService = regexp.MustCompile(`(?m)^x-(forwarded-[a-z]+|real-ip|authfi-user): .*\r\n`)

// echoed sends bytes and waits until the service has them all.
func (c *client) echoed(s string) {
	c.t.Helper()
	c.send(s)
	var got []byte
	for text := ""; text != s; text = toldToService.ReplaceAllString(string(got), "") {
		one, err := c.reader.ReadByte()
		if err != nil {
			c.t.Fatalf("the service got %q, %v, of %q", got, err, s)
		}
		got = append(got, one)
	}
}

func TestDryRunCountsAndRefusesNothing(t *testing.T) {
	const end = " HTTP/1.1\r\nHost: x\r\n"
	for _, row := range []struct {
		name  string
		sends []string
		want  string
	}{
		{"no token, no route, a token", []string{
			"GET /data/x" + end + "\r\n", "DELETE /x" + end + "\r\n", "GET /data/x" + end + "Authorization: Bearer " + token + "\r\n\r\n",
		}, "[GET 0 no_token DELETE -1 no_route GET 0 allowed]"},
		{"two in one segment, with a body", []string{"POST /data/x" + end + "Content-Length: 2\r\n\r\nhiGET /y" + end + "\r\n"},
			"[POST 0 no_token GET -1 no_route]"},
		{"what cannot be read, and what follows it", []string{"GET /data/../x" + end + "\r\n", "GET /data/x" + end + "\r\n", "\x00\xff"}, "[unread malformed_request]"},
		{"a broken chunk", []string{"POST /data/x" + end + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", "zz\r\n"}, "[POST 0 no_token unread malformed_request]"},
		{"another protocol", []string{"GET /data/x" + end + "Upgrade: websocket\r\n\r\n\x81\x05hello", "\x81\x01!"}, "[GET 0 not_implemented]"},
		{"no HTTP at all", []string{"\x16\x03\x01hello", "more"}, "[unread malformed_request]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			tr := startTrial(t)
			c := tr.dial()
			for _, s := range row.sends {
				c.echoed(s)
			}
			if got := tr.heard(); got != row.want {
				t.Errorf("told %s, want %s", got, row.want)
			}
		})
	}
}

// TestEndOfADryRunReachesOpenConnections: those that are idle, those with a request
// under way that would be refused, and those that are not read.
func TestEndOfADryRunReachesOpenConnections(t *testing.T) {
	const request = "GET /data/x HTTP/1.1\r\nHost: x\r\n\r\n"
	tr := startTrial(t)
	underWay, unread, silent := tr.dial(), tr.dial(), tr.dial()
	underWay.echoed(request)
	unread.echoed("no HTTP\r\n")
	silent.echoed("no HTTP\r\n")
	tr.set(false)
	for _, c := range []*client{underWay, unread, silent} {
		c.ends()
	}

	f := start(t)
	f.program.Store(dryProgram(t, routes))
	c := f.dial()
	c.send(request)
	c.expect(200, "", "/data/x 0")
	f.enforce(routes)
	c.send(request)
	c.expect(401, "no_token", "")
}

func dryProgram(t testing.TB, routes []policy.Route) *policy.Program {
	t.Helper()
	s := policy.Service{Routes: routes, DryRun: true}
	program, err := s.Compile(1, policy.NewNumbering(s.Routes))
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestDryRunTellsNobodysName: the service is told whose a request is that would be let
// through, and of no other.
func TestDryRunTellsNobodysName(t *testing.T) {
	users := make(chan string, 1)
	f := startWith(t, gate.Settings{}, func(_ http.ResponseWriter, r *http.Request) { users <- r.Header.Get("X-Authfi-User") })
	f.program.Store(dryProgram(t, routes))
	for path, want := range map[string]string{"/data/x": "user-5", "/nowhere": ""} {
		c := f.dial()
		c.send(request("GET", path, "X-Authfi-User: admin\r\n", ""))
		c.expect(200, "", "")
		if got := <-users; got != want {
			t.Errorf("%s: the service is told %q, want %q", path, got, want)
		}
	}
}

// TestDryRunEndsNobody, and its end ends whom it would have ended.
func TestDryRunEndsNobody(t *testing.T) {
	tr := startTrial(t)
	c := tr.dial()
	text := request("GET", "/data/x", "", "")
	c.echoed(text)
	tr.gone.Store(true)
	tr.gate.Sweep(subject)
	tr.gate.ReviewAll()
	c.echoed(text)
	tr.set(false)
	c.ends()
}

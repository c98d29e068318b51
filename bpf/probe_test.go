package bpf

import (
	"errors"
	"fmt"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
)

const (
	pipelinedMax = 32   // as PIPELINED_MAX in src/enforce.bpf.c
	packetMax    = 3000 // bytes of a stream that a test run's one page holds
)

// oracle is the Go twin: the same rows, looked up and read in Go.
type oracle struct {
	program  *policy.Program
	tokens   map[policy.TokenKey]policy.TokenEntry
	subjects map[policy.Subject]policy.SubjectEntry
	lease    uint64
}

func (o *oracle) Token(k policy.TokenKey) (policy.TokenEntry, bool) {
	e, ok := o.tokens[k]
	return e, ok
}

func (o *oracle) Subject(id policy.Subject) (policy.SubjectEntry, bool) {
	e, ok := o.subjects[id]
	return e, ok
}

// reading is what both sides say of one stream. The flow is that of the refused
// header block; it is empty when the bytes were refused or all let through.
type reading struct {
	reason   policy.Reason
	requests uint32
	flow     policy.Flow
	idle     bool
}

func (o *oracle) read(stream []byte) reading { return o.readOn(policy.NewMachine(), stream) }

// verdict is the oracle's, but for upgrades: the kernel does not see the answer to
// one, so it refuses what the user-space gate may let through.
func (o *oracle) verdict(f policy.Flow) policy.Reason {
	upgrade := f.Upgrade
	f.Upgrade = false
	reason := policy.Verdict(o.program, f, o, BootNow(), o.lease)
	if upgrade && reason != policy.ReasonNoRoute {
		return policy.ReasonNotImplemented
	}
	return reason
}

// readOn reads the next segment of a connection.
func (o *oracle) readOn(m *policy.Machine, stream []byte) (r reading) {
	r.reason = policy.ReasonAllowed
	blocks := 0
	for {
		if m.Idle() {
			m.Begin(o.program, secret0, secret1)
		}
		if len(stream) == 0 {
			r.idle = m.Idle()
			return r
		}
		n, complete, refusal := m.Feed(stream)
		stream = stream[n:]
		if refusal != policy.ReasonAllowed {
			r.reason = refusal
			return r
		}
		if !complete {
			continue
		}
		if blocks++; blocks > pipelinedMax {
			r.reason = policy.ReasonTooMany
			return r
		}
		if verdict := o.verdict(m.Flow()); !verdict.Allows() {
			r.reason, r.flow = verdict, m.Flow()
			return r
		}
		r.requests++
		m.Allow()
	}
}

// probe runs the kernel's program on the stream as one packet.
func (r *rig) probe(t testing.TB, stream []byte) reading {
	t.Helper()
	return r.probeOn(t, r.newProbe(t), stream)
}

// newProbe is a connection that was just enrolled.
func (r *rig) newProbe(t testing.TB) *service {
	t.Helper()
	r.mu.Lock()
	s := r.services[r.key(r.address)]
	r.mu.Unlock()
	if err := r.objects.ProbeConn.Put(uint32(0), &obj.EnforceConn{Place: s.place}); err != nil {
		t.Fatal(err)
	}
	return s
}

// probeOn reads the next segment of the connection.
func (r *rig) probeOn(t testing.TB, s *service, segment []byte) reading {
	t.Helper()
	if _, err := r.objects.Probe.Run(&ebpf.RunOptions{Data: packetOf(segment)}); err != nil {
		t.Fatal(err)
	}
	var p obj.EnforceProbe
	var c obj.EnforceConn
	if err := r.objects.ProbeResult.Lookup(uint32(0), &p); err != nil {
		t.Fatal(err)
	}
	if err := r.objects.ProbeConn.Lookup(uint32(0), &c); err != nil {
		t.Fatal(err)
	}
	got := reading{reason: policy.Reason(p.Reason), requests: p.Requests, idle: p.State == 0 && c.Http.Count == 0}
	if c.Http.Step == stepHeader && got.reason != policy.ReasonTooMany && got.reason != policy.ReasonTooLarge {
		got.flow = flowOf(&c, s.rows.from)
	}
	return got
}

// packetOf puts a stream behind the Ethernet header that the program skips.
func packetOf(stream []byte) []byte { return append(make([]byte, 14), stream...) }

// Numbers of src/http.h.
const (
	stepHeader = 1
	cHasToken  = 1
	cHasCoding = 4
	cHasUpgr   = 16
)

func flowOf(c *obj.EnforceConn, rowsFrom uint32) policy.Flow {
	h := &c.Http
	f := policy.Flow{
		Method: int(h.Method), State: h.Path, Length: h.TokenLength,
		HasToken: h.Flags&cHasToken != 0, Upgrade: h.Flags&cHasUpgr != 0,
		Body: h.Flags&cHasCoding != 0 || h.Body > 0,
	}
	if f.State != 0 {
		f.State -= uint16(rowsFrom) - 1
	}
	if f.HasToken {
		f.Token = policy.TokenKey{H0: h.H0, H1: h.H1}
	}
	return f
}

// world fills the tables, the kernel's and the oracle's, with the same rows.
func (r *rig) world(t testing.TB, rng *rand.Rand) (o *oracle, tokens []string, paths []string) {
	t.Helper()
	routes, paths := manyRoutes(rng)
	o, tokens = r.fillWorld(t, rng, routes)
	return o, tokens, paths
}

func (r *rig) fillWorld(t testing.TB, rng *rand.Rand, routes []policy.Route) (o *oracle, tokens []string) {
	t.Helper()
	if err := r.Reset(); err != nil { // without the tokens of another world
		t.Fatal(err)
	}
	numbers := policy.NewNumbering(routes)
	program, err := policy.Compile(theOrg, routes, numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
	lease := BootNow() + uint64(time.Hour)
	if err := errors.Join(r.SetKey(secret0, secret1), r.ExtendLease(lease)); err != nil {
		t.Fatal(err)
	}
	o = &oracle{program, map[policy.TokenKey]policy.TokenEntry{}, map[policy.Subject]policy.SubjectEntry{}, lease}
	for n := byte(1); n <= 20; n++ {
		id := policy.Subject{15: n}
		s := policy.SubjectEntry{Org: theOrg + uint32(rng.Intn(8)/7), Disabled: uint32(rng.Intn(8) / 7)}
		for _, route := range routes {
			for _, role := range route.Roles {
				if rng.Intn(2) == 0 {
					s.Rights = numbers.With(s.Rights, policy.RoleName(role))
				}
			}
			for _, p := range route.Permissions {
				if rng.Intn(2) == 0 {
					s.Rights = numbers.With(s.Rights, policy.PermissionName(p))
				}
			}
		}
		if rng.Intn(8) == 0 {
			s.Rights.Numbering++ // of another policy
		}
		o.subjects[id] = s
		if err := r.PutSubject(id, s); err != nil {
			t.Fatal(err)
		}
	}
	for length := 1; length <= 160; length++ {
		token := randomToken(rng, length*length/20+1)
		tokens = append(tokens, token)
		e := policy.TokenEntry{
			ExpiresNs: BootNow() + uint64(time.Hour), Subject: policy.Subject{15: byte(1 + rng.Intn(22))},
			Org: theOrg + uint32(rng.Intn(9)/8), Length: uint32(len(token)), MFA: uint8(rng.Intn(2)),
		}
		switch rng.Intn(12) {
		case 0:
			e.Revoked = 1
		case 1:
			e.ExpiresNs = 1
		case 2:
			e.NotBeforeNs = e.ExpiresNs
		case 3:
			e.Length++
		case 4:
			continue // unknown
		}
		key := policy.SipHash128(secret0, secret1, []byte(token))
		o.tokens[key] = e
		if err := r.PutToken(key, e); err != nil {
			t.Fatal(err)
		}
	}
	return o, tokens
}

func manyRoutes(rng *rand.Rand) (routes []policy.Route, paths []string) {
	methods := []string{"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"}
	for i := range 40 {
		route := policy.Route{Path: fmt.Sprintf("/v%d/%c/*", i%3, 'a'+i%7), MFA: rng.Intn(4) == 0, GetBody: rng.Intn(4) == 0}
		if i%4 == 0 {
			route.Path = fmt.Sprintf("/v%d/**", i%5)
		}
		route.Path = fmt.Sprintf("/r%d", i/3) + route.Path
		route.Methods = []string{methods[i%7], methods[(i+3)%7]}
		switch rng.Intn(4) {
		case 0:
			route.Public, route.MFA = true, false
		case 1:
			route.Roles = []string{fmt.Sprintf("role%d", rng.Intn(6))}
		case 2:
			route.Permissions = []string{fmt.Sprintf("read:thing%d", rng.Intn(200)), fmt.Sprintf("write:thing%d", rng.Intn(6))}
		}
		routes = append(routes, route)
		paths = append(paths, strings.NewReplacer("**", "x/y", "*", "caf%C3%A9").Replace(route.Path))
	}
	routes = append(routes, policy.Route{Path: "/open", Public: true})
	return routes, append(paths, "/open", "/", "/nowhere", "/r1/v1/b/..", "/r%31/v1/b/z", "/r1/v1//z", "/r1/v1/b/.well?q=/../x")
}

func randomToken(rng *rand.Rand, length int) string {
	b := make([]byte, length)
	for i := range b {
		if b[i] = byte(0x21 + rng.Intn(0x7f-0x21)); b[i] == ',' {
			b[i] = '.'
		}
	}
	return string(b)
}

// randomStream is one to three requests, one in three of them damaged.
func randomStream(rng *rand.Rand, tokens, paths []string) []byte {
	methods := []string{"GET", "GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PRI", "get"}
	pick := func(from []string) string { return from[rng.Intn(len(from))] }
	var b strings.Builder
	for range 1 + rng.Intn(3) {
		b.WriteString(pick(methods) + " " + pick(paths) + " " + pick([]string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"}) + "\r\nHost: x\r\n")
		if rng.Intn(8) > 0 {
			b.WriteString(pick([]string{"Authorization", "authorization", "AUTHORIZATION"}) + ": " + pick([]string{"Bearer ", "bearer ", "BEARER "}) + pick(tokens) + pick([]string{"", " \t"}) + "\r\n")
		}
		for range rng.Intn(3) {
			b.WriteString(pick([]string{"Accept: */*\r\n", "X-Empty:\r\n", "Upgrade: h2c\r\n", "X_Under: \xc3\xa9\t.\r\n", "Connection: keep-alive\r\n"}))
		}
		switch rng.Intn(5) {
		case 0:
			b.WriteString("Content-Length: 5\r\n\r\nhello")
		case 1:
			b.WriteString("Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n")
		default:
			b.WriteString("\r\n")
		}
	}
	stream := []byte(b.String())
	if len(stream) > packetMax {
		stream = stream[:packetMax]
	}
	if rng.Intn(3) == 0 {
		damage(rng, stream)
	}
	if rng.Intn(4) == 0 {
		stream = stream[:1+rng.Intn(len(stream))]
	}
	return stream
}

func damage(rng *rand.Rand, stream []byte) {
	const tempting = "\r\n \t:,;/.%?#\x00\x7f\x80_-0aA"
	for range 1 + rng.Intn(2) {
		stream[rng.Intn(len(stream))] = tempting[rng.Intn(len(tempting))]
	}
}

// The kernel's program and its twin in Go read the same tables and the same
// bytes and must say the same, down to the key of the token.
func TestKernelAgreesWithItsTwin(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	seen := map[policy.Reason]int{}
	compare := func(o *oracle, why string, stream []byte) {
		t.Helper()
		want, got := o.read(stream), r.probe(t, stream)
		seen[want.reason]++
		if want.reason != policy.ReasonAllowed {
			want.idle, got.idle = false, false // a dead stream has no position
		}
		if got != want {
			t.Fatalf("%s: %q:\nkernel %v %+v\nGo     %v %+v", why, stream, got.reason, got, want.reason, want)
		}
	}
	for seed := int64(1); seed <= 5; seed++ {
		rng := rand.New(rand.NewSource(seed))
		o, tokens, paths := r.world(t, rng)
		for _, c := range ambiguous {
			compare(o, c.why, []byte(c.stream))
		}
		for i := range 4_000 {
			compare(o, fmt.Sprintf("seed %d, stream %d", seed, i), randomStream(rng, tokens, paths))
		}
	}
	o, _, _ := r.world(t, rand.New(rand.NewSource(6)))
	for _, n := range []int{pipelinedMax, pipelinedMax + 1} {
		compare(o, fmt.Sprint(n, " requests"), []byte(strings.Repeat("GET /open HTTP/1.0\r\n\r\n", n)))
	}
	if seen[policy.ReasonTooMany] != 1 {
		t.Errorf("one request too many was refused %d times", seen[policy.ReasonTooMany])
	}
	t.Log(seen)
	for reason := policy.ReasonNoRoute; reason <= policy.ReasonVersion; reason++ {
		switch reason {
		case policy.ReasonPublic, policy.ReasonTooLarge:
			continue // let through like ReasonAllowed; more than a packet
		}
		if seen[reason] == 0 {
			t.Errorf("no stream led to %v", reason)
		}
	}
}

// BenchmarkReading is the cost of reading and deciding alone: the kernel repeats
// the program and says how long one run took.
func BenchmarkReading(b *testing.B) {
	if !kernelOrNothing(b) {
		return
	}
	r := newRig(b, "127.0.0.1:0")
	for _, length := range []int{24, 512, 1024, 2048} {
		b.Run(fmt.Sprint("token of ", length), func(b *testing.B) {
			token := strings.Repeat("t", length)
			if err := r.token(token, func(*policy.TokenEntry) {}); err != nil {
				b.Fatal(err)
			}
			packet := []byte(get("/api/patients/7", token))
			if got := r.probe(b, packet); got.requests != 1 {
				b.Fatal(got)
			}
			_, each, err := r.objects.Probe.Benchmark(packetOf(packet), b.N, b.ResetTimer)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(each.Nanoseconds()), "ns/run")
		})
	}
}

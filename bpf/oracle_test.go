package bpf

import (
	"bytes"
	"io"
	"math/rand"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
)

// Sizes of one run against the oracle.
const (
	worldsMax     = 12  // policies with their users and tokens
	streamsMax    = 800 // of each, in one segment
	splitMax      = 30  // of each, cut in two at every byte, and into single bytes
	flowsMax      = 120 // of each, over real sockets
	oversizeSteps = 1000
)

// seeded is a new seed for every run, which the log and every failure tell;
// AUTHFI_TEST_SEED repeats one.
func seeded(t *testing.T) int64 {
	t.Helper()
	seed := time.Now().UnixNano()
	if text := os.Getenv("AUTHFI_TEST_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseInt(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("AUTHFI_TEST_SEED=%d", seed)
	return seed
}

// A policy, its users and tokens, and a lease that may have lapsed, are written
// into both tables; then both read the same hostile streams.
func TestKernelAgreesWithTheOracle(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	rng := rand.New(rand.NewSource(seeded(t)))
	seen := map[policy.Reason]int{}
	segments := 0
	for n := range worldsMax {
		w := &writer{Rand: rng}
		routes, paths := w.manyPolicies()
		o, tokens := r.fillWorld(t, rng, routes)
		w.tokens, w.paths = tokens, paths
		if n%4 == 3 {
			r.lapse(t, o)
		}
		for range streamsMax {
			stream := w.stream()
			seen[r.compare(t, o, pieces(stream, packetMax)).reason]++
			segments++
		}
		for range splitMax {
			segments += r.compareSplits(t, o, w.stream())
		}
	}
	t.Logf("%d segments: %v", segments, seen)
	for reason := policy.ReasonNoRoute; reason <= policy.ReasonVersion; reason++ {
		switch reason {
		case policy.ReasonPublic, policy.ReasonTooLarge:
			continue // let through like ReasonAllowed; see TestOversizeHeaders
		}
		if seen[reason] == 0 {
			t.Errorf("no stream led to %v", reason)
		}
	}
}

// lapse takes the lease from both sides.
func (r *rig) lapse(t *testing.T, o *oracle) {
	t.Helper()
	o.lease = 0
	if err := r.objects.Controls.Put(uint32(0), &obj.EnforceControl{K0: secret0, K1: secret1}); err != nil {
		t.Fatal(err)
	}
}

// compareSplits cuts a stream at every place, and into single bytes. However TCP
// cuts, the same requests go through, or the same reason refuses.
func (r *rig) compareSplits(t *testing.T, o *oracle, stream string) (segments int) {
	t.Helper()
	stream = stream[:min(len(stream), 400)]
	whole := r.compare(t, o, []string{stream})
	for at := 1; at < len(stream); at++ {
		if got := r.compare(t, o, []string{stream[:at], stream[at:]}); got != whole {
			t.Fatalf("cut at %d, %q: %+v, whole %+v", at, stream, got, whole)
		}
		segments += 2
	}
	if got := r.compare(t, o, pieces(stream, 1)); got != whole {
		t.Fatalf("single bytes of %q: %+v, whole %+v", stream, got, whole)
	}
	return segments + len(stream)
}

func pieces(stream string, size int) []string { return split(stream, size) }

// compare gives the same segments of one connection to both sides.
func (r *rig) compare(t testing.TB, o *oracle, segments []string) reading {
	t.Helper()
	got, want := r.probeAll(t, segments), o.readAll(segments)
	if want.reason != policy.ReasonAllowed {
		want.idle, got.idle = false, false // a dead stream has no position
	}
	if got != want {
		t.Fatalf("%q:\nkernel %v %+v\nGo     %v %+v", segments, got.reason, got, want.reason, want)
	}
	return got
}

// A header is too large by the same byte on both sides, however it is cut.
func TestOversizeHeaders(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	rng := rand.New(rand.NewSource(seeded(t)))
	o, _, _ := r.world(t, rng)
	head := "GET /open HTTP/1.1\r\nHost: x\r\nX: "
	for _, over := range []int{-1, 0, 1, oversizeSteps} {
		stream := head + string(bytes.Repeat([]byte("a"), policy.HeaderMax-len(head)-4+over)) + "\r\n\r\n"
		want := policy.ReasonAllowed
		if over > 0 {
			want = policy.ReasonTooLarge
		}
		for _, size := range []int{packetMax, 1 + rng.Intn(packetMax), 1 + rng.Intn(64)} {
			if got := r.compare(t, o, pieces(stream, size)); got.reason != want {
				t.Errorf("%d bytes more than allowed in pieces of %d: %v, want %v", over, size, got.reason, want)
			}
		}
	}
}

// The same over real sockets: what the kernel's hook lets through is what the
// oracle does, request by request, and what it refuses wakes nobody.
func TestRealConnectionsAgreeWithTheOracle(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	seed := seeded(t)
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) {
			r := newRig(t, listen)
			rng := rand.New(rand.NewSource(seed))
			for range worldsMax / 2 {
				w := &writer{Rand: rng}
				routes, paths := w.manyPolicies()
				o, tokens := r.fillWorld(t, rng, routes)
				w.tokens, w.paths = tokens, paths
				for range flowsMax {
					r.compareFlow(t, o, w.stream())
				}
			}
		})
	}
}

// compareFlow sends a stream and its end. The service may refuse what the gate
// lets through, but what the gate refuses has the gate's reason, and the service
// saw no more requests than the oracle counts.
func (r *rig) compareFlow(t *testing.T, o *oracle, stream string) {
	t.Helper()
	want := o.readAll([]string{stream})
	before := r.served.Load()
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(c, stream); err != nil {
		t.Fatal(err)
	}
	if want.reason.Allows() { // refused at once, the end might overtake the answer
		c.(*net.TCPConn).CloseWrite()
	}
	answer := firstRefusal(c)
	served := r.served.Load() - before
	if want.reason.Allows() {
		if answer != "" || served > int64(want.requests) {
			t.Fatalf("%q: refused %q, %d served, want none and at most %d", stream, answer, served, want.requests)
		}
		return
	}
	// One segment is refused as a whole.
	if answer != want.reason.String() || served != 0 {
		t.Fatalf("%q: refused %q, %d served, want %q and none", stream, answer, served, want.reason)
	}
}

// firstRefusal is the verdict in the answers of a connection, or nothing if the
// service alone has answered.
func firstRefusal(c net.Conn) string {
	var b bytes.Buffer
	buffer := make([]byte, 4096)
	const field = "x-authfi-verdict: "
	for {
		n, err := c.Read(buffer)
		b.Write(buffer[:n])
		if _, after, ok := bytes.Cut(b.Bytes(), []byte(field)); ok {
			if verdict, _, whole := bytes.Cut(after, []byte("\r\n")); whole {
				return string(verdict)
			}
		}
		if err != nil {
			return ""
		}
	}
}

// readAll is read over several segments of one connection.
func (o *oracle) readAll(segments []string) reading {
	m := policy.NewMachine()
	sum := reading{reason: policy.ReasonAllowed, idle: true}
	for _, s := range segments {
		r := o.readOn(m, []byte(s))
		r.requests += sum.requests
		sum = r
		if !r.reason.Allows() {
			return sum
		}
	}
	return sum
}

// probeAll gives the kernel's program one segment after another.
func (r *rig) probeAll(t testing.TB, segments []string) reading {
	t.Helper()
	s := r.newProbe(t)
	sum := reading{reason: policy.ReasonAllowed, idle: true}
	for _, segment := range segments {
		if sum = r.probeOn(t, s, []byte(segment)); !sum.reason.Allows() {
			return sum
		}
	}
	return sum
}

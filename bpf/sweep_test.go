package bpf

import (
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
)

// A client that sent a byte every 29 seconds was never ended: every byte began
// the time anew. An upload that paused for longer than a header may was.
func TestOverdue(t *testing.T) {
	const now = uint64(time.Hour)
	before := func(d time.Duration) uint64 { return now - uint64(d) }
	for _, c := range []struct {
		why  string
		conn obj.EnforceConn
		want bool
	}{
		{"a header as old as it may be", conn(modeActive, 10, 5, before(headerGrace), now), false},
		{"a header that is older, its last byte new", conn(modeActive, 10, 5, before(headerGrace+1), now), true},
		{"a body that is older", conn(modeActive, 10, stateInBody, before(time.Minute), before(time.Minute)), false},
		{"an idle connection", conn(modeActive, 0, 0, before(time.Minute), before(time.Minute)), false},
		{"a refused one within its grace", conn(modePoisoned, 10, 5, now, before(poisonedGrace)), false},
		{"a refused one after it", conn(modePoisoned, 10, 5, now, before(poisonedGrace+1)), true},
		{"one that answered unasked", conn(modeLeaked, 0, 0, now, before(poisonedGrace+1)), true},
	} {
		if got := overdue(&c.conn, now); got != c.want {
			t.Errorf("%s: %v", c.why, got)
		}
	}
}

func conn(mode, headerBytes uint32, state uint8, began, touched uint64) (c obj.EnforceConn) {
	c.Mode, c.Began, c.Touched = mode, began, touched
	c.Http.HeaderBytes, c.Http.State = headerBytes, state
	return c
}

// The time of a header is that of its first byte in the kernel too.
func TestSlowHeaderIsReaped(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	slow, idle := r.dial(t), r.dial(t)
	health := get("/health", "")
	if got := exchange(t, idle, health); got != "200 GET /health 0" {
		t.Fatal(got)
	}
	io.WriteString(slow, health[:10])
	r.inHeader(t, r.cfg.PinDir)
	age := func(d time.Duration) {
		t.Helper()
		var cookie uint64
		var c obj.EnforceConn
		for it := r.objects.Conns.Iterate(); it.Next(&cookie, &c); {
			c.Began -= uint64(d)
			if err := r.objects.Conns.Put(cookie, &c); err != nil {
				t.Fatal(err)
			}
		}
	}
	age(headerGrace - 5*time.Second)
	io.WriteString(slow, health[10:11])
	if err := r.Reap(); err != nil {
		t.Fatal(err)
	}
	io.WriteString(slow, health[11:12]) // still there
	age(6 * time.Second)
	if err := r.Reap(); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(slow); len(b) > 0 || isTimeout(err) {
		t.Errorf("still open: %q, %v", b, err)
	}
	if got := exchange(t, idle, health); got != "200 GET /health 0" {
		t.Errorf("the idle connection: %s", got)
	}
}

// Only the last user of a connection was remembered, so that a stream of one who
// lost access went on behind a request of somebody else.
func TestSweepKnowsEveryUserOfAConnection(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	both, other := r.dial(t), r.dial(t)
	for _, c := range []struct {
		conn  net.Conn
		token string
	}{{both, tokenDoctor}, {both, tokenNurse}, {other, tokenNurse}} {
		if got := exchange(t, c.conn, get("/api/patients/7", c.token)); got != "200 GET /api/patients/7 0" {
			t.Fatal(got)
		}
	}
	if err := r.Sweep(doctor); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(both); len(b) > 0 || isTimeout(err) {
		t.Errorf("still open: %q, %v", b, err)
	}
	if got := exchange(t, other, get("/api/patients/7", tokenNurse)); got != "200 GET /api/patients/7 0" {
		t.Errorf("the nurse's: %s", got)
	}
	for i := range 256 {
		var gone carried
		gone.add(policy.Subject{15: byte(i)})
		if !gone.meets(gone) || gone.meets([4]uint64{}) {
			t.Fatal(fmt.Sprint("a set of user ", i, " is wrong"))
		}
	}
}

// A stream that goes on without another request ends with its user's access.
func TestStreamOfARevokedUserEnds(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	stream := r.dial(t)
	io.WriteString(stream, get("/api/patients/stream", tokenDoctor))
	first := make([]byte, 512)
	n, err := stream.Read(first)
	if err != nil || string(first[9:12]) != "200" {
		t.Fatalf("%q, %v", first[:n], err)
	}
	if err := r.PutSubject(doctor, policy.SubjectEntry{Disabled: 1, Org: theOrg}); err != nil {
		t.Fatal(err)
	}
	if err := r.Sweep(doctor); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, stream); err == nil || isTimeout(err) {
		t.Errorf("the stream ended with %v", err)
	}
}

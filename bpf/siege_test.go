package bpf

import (
	"errors"
	"fmt"
	"io"
	"math/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"golang.org/x/sys/unix"
)

// hostilePath is under a route that only a doctor may use; whoever asks for it in a
// siege is none.
const (
	hostilePath = "/api/patients/hostile"
	siegeMin    = 50 // hostile requests that an event must have stood
)

// besieged sends hostile requests from several connections until the event is over.
// None of them may reach the service.
func (r *rig) besieged(t *testing.T, why string, event func()) {
	t.Helper()
	var all sync.WaitGroup
	var sent atomic.Int64
	over := make(chan struct{})
	for i := range 3 {
		all.Go(func() {
			rng := rand.New(rand.NewSource(int64(i)))
			for {
				select {
				case <-over:
					return
				default:
					if r.attack(rng) {
						sent.Add(1)
					}
				}
			}
		})
	}
	event()
	for deadline := time.Now().Add(30 * time.Second); sent.Load() < siegeMin && time.Now().Before(deadline); {
		r.attack(rand.New(rand.NewSource(1)))
	}
	close(over)
	all.Wait()
	t.Logf("%s: %d hostile requests sent, %d served", why, sent.Load(), r.hostile.Load())
	if r.hostile.Load() != 0 || sent.Load() < siegeMin {
		t.Errorf("%s: %d of %d hostile requests were served", why, r.hostile.Load(), sent.Load())
	}
}

// attack sends one request that must not be served: whole, in two parts, or behind
// one that may be. It is false when nobody took the connection.
func (r *rig) attack(rng *rand.Rand) (sent bool) {
	c, err := net.Dial("tcp", r.address.String())
	if err != nil {
		return false
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(200 * time.Millisecond))
	text := []string{
		get(hostilePath, ""), get(hostilePath, "stranger"), post(hostilePath, tokenNurse, "x"), get(hostilePath+"/notes", tokenDoctor),
		get("/health/.."+hostilePath, tokenDoctor), strings.Replace(get(hostilePath, tokenDoctor), "GET", "get", 1),
		"GET /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + get(hostilePath, tokenDoctor),
	}[rng.Intn(7)]
	switch rng.Intn(3) {
	case 0:
		at := 1 + rng.Intn(len(text)-1)
		io.WriteString(c, text[:at])
		io.WriteString(c, text[at:])
	case 1:
		io.WriteString(c, get("/health", "")+text)
	default:
		io.WriteString(c, text)
	}
	readAnswers(c, 1)
	return true
}

// A daemon is killed and started again, several times, while others ask.
func TestSiegeOfADyingDaemon(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r, dir := serve(t, "127.0.0.1:0"), pins(t, "")
	kill := r.start(t, dir)
	r.besieged(t, "killed and started", func() {
		for range 3 {
			kill()
			kill = r.start(t, dir)
			if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
				t.Errorf("after a start: %s", got)
			}
		}
	})
	kill()
}

// Another build takes over, whose pins and tables are its own.
func TestSiegeOfAnUpdate(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	r.besieged(t, "updated", func() {
		for range 3 {
			current, err := r.versionDir()
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(current, filepath.Join(r.cfg.PinDir, "v0")); err != nil {
				t.Fatal(err)
			}
			again, err := Open(r.cfg)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { again.Close() })
			r.Enforcer = again
			r.fill(t)
		}
	})
	if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Errorf("after the updates: %s", got)
	}
}

// The tables are emptied and filled, and programs are swapped, all the time.
func TestSiegeOfSwaps(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	r.besieged(t, "swapped", func() {
		for range 40 {
			if err := r.Reset(); err != nil {
				t.Fatal(err)
			}
			r.fill(t)
		}
	})
}

// A full table lets nothing through that was not let through before.
func TestSiegeOfFullTables(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	r.besieged(t, "no room for connections", func() {
		var cookies []uint64
		got := ""
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(got, "timeout") && time.Now().Before(deadline); {
			cookies = r.fillConns(t, cookies)
			c := r.dial(t) // which has room if one of the siege has just ended
			c.SetDeadline(time.Now().Add(200 * time.Millisecond))
			got = exchange(t, c, get("/api/patients/7", tokenDoctor))
			c.Close()
		}
		if !strings.Contains(got, "timeout") {
			t.Errorf("without room for its connection: %s", got)
		}
		for _, cookie := range cookies {
			if err := r.objects.Conns.Delete(cookie); err != nil {
				t.Fatal(err)
			}
		}
		if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
			t.Errorf("with room again: %s", got)
		}
	})
	if stats, err := r.Stats(); err != nil || stats.Counts["enrol_failed"] == 0 {
		t.Errorf("no enrolment has failed: %v, %v", stats.Counts, err)
	}
	r.besieged(t, "no room for users", func() {
		var err error
		for i := 0; err == nil; i++ {
			err = r.PutSubject(policy.Subject{0: 1, 1: byte(i >> 16), 2: byte(i >> 8), 3: byte(i)}, policy.SubjectEntry{Org: theOrg})
		}
		stranger := policy.Subject{15: 3}
		if again := r.PutSubject(stranger, policy.SubjectEntry{Org: theOrg}); !errors.Is(err, ErrNoRoom) || !errors.Is(again, ErrNoRoom) {
			t.Errorf("a table that is full says %v, and %v", err, again)
		}
		if err := r.token("stranger", func(e *policy.TokenEntry) { e.Subject = stranger }); err != nil {
			t.Fatal(err)
		}
		if got := exchange(t, r.dial(t), get("/api/patients/7", "stranger")); got != "401 user_inactive" {
			t.Errorf("a user without room: %s", got)
		}
		if err := r.PutSubject(nurse, policy.SubjectEntry{Org: theOrg, Disabled: 1}); err != nil {
			t.Errorf("a row that is there cannot be written: %v", err)
		}
		for token, want := range map[string]string{tokenDoctor: "200 GET /api/patients/7 0", tokenNurse: "401 user_inactive"} {
			if got := exchange(t, r.dial(t), get("/api/patients/7", token)); got != want {
				t.Errorf("one that has room, %s: %s", token, got)
			}
		}
	})
	r.besieged(t, "no room for tokens", func() {
		var err error
		for i := 0; err == nil; i++ {
			err = r.PutToken(policy.TokenKey{H0: uint64(i), H1: 1}, policy.TokenEntry{Length: 1})
		}
		if !errors.Is(err, ErrNoRoom) {
			t.Errorf("a table that is full says %v", err)
		}
		if got := exchange(t, r.dial(t), get("/api/patients/7", "another.token")); got != "401 unknown_token" {
			t.Errorf("a token without room: %s", got)
		}
		if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
			t.Errorf("one that has its room: %s", got)
		}
	})
}

// fillConns takes the room of all connections that are not there, beside what it has
// taken before.
func (r *rig) fillConns(t *testing.T, cookies []uint64) []uint64 {
	t.Helper()
	var conn obj.EnforceConn
	for cookie := uint64(1)<<60 + uint64(len(cookies)); ; cookie++ {
		if err := r.objects.Conns.Put(cookie, &conn); err != nil {
			return cookies
		}
		cookies = append(cookies, cookie)
	}
}

// The room for policies ends: an address whose policy does not fit is guarded without
// one, also where it had another, which is not what was decided last.
func TestSiegeOfAPolicyThatDoesNotFit(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	other := serve(t, "127.0.0.1:0")
	other.Enforcer, other.numbers = r.Enforcer, r.numbers
	huge := &policy.Program{Rows: make([]policy.Row, rowsMax+1), Accepts: make([]policy.Accept, 1)}
	for _, rig := range []*rig{r, other} {
		if err := rig.SetService(rig.address, huge); !errors.Is(err, ErrNoRoom) { // before it, the other one has no guard
			t.Fatalf("it fits: %v", err)
		}
		rig.besieged(t, "does not fit", func() {
			for range 20 {
				if err := rig.SetService(rig.address, huge); !errors.Is(err, ErrNoRoom) {
					t.Fatalf("it fits: %v", err)
				}
			}
		})
		if err := rig.Settle(); err != nil {
			t.Fatal(err)
		}
		for _, request := range []string{get("/health", ""), get("/api/patients/7", tokenDoctor)} {
			if got := exchange(t, rig.dial(t), request); got != "503 enforcement_unavailable" {
				t.Errorf("without a policy: %s", got)
			}
		}
	}
	r.fill(t)
	if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Errorf("with a policy again: %s", got)
	}
}

// A policy that does not fit beside the one before it takes its room.
func TestPolicyTakesTheRoomOfTheOneBefore(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	const states = rowsMax * 2 / 3
	big := &policy.Program{Rows: make([]policy.Row, states), Accepts: make([]policy.Accept, 1)}
	r.besieged(t, "swapped in its own room", func() {
		for range 3 {
			if err := r.SetService(r.address, big); err != nil {
				t.Fatal(err)
			}
			if got := exchange(t, r.dial(t), get("/health", "")); got != "403 no_route" {
				t.Errorf("a policy without routes: %s", got)
			}
		}
	})
	r.fill(t)
	if got := exchange(t, r.dial(t), get("/health", "")); got != "200 GET /health 0" {
		t.Errorf("with the small one again: %s", got)
	}
}

// Room that was given back in pieces is one again.
func TestFreedSpansJoin(t *testing.T) {
	free := spans{{1, 99}}
	var taken []span
	for range 3 {
		s, ok := free.take(33)
		if !ok {
			t.Fatal(free)
		}
		taken = append(taken, s)
	}
	for _, i := range []int{0, 2, 1} {
		if _, ok := free.take(99); ok {
			t.Fatal(free)
		}
		free.give(taken[i])
	}
	if s, ok := free.take(99); !ok || s != (span{1, 99}) {
		t.Errorf("taken %v, left %v", s, free)
	}
}

// A daemon that is not root has three capabilities and no more, and pins in a file
// system of its own.
func TestSiegeWithoutRoot(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	mount := t.TempDir()
	for dir := mount; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mount("bpf", mount, "bpf", 0, "mode=0755"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(mount, unix.MNT_DETACH) })
	dir := filepath.Join(mount, "gate")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Detach(dir); err != nil {
			t.Error(err)
		}
	})
	r := serve(t, "127.0.0.1:0")
	as := func(caps ...uintptr) func(*exec.Cmd) {
		return func(cmd *exec.Cmd) {
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}, AmbientCaps: caps}
		}
	}
	binary := runnable(t)
	for lacking, caps := range map[string][]uintptr{
		"CAP_BPF":       {unix.CAP_NET_ADMIN, unix.CAP_PERFMON},
		"CAP_NET_ADMIN": {unix.CAP_BPF, unix.CAP_PERFMON},
		"CAP_PERFMON":   {unix.CAP_BPF, unix.CAP_NET_ADMIN},
	} {
		if said := r.refusesToStart(t, binary, dir, as(caps...)); !strings.Contains(said, lacking) {
			t.Errorf("without %s the daemon says %q", lacking, said)
		}
	}
	kill := r.startAs(t, binary, dir, as(unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_PERFMON))
	r.besieged(t, "not root", func() {
		for _, c := range []struct{ token, want string }{{tokenDoctor, "200 GET /api/patients/7 0"}, {"", "401 no_token"}} {
			if got := exchange(t, r.dial(t), get("/api/patients/7", c.token)); got != c.want {
				t.Errorf("%q: %s", c.token, got)
			}
		}
		kill()
		r.startAs(t, binary, dir, as(unix.CAP_BPF, unix.CAP_NET_ADMIN, unix.CAP_PERFMON))
	})
}

// runnable is this test's binary where everybody may run it.
func runnable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "gate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "daemon")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func (r *rig) refusesToStart(t *testing.T, binary, pinDir string, change func(*exec.Cmd)) (said string) {
	t.Helper()
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), envPins+"="+pinDir, envAddress+"="+r.address.String())
	change(cmd)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("the daemon started")
	}
	return fmt.Sprint(string(out), err)
}

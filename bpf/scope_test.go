package bpf

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
)

func TestDualStackListenerIsGuardedInBothFamilies(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "[::]:0")
	for _, host := range []string{"127.0.0.1", "::1"} {
		address := net.JoinHostPort(host, fmt.Sprint(r.address.Port()))
		for request, want := range map[string]string{
			get("/api/patients/7", tokenDoctor): "200 GET /api/patients/7 0",
			get("/api/patients/7", ""):          "401 no_token",
			get("/admin", tokenDoctor):          "403 no_route",
		} {
			if got := exchange(t, dial(t, address), request); got != want {
				t.Errorf("%s: %s, want %s", address, got, want)
			}
		}
	}
	if r.served.Load() != 2 {
		t.Errorf("%d served, want 2", r.served.Load())
	}
}

func TestTwoGatesOnOneCgroup(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	first := newRig(t, "127.0.0.1:0")
	second := serve(t, "127.0.0.1:0")
	second.open(t, pins(t, "-second"))
	if err := first.PutSubject(doctor, policy.SubjectEntry{Disabled: 1, Org: theOrg}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		gate        *rig
		token, want string
	}{
		{first, tokenDoctor, "401 user_inactive"},
		{first, tokenNurse, "200 GET /api/patients/7 0"},
		{second, tokenDoctor, "200 GET /api/patients/7 0"},
		{second, "", "401 no_token"},
	} {
		if got := exchange(t, c.gate.dial(t), get("/api/patients/7", c.token)); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.gate.address, c.token, got, c.want)
		}
	}
}

func TestIdleConnectionOlderThanTheGateIsEnded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.RemoveService(r.address); err != nil {
		t.Fatal(err)
	}
	used, silent := r.dial(t), r.dial(t)
	if got := exchange(t, used, get("/open", "")); got != "200 GET /open 0" {
		t.Fatalf("before the gate: %s", got)
	}
	r.fill(t)
	for _, c := range []net.Conn{used, silent} {
		if b, err := io.ReadAll(c); len(b) > 0 || isTimeout(err) {
			t.Errorf("an older connection is still open: %q, %v", b, err)
		}
	}
	if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != "200 GET /api/patients/7 0" {
		t.Errorf("a new connection: %s", got)
	}
}

// An address that was taken away and set again got another slot, and a
// connection from before was read with the program of the slot's new address.
func TestConnectionNeverFollowsTheProgramOfAnotherAddress(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	for _, listen := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(listen, func(t *testing.T) { slotOfAnother(t, listen) })
	}
}

func slotOfAnother(t *testing.T, listen string) {
	r := newRig(t, listen)
	c := r.dial(t)
	if got := exchange(t, c, get("/health", "")); got != "200 GET /health 0" {
		t.Fatalf("before: %s", got)
	}
	if err := r.RemoveService(r.address); err != nil {
		t.Fatal(err)
	}
	other := serve(t, listen)
	other.Enforcer, other.numbers = r.Enforcer, r.numbers
	if err := other.set(openAll, 0); err != nil {
		t.Fatal(err)
	}
	r.fill(t)
	r.served.Store(0)
	if got := exchange(t, c, get("/api/patients/7", "")); got[:3] == "200" || r.served.Load() != 0 {
		t.Errorf("without a token: %s, %d served", got, r.served.Load())
	}
	if got := exchange(t, r.dial(t), get("/api/patients/7", "")); got != "401 no_token" {
		t.Errorf("a new connection: %s", got)
	}
}

// The kernel itself holds a connection to the place that it was enrolled under,
// also where nobody could end it.
func TestPlaceIsOfOneAddressForOneTime(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	key := r.key(r.address)
	old, poisoned := r.dial(t), r.dial(t)
	for _, c := range []net.Conn{old, poisoned} {
		if got := exchange(t, c, get("/health", "")); got != "200 GET /health 0" {
			t.Fatalf("before: %s", got)
		}
	}
	r.served.Store(0)
	r.forget(key)
	other := serve(t, "127.0.0.1:0")
	other.Enforcer, other.numbers = r.Enforcer, r.numbers
	if err := other.set(openAll, time.Hour); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{poisoned, r.dial(t)} {
		if got := exchange(t, c, get("/health", "")); got != "503 enforcement_unavailable" {
			t.Errorf("the slot is another's: %s", got)
		}
	}
	r.mu.Lock()
	_, err := r.occupy(key, false)
	r.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(old, get("/health", ""))
	old.SetDeadline(time.Now().Add(200 * time.Millisecond))
	if got := readAnswers(old, 1); len(got) > 0 || r.served.Load() != 0 {
		t.Errorf("under another place: %v, %d served", got, r.served.Load())
	}
	if stats, err := r.Stats(); err != nil || stats.Counts["guard_dropped"] == 0 {
		t.Errorf("guard_in dropped nothing: %v, %v", stats.Counts, err)
	}
}

// forget leaves an address in the kernel's table and takes its slot for free.
func (r *rig) forget(key obj.EnforceServiceKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.services, key)
}

func TestConnectionsOfARemovedAddressAreEnded(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	idle, reading := r.dial(t), r.dial(t)
	if got := exchange(t, idle, get("/health", "")); got != "200 GET /health 0" {
		t.Fatalf("before: %s", got)
	}
	io.WriteString(reading, "GET /health HTTP/1.1\r\n")
	r.inHeader(t, r.cfg.PinDir)
	if err := r.RemoveService(r.address); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{idle, reading} {
		if b, err := io.ReadAll(c); len(b) > 0 || isTimeout(err) {
			t.Errorf("still open: %q, %v", b, err)
		}
	}
	if got := exchange(t, r.dial(t), get("/anything", "")); got != "200 GET /anything 0" {
		t.Errorf("a new connection: %s", got)
	}
}

// A connection follows the narrowest address that is set for it now, not the one
// that was when it came.
func TestNarrowerAddressTakesItsConnectionsFromTheWider(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "[::]:0")
	narrow := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), r.address.Port())
	wide := netip.AddrPortFrom(netip.IPv6Loopback(), r.address.Port())
	taken, kept := dial(t, narrow.String()), dial(t, wide.String())
	health := get("/health", "")
	for _, c := range []net.Conn{taken, kept} {
		if got := exchange(t, c, health); got != "200 GET /health 0" {
			t.Fatalf("before: %s", got)
		}
	}
	program, err := policy.Compile(theOrg, nil, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(narrow, program); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, taken, health); strings.HasPrefix(got, "200") {
		t.Errorf("a connection from before: %s", got)
	}
	if got := exchange(t, dial(t, narrow.String()), health); got != "403 no_route" {
		t.Errorf("the narrower address: %s", got)
	}
	under := dial(t, narrow.String())
	if err := r.RemoveService(narrow); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, under, health); strings.HasPrefix(got, "200") {
		t.Errorf("a connection to the narrower address: %s", got)
	}
	for _, c := range []net.Conn{kept, dial(t, narrow.String())} {
		if got := exchange(t, c, health); got != "200 GET /health 0" {
			t.Errorf("the wider address: %s", got)
		}
	}
}

// Two spellings of one address were two services to the daemon and one to the
// kernel: the second's policy took the place of the first's.
func TestAddressHasOneServiceHoweverItIsSpelt(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	program, err := policy.Compile(theOrg, openAll, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	mapped := netip.AddrPortFrom(netip.AddrFrom16(r.address.Addr().As16()), r.address.Port())
	for what, err := range map[string]error{
		"set": r.SetService(mapped, program), "remove": r.RemoveService(mapped),
	} {
		if !errors.Is(err, ErrOtherSpelling) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := exchange(t, r.dial(t), get("/admin", "")); got != "403 no_route" {
		t.Errorf("after both: %s", got)
	}
	for _, spellings := range [][]string{
		{"0.0.0.0:80", "[::]:80", "[::ffff:0.0.0.0]:80"},
		{"10.0.0.1:80", "[::ffff:10.0.0.1]:80"},
		{"[fe80::1]:80", "[fe80::1%eth0]:80"},
	} {
		for _, s := range spellings {
			if first, other := netip.MustParseAddrPort(spellings[0]), netip.MustParseAddrPort(s); r.key(first) != r.key(other) {
				t.Errorf("%s and %s are two addresses", first, other)
			}
		}
	}
}

func isTimeout(err error) bool {
	e, ok := err.(net.Error)
	return ok && e.Timeout()
}

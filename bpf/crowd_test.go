package bpf

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// The address for which there was no slot was open. It is shut, in the next process
// and after a reset too, until another address goes.
func TestAddressesBeyondTheSlotsAreShut(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	if err := r.RemoveService(r.address); err != nil {
		t.Fatal(err)
	}
	program, err := policy.Compile(theOrg, theRoutes, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	empty, err := new(policy.Service).Compile(theOrg, policy.NewNumbering(nil))
	if err != nil {
		t.Fatal(err)
	}
	other := func(n int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("127.9.9.9"), uint16(1000+n))
	}
	for n := range servicesMax {
		if err := r.SetService(other(n), empty); err != nil {
			t.Fatalf("address %d: %v", n+1, err)
		}
	}
	shut := func(why string) {
		t.Helper()
		c := r.dial(t)
		c.SetDeadline(time.Now().Add(200 * time.Millisecond))
		if got := exchange(t, c, get("/health", "")); !strings.Contains(got, "timeout") {
			t.Errorf("%s: %s", why, got)
		}
		if n := r.served.Load(); n != 0 {
			t.Errorf("%s: %d requests were served", why, n)
		}
	}
	if err := r.SetService(r.address, program); !errors.Is(err, ErrCrowded) {
		t.Fatalf("one address too many: %v", err)
	}
	shut("one address too many")
	if err := r.SetService(netip.AddrPortFrom(netip.MustParseAddr("::ffff:127.0.0.1"), r.address.Port()), empty); !errors.Is(err, ErrOtherSpelling) {
		t.Errorf("under another spelling: %v", err)
	}
	if err := r.Reset(); err != nil {
		t.Fatal(err)
	}
	shut("after a reset")
	for n := range servicesMax {
		if err := r.SetService(other(n), empty); err != nil && !errors.Is(err, ErrCrowded) {
			t.Fatalf("address %d again: %v", n+1, err)
		}
	}
	if err := r.RemoveService(other(0)); err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
	if err := r.Shut(r.address, false); err != nil {
		t.Fatal(err)
	}
	if got := exchange(t, r.dial(t), get("/health", "")); got[:3] != "200" {
		t.Errorf("there is a slot: %s", got)
	}
}

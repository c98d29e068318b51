package scim

import (
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

func TestLimitIsOfOneOrganization(t *testing.T) {
	var l limits
	now := time.UnixMilli(1_800_000_000_000)
	one, other := directory.OrgID{1}, directory.OrgID{2}
	for i := range requestBurst {
		if wait := l.take(one, 1, now); wait != 0 {
			t.Fatalf("request %d waits %v", i, wait)
		}
	}
	if wait := l.take(one, 1, now); wait <= 0 || wait > time.Second {
		t.Errorf("the burst and one more: waits %v", wait)
	}
	if wait := l.take(one, 100, now); wait < 90*time.Millisecond {
		t.Errorf("a bulk request of 99: waits %v", wait)
	}
	if wait := l.take(other, 1, now); wait != 0 {
		t.Errorf("the neighbour waits %v", wait)
	}
	now = now.Add(time.Second)
	for i := range requestRate {
		if wait := l.take(one, 1, now); wait != 0 {
			t.Fatalf("request %d of the next second waits %v", i, wait)
		}
	}
	if wait := l.take(one, 1, now); wait == 0 {
		t.Error("more than the rate has passed")
	}
}

func TestLimitsAreForgotten(t *testing.T) {
	var l limits
	now := time.UnixMilli(1_800_000_000_000)
	for i := range 1000 {
		l.take(directory.OrgID{byte(i), byte(i >> 8)}, 1, now)
	}
	l.take(directory.OrgID{255}, 1, now.Add(2*forgetEvery))
	if len(l.at) != 1 {
		t.Errorf("%d shares are kept", len(l.at))
	}
}

package scim

import (
	"context"
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

// TestLongWalksOfAnOrganization go one after the other, those of another beside them, and
// who has waited too long is told so.
func TestLongWalksOfAnOrganization(t *testing.T) {
	var l limits
	ctx, org, other := t.Context(), directory.OrgID{1}, directory.OrgID{2}
	first, err := l.scan(ctx, org)
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, time.Millisecond)
	defer cancel()
	if _, err := l.scan(short, org); err == nil {
		t.Error("two at a time")
	}
	neighbour, err := l.scan(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	neighbour()
	l.of(other, time.Now().Add(time.Hour)) // the time to forget whose share is whole
	if l.of(org, time.Now()); len(l.at[org].scanning) != 1 {
		t.Error("a walk under way was forgotten")
	}
	second := make(chan error)
	go func() {
		done, err := l.scan(ctx, org)
		done()
		second <- err
	}()
	first()
	if err := <-second; err != nil {
		t.Error(err)
	}
}

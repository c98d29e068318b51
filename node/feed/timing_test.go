package feed

import (
	"math/rand"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

// TestAgesAgainstEverythingRemembered: the rings answer what a list of all moments
// would, or that they do not know.
func TestAgesAgainstEverythingRemembered(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	timing := NewTiming()
	start := time.Now()
	type reached struct {
		index directory.Index
		at    time.Time
	}
	var all []reached
	index, at := directory.Index(100), start
	for range momentsMax + 2000 {
		all = append(all, reached{index, at})
		timing.Applied(index, at)
		index += directory.Index(1 + rng.Intn(3))
		at = at.Add(time.Duration(1+rng.Intn(9)) * time.Millisecond)
	}
	unknown := 0
	for range 5000 {
		asked := directory.Index(100 + rng.Intn(int(index)-100+10))
		want := Unknown
		for i, r := range all {
			if r.index >= asked {
				if i > 0 {
					want = at.Sub(r.at)
				}
				break
			}
		}
		got := timing.Ages([]Moment{{Index: asked}}, at)[0]
		switch {
		case got.Applied == Unknown:
			unknown++
		case got.Applied != want || got.Enforced != Unknown || got.Received != Unknown:
			t.Fatalf("index %d: %v, want %v", asked, got, want)
		}
	}
	if unknown > 1000 {
		t.Errorf("%d of 5000 unknown", unknown)
	}
}

// TestReceivedIsBounded: at the bound the first is known, one past it not.
func TestReceivedIsBounded(t *testing.T) {
	timing, now := NewTiming(), time.Now()
	trace := func(i int) directory.TraceID { return directory.TraceID{1, byte(i), byte(i >> 8), byte(i >> 16)} }
	age := func(i int) time.Duration { return timing.Ages([]Moment{{Trace: trace(i)}}, now)[0].Received }
	for i := range momentsMax {
		timing.Received(trace(i), now.Add(-time.Second))
	}
	timing.Received(trace(0), now) // known already: the first byte counts
	if age(0) != time.Second {
		t.Errorf("the first is %v old", age(0))
	}
	timing.Received(trace(momentsMax), now)
	if age(0) != Unknown || age(1) != time.Second || age(momentsMax) != 0 || len(timing.received) != momentsMax {
		t.Errorf("%v %v %v, %d kept", age(0), age(1), age(momentsMax), len(timing.received))
	}
}

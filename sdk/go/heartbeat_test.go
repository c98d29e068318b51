package authfi

import (
	"fmt"
	"testing"
	"time"

	"github.com/authfi/authfi/sdk/conformance"
)

// TestUnprovenHeartbeats: a heartbeat that nobody of the organization has signed a moment
// ago says nothing of how fresh the feed is, and nothing of where to go on.
func TestUnprovenHeartbeats(t *testing.T) {
	i := newIssuer(t)
	a, k := i.follow(), i.keys[0]
	begun := beatOf(a)
	for _, unproven := range []string{
		`{"type":"heartbeat","index":90}`,
		i.beat(conformance.NewKey("stranger"), 91, time.Now()),
		i.beat(k, 92, time.Now().Add(-time.Hour)),
		fmt.Sprintf(`{"type":"heartbeat","index":93,"proof":%q}`, k.Prove(94, time.Now().Unix())),
	} {
		i.messages <- unproven
	}
	i.messages <- `{"type":"session.ended","index":60,"ordinal":0,"object":"ses-0"}`
	until(t, "the event behind them", func() bool { return a.Status().Index == 60 })
	if beatOf(a) != begun {
		t.Error("one of them was taken")
	}
	i.messages <- i.beat(k, 95, time.Now())
	until(t, "a heartbeat that is proven", func() bool { return a.Status().Index == 95 && beatOf(a).After(begun) })
}

func beatOf(a *Auth) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.feed.beat
}

// TestHeartbeatOfANewKey waits for its key and is no older than what was heard since.
func TestHeartbeatOfANewKey(t *testing.T) {
	i := newIssuer(t)
	a, next := i.follow(), conformance.NewKey("k2")
	begun := beatOf(a)
	i.set(func() { i.keys = append(i.keys, next) })
	i.messages <- i.beat(next, 50, time.Now())
	until(t, "its key", func() bool { return beatOf(a).After(begun) && a.Status().Index == 50 })
}

// TestFirstHeartbeatBeforeTheKeys: whoever follows before the keys are there is ready as
// soon as they are.
func TestFirstHeartbeatBeforeTheKeys(t *testing.T) {
	i := newIssuer(t)
	i.status = 503
	a, err := New(t.Context(), i.config())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	until(t, "a heartbeat that waits", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return a.waiting != nil && a.keys.failing
	})
	if !beatOf(a).IsZero() || a.Status().Index != i.index {
		t.Errorf("before the keys: %+v", a.Status())
	}
	i.set(func() { i.status = 200 })
	a.poke()
	until(t, "the heartbeat is proven", func() bool { return !beatOf(a).IsZero() })
}

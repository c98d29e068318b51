// Package feed tells followers that the state has moved. The events themselves
// stand in the state, in order and bounded; the feed adds only the moment, so a
// slow follower costs nothing and can never slow the machine: it reads what is
// there when it gets there, and is told to resync when that is too late.
package feed

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
)

// ErrResync means that events after the asked index are no longer kept: the
// follower must read the state and start from its index.
var ErrResync = errors.New("events after this index are no longer kept")

// latencies is how many of the newest indexes keep their measured latency.
const latencies = 1 << 14

// Feed is the moment at which the state moves, on this node.
type Feed struct {
	mu      sync.Mutex
	applied directory.Index
	moved   chan struct{} // closed when applied moves
	// latency of the entries at recent indexes, from the proposing node's clock
	// to this node's publication; a ring by index.
	latency [latencies]sample
}

type sample struct {
	index directory.Index
	took  time.Duration
}

// New starts at an applied index.
func New(applied directory.Index) *Feed {
	return &Feed{applied: applied, moved: make(chan struct{})}
}

// Publish announces that applied is committed, stored and readable. took is the
// time since the entry was proposed, by this node's clock; negative when the
// clocks disagree by more, and then it is not kept. It never blocks.
func (f *Feed) Publish(applied directory.Index, took time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = applied
	f.latency[applied%latencies] = sample{applied, took}
	close(f.moved)
	f.moved = make(chan struct{})
}

// Latency is how long the entry at index took on this node, if it is recent.
func (f *Feed) Latency(index directory.Index) (time.Duration, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.latency[index%latencies]
	return s.took, s.index == index && index != 0 && s.took >= 0
}

// Wait returns the applied index as soon as it is beyond after, or the context's
// error together with the index reached, which is a heartbeat's content.
func (f *Feed) Wait(ctx context.Context, after directory.Index) (directory.Index, error) {
	for {
		f.mu.Lock()
		applied, moved := f.applied, f.moved
		f.mu.Unlock()
		if applied > after {
			return applied, nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return applied, ctx.Err()
		}
	}
}

// Package feed tells followers that the state has moved. The events themselves
// stand in the state, in order and bounded; the feed adds only the moment, so a
// slow follower costs nothing and can never slow the machine: it reads what is
// there when it gets there, and is told to resync when that is too late.
package feed

import (
	"context"
	"sync"

	"github.com/authfi/authfi/directory"
)

// Feed is the moment at which the state moves, on this node.
type Feed struct {
	mu      sync.Mutex
	applied directory.Index
	moved   chan struct{} // closed when applied moves
}

// New starts at an applied index.
func New(applied directory.Index) *Feed {
	return &Feed{applied: applied, moved: make(chan struct{})}
}

// Publish announces that applied is committed, stored and readable. It never
// blocks.
func (f *Feed) Publish(applied directory.Index) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.applied = applied
	close(f.moved)
	f.moved = make(chan struct{})
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

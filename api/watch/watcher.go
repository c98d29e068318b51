package watch

import (
	"context"
	"log/slog"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// operation is the row of the table that admits followers.
const operation access.Operation = "events.watch"

// bounds are the times of a stream; only tests make them shorter.
type bounds struct {
	// heartbeat is how long a follower hears nothing at most: a third of what
	// proxies and clients wait before they call a connection dead.
	heartbeat time.Duration
	// recheck is how late a stream notices what no entry of its organization says:
	// a token that expires, an operator who is gone.
	recheck time.Duration
	// pace is the shortest time between two looks at the state. A busy
	// organization's followers get their events 40 times a second and not a
	// thousand times, each with a check of the credential.
	pace time.Duration
	// write is how long a follower may take for one batch. At 256 KiB that is
	// 26 KB a second.
	write time.Duration
	// snapshot is how long it may take for all the rows. They come from one root,
	// which keeps in memory whatever was replaced since.
	snapshot time.Duration
	// reach bounds how long a request waits for this node to catch up.
	reach time.Duration
	// hurry is how long a stream may take for its last words when the node stops.
	hurry time.Duration
}

var standard = bounds{
	heartbeat: 5 * time.Second,
	recheck:   500 * time.Millisecond,
	pace:      25 * time.Millisecond,
	write:     10 * time.Second,
	snapshot:  5 * time.Minute,
	reach:     5 * time.Second,
	hurry:     500 * time.Millisecond,
}

// Wait blocks until the applied index is beyond after, or the context ends.
type Wait func(ctx context.Context, after directory.Index) (directory.Index, error)

// Prove signs that a follower has everything of an organization up to the index of a
// state, for whoever must not believe what stands between.
type Prove func(*state.Org) (string, error)

// Watcher serves the feed of one node. It starts no goroutine: a stream lives in
// that of its request, and Close ends them all.
type Watcher struct {
	gate    *access.Gate
	wait    Wait
	prove   Prove
	log     *slog.Logger
	bounds  bounds
	seats   seats
	closing context.Context
	close   context.CancelFunc
}

// New makes the feed of a node; wait tells when its state moves.
func New(gate *access.Gate, wait Wait, prove Prove, log *slog.Logger) *Watcher {
	closing, stop := context.WithCancel(context.Background())
	return &Watcher{gate: gate, wait: wait, prove: prove, log: log, bounds: standard, closing: closing, close: stop}
}

// Close ends every stream, also one whose follower does not read, and refuses new
// ones. It does not wait for them; the server does. It may be called twice.
func (w *Watcher) Close() { w.close() }

// Streams counts those that are open.
func (w *Watcher) Streams() int { return w.seats.taken() }

// errStopping sends followers to another node.
func errStopping() error { return directory.Unavailable("this node is stopping; go on at another one") }

package cluster

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// stallMax is how long an own write to the log may take before this node stops
// sending as a leader. Heartbeats have a goroutine of their own in the library,
// so without this a leader whose disk hangs would lead for ever and block all
// writes; silence lets the others elect.
const stallMax = 2 * time.Second

var errStalled = errors.New("cluster: own log has not answered for too long")

// stallGuard remembers when the write that is under way began.
type stallGuard struct {
	raft.LogStore
	began time.Time    // of the guard
	since atomic.Int64 // nanoseconds since then, 0 when idle
}

func newStallGuard(log raft.LogStore) *stallGuard {
	return &stallGuard{LogStore: log, began: time.Now()}
}

// IsMonotonic implements raft.MonotonicLogStore.
func (g *stallGuard) IsMonotonic() bool { return monotonic(g.LogStore) }

func (g *stallGuard) StoreLog(l *raft.Log) error { return g.StoreLogs([]*raft.Log{l}) }

func (g *stallGuard) StoreLogs(logs []*raft.Log) error {
	g.since.Store(max(1, int64(time.Since(g.began))))
	defer g.since.Store(0)
	return g.LogStore.StoreLogs(logs)
}

func (g *stallGuard) stalled() bool {
	since := g.since.Load()
	return since != 0 && time.Since(g.began)-time.Duration(since) > stallMax
}

// guardedTransport sends nothing as a leader while the own disk hangs.
type guardedTransport struct {
	*raft.NetworkTransport
	guard    *stallGuard
	standing *standing
}

// Consumer is where the library takes messages from.
func (t guardedTransport) Consumer() <-chan raft.RPC { return t.standing.messages }

func (t guardedTransport) AppendEntries(id raft.ServerID, target raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if t.guard.stalled() {
		return errStalled
	}
	return t.NetworkTransport.AppendEntries(id, target, args, resp)
}

// AppendEntriesPipeline keeps the library from a second path that the guard
// would not see.
func (t guardedTransport) AppendEntriesPipeline(raft.ServerID, raft.ServerAddress) (raft.AppendPipeline, error) {
	return nil, raft.ErrPipelineReplicationNotSupported
}

func (t guardedTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if t.guard.stalled() {
		return errStalled
	}
	return t.NetworkTransport.InstallSnapshot(id, target, args, resp, data)
}

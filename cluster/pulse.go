package cluster

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// Pulse counts the steps of what takes a node long: applying entries, and receiving and
// taking over a state. Whoever opens a cluster may hold it before, since a start is
// counted from its first step.
type Pulse struct {
	applied  atomic.Uint64 // begins and ends of batches, pieces of a state that is taken over, the machine's own steps
	received atomic.Uint64 // pieces of a snapshot that is written
	applying atomic.Bool   // the machine is at work; of the one goroutine that applies
}

// Steps is how many there were so far.
func (p *Pulse) Steps() uint64 { return p.applied.Load() + p.received.Load() }

// Step is one of the machine's own, as it loads a large state.
func (p *Pulse) Step() { p.applied.Add(1) }

// work is around what the machine does.
func (p *Pulse) work() (done func()) {
	p.applying.Store(true)
	p.applied.Add(1)
	return func() {
		p.applied.Add(1)
		p.applying.Store(false)
	}
}

// counted counts the pieces that are read.
type counted struct {
	io.Reader
	pieces *atomic.Uint64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	if n > 0 {
		c.pieces.Add(1)
	}
	return n, err
}

// countedSnapshots counts the pieces that are written into snapshots. Those of the
// node's own snapshots are among them: the library does not say whose one is. A main
// loop that hangs is then found out later, by the time of one snapshot.
type countedSnapshots struct {
	raft.SnapshotStore
	pieces *atomic.Uint64
}

func (s countedSnapshots) Create(version raft.SnapshotVersion, index, term uint64, members raft.Configuration, membersAt uint64, transport raft.Transport) (raft.SnapshotSink, error) {
	sink, err := s.SnapshotStore.Create(version, index, term, members, membersAt, transport)
	if err != nil {
		return nil, err
	}
	return countedSink{sink, s.pieces}, nil
}

type countedSink struct {
	raft.SnapshotSink
	pieces *atomic.Uint64
}

func (s countedSink) Write(b []byte) (int, error) {
	n, err := s.SnapshotSink.Write(b)
	if n > 0 {
		s.pieces.Add(1)
	}
	return n, err
}

// lookEvery is how often a part that is at work is looked at.
const lookEvery = 50 * time.Millisecond

// Proofs are, by the part of this node that the log goes through, how it proves that it
// goes on: it has nothing to do, answers, or has made a step since it was asked. None
// needs another node: a leader without a quorum, a candidate and a node that nobody
// talks to are as sound as others. Only who receives a state from one that has fallen
// silent does not go on, and a restart lets go of it. A proof returns an error when the
// context ends.
func (c *Cluster) Proofs() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"main loop of the log": c.proveLoop,
		"writes to the log":    c.proveWrites,
		"state machine":        c.proveMachine,
	}
}

// proveLoop asks the library's main loop whether this node leads. Any answer will do,
// also that it does not. The loop does not answer while it waits for the machine,
// behind which a long log queues, and while it receives a state.
func (c *Cluster) proveLoop(ctx context.Context) error {
	answered := make(chan struct{})
	go func() {
		c.raft.VerifyLeader().Error() // which of them does not matter
		close(answered)
	}()
	steps := c.cfg.Pulse.Steps()
	return waitUntil(ctx, func() bool {
		select {
		case <-answered:
			return true
		default:
			return c.cfg.Pulse.Steps() != steps
		}
	})
}

// proveWrites waits for the write that is under way, if there is one.
func (c *Cluster) proveWrites(ctx context.Context) error {
	began := c.guard.since.Load()
	return waitUntil(ctx, func() bool { return began == 0 || c.guard.since.Load() != began })
}

// proveMachine waits until what was committed is applied, or some of it.
func (c *Cluster) proveMachine(ctx context.Context) error {
	p := c.cfg.Pulse
	committed, steps := c.raft.CommitIndex(), p.applied.Load()
	return waitUntil(ctx, func() bool {
		idle := !p.applying.Load() && c.raft.AppliedIndex() >= committed
		return idle || p.applied.Load() != steps
	})
}

func waitUntil(ctx context.Context, holds func() bool) error {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/node/feed"
)

// replica is the seam between cluster and fsm: it decodes what was committed,
// applies it, and only then tells the feed and the enforcer. A committed entry
// that cannot be decoded or stored stops the node, because going on would make
// this copy differ from the others.
type replica struct {
	machine *fsm.Machine
	feed    *feed.Feed
	timing  *feed.Timing
	// changed hands over deltas after their root is published; it never blocks.
	changed func(deltas []directory.Delta, reset bool)
}

var _ cluster.StateMachine = (*replica)(nil)

// ApplyBatch implements cluster.StateMachine.
func (r *replica) ApplyBatch(batches []cluster.Batch) [][]any {
	entries := make([]fsm.Entry, len(batches))
	for i, b := range batches {
		entries[i] = decodeBatch(b)
	}
	results, err := r.machine.Apply(entries)
	if err != nil {
		panic(fmt.Sprintf("node: %v", err))
	}
	return r.publish(entries, results)
}

func decodeBatch(b cluster.Batch) fsm.Entry {
	entry := fsm.Entry{Index: directory.Index(b.Index), Term: b.Term}
	for _, command := range b.Commands {
		env, err := wire.Decode(command)
		if err != nil {
			panic(fmt.Sprintf("node: entry %d cannot be understood by this version: %v", b.Index, err))
		}
		entry.Envelopes = append(entry.Envelopes, env)
	}
	return entry
}

func (r *replica) publish(entries []fsm.Entry, results [][]fsm.Result) [][]any {
	now := time.Now()
	out := make([][]any, len(results))
	var deltas []directory.Delta
	for i, entry := range results {
		out[i] = make([]any, len(entry))
		for k, result := range entry {
			out[i][k] = result
			if len(result.Delta.Rows) > 0 {
				deltas = append(deltas, result.Delta)
			}
		}
		r.timing.Applied(entries[i].Index, now)
		r.feed.Publish(entries[i].Index)
	}
	// An entry without rows moves the enforced index all the same.
	last := entries[len(entries)-1].Index
	r.changed(append(deltas, directory.Delta{Index: last}), false)
	return out
}

// Applied implements cluster.StateMachine.
func (r *replica) Applied() uint64 { return uint64(r.machine.Applied()) }

// Snapshot implements cluster.StateMachine: the root is immutable, so taking
// it is all there is to do.
func (r *replica) Snapshot() (cluster.Snapshot, error) {
	return snapshot{r.machine.Root(), r.machine}, nil
}

// Restore implements cluster.StateMachine.
func (r *replica) Restore(from io.Reader) error {
	err := r.machine.Restore(from)
	if errors.Is(err, state.ErrLevel) {
		panic(fmt.Sprintf("node: %v", err)) // tried again, it would be no different
	}
	if err != nil {
		return err
	}
	applied := r.machine.Applied()
	r.feed.Publish(applied)
	r.changed([]directory.Delta{{Index: applied}}, true)
	return nil
}

type snapshot struct {
	root    *state.Root
	machine *fsm.Machine
}

func (s snapshot) Index() uint64 { return uint64(s.root.Applied()) }

func (s snapshot) Term() uint64 { return s.root.Meta().Term }

func (s snapshot) WriteTo(w io.Writer) (int64, error) {
	counted := &counter{to: w}
	err := fsm.WriteSnapshot(counted, s.root)
	return counted.n, err
}

// Sync implements cluster.Snapshot: what is applied now includes the root.
func (s snapshot) Sync() error { return s.machine.Sync() }

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}

// log is the cluster as access sees it: results instead of any, and the
// cluster's failures as the kinds that a caller can act on.
type log struct{ cluster *cluster.Cluster }

// Propose implements access.Log.
func (l log) Propose(ctx context.Context, entry []byte) (fsm.Result, error) {
	_, result, err := l.cluster.Propose(ctx, entry)
	if err != nil {
		return fsm.Result{}, outcome(err)
	}
	return result.(fsm.Result), nil
}

// ReadIndex implements access.Log.
func (l log) ReadIndex(ctx context.Context) (directory.Index, error) {
	index, err := l.cluster.ReadIndex(ctx)
	if err != nil {
		return 0, directory.Unavailable("no quorum can be reached to answer from")
	}
	return directory.Index(index), nil
}

// WaitApplied implements access.Log.
func (l log) WaitApplied(ctx context.Context, index directory.Index) error {
	if err := l.cluster.WaitApplied(ctx, uint64(index)); err != nil {
		return directory.Unavailable("this node has not reached index %d yet", index)
	}
	return nil
}

func outcome(err error) error {
	switch {
	case errors.Is(err, cluster.ErrUnknownOutcome):
		return directory.UnknownOutcome()
	case errors.Is(err, cluster.ErrReadOnly):
		return directory.Unavailable("the cluster is low on disk space and takes no writes")
	case errors.Is(err, cluster.ErrOverloaded):
		return directory.Unavailable("too many writes are waiting")
	case errors.Is(err, cluster.ErrNoLeader), errors.Is(err, cluster.ErrClosed):
		return directory.Unavailable("no leader can be reached")
	}
	return directory.UnknownOutcome()
}

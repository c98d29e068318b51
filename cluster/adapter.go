package cluster

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// outcome is what a waiter learns when its own node applies its command.
type outcome struct {
	position Position
	result   any
}

// adapter drives the machine from raft's log and answers this node's waiters.
type adapter struct {
	machine StateMachine
	// moved is told after each publication, and whether members may have changed;
	// remember of each configuration of the cluster. Both may be nil.
	moved    func(applied uint64, members bool)
	remember func(raft.Configuration)
	pulse    *Pulse // of what the machine does

	mu      sync.Mutex
	waiters map[proposalID]chan outcome // guarded by mu; each channel holds one
}

var _ raft.BatchingFSM = (*adapter)(nil)

func newAdapter(m StateMachine) *adapter {
	return &adapter{machine: m, pulse: new(Pulse), waiters: make(map[proposalID]chan outcome)}
}

// await registers a waiter. It precedes the proposal, so no result is missed.
func (a *adapter) await(id proposalID) chan outcome {
	ch := make(chan outcome, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.waiters[id] = ch
	return ch
}

func (a *adapter) forget(id proposalID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.waiters, id)
}

func (a *adapter) Apply(log *raft.Log) any { return a.ApplyBatch([]*raft.Log{log})[0] }

// ApplyBatch skips what the machine made durable before a restart.
func (a *adapter) ApplyBatch(logs []*raft.Log) []any {
	defer a.pulse.work()()
	applied := a.machine.Applied()
	var batches []Batch
	var entries [][]proposal
	members := false
	for _, log := range logs {
		if log.Index <= applied {
			continue
		}
		a.noteMembers(log)
		members = members || log.Type == raft.LogConfiguration
		batch, entry := unpack(log)
		batches, entries = append(batches, batch), append(entries, entry)
	}
	if len(batches) > 0 {
		a.deliver(batches, entries, a.machine.ApplyBatch(batches))
		a.announce(members)
	}
	return make([]any, len(logs))
}

func (a *adapter) announce(members bool) {
	if a.moved != nil {
		a.moved(a.machine.Applied(), members)
	}
}

// unpack stops the node at an entry that it cannot read.
func unpack(log *raft.Log) (Batch, []proposal) {
	batch := Batch{Index: log.Index, Term: log.Term}
	if log.Type != raft.LogCommand {
		return batch, nil
	}
	entry, err := decodeEntry(log.Data)
	if err != nil {
		panic(fmt.Sprintf("entry %d: %v", log.Index, err))
	}
	for _, p := range entry {
		batch.Commands = append(batch.Commands, p.command)
	}
	return batch, entry
}

func (a *adapter) deliver(batches []Batch, entries [][]proposal, results [][]any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, entry := range entries {
		for j, p := range entry {
			if ch, ok := a.waiters[p.id]; ok {
				ch <- outcome{Position{batches[i].Index, j}, results[i][j]}
				delete(a.waiters, p.id)
			}
		}
	}
}

func (a *adapter) Snapshot() (raft.FSMSnapshot, error) {
	s, err := a.machine.Snapshot()
	if err != nil {
		return nil, fmt.Errorf("capturing the machine: %w", err)
	}
	return persister{s}, nil
}

func (a *adapter) Restore(r io.ReadCloser) error {
	defer r.Close()
	defer a.pulse.work()()
	if err := a.machine.Restore(counted{r, &a.pulse.applied}); err != nil {
		return fmt.Errorf("restoring the machine: %w", err)
	}
	a.announce(false) // the configuration follows the state, and is looked at when somebody comes
	return nil
}

type persister struct{ Snapshot }

func (p persister) Persist(sink raft.SnapshotSink) error {
	_, err := p.WriteTo(&paced{to: sink, last: time.Now()})
	if err == nil {
		err = p.Sync()
	}
	if err != nil {
		_ = sink.Cancel() // the error at hand says more
		return fmt.Errorf("writing snapshot %d: %w", p.Index(), err)
	}
	return sink.Close()
}

func (persister) Release() {}

// restShare is how many times as long as it works a snapshot then rests, and restMax
// the longest. All nodes apply the same entries and so dump at the same moment; at full
// speed that was a second in which nobody was answered.
const (
	restShare = 3
	restMax   = 100 * time.Millisecond
)

// paced is the writer of work that nobody waits for.
type paced struct {
	to   io.Writer
	last time.Time
}

func (p *paced) Write(b []byte) (int, error) {
	n, err := p.to.Write(b)
	time.Sleep(min(restShare*time.Since(p.last), restMax))
	p.last = time.Now()
	return n, err
}

package cluster

import (
	"errors"
	"io"
)

// Position is where a command landed: its log index and its place in the entry.
type Position struct {
	Index   uint64
	Ordinal int
}

// Batch is one committed log entry. It has no commands when it only advances
// the applied index.
type Batch struct {
	Index, Term uint64
	Commands    [][]byte
}

// StateMachine is what the log drives. A panic in it stops the node.
type StateMachine interface {
	// ApplyBatch returns one result per command of each batch, deterministically.
	ApplyBatch(batches []Batch) [][]any
	// Applied is the index whose effects are published. After a restart it may be
	// lower: the log gives again what the machine had not made durable.
	Applied() uint64
	// Snapshot captures an immutable state in constant time.
	Snapshot() (Snapshot, error)
	Restore(r io.Reader) error
}

// Snapshot is one captured state.
type Snapshot interface {
	Index() uint64
	Term() uint64 // of the entry at Index
	WriteTo(w io.Writer) (int64, error)
	// Sync returns once the machine's own copy is durable up to Index. The log is
	// cut only after it.
	Sync() error
}

// All but ErrUnknownOutcome mean that the command was surely not proposed.
var (
	ErrNoLeader       = errors.New("cluster: no leader")
	ErrUnknownOutcome = errors.New("cluster: outcome unknown")
	ErrOverloaded     = errors.New("cluster: overloaded")
	ErrReadOnly       = errors.New("cluster: read-only")
	ErrClosed         = errors.New("cluster: closed")
)

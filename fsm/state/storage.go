package state

import "github.com/authfi/authfi/directory"

// Meta describes the state that a storage holds. It is written in the same
// atomic, synced batch as the rows it describes.
type Meta struct {
	Applied directory.Index `cbor:"1,keyasint"` // last entry whose effects are stored
	Term    uint64          `cbor:"2,keyasint"`
	Sum     Sum             `cbor:"3,keyasint"` // digest of all rows
}

// Write is one row to store, or to remove when Value is nil.
type Write struct {
	Key   []byte
	Value []byte
}

// Storage is the durable copy of the state and the one thing outside. It may be
// behind the machine, by whole entries: after a crash it holds the state at some
// index at or after the last Sync, and the log has what came later. An
// implementation need not survive its own damage: a storage that does not open
// or whose rows do not add up to Meta.Sum is wiped and filled again.
type Storage interface {
	// Load calls row for every stored row in key order. A fresh storage has
	// the zero Meta.
	Load(row func(key, value []byte) error) (Meta, error)
	// Commit takes over what one entry wrote. It becomes durable together with
	// meta, or not at all, and after every earlier entry. An error may be that of
	// an earlier entry; none is taken after it.
	Commit(meta Meta, writes []Write) error
	// Sync returns once everything that was committed is durable.
	Sync() error
	// Replace makes meta and the rows that fill sends the whole content.
	Replace(fill func(put func(key, value []byte) error) (Meta, error)) error
	Close() error
}

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

// Storage is the durable copy of the state and the one thing outside. An
// implementation need not survive its own damage: a storage that does not open
// or whose rows do not add up to Meta.Sum is wiped and filled again.
type Storage interface {
	// Load calls row for every stored row in key order. A fresh storage has
	// the zero Meta.
	Load(row func(key, value []byte) error) (Meta, error)
	// Commit makes writes and meta durable together, or neither.
	Commit(meta Meta, writes []Write) error
	// Replace makes meta and the rows that fill sends the whole content.
	Replace(fill func(put func(key, value []byte) error) (Meta, error)) error
	Close() error
}

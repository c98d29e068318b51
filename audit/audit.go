// Package audit is the form of an organization's audit log outside the state:
// the chain that seals every entry to all before it, the export as JSON lines,
// and the check of an export by whoever holds one. It does not know where entries
// come from.
//
// The chain value of an entry is the SHA-256 of the chain value before it and of
// the entry's canonical CBOR (package fsm/codec) without its own. What retention
// removed is replaced by an anchor: the place and chain value of the last entry
// removed, from which what is left still adds up.
package audit

import (
	"crypto/sha256"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/codec"
)

// Link is the chain value of an entry that follows one whose value is previous.
func Link(previous [32]byte, e *directory.Event) [32]byte {
	bare := *e
	bare.Chain = [32]byte{}
	return sha256.Sum256(append(previous[:], codec.Encode(&bare)...))
}

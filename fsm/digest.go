package fsm

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/authfi/authfi/fsm/state"
)

// Digest is a checksum of the whole state at the root's index. Two nodes that
// applied the same entries have the same digest at the same index; if they do
// not, something is broken. Digests of different indexes say nothing.
func Digest(root *state.Root) [32]byte {
	meta := root.Meta()
	sum := meta.Sum.Bytes()
	return sha256.Sum256(binary.BigEndian.AppendUint64(sum[:], uint64(meta.Applied)))
}

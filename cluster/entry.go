package cluster

import (
	"encoding/binary"
	"errors"
)

const (
	entryVersion = 1
	// entryCommandsMax bounds how many results one apply holds back.
	entryCommandsMax = 1024
)

var errEntry = errors.New("cluster: malformed log entry")

// proposalID names a waiter on the node that proposed; it is random.
type proposalID [16]byte

type proposal struct {
	id      proposalID
	command []byte
}

// encodeEntry frames proposals as version, count, then id, length and bytes of
// each. This layout is on disk and never changes under the same version.
func encodeEntry(proposals []proposal) []byte {
	b := binary.AppendUvarint([]byte{entryVersion}, uint64(len(proposals)))
	for _, p := range proposals {
		b = append(b, p.id[:]...)
		b = binary.AppendUvarint(b, uint64(len(p.command)))
		b = append(b, p.command...)
	}
	return b
}

// decodeEntry returns proposals that share the memory of b. Trailing bytes are
// an error: an entry that is not understood whole is not understood.
func decodeEntry(b []byte) ([]proposal, error) {
	if len(b) == 0 || b[0] != entryVersion {
		return nil, errEntry
	}
	count, n := binary.Uvarint(b[1:])
	if n <= 0 || count > entryCommandsMax {
		return nil, errEntry
	}
	b = b[1+n:]
	proposals := make([]proposal, count)
	for i := range proposals {
		p := &proposals[i]
		if len(b) < len(p.id) {
			return nil, errEntry
		}
		b = b[copy(p.id[:], b):]
		size, n := binary.Uvarint(b)
		if n <= 0 || size > uint64(len(b)-n) {
			return nil, errEntry
		}
		end := n + int(size)
		p.command, b = b[n:end:end], b[end:]
	}
	if len(b) != 0 {
		return nil, errEntry
	}
	return proposals, nil
}

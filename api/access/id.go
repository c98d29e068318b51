package access

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// NewID makes an id before the proposal: 48 bits of milliseconds and 80 random
// bits, so that ids sort by creation.
func NewID[ID ~[16]byte](now time.Time) (id ID) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], uint64(now.UnixMilli())<<16)
	if _, err := rand.Read(b[6:]); err != nil {
		panic("access: no randomness: " + err.Error()) // crypto/rand documents that it never fails
	}
	return ID(b)
}

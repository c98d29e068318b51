package access

import (
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"
)

// NewID makes an id before the proposal: 48 bits of milliseconds and 80 random
// bits, so that ids sort by creation; those that one node makes within one
// millisecond, too.
func NewID[ID ~[16]byte](now time.Time) ID { return ID(ids.next(now)) }

// ids are those of this process.
var ids sequence

// sequence keeps the last id that was made.
type sequence struct {
	mu   sync.Mutex
	last [16]byte // guarded by mu
}

const (
	timeSize = 6 // bytes of milliseconds in front
	stepSize = 4 // bytes of the random step between two ids of one millisecond
)

func (s *sequence) next(now time.Time) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	if _, err := rand.Read(id[timeSize:]); err != nil {
		panic("access: no randomness: " + err.Error()) // crypto/rand documents that it never fails
	}
	id[timeSize] &= 0x7f // room above for what follows in the same millisecond
	s.mu.Lock()
	defer s.mu.Unlock()
	if [timeSize]byte(id[:]) == [timeSize]byte(s.last[:]) {
		step := binary.BigEndian.Uint32(id[len(id)-stepSize:])
		id = s.last
		add(&id, uint64(step)+1)
	}
	s.last = id
	return id
}

// add counts an id up.
func add(id *[16]byte, step uint64) {
	low := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], low+step)
	if low+step < low {
		binary.BigEndian.PutUint64(id[:8], binary.BigEndian.Uint64(id[:8])+1)
	}
}

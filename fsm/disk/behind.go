package disk

import (
	"errors"
	"sync"
	"time"

	"github.com/authfi/authfi/fsm/state"
)

// Sizes of writing behind. Every transaction costs two msync, and on a file system
// with large folios each was seen to write megabytes for a few rows: at 600 entries
// a second three nodes wrote 600 MB/s and stood still for seconds. So entries are
// gathered. What gathers is lost in a crash and comes again from the log.
const (
	gatherTime   = 100 * time.Millisecond
	groupRows    = 8_192   // of one transaction, unless one entry has more
	groupBytes   = 1 << 20 // likewise
	waitingBytes = 64 << 20
	entryCost    = 128 // bytes that an entry takes besides its rows
)

var errClosed = errors.New("store is closed")

// entry is what one log entry wrote.
type entry struct {
	meta   state.Meta
	writes []state.Write
	bytes  int
}

// behind writes entries in their order, behind whoever commits them.
type behind struct {
	write func(state.Meta, []state.Write) error
	hurry chan struct{} // holds one: somebody waits, do not gather
	done  chan struct{} // closed when the writer has ended

	mu      sync.Mutex
	moved   sync.Cond // waiting grew, shrank, or err was set
	waiting []entry   // taken and not written, oldest first
	bytes   int       // of waiting
	taken   uint64    // entries ever committed
	written uint64    // entries ever written
	err     error     // the first failure, or errClosed; nothing is taken after it
}

func newBehind(write func(state.Meta, []state.Write) error) *behind {
	b := &behind{write: write, hurry: make(chan struct{}, 1), done: make(chan struct{})}
	b.moved.L = &b.mu
	go b.run()
	return b
}

// Commit implements state.Storage. It waits only where the disk is so far behind that
// what waits would fill the memory.
func (b *behind) Commit(meta state.Meta, writes []state.Write) error {
	e := entry{meta, writes, entryCost}
	for _, w := range writes {
		e.bytes += len(w.Key) + len(w.Value)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for b.bytes > waitingBytes && b.err == nil {
		b.urge()
		b.moved.Wait()
	}
	if b.err != nil {
		return b.err
	}
	b.waiting = append(b.waiting, e)
	b.bytes += e.bytes
	b.taken++
	b.moved.Broadcast()
	return nil
}

// Sync implements state.Storage.
func (b *behind) Sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for upTo := b.taken; b.written < upTo; {
		if b.err != nil {
			return b.err
		}
		b.urge()
		b.moved.Wait()
	}
	return nil
}

// close writes what waits and ends the writer.
func (b *behind) close() error {
	err := b.Sync()
	b.mu.Lock()
	if b.err == nil {
		b.err = errClosed
	}
	b.moved.Broadcast()
	b.mu.Unlock()
	<-b.done
	if errors.Is(err, errClosed) {
		return nil
	}
	return err
}

func (b *behind) urge() {
	select {
	case b.hurry <- struct{}{}:
	default:
	}
}

func (b *behind) run() {
	defer close(b.done)
	for b.await() {
		b.gather()
		for group := b.group(); len(group) > 0; group = b.group() {
			b.finish(group, b.write(group[len(group)-1].meta, newest(group)))
		}
	}
}

// await returns once an entry waits, or false when none will.
func (b *behind) await() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.waiting) == 0 && b.err == nil {
		b.moved.Wait()
	}
	return b.err == nil
}

// gather lets entries come together. When they are written decides nothing about
// what is written.
func (b *behind) gather() {
	timer := time.NewTimer(gatherTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-b.hurry:
	}
}

// group is the oldest waiting entries that fit one transaction, at least one. It is
// empty when none waits or one has failed.
func (b *behind) group() []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return nil
	}
	rows, bytes := 0, 0
	for i, e := range b.waiting {
		rows, bytes = rows+len(e.writes), bytes+e.bytes
		if i > 0 && (rows > groupRows || bytes > groupBytes) {
			return b.waiting[:i:i]
		}
	}
	return b.waiting[:len(b.waiting):len(b.waiting)]
}

func (b *behind) finish(group []entry, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && b.err == nil {
		b.err = err
	}
	if err == nil {
		for _, e := range group {
			b.bytes -= e.bytes
		}
		b.written += uint64(len(group))
		b.waiting = b.waiting[len(group):]
		clear(group) // the array lives on under what waits
	}
	b.moved.Broadcast()
}

// newest are the rows to store for several entries: of each key the last, since what
// stood in between is stored by nobody.
func newest(group []entry) []state.Write {
	if len(group) == 1 {
		return group[0].writes
	}
	var writes []state.Write
	place := map[string]int{}
	for _, e := range group {
		for _, w := range e.writes {
			if i, ok := place[string(w.Key)]; ok {
				writes[i] = w
				continue
			}
			place[string(w.Key)] = len(writes)
			writes = append(writes, w)
		}
	}
	return writes
}

package feed

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
)

// momentsMax is how many of the newest moments a node remembers of each kind:
// minutes under load, days of an ordinary directory.
const momentsMax = 1 << 14

// Unknown is the age of what a node does not know, or no longer.
const Unknown = time.Duration(-1)

// Timing remembers when requests were received, and when indexes were applied
// and enforced, on this node and by its clock alone. It tells ages and never
// times of day, so that what two nodes say can be set side by side although their
// clocks differ.
type Timing struct {
	mu       sync.Mutex
	received map[directory.TraceID]time.Time // guarded by mu
	order    []directory.TraceID             // guarded by mu; a ring of the keys of received
	next     int                             // guarded by mu
	applied  steps                           // guarded by mu
	enforced steps                           // guarded by mu
}

// NewTiming remembers nothing yet.
func NewTiming() *Timing { return &Timing{received: map[directory.TraceID]time.Time{}} }

// Received notes when the first byte of a request came in.
func (t *Timing) Received(id directory.TraceID, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.received[id]; known {
		return
	}
	if len(t.order) < momentsMax {
		t.order = append(t.order, id)
	} else {
		delete(t.received, t.order[t.next])
		t.order[t.next] = id
		t.next = (t.next + 1) % momentsMax
	}
	t.received[id] = at
}

// Applied and Enforced note that this node has come to an index.
func (t *Timing) Applied(index directory.Index, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied.add(index, at)
}
func (t *Timing) Enforced(index directory.Index, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enforced.add(index, at)
}

// Enforcer is what enforces on this node.
type Enforcer interface {
	Enforced() directory.Index
	Wait(ctx context.Context, index directory.Index) error
}

// Follow notes every move of the enforcer until the context ends.
func (t *Timing) Follow(ctx context.Context, e Enforcer) {
	for {
		index := e.Enforced()
		t.Enforced(index, time.Now())
		if e.Wait(ctx, index+1) != nil {
			return
		}
	}
}

// Moment asks about one entry of the log.
type Moment struct {
	Index directory.Index
	Trace directory.TraceID // zero: no request is known
}

// Ages is how long ago it happened on one node, each Unknown if it is.
type Ages struct {
	Received, Applied, Enforced time.Duration
}

// Ages answers for each moment, as of now.
func (t *Timing) Ages(moments []Moment, now time.Time) []Ages {
	t.mu.Lock()
	defer t.mu.Unlock()
	ages := make([]Ages, len(moments))
	for i, m := range moments {
		ages[i] = Ages{Unknown, t.applied.age(m.Index, now), t.enforced.age(m.Index, now)}
		if at, ok := t.received[m.Trace]; ok {
			ages[i].Received = now.Sub(at)
		}
	}
	return ages
}

// steps is when an index was reached: a ring, oldest first from next on.
type steps struct {
	ring []step
	next int
}

type step struct {
	index directory.Index
	at    time.Time
}

func (s *steps) add(index directory.Index, at time.Time) {
	if n := len(s.ring); n > 0 && s.at(n-1).index >= index {
		return
	}
	if len(s.ring) < momentsMax {
		s.ring = append(s.ring, step{index, at})
		return
	}
	s.ring[s.next] = step{index, at}
	s.next = (s.next + 1) % momentsMax
}

func (s *steps) at(i int) step { return s.ring[(s.next+i)%len(s.ring)] }

// age finds the step that reached index. The oldest one reached more than itself,
// from who knows when, so that only its own index is known of it; a node's first
// is where it started, and of that nothing is known.
func (s *steps) age(index directory.Index, now time.Time) time.Duration {
	i := sort.Search(len(s.ring), func(i int) bool { return s.at(i).index >= index })
	if i == 0 || i == len(s.ring) {
		return Unknown
	}
	return now.Sub(s.at(i).at)
}

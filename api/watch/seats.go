package watch

import (
	"sync"

	"github.com/authfi/authfi/directory"
)

// Bounds of how many streams there are at a time. A stream takes less than 100 KB
// with its connection, and 2 checks of its credential a second of some 4 us: a node
// that is full spends 100 MB and a hundredth of a core on followers to whom
// nothing happens.
const (
	streamsPerCaller       = 16
	streamsPerOrganization = 128
	streamsPerNode         = 1024
)

// seats counts the streams of a node. A user's sessions count together.
type seats struct {
	mu     sync.Mutex
	caller map[directory.Actor]int // guarded by mu
	org    map[directory.OrgID]int // guarded by mu
	all    int                     // guarded by mu
}

// take claims a seat until release is called, once.
func (s *seats) take(caller directory.Actor, org directory.OrgID) (release func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.caller[caller] >= streamsPerCaller:
		return nil, directory.Exhausted("", "the caller has %d streams open, which is the limit", streamsPerCaller)
	case s.org[org] >= streamsPerOrganization:
		return nil, directory.Exhausted("", "the organization has %d streams open on this node, which is the limit", streamsPerOrganization)
	case s.all >= streamsPerNode:
		return nil, directory.Exhausted("", "this node has as many streams open as it may; try another one")
	}
	if s.caller == nil {
		s.caller, s.org = map[directory.Actor]int{}, map[directory.OrgID]int{}
	}
	s.caller[caller]++
	s.org[org]++
	s.all++
	return func() { s.release(caller, org) }, nil
}

func (s *seats) taken() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

func (s *seats) release(caller directory.Actor, org directory.OrgID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	less(s.caller, caller)
	less(s.org, org)
	s.all--
}

// less forgets who has none left, so that the maps hold no more than there are
// streams.
func less[K comparable](counts map[K]int, key K) {
	if counts[key]--; counts[key] == 0 {
		delete(counts, key)
	}
}

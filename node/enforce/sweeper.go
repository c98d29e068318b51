package enforce

import (
	"sync"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// sweepEvery bounds how often connections are looked through, whatever the number
// of users who lose access: every look is at all sockets of the machine.
const sweepEvery = 50 * time.Millisecond

// sweeper ends the connections of users after sweepGrace, many in one look.
type sweeper struct {
	sweep func([]policy.Subject)

	mu      sync.Mutex
	waiting []departure // guarded by mu; by due
	running bool        // guarded by mu: a timer is set
}

type departure struct {
	subject policy.Subject
	due     time.Time
}

func (s *sweeper) add(subject policy.Subject) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = append(s.waiting, departure{subject, time.Now().Add(sweepGrace)})
	if !s.running {
		s.running = true
		time.AfterFunc(sweepGrace, s.run)
	}
}

// run sweeps those who are due and sets the timer for the rest.
func (s *sweeper) run() {
	s.mu.Lock()
	var due []policy.Subject
	for len(s.waiting) > 0 && !s.waiting[0].due.After(time.Now()) {
		due = append(due, s.waiting[0].subject)
		s.waiting = s.waiting[1:]
	}
	if s.running = len(s.waiting) > 0; s.running {
		time.AfterFunc(max(time.Until(s.waiting[0].due), sweepEvery), s.run)
	}
	s.mu.Unlock()
	if len(due) > 0 {
		s.sweep(due)
	}
}

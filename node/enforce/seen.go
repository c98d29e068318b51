package enforce

import (
	"sync"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// Bounds of what is remembered of refusals: enough to see what is going on, and no
// more than a page. A flood of them is sampled, so that it does not push out all
// that was before within a moment.
const (
	RefusalsMax          = 256
	refusalsPerSecondMax = 32
)

// Seen is what a gate has decided, by address, and the newest refusals. Rows are
// made by the addresses and the routes of policies alone, never by a request.
type Seen struct {
	mu      sync.Mutex
	tallies map[string]*Tally // by address, guarded by mu
	recent  []Refusal         // a ring, guarded by mu
	seq     uint64            // of the last refusal, guarded by mu
	second  int64             // in which sampled were taken, guarded by mu
	sampled int               // guarded by mu
}

// Tally counts the decisions at one address since the gate started, and those of each
// route since its policies are these.
type Tally struct {
	Version     uint64
	Reasons     [policy.ReasonsMax]uint64
	LetThrough  uint64
	Refused     uint64
	WouldRefuse uint64       // in dry runs
	Routes      []RouteTally // nil where the gate does not count them
}

// RouteTally counts what one route has decided.
type RouteTally struct{ LetThrough, Refused uint64 }

// Refusal is one that was remembered. There is nothing in it that came with the
// request but the method.
type Refusal struct {
	Time     time.Time
	Seq      uint64
	Listen   string
	Method   string // empty: the request could not be read
	Decision policy.Decision
	Subject  policy.Subject
}

// NewSeen has seen nothing.
func NewSeen() *Seen { return &Seen{tallies: map[string]*Tally{}} }

// follow begins to count the routes of these policies at an address. Policies that
// are compiled anew in the same version go on.
func (s *Seen) follow(listen string, program *policy.Program) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(listen)
	if t.Version != program.Version() || len(t.Routes) != program.Routes() {
		t.Version, t.Routes = program.Version(), make([]RouteTally, program.Routes())
	}
}

func (s *Seen) tally(listen string) *Tally {
	t, ok := s.tallies[listen]
	if !ok {
		t = &Tally{}
		s.tallies[listen] = t
	}
	return t
}

func (s *Seen) forget(listen string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tallies, listen)
}

// decided counts one decision; the time is this moment.
func (s *Seen) decided(now time.Time, r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, d := s.tally(r.Listen), r.Decision
	if int(d.Reason) < len(t.Reasons) {
		t.Reasons[d.Reason]++
	}
	if d.Lets() {
		t.LetThrough++
	} else {
		t.Refused++
	}
	allowed := d.Reason.Allows()
	if d.DryRun && !allowed {
		t.WouldRefuse++
	}
	// A decision of the policies before these is of none of their routes.
	if d.Route >= 0 && d.Route < len(t.Routes) && d.Version == t.Version {
		if allowed {
			t.Routes[d.Route].LetThrough++
		} else {
			t.Routes[d.Route].Refused++
		}
	}
	if !allowed {
		s.remember(now, r)
	}
}

// advance counts what a gate that counts by itself has counted in one mode. Counts that
// went back began anew.
func (s *Seen) advance(listen string, before, now [policy.ReasonsMax]uint64, dry bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(listen)
	for reason, n := range now {
		if n >= before[reason] {
			n -= before[reason]
		}
		t.Reasons[reason] += n
		d := policy.Decision{Reason: policy.Reason(reason), DryRun: dry}
		if d.Lets() {
			t.LetThrough += n
		} else {
			t.Refused += n
		}
		if dry && !d.Reason.Allows() {
			t.WouldRefuse += n
		}
	}
}

// advanceRoutes does so for the routes of policies that are followed.
func (s *Seen) advanceRoutes(listen string, version uint64, before, now []bpf.RouteHits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tally(listen)
	if t.Version != version || len(t.Routes) != len(now) {
		return
	}
	for i, n := range now {
		if i < len(before) {
			n.LetThrough -= before[i].LetThrough
			n.Refused -= before[i].Refused
		}
		t.Routes[i].LetThrough += n.LetThrough
		t.Routes[i].Refused += n.Refused
	}
}

// refused remembers a refusal that is counted elsewhere.
func (s *Seen) refused(at time.Time, r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(at, r)
}

func (s *Seen) remember(now time.Time, r Refusal) {
	s.seq++
	if second := now.Unix(); second != s.second {
		s.second, s.sampled = second, 0
	}
	if s.sampled++; s.sampled > refusalsPerSecondMax {
		return
	}
	r.Time, r.Seq = now, s.seq
	if len(s.recent) == RefusalsMax {
		copy(s.recent, s.recent[1:])
		s.recent = s.recent[:RefusalsMax-1]
	}
	s.recent = append(s.recent, r)
}

// Tallies are the counts by address.
func (s *Seen) Tallies() map[string]Tally {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make(map[string]Tally, len(s.tallies))
	for listen, t := range s.tallies {
		one := *t
		one.Routes = append([]RouteTally(nil), t.Routes...)
		all[listen] = one
	}
	return all
}

// Refusals are the newest, oldest first.
func (s *Seen) Refusals() []Refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Refusal(nil), s.recent...)
}

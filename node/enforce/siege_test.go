package enforce

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

// Lives of a lease in these tests: short, so that its end is seen.
const (
	siegeLease = 400 * time.Millisecond
	siegeEvery = 50 * time.Millisecond
)

// quorum is the log of a node that may be cut off, or behind the others.
type quorum struct {
	log   atomic.Pointer[fsm.Machine]
	lost  atomic.Bool
	ahead atomic.Uint64 // entries that the others have and this node does not
}

func (q *quorum) ReadIndex(ctx context.Context) (uint64, error) {
	if q.lost.Load() {
		return 0, errors.New("no quorum")
	}
	index, err := lone{q.log.Load()}.ReadIndex(ctx)
	return index + q.ahead.Load(), err
}

func (s *site) quorum() *quorum {
	q := &quorum{}
	q.log.Store(s.machine)
	return q
}

func (s *site) opened() *quorum {
	s.t.Helper()
	s.populate()
	q := s.quorum()
	s.open(q, siegeLease, siegeEvery)
	s.enforced()
	s.becomes("/read", ownToken, "200")
	return q
}

// Without a quorum, and with a state that is behind, nothing is let through that
// needs a token, until both are there again.
func TestSiegeOfACutOffNode(t *testing.T) {
	onBothGates(t, func(s *site) {
		q := s.opened()
		for _, c := range []struct {
			why      string
			cut, end func()
		}{
			{"quorum lost", func() { q.lost.Store(true) }, func() { q.lost.Store(false) }},
			{"state behind", func() { q.ahead.Store(1) }, func() { q.ahead.Store(0) }},
		} {
			s.besieged(c.why, func() {
				c.cut()
				s.becomes("/read", ownToken, "503 enforcement_unavailable")
				s.becomes("/open", "", "200")
				c.end()
				s.becomes("/read", ownToken, "200")
			})
		}
	})
}

// A node that joins, or has lost its state, finds the addresses of before guarded, or
// has none, and lets nothing through until it has the state, and all of it.
func TestSiegeOfAJoiningNode(t *testing.T) {
	onBothGates(t, joining)
}

func joining(s *site) {
	s.populate()
	full := s.machine
	first := s.quorum()
	close := s.open(first, siegeLease, siegeEvery)
	s.enforced() // the kernel's address is open until then
	s.becomes("/read", ownToken, "200")
	empty, err := fsm.Open(disk.NewMemory())
	if err != nil {
		s.t.Fatal(err)
	}
	stateless := "503 enforcement_unavailable"
	if s.kernel == nil {
		stateless = "dial tcp " + s.address + ": connect: connection refused"
	}
	s.besieged("joining", func() {
		close()
		s.machine = empty
		joining := s.quorum()
		joining.ahead.Store(uint64(full.Applied()))
		s.open(joining, siegeLease, siegeEvery)
		for _, path := range []string{"/read", "/open"} {
			s.becomes(path, ownToken, stateless)
		}
		s.machine = full
		joining.log.Store(full)
		joining.ahead.Store(1)
		s.current.Store(full)
		s.enforcer.Changed(nil, true)
		s.becomes("/open", "", "200")
		s.becomes("/read", ownToken, "503 enforcement_unavailable")
		joining.ahead.Store(0)
		s.becomes("/read", ownToken, "200")
	})
}

// Policies that name more roles than there are numbers do not compile; each was
// written when there was room.
func TestSiegeOfAPolicyThatDoesNotCompile(t *testing.T) {
	onBothGates(t, func(s *site) {
		s.opened()
		many := s.another()
		for i := range 30 {
			route := directory.RoutePolicy{Path: fmt.Sprint("/", i)}
			for k := range 10 {
				route.Roles = append(route.Roles, fmt.Sprintf("a-role-%d", 10*i+k))
			}
			many.Policies = append(many.Policies, route)
		}
		s.besieged("does not compile", func() {
			s.apply(s.org, &fsm.CreateService{Service: many})
			s.changed(directory.Row{Kind: directory.RowService, ID: many.ID})
			s.enforced()
			for range siegeMin {
				if got := send(many.Listen[0], requestFor("/0", ownToken, hostileMark)); got != "403 no_route" {
					s.t.Errorf("a policy that does not compile: %s", got)
				}
			}
			s.becomes("/open", "", "200")
			s.apply(s.org, &fsm.DeleteService{ID: many.ID})
			s.changed(directory.Row{Kind: directory.RowService, ID: many.ID})
			s.enforced()
			s.becomes("/read", ownToken, "200")
		})
	})
}

// another is one more service, without policies yet.
func (s *site) another() directory.Service {
	service := directory.Service{ID: directory.ServiceID{15: 2}, Name: "another", Listen: []string{s.serve(plain(s.t, "127.0.0.1:0"))}}
	if s.kernel == nil {
		free := plain(s.t, "127.0.0.2:0")
		service.Upstream, service.Listen[0] = service.Listen[0], free.Addr().String()
		free.Close()
	}
	return service
}

// The times of tokens stood as they were converted at first, and when the wall
// clock was set, tokens lived longer than they should. The lease is no time of the
// wall clock.
func TestSiegeOfAClockThatJumps(t *testing.T) {
	onBothGates(t, func(s *site) {
		s.opened()
		for _, c := range []struct {
			by   time.Duration
			want string
		}{
			{2 * time.Hour, "401 token_expired"},
			{0, "200"},
			{-2 * time.Hour, "401 token_not_yet_valid"},
			{30 * time.Minute, "200"},
		} {
			s.besieged(fmt.Sprint("the clock is set by ", c.by), func() {
				s.clock.by.Store(int64(c.by))
				s.becomes("/read", ownToken, c.want)
			})
		}
	})
}

// The clock was set after the first times were converted, and before anybody looked.
func TestClockThatJumpsWhileANodeStarts(t *testing.T) {
	s := newSpaceSite(t)
	s.populate()
	s.jump = 2 * time.Hour
	s.open(s.quorum(), siegeLease, siegeEvery)
	s.becomes("/read", ownToken, "401 token_expired")
}

// A user loses access in the middle of a siege, and every connection of theirs ends.
func TestSiegeOfARevocation(t *testing.T) {
	onBothGates(t, func(s *site) {
		s.opened()
		s.besieged("revoked", func() {
			s.apply(s.org, &fsm.UpdateUser{User: robotUser(false, directory.UserID{15: 20})})
			s.changed(directory.Row{Kind: directory.RowUser, ID: account})
			s.becomes("/read", ownToken, "401 user_inactive")
			s.becomes("/read", clientToken, "401 user_inactive")
			s.becomes("/open", "", "200")
		})
	})
}

package node

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfi/authfi/fsm/disk"
)

// faults follow the seed until the context ends.
func (s *simulation) faults(ctx context.Context) {
	for {
		select {
		case <-time.After(time.Duration(200+s.random.IntN(1500)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		one, other := s.random.IntN(3), 1+s.random.IntN(2)
		n, m := s.nodes[one], s.nodes[(one+other)%3]
		last := time.Duration(s.random.ExpFloat64() * float64(1500*time.Millisecond))
		switch s.random.IntN(10) {
		case 0: // one way between two
			s.net.Cut(n.id, m.id)
			s.pass(last)
			s.net.Heal()
		case 1: // one node altogether
			for _, o := range s.nodes {
				s.net.Cut(n.id, o.id)
				s.net.Cut(o.id, n.id)
			}
			s.pass(last)
			s.net.Heal()
		case 2: // one node is not heard
			for _, o := range s.nodes {
				s.net.Cut(n.id, o.id)
			}
			s.pass(last)
			s.net.Heal()
		case 3:
			s.net.Break(n.id)
		case 4:
			s.crash(n)
			s.pass(last)
			s.start(n)
		case 9: // the machine is gone with the process, and refuses nothing
			for _, o := range s.nodes {
				s.net.Cut(n.id, o.id)
				s.net.Cut(o.id, n.id)
			}
			s.crash(n)
			s.pass(last)
			s.net.Heal()
			s.start(n)
		case 5: // all at once
			for _, o := range s.nodes {
				s.crash(o)
			}
			s.pass(last)
			for _, o := range s.nodes {
				s.start(o)
			}
		case 6: // the copy on disk is lost with the process
			s.crash(n)
			n.platter.durable = disk.NewMemory()
			s.pass(last)
			s.start(n)
		case 7:
			s.hang(ctx)
		case 8:
			if c, _, _, up := n.now(); up {
				snapping, cancel := context.WithTimeout(ctx, time.Second)
				c.Snapshot(snapping) // there may be nothing to snapshot
				cancel()
			}
		}
	}
}

// pass lets time go by.
func (*simulation) pass(d time.Duration) { <-time.After(d) }

// hang stops the disk of the leader, which then must not lead for long. Without a write
// there is nothing to notice it by, so it is judged while the clients work.
func (s *simulation) hang(ctx context.Context) {
	for _, n := range s.nodes {
		c, _, _, up := n.now()
		if !up || !c.IsLeader() {
			continue
		}
		n.log.Hang(true)
		var began time.Time // of the first write that met it
		for ctx.Err() == nil && !s.succeeded(n) {
			if began.IsZero() && n.log.Held() {
				began = time.Now()
			}
			if !began.IsZero() && time.Since(began) > leadLostMost {
				s.violated("%s leads on with a disk that hangs", n.id)
				break
			}
			s.pass(20 * time.Millisecond)
		}
		n.log.Hang(false)
		return
	}
}

func (s *simulation) succeeded(old *simNode) bool {
	for _, n := range s.nodes {
		if c, _, _, up := n.now(); n != old && up && c.IsLeader() {
			return true
		}
	}
	return false
}

// replacedWithin is how long a leader may be missed whose process was killed: less than
// the heartbeats that are waited for when a machine is silent.
const replacedWithin = 400 * time.Millisecond

// TestKilledLeaderIsReplacedAtOnce in the bubble's time, so that it says nothing of the
// machine that runs it.
func TestKilledLeaderIsReplacedAtOnce(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			s := newSimulation(t, seed, mistakes{})
			s.begin()
			i := slices.IndexFunc(s.nodes, func(n *simNode) bool { return n.cluster.IsLeader() })
			old := s.nodes[i]
			began := time.Now()
			dead := old.cluster
			old.host.Kill()
			old.log = old.log.Crash()
			for !s.succeeded(old) && time.Since(began) < simSettle {
				s.pass(time.Millisecond)
			}
			if took := time.Since(began); took > replacedWithin {
				t.Errorf("seed %d: without a leader for %s", seed, took)
			}
			old.up = false
			s.must(dead.Close())
			s.must(old.machine.Close())
			for _, n := range s.nodes {
				s.stop(n)
			}
		})
	}
}

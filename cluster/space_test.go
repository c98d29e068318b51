package cluster

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// TestShortLeaderHandsOver: a leader without space loses the lead to a node that has
// some, and writes go on through every node; without such a node all is read-only, and
// ends by itself.
func TestShortLeaderHandsOver(t *testing.T) {
	nodes := trio(t)
	old := leaderOf(t, nodes)
	nodes[(old+1)%3].low.Store(true) // nor is this one a choice
	nodes[old].low.Store(true)
	began := time.Now()
	until(t, nodes[(old+2)%3].IsLeader)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the hand-over took %s", took)
	}
	for i, n := range nodes {
		n.propose(t, "written by way of the one with space")
		if i == old && n.IsLeader() {
			t.Error("the lead is back at a node without space")
		}
	}
	nodes[(old+2)%3].low.Store(true)
	for _, n := range nodes {
		if _, _, err := n.Propose(within(t), []byte("x")); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s without space anywhere: %v", n.cfg.NodeID, err)
		}
		if _, err := n.ReadIndex(within(t)); err != nil {
			t.Errorf("%s cannot be read: %v", n.cfg.NodeID, err)
		}
	}
	for _, n := range nodes {
		n.low.Store(false)
	}
	nodes[old].propose(t, "space is back")
}

// TestFullFollowerFallsBehindAndCatchesUp: its log does not grow, the others go on, and
// nothing is missing once it has space.
func TestFullFollowerFallsBehindAndCatchesUp(t *testing.T) {
	nodes := trio(t)
	leader := leaderOf(t, nodes)
	behind, third := nodes[(leader+1)%3], nodes[(leader+2)%3]
	behind.propose(t, "before")
	behind.full.Store(true)
	for range 20 {
		third.propose(t, "meanwhile")
	}
	if got := behind.journal.count("meanwhile"); got != 0 {
		t.Errorf("a log that may not grow has taken %d entries", got)
	}
	behind.full.Store(false)
	until(t, func() bool { return behind.journal.count("meanwhile") == 20 })
}

// TestFullLeaderHandsOver: the log of a leader does not grow either, and another leads.
func TestFullLeaderHandsOver(t *testing.T) {
	nodes := trio(t)
	old := leaderOf(t, nodes)
	nodes[old].full.Store(true)
	if _, err := nodes[old].Cluster.append(encodeEntry([]proposal{{command: []byte("refused by the log")}})); !errors.Is(err, ErrUnknownOutcome) {
		t.Errorf("a log that may not grow: %v", err)
	}
	until(t, func() bool { return !nodes[old].IsLeader() && leaderOf(t, nodes) != old })
	until(t, func() bool {
		_, _, err := nodes[(old+1)%3].Propose(within(t), []byte("written by the others"))
		return err == nil
	})
	if nodes[old].journal.count("refused by the log") != 0 {
		t.Error("what the log refused was applied")
	}
}

func leaderOf(t *testing.T, nodes []*testNode) (place int) {
	t.Helper()
	until(t, func() bool {
		place = slices.IndexFunc(nodes, func(n *testNode) bool { return n.IsLeader() })
		return place >= 0
	})
	return place
}

// until polls for as long as a test may take.
func until(t *testing.T, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for ctx := within(t); !holds(); {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatal("in vain")
		}
	}
}

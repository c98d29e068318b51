package cluster

import (
	"errors"
	"strings"
	"testing"
)

// TestNodeMoves: a follower that comes back at another address is found there, and one
// that was the leader too; nobody takes the address of another.
func TestNodeMoves(t *testing.T) {
	nodes := trio(t)
	leader := leaderOf(t, nodes)
	for _, n := range []*testNode{nodes[(leader+1)%3], nodes[leader]} {
		n.propose(t, "before "+n.cfg.NodeID)
		n.Close()
		n.cfg.Listen = testConfigs(t, "elsewhere")[0].Listen
		n.open(t)
		if err := n.Removed(within(t)); errors.Is(err, ErrRemoved) {
			t.Fatalf("%s takes its new address for its end: %v", n.cfg.NodeID, err)
		}
		if err := n.Announce(within(t)); err != nil {
			t.Fatal(err)
		}
		n.propose(t, "from "+n.cfg.Listen)
		for _, other := range nodes {
			until(t, func() bool {
				address, _ := other.address(n.cfg.NodeID)
				return address == n.cfg.Listen && other.journal.count("from "+n.cfg.Listen) == 1
			})
		}
	}
	now := nodes[leaderOf(t, nodes)]
	for _, n := range nodes {
		if n == now {
			continue
		}
		_, err := n.Call(within(t), now.cfg.NodeID, methodMoved, []byte(now.cfg.Listen))
		if err == nil || !strings.Contains(err.Error(), "belongs to "+now.cfg.NodeID) {
			t.Errorf("%s takes the leader's address: %v", n.cfg.NodeID, err)
		}
	}
}

package node

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// readyWait bounds how long readiness may take to prove.
const readyWait = 2 * time.Second

// ready says whether this node may serve: it can reach a quorum, has applied
// what the quorum had, enforces it, and the cluster has an operator.
func (n *Node) ready() error {
	if n.draining.Load() {
		return errors.New("this node is about to stop")
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWait)
	defer cancel()
	index, err := n.cluster.ReadIndex(ctx)
	if err != nil {
		return errors.New("no quorum can be reached")
	}
	if err := n.cluster.WaitApplied(ctx, index); err != nil {
		return fmt.Errorf("state is at %d, the cluster at %d", n.machine.Applied(), index)
	}
	if err := n.enforcer.Failing(); err != nil {
		return fmt.Errorf("enforcement does not follow: %w", err)
	}
	if n.machine.Root().System().Operators() == 0 {
		return errors.New("the cluster is being founded")
	}
	for _, m := range n.cluster.Members() {
		if m.ID == n.cfg.NodeID && m.Voter {
			return nil
		}
	}
	return errors.New("this node has no vote yet")
}

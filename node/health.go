package node

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// diskReserve is the free space below which a node proposes nothing: the
// storage engine maps its files, and a full disk would kill the process before
// it could refuse. Writes resume by themselves when space returns.
const diskReserve = 256 << 20

// diskSpace refuses writes while the data directory is short of space.
func (n *Node) diskSpace() error {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(n.cfg.Dir, &fs); err != nil {
		return fmt.Errorf("free space of the data directory: %w", err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < diskReserve {
		return fmt.Errorf("%d MiB left on the disk", free>>20)
	}
	return nil
}

// readyWait bounds how long readiness may take to prove.
const readyWait = 2 * time.Second

// ready says whether this node may serve: it can reach a quorum, has applied
// what the quorum had, and the cluster has an operator.
func (n *Node) ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), readyWait)
	defer cancel()
	index, err := n.cluster.ReadIndex(ctx)
	if err != nil {
		return errors.New("no quorum can be reached")
	}
	if err := n.cluster.WaitApplied(ctx, index); err != nil {
		return fmt.Errorf("state is at %d, the cluster at %d", n.machine.Applied(), index)
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

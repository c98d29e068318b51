package cluster

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

const (
	methodSpace = "cluster.space"
	// yieldEvery is how often a leader looks whether it has space.
	yieldEvery = 500 * time.Millisecond
)

// errNoSpace is what the log answers instead of growing.
var errNoSpace = errors.New("cluster: too little space for the log")

// writable says whether this node may propose as a leader. What its log would refuse is
// not even tried: the outcome would be unknown.
func (c *Cluster) writable() error {
	for _, allowed := range []func() error{c.cfg.WriteAllowed, c.cfg.LogAllowed} {
		if allowed != nil && allowed() != nil {
			return ErrReadOnly
		}
	}
	return nil
}

// yield hands the lead to a node with space while this one has none. Without such a
// node it stays, and refuses: the cluster can be read until one of them has space again.
func (c *Cluster) yield() {
	ticker := time.NewTicker(yieldEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-c.closing:
			return
		}
		if !c.IsLeader() || c.writable() == nil {
			continue
		}
		if to, ok := c.spacious(); ok {
			err := c.raft.LeadershipTransferToServer(raft.ServerID(to.ID), raft.ServerAddress(to.Address)).Error()
			c.log.Warn("this node is short of space and hands over the lead", "to", to.ID, "error", err)
		}
	}
}

// spacious is another voter that says that it may propose.
func (c *Cluster) spacious() (Member, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), pingTimeout)
	defer cancel()
	for _, m := range c.Members() {
		if m.ID == c.cfg.NodeID || !m.Voter {
			continue
		}
		if _, err := c.Call(ctx, m.ID, methodSpace, nil); err == nil {
			return m, true
		}
	}
	return Member{}, false
}

func (c *Cluster) serveSpace(context.Context, string, []byte) ([]byte, error) {
	return nil, c.writable()
}

// boundedLog refuses to grow while there is too little space for what grows behind it:
// a follower falls behind then, and catches up when there is space again.
type boundedLog struct {
	raft.LogStore
	allowed func() error // nil: always
}

// IsMonotonic implements raft.MonotonicLogStore.
func (l boundedLog) IsMonotonic() bool { return monotonic(l.LogStore) }

func (l boundedLog) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

func (l boundedLog) StoreLogs(entries []*raft.Log) error {
	if l.allowed != nil && l.allowed() != nil {
		return errNoSpace
	}
	return l.LogStore.StoreLogs(entries)
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

const methodMoved = "cluster.moved"

// Announce returns once the members know this node by the address that it has now. A
// node that was started with another one cannot be reached by its leader, and so knows
// none: it asks every member that it remembers.
func (c *Cluster) Announce(ctx context.Context) error {
	for {
		known, member := c.address(c.cfg.NodeID)
		if known == c.cfg.Advertise {
			return nil
		}
		if member { // a node that has just joined does not know itself yet
			c.askMoved(ctx)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return ctx.Err()
		case <-c.closing:
			return ErrClosed
		}
	}
}

func (c *Cluster) askMoved(ctx context.Context) {
	if c.IsLeader() {
		if err := c.moveServer(c.cfg.NodeID, c.cfg.Advertise); err != nil {
			c.log.Warn("the new address of this node is not taken", "error", err)
		}
		return
	}
	for _, m := range c.Members() {
		if m.ID == c.cfg.NodeID {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, rpcTimeout)
		_, err := c.Call(asking, m.ID, methodMoved, []byte(c.cfg.Advertise))
		cancel()
		if err == nil {
			return
		}
		c.log.Debug("the new address of this node is not taken", "by", m.ID, "error", err)
	}
}

// serveMoved takes the word of a node about itself: its certificate says who it is.
func (c *Cluster) serveMoved(_ context.Context, from string, address []byte) ([]byte, error) {
	if !c.IsLeader() {
		return nil, ErrNoLeader
	}
	return nil, c.moveServer(from, string(address))
}

// moveServer is the leader's.
func (c *Cluster) moveServer(nodeID, address string) error {
	if address == "" {
		return errors.New("malformed request")
	}
	var found *Member
	for _, m := range c.Members() {
		switch {
		case m.ID == nodeID:
			found = &m
		case m.Address == address:
			return fmt.Errorf("address %s belongs to %s", address, m.ID)
		}
	}
	if found == nil {
		return fmt.Errorf("%s is no member", nodeID)
	}
	if found.Voter {
		return c.raft.AddVoter(raft.ServerID(nodeID), raft.ServerAddress(address), 0, rpcTimeout).Error()
	}
	return c.raft.AddNonvoter(raft.ServerID(nodeID), raft.ServerAddress(address), 0, rpcTimeout).Error()
}

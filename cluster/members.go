package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
)

// Member is a server of the cluster.
type Member struct {
	ID      string
	Address string
	Voter   bool
	Leader  bool
}

// Members is the newest configuration that this node knows of.
func (c *Cluster) Members() []Member {
	future := c.raft.GetConfiguration()
	if future.Error() != nil {
		return nil
	}
	leader, _ := c.Leader()
	var members []Member
	for _, s := range future.Configuration().Servers {
		members = append(members, Member{
			ID: string(s.ID), Address: string(s.Address),
			Voter: s.Suffrage == raft.Voter, Leader: string(s.ID) == leader,
		})
	}
	return members
}

func (c *Cluster) address(nodeID string) (string, bool) {
	for _, m := range c.Members() {
		if m.ID == nodeID {
			return m.Address, true
		}
	}
	return "", false
}

// catchUpWait bounds how long a new server may take to catch up before it is
// made a voter.
const catchUpWait = 60 * time.Second

// addServer makes a node a member: first without a vote, so that a slow or
// absent newcomer cannot cost the cluster its quorum.
func (c *Cluster) addServer(ctx context.Context, nodeID, address string) error {
	if !c.IsLeader() {
		leader, ok := c.Leader()
		if !ok {
			return ErrNoLeader
		}
		_, err := c.Call(ctx, leader, methodAddVoter, []byte(nodeID+"\n"+address))
		return err
	}
	for _, m := range c.Members() {
		switch {
		case m.ID != nodeID && m.Address == address:
			return fmt.Errorf("address %s belongs to %s", address, m.ID)
		case m.ID == nodeID && (m.Voter || m.Address != address):
			return fmt.Errorf("%s is a member already: take it out first, with authfi leave there or authfi members remove", nodeID)
		}
	}
	return c.raft.AddNonvoter(raft.ServerID(nodeID), raft.ServerAddress(address), 0, rpcTimeout).Error()
}

// addServerSoon waits for a leader, since a cluster that has just begun has none
// for a moment.
func (c *Cluster) addServerSoon(ctx context.Context, nodeID, address string) error {
	for {
		err := c.addServer(ctx, nodeID, address)
		if !errors.Is(err, ErrNoLeader) {
			return err
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return err
		}
	}
}

// promote gives the newcomer its vote once it has applied what the leader had
// when it asked. The newcomer itself asks, from its Run. Only a member is given one:
// who was removed must not come back by its own word.
func (c *Cluster) promote(nodeID, address string) error {
	if !c.IsLeader() {
		return ErrNoLeader
	}
	if now, ok := c.address(nodeID); !ok || now != address {
		return fmt.Errorf("%s at %s is no member", nodeID, address)
	}
	return c.raft.AddVoter(raft.ServerID(nodeID), raft.ServerAddress(address), 0, rpcTimeout).Error()
}

// serveAddVoter answers a node that forwards a join ("id\naddress") or a
// newcomer that has caught up ("id\naddress\nvote").
func (c *Cluster) serveAddVoter(ctx context.Context, from string, body []byte) ([]byte, error) {
	var id, address string
	lines := splitLines(body)
	if len(lines) < 2 {
		return nil, errors.New("malformed request")
	}
	id, address = lines[0], lines[1]
	if !c.IsLeader() {
		return nil, ErrNoLeader
	}
	if len(lines) == 3 && lines[2] == "vote" && from == id {
		return nil, c.promote(id, address)
	}
	return nil, c.addServer(ctx, id, address)
}

func splitLines(b []byte) (lines []string) {
	start := 0
	for i := 0; i <= len(b); i++ {
		if i == len(b) || b[i] == '\n' {
			lines = append(lines, string(b[start:i]))
			start = i + 1
		}
	}
	return lines
}

// EnsureVoter returns once this node has a vote. A node that has just joined
// calls it after it started: it waits for its own machine to catch up with the
// leader, and asks for the vote. A voter returns at once.
func (c *Cluster) EnsureVoter(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, catchUpWait)
	defer cancel()
	for {
		for _, m := range c.Members() {
			if m.ID == c.cfg.NodeID && m.Voter {
				return nil
			}
		}
		if err := c.askVote(ctx); err != nil {
			c.log.Debug("no vote yet", "error", err)
		}
		select {
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return fmt.Errorf("this node was not given a vote: %w", ctx.Err())
		case <-c.closing:
			return ErrClosed
		}
	}
}

func (c *Cluster) askVote(ctx context.Context) error {
	index, err := c.ReadIndex(ctx)
	if err != nil {
		return err
	}
	if err := c.WaitApplied(ctx, index); err != nil {
		return err
	}
	leader, ok := c.Leader()
	if !ok {
		return ErrNoLeader
	}
	_, err = c.Call(ctx, leader, methodAddVoter, []byte(c.cfg.NodeID+"\n"+c.cfg.Advertise+"\nvote"))
	return err
}

package node

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// methodApplied asks a node for the index of its state.
const methodApplied = "node.applied"

// appliedWait bounds how long the timer waits for the slowest voter.
const appliedWait = time.Second

func (n *Node) serveApplied(context.Context, string, []byte) ([]byte, error) {
	return json.Marshal(n.machine.Applied())
}

// turnKeys proposes, per organization, what is due with its signing keys. The machine
// looks at each again, and does not know the other nodes: whether all have applied the
// announcement of a key is asked here.
func (n *Node) turnKeys(ctx context.Context) {
	applied := sync.OnceValue(func() directory.Index { return n.appliedByAll(ctx) })
	n.machine.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		turns, err := n.tokens.Turns(org, directory.TimeOf(time.Now()))
		if err != nil {
			n.log.ErrorContext(ctx, "could not turn signing keys", "organization", org.ID(), "error", err)
		}
		for _, turn := range turns {
			if turn.After > 0 && turn.After > applied() {
				n.log.DebugContext(ctx, "a signing key waits for a voter", "organization", org.ID())
				continue
			}
			if _, err := n.gate.ProposeAsNode(ctx, org.ID(), turn.Command); err != nil {
				n.log.WarnContext(ctx, "could not turn a signing key", "organization", org.ID(), "error", err)
			}
		}
		return ctx.Err() == nil
	})
}

// appliedByAll is the index that every voter has applied; zero while one does not
// answer.
func (n *Node) appliedByAll(ctx context.Context) directory.Index {
	ctx, cancel := context.WithTimeout(ctx, appliedWait)
	defer cancel()
	members := n.cluster.Members()
	applied := make([]directory.Index, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		if !m.Voter || m.ID == n.cfg.NodeID {
			applied[i] = n.machine.Applied()
			continue
		}
		all.Go(func() {
			body, err := n.cluster.Call(ctx, m.ID, methodApplied, nil)
			if err == nil {
				err = json.Unmarshal(body, &applied[i])
			}
			if err != nil {
				applied[i] = 0
				n.log.DebugContext(ctx, "a voter does not say what it has applied", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	least := n.machine.Applied()
	for _, index := range applied {
		least = min(least, index)
	}
	return least
}

package node

import (
	"context"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// expireBatch bounds one entry of the timer.
const expireBatch = 1000

// expireSessions proposes, per organization, the sessions that are dead and
// whose tokens have run out. The machine looks at each again.
func (n *Node) expireSessions(ctx context.Context) {
	now := directory.TimeOf(time.Now())
	n.machine.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		var dead []directory.SessionID
		in := org.Record().SignIn
		org.EachSession(func(s *directory.Session) bool {
			if fsm.Forgettable(s, now, in) {
				dead = append(dead, s.ID)
			}
			return len(dead) < expireBatch
		})
		if len(dead) > 0 {
			if _, err := n.gate.ProposeAsNode(ctx, org.ID(), &fsm.ExpireSessions{IDs: dead}); err != nil {
				n.log.Warn("could not forget dead sessions", "organization", org.ID(), "error", err)
			}
		}
		return ctx.Err() == nil
	})
}

// expireGrants proposes, per organization, the assignments and API keys whose end
// has come. The machine looks at each again. A grant outlives its end by at most
// expireEvery and the time of a write, or by the time without a leader.
func (n *Node) expireGrants(ctx context.Context) {
	n.machine.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		now := directory.TimeOf(time.Now())
		for ctx.Err() == nil {
			assignments, keys := org.Expired(now, expireBatch)
			if len(assignments)+len(keys) == 0 {
				break
			}
			result, err := n.gate.ProposeAsNode(ctx, org.ID(), &fsm.ExpireGrants{Assignments: assignments, APIKeys: keys})
			if err != nil {
				n.log.Warn("could not end what has expired", "organization", org.ID(), "error", err)
				break
			}
			newer, ok := n.machine.Root().Org(org.ID())
			if !ok || !result.Outcome.Changed {
				break // there is nothing left of these, or the next tick finds out why
			}
			org = newer
		}
		return ctx.Err() == nil
	})
}

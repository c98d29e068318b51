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

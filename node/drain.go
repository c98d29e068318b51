package node

import (
	"context"
	"time"
)

// handOverWait bounds a hand-over of the lead: an election with a node that has the
// whole log takes milliseconds.
const handOverWait = 2 * time.Second

// drain lets a planned stop be noticed before it happens. /readyz says no at once, and
// whoever sends requests by it has the time of the drain to see that; what still comes
// is answered. A leader hands over first, while there is time for the others to notice.
func (n *Node) drain() {
	n.draining.Store(true)
	drain := time.Duration(n.settled.drain.Load())
	if drain == 0 {
		return
	}
	over := time.NewTimer(drain)
	defer over.Stop()
	if n.cluster.IsLeader() && len(n.cluster.Members()) > 1 {
		ctx, cancel := context.WithTimeout(context.Background(), handOverWait)
		if err := n.cluster.Transfer(ctx); err != nil {
			n.log.Warn("the lead is not handed over yet", "error", err)
		}
		cancel()
	}
	n.log.Info("draining", "for", drain)
	<-over.C
}

package node

import (
	"testing"
	"time"

	"github.com/authfi/authfi/node/feed"
)

// TestCombineNeverTooSmall: whatever the nodes' delays are, a latency is at least
// the true one and too large by one exchange at most.
func TestCombineNeverTooSmall(t *testing.T) {
	start := time.Now()
	const received, applied = 0, 4 * time.Millisecond
	enforced := []time.Duration{5 * time.Millisecond, 7 * time.Millisecond, 9 * time.Millisecond}
	for way := range 10 { // milliseconds of one way between nodes
		delay := time.Duration(way) * time.Millisecond
		asked := start.Add(time.Second)
		answers := make([]told, 3)
		for i := range answers {
			there := asked
			answers[i] = told{node: string(rune('a' + i)), asked: asked, heard: asked}
			if i > 0 {
				there, answers[i].heard = asked.Add(delay), asked.Add(2*delay)
			}
			since := there.Sub(start)
			answers[i].ages = []feed.Ages{{Received: feed.Unknown, Applied: since - applied, Enforced: since - enforced[i]}}
		}
		answers[1].ages[0].Received = answers[1].asked.Add(delay).Sub(start) - received // a request that the second node took
		l := combine(answers, 1)[0]
		if l.Commit != applied {
			t.Errorf("committed after %v", l.Commit)
		}
		for i, a := range answers {
			if off := l.Enforced[a.node] - enforced[i]; off < 0 || off > 2*delay || i == 1 && off != 0 {
				t.Errorf("%v one way: %s is off by %v", delay, a.node, off)
			}
		}
		answers[1].ages = nil // it is down
		if l = combine(answers, 1)[0]; l.Commit >= 0 || len(l.Enforced) != 0 {
			t.Errorf("invented %v", l)
		}
	}
}

package node

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/node/feed"
)

// methodAges asks a node how long ago, by its own clock, it received the requests
// behind some entries, and applied and enforced them.
const methodAges = "node.ages"

// agesMax bounds one question: a page of the sync log.
const agesMax = 1000

// told is what one node said and when: it was asked at asked, and its ages were
// true at some moment between then and heard.
type told struct {
	node         string
	asked, heard time.Time
	ages         []feed.Ages
}

// latencies asks every member at once and waits for those that answer in time.
func (n *Node) latencies(ctx context.Context, asked []admin.Moment) []admin.Latency {
	moments := make([]feed.Moment, len(asked))
	for i, m := range asked {
		moments[i] = feed.Moment(m)
	}
	body, err := json.Marshal(moments)
	if err != nil || len(moments) == 0 {
		return make([]admin.Latency, len(moments))
	}
	members := n.cluster.Members()
	answers := make([]told, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		answers[i] = told{node: m.ID, asked: time.Now()}
		if m.ID == n.cfg.NodeID {
			answers[i].ages, answers[i].heard = n.timing.Ages(moments, answers[i].asked), answers[i].asked
			continue
		}
		all.Go(func() {
			reply, err := n.cluster.Call(ctx, m.ID, methodAges, body)
			answers[i].heard = time.Now()
			if err == nil {
				err = json.Unmarshal(reply, &answers[i].ages)
			}
			if err != nil || len(answers[i].ages) != len(moments) {
				answers[i].ages = nil
				n.log.DebugContext(ctx, "a node does not tell its latencies", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return combine(answers, len(moments))
}

func (n *Node) serveAges(_ context.Context, _ string, body []byte) ([]byte, error) {
	var moments []feed.Moment
	if err := json.Unmarshal(body, &moments); err != nil || len(moments) > agesMax {
		return nil, errors.New("malformed moments")
	}
	return json.Marshal(n.timing.Ages(moments, time.Now()))
}

// combine sets the ages of different nodes side by side. The node that received a
// request knows its own part exactly; for the others the request is taken as
// received as early, and their enforcement as late, as what they said allows, so
// that a latency is too large by one exchange at most and never too small.
func combine(answers []told, moments int) []admin.Latency {
	latencies := make([]admin.Latency, moments)
	for k := range latencies {
		l := &latencies[k]
		l.Commit, l.Enforced = feed.Unknown, map[string]time.Duration{}
		for _, receiver := range answers {
			if receiver.ages == nil || receiver.ages[k].Received == feed.Unknown {
				continue
			}
			own := receiver.ages[k]
			if own.Applied != feed.Unknown {
				l.Commit = own.Received - own.Applied
			}
			received := receiver.asked.Add(-own.Received)
			for _, other := range answers {
				switch {
				case other.ages == nil || other.ages[k].Enforced == feed.Unknown:
				case other.node == receiver.node:
					l.Enforced[other.node] = own.Received - own.Enforced
				default:
					l.Enforced[other.node] = other.heard.Add(-other.ages[k].Enforced).Sub(received)
				}
			}
			break
		}
	}
	return latencies
}

package node

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/authfi/authfi/api/scim/journal"
)

// methodJournal asks a node what it remembers of a connection.
const methodJournal = "node.journal"

// journals asks every member at once; one that does not answer is reported as such.
func (n *Node) journals(ctx context.Context, q journal.Question) []journal.Answer {
	members := n.cluster.Members()
	answers := make([]journal.Answer, len(members))
	body, err := json.Marshal(q)
	if err != nil {
		panic("node: a question that is not JSON: " + err.Error()) // ids and numbers always are
	}
	var all sync.WaitGroup
	for i, m := range members {
		if m.ID == n.cfg.NodeID {
			answers[i] = n.journal.Answer(q, time.Now())
			continue
		}
		all.Go(func() {
			reply, err := n.cluster.Call(ctx, m.ID, methodJournal, body)
			if err == nil {
				err = json.Unmarshal(reply, &answers[i])
			}
			if err != nil {
				answers[i] = journal.Answer{Node: m.ID}
				n.log.DebugContext(ctx, "a node does not tell what it remembers of a connection", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return answers
}

func (n *Node) serveJournal(_ context.Context, _ string, body []byte) ([]byte, error) {
	var q journal.Question
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, errors.New("malformed question")
	}
	return json.Marshal(n.journal.Answer(q, time.Now()))
}

package node

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/directory"
)

// methodBuild asks a node which build it runs. A build from before there were feature
// levels has no such method, and so says nothing.
const methodBuild = "node.build"

// build is what this node runs.
func (n *Node) build() admin.Build {
	return admin.Build{
		NodeID: n.cfg.NodeID, Version: n.cfg.Version, LevelMin: directory.LevelMin, LevelMax: directory.LevelMax,
	}
}

func (n *Node) serveBuild(context.Context, string, []byte) ([]byte, error) {
	return json.Marshal(n.build())
}

// builds asks every member at once, those without a vote too, since they apply the same
// log. Of one that does not answer nothing is known but its name.
func (n *Node) builds(ctx context.Context) []admin.Build {
	members := n.cluster.Members()
	found := make([]admin.Build, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		if m.ID == n.cfg.NodeID {
			found[i] = n.build()
			continue
		}
		all.Go(func() {
			body, err := n.cluster.Call(ctx, m.ID, methodBuild, nil)
			if err == nil {
				err = json.Unmarshal(body, &found[i])
			}
			if err != nil || found[i].NodeID != m.ID {
				found[i] = admin.Build{NodeID: m.ID}
				n.log.Debug("a node does not say which build it runs", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return found
}

package node_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// TestNodesTellTheirBuilds: a new cluster begins at the newest level, every node says
// what it runs, and one that is off holds nothing back but an end of an upgrade.
func TestNodesTellTheirBuilds(t *testing.T) {
	c := nodetest.Start(t, func(cfg *node.Config) { cfg.Version = "v7 of " + cfg.NodeID })
	var s struct {
		Level     directory.Level
		Reachable directory.Level `json:"reachable_level"`
		Hindrance string
		Nodes     []struct {
			NodeID    string `json:"node_id"`
			Reachable bool
			Version   string
			LevelMax  directory.Level `json:"level_max"`
		}
	}
	c.Do(1, http.MethodGet, "/api/v1/upgrade", "", &s)
	if s.Level != directory.LevelMax || s.Reachable != s.Level || !strings.Contains(s.Hindrance, "nothing to finalize") || len(s.Nodes) != nodetest.Size {
		t.Fatalf("%+v", s)
	}
	for _, n := range s.Nodes {
		if n.Version != "v7 of "+n.NodeID || n.LevelMax != directory.LevelMax || !n.Reachable {
			t.Errorf("%+v", n)
		}
	}
	if a := c.Call(1, http.MethodPost, "/api/v1/upgrade/finalize", "{}"); a.Status != http.StatusPreconditionFailed && a.Status != http.StatusConflict {
		t.Errorf("finalized again: %d %s", a.Status, a.Body)
	}
	c.Stop(2)
	c.Do(0, http.MethodGet, "/api/v1/upgrade", "", &s)
	if !strings.Contains(s.Hindrance, "node-3 does not say") {
		t.Errorf("with a node that is off: %+v", s)
	}
}

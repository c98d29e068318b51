package node_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	userspace "github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// TestDrain: a node that was told to stop says so at /readyz, hands over the lead, and
// answers whoever has not noticed.
func TestDrain(t *testing.T) {
	c := nodetest.Start(t, func(cfg *node.Config) { cfg.Drain = userspace.Duration(3 * time.Second) })
	leader := map[string]int{"node-1": 0, "node-2": 1, "node-3": 2}[c.Status(0, 0).Leader]
	before := time.Now()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.Stop(leader)
	}()
	deadline := time.After(2 * time.Second)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for a := c.Call(leader, http.MethodGet, "/readyz", ""); ; a = c.Call(leader, http.MethodGet, "/readyz", "") {
		if a.Status == http.StatusServiceUnavailable {
			if !strings.Contains(string(a.Body), "about to stop") {
				t.Errorf("%s", a.Body)
			}
			break
		}
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatal("it does not say that it stops")
		}
	}
	// A write at the node that goes, through a lead that is elsewhere by then or on its way.
	c.Do(leader, http.MethodPost, "/api/v1/organizations", `{"slug":"clinic","name":"Clinic"}`, nil)
	if now := c.Status((leader+1)%nodetest.Size, 0).Leader; now == c.Config(leader).NodeID {
		t.Errorf("%s leads until it ends", now)
	}
	<-stopped
	if took := time.Since(before); took < 3*time.Second {
		t.Errorf("it was gone after %s", took)
	}
}

// TestDrainBounds: the unit's time for a stop has to hold the drain and what follows.
func TestDrainBounds(t *testing.T) {
	for drain, ok := range map[time.Duration]bool{0: true, 15 * time.Second: true, 15*time.Second + 1: false, -1: false} {
		c := node.Config{
			NodeID: "n", Dir: t.TempDir(), API: "127.0.0.1:1", Peer: "127.0.0.1:2", Issuer: "https://127.0.0.1:1",
			Enforce: node.EnforceConfig{Mode: "gate"}, Drain: userspace.Duration(drain),
		}
		if _, err := node.Init(c, nil); (err == nil) != ok {
			t.Errorf("%s: %v", drain, err)
		}
	}
}

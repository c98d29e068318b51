package node_test

import (
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// members are those that a node counts.
func members(c *nodetest.Cluster, i int) (ids []string) {
	var status struct{ Members []struct{ ID string } }
	c.Do(i, http.MethodGet, "/api/v1/status", "", &status)
	for _, m := range status.Members {
		ids = append(ids, m.ID)
	}
	return ids
}

func open(t *testing.T, c *nodetest.Cluster, i int) error {
	t.Helper()
	n, err := node.Open(t.Context(), mustLoad(t, c.Dir(i)), slog.New(slog.DiscardHandler))
	if err == nil {
		n.Close()
	}
	return err
}

func mustLoad(t *testing.T, dir string) node.Config {
	t.Helper()
	cfg, err := node.LoadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

// TestLeaderLeaves: the others lead on, and the machine cannot come back with its
// data, as this node or as another.
func TestLeaderLeaves(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	converged(t, c)
	gone := leader(t, c, 0)
	var left struct {
		NodeID         string `json:"node_id"`
		Members, Spare int
		Removed        bool
	}
	c.Do(gone, http.MethodPost, "/api/v1/members/leave", "{}", &left)
	if left.NodeID != c.Config(gone).NodeID || left.Members != 2 || left.Spare != 0 || !left.Removed {
		t.Errorf("%+v", left)
	}
	if err := c.Ended(gone); err != nil {
		t.Errorf("the node ended with %v", err)
	}
	rest := []int{(gone + 1) % nodetest.Size, (gone + 2) % nodetest.Size}
	for n, i := range rest {
		c.Do(i, http.MethodPost, "/api/v1/users", userBody(org, []string{"a", "b"}[n]), nil)
		if ids := members(c, i); len(ids) != 2 {
			t.Errorf("node-%d counts %v", i+1, ids)
		}
	}
	if err := open(t, c, gone); !errors.Is(err, node.ErrLeft) || !strings.Contains(err.Error(), "it left") {
		t.Errorf("it comes back: %v", err)
	}
	if _, err := node.Init(c.Config(gone), nil); !errors.Is(err, node.ErrLeft) {
		t.Errorf("it begins a cluster: %v", err)
	}
	// A second one may not go: one node alone is left of two, which is a quorum of one.
	c.Do(rest[0], http.MethodPost, "/api/v1/members/leave", "{}", &left)
	if err := c.Ended(rest[0]); err != nil || left.Members != 1 {
		t.Errorf("the second ended with %v, %+v", err, left)
	}
	last := c.Call(rest[1], http.MethodPost, "/api/v1/members/leave", `{"force":true}`)
	if last.Status != http.StatusPreconditionFailed || !strings.Contains(string(last.Body), "last member") {
		t.Errorf("the last one: %d %s", last.Status, last.Body)
	}
	c.Do(rest[1], http.MethodPost, "/api/v1/users", userBody(org, "c"), nil)
}

// TestRemovedNodeSaysSoWhenItComesBack with its log, in which it is still a member.
func TestRemovedNodeSaysSoWhenItComesBack(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	converged(t, c)
	gone := follower(t, c)
	id := c.Config(gone).NodeID
	asked := (gone + 1) % nodetest.Size
	alive := c.Call(asked, http.MethodDelete, "/api/v1/members/"+id, "")
	if alive.Status != http.StatusPreconditionFailed || !strings.Contains(string(alive.Body), "answers") {
		t.Errorf("a node that answers: %d %s", alive.Status, alive.Body)
	}
	own := c.Call(asked, http.MethodDelete, "/api/v1/members/"+c.Config(asked).NodeID, "")
	if own.Status != http.StatusPreconditionFailed {
		t.Errorf("the node that is asked: %d %s", own.Status, own.Body)
	}
	if unknown := c.Call(asked, http.MethodDelete, "/api/v1/members/node-9", ""); unknown.Status != http.StatusNotFound {
		t.Errorf("a node that is none: %d %s", unknown.Status, unknown.Body)
	}
	if ids := members(c, asked); len(ids) != nodetest.Size {
		t.Fatalf("after refusals there are %v", ids)
	}
	c.Stop(gone)
	var left struct{ Members, Spare int }
	c.Do(asked, http.MethodDelete, "/api/v1/members/"+id, "", &left)
	if left.Members != 2 || left.Spare != 0 {
		t.Errorf("%+v", left)
	}
	c.Do(asked, http.MethodPost, "/api/v1/users", userBody(org, "after"), nil)
	c.Launch(gone)
	if err := c.Ended(gone); !errors.Is(err, node.ErrLeft) || !strings.Contains(err.Error(), "removed") {
		t.Errorf("it came back and ended with %v", err)
	}
	if err := open(t, c, gone); !errors.Is(err, node.ErrLeft) {
		t.Errorf("it comes back again: %v", err)
	}
	c.Do(asked, http.MethodPost, "/api/v1/users", userBody(org, "still"), nil)
}

// TestQuorumIsKept: with one node dead, neither may another leave nor may it be
// removed with the living; by force it leaves, and says that nobody was told.
func TestQuorumIsKept(t *testing.T) {
	c := nodetest.Start(t)
	organization(c, "memorial")
	converged(t, c)
	dead := follower(t, c)
	c.Stop(dead)
	leaving := (dead + 1) % nodetest.Size
	refused := c.Call(leaving, http.MethodPost, "/api/v1/members/leave", "{}")
	if refused.Status != http.StatusPreconditionFailed || !strings.Contains(string(refused.Body), "quorum") {
		t.Errorf("%d %s", refused.Status, refused.Body)
	}
	if ids := members(c, leaving); len(ids) != nodetest.Size {
		t.Fatalf("after a refusal there are %v", ids)
	}
	var left struct{ Removed bool }
	c.Do(leaving, http.MethodPost, "/api/v1/members/leave", `{"force":true}`, &left)
	if left.Removed {
		t.Error("a removal was committed without a quorum")
	}
	if err := c.Ended(leaving); err != nil {
		t.Error(err)
	}
	if err := open(t, c, leaving); !errors.Is(err, node.ErrLeft) || !strings.Contains(err.Error(), "by force") {
		t.Errorf("it comes back: %v", err)
	}
	c.Start(dead) // the two that are left have a quorum of what they count
}

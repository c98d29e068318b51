package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// membership is one change of who is in the group, by the index of its answer.
type membership struct {
	index  int
	user   string
	member bool
}

// churn is a group whose members change all the time, through all nodes.
type churn struct {
	t       *testing.T
	cluster *nodetest.Cluster
	org     string
	group   string
	users   []string

	mu      sync.Mutex
	changes []membership // guarded by mu
}

const (
	churnWriters = 4
	churnUsers   = 40
)

func newChurn(t *testing.T) *churn {
	c := &churn{t: t, cluster: nodetest.Start(t)}
	var made struct{ ID string }
	c.cluster.Do(0, http.MethodPost, "/api/v1/organizations", `{"slug":"clinic","name":"clinic"}`, &made)
	c.org = made.ID
	c.cluster.Do(0, http.MethodPost, "/api/v1/groups", fmt.Sprintf(`{"org_id":%q,"name":"readers"}`, c.org), &made)
	c.group = made.ID
	c.cluster.Do(0, http.MethodPost, "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"reader","permissions":["read:charts"]}`, c.org), &made)
	c.cluster.Do(0, http.MethodPost, "/api/v1/groups/"+c.group+"/roles", fmt.Sprintf(`{"role_id":%q}`, made.ID), nil)
	for i := range churnUsers {
		c.cluster.Do(0, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"email":"user-%d@example.org"}`, c.org, i), &made)
		c.users = append(c.users, made.ID)
	}
	c.set(0, c.users, true)
	return c
}

// set puts users into the group or takes one out, and notes at which index. It may
// be called from any goroutine.
func (c *churn) set(node int, users []string, member bool) bool {
	path, verb := "/api/v1/groups/"+c.group+"/members", http.MethodPost
	body, _ := json.Marshal(map[string]any{"user_ids": users})
	if !member {
		verb, path, body = http.MethodDelete, path+"/"+users[0], nil
	}
	answer := c.cluster.Call(node, verb, path, string(body))
	var index int
	if _, err := fmt.Sscan(answer.Header.Get("X-Authfi-Index"), &index); err != nil || answer.Status != http.StatusOK {
		c.t.Errorf("node-%d: %s %s: %d %s", node+1, verb, path, answer.Status, answer.Body)
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, user := range users {
		c.changes = append(c.changes, membership{index, user, member})
	}
	return true
}

// write changes the membership of users that no other writer changes.
func (c *churn) write(writer int, stop <-chan struct{}) {
	own := c.users[writer*churnUsers/churnWriters : (writer+1)*churnUsers/churnWriters]
	for n := 0; ; n++ {
		select {
		case <-stop:
			return
		default:
		}
		one := n / 2 % len(own) // leaves, and comes back
		if !c.set((writer+n)%nodetest.Size, own[one:one+1], n%2 == 1) {
			return
		}
	}
}

// meanwhile runs something while members change.
func (c *churn) meanwhile(run func()) {
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i := range churnWriters {
		writers.Go(func() { c.write(i, stop) })
	}
	defer writers.Wait()
	defer close(stop)
	run()
}

func (c *churn) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.changes)
}

// at is who was in the group at an index.
func (c *churn) at(index int) (members []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	slices.SortStableFunc(c.changes, func(a, b membership) int { return a.index - b.index })
	last := map[string]bool{}
	for _, change := range c.changes {
		if change.index <= index {
			last[change.user] = change.member
		}
	}
	for user, member := range last {
		if member {
			members = append(members, user)
		}
	}
	slices.Sort(members)
	return members
}

// list is all pages of who holds the permission, each from another node.
type list struct {
	index int
	users []string
	pages int
}

func (c *churn) read(first int) (l list) {
	c.t.Helper()
	for cursor := ""; ; l.pages++ {
		var page struct {
			Users  []struct{ ID string }
			Cursor string
			Index  int
			Total  int
		}
		node := (first + l.pages) % nodetest.Size
		answer := c.cluster.Call(node, http.MethodGet, fmt.Sprintf("/api/v1/permissions/read:charts/users?limit=3&org_id=%s&cursor=%s", c.org, cursor), "")
		if answer.Status != http.StatusOK {
			c.t.Fatalf("page %d from node-%d, of the list at %d: %d %s", l.pages, node+1, l.index, answer.Status, answer.Body)
		}
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			c.t.Fatal(err)
		}
		if l.pages > 0 && page.Index != l.index {
			c.t.Fatalf("page %d is of index %d, the first of %d", l.pages, page.Index, l.index)
		}
		l.index = page.Index
		for _, user := range page.Users {
			l.users = append(l.users, user.ID)
		}
		if cursor = page.Cursor; cursor == "" {
			if len(l.users) != page.Total {
				c.t.Fatalf("%d users of %d", len(l.users), page.Total)
			}
			return l
		}
	}
}

// TestPagesFromThreeNodes: the pages of a list, taken from three nodes in turn
// while the members change, are exactly the holders at the index of the first.
func TestPagesFromThreeNodes(t *testing.T) {
	c := newChurn(t)
	var lists []list
	pages := 0
	c.meanwhile(func() {
		for i := 0; i < 20 || c.count() < churnUsers+80; i++ {
			lists = append(lists, c.read(i%nodetest.Size))
			pages += lists[i].pages
		}
	})
	for _, l := range lists {
		if want := c.at(l.index); !slices.Equal(l.users, want) {
			t.Errorf("at index %d %d users %s, want %d %s", l.index, len(l.users), strings.Join(l.users, " "), len(want), strings.Join(want, " "))
		}
	}
	if pages < 10*len(lists) {
		t.Errorf("%d further pages of %d lists", pages, len(lists))
	}
}

package node_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// object is what a call made.
type object struct {
	ID      string `json:"id"`
	Token   string `json:"token"`
	BaseURL string `json:"base_url"`
}

func organization(c *nodetest.Cluster, slug string) (org object) {
	c.Do(0, http.MethodPost, "/api/v1/organizations", fmt.Sprintf(`{"slug":%q,"name":%q}`, slug, slug), &org)
	return org
}

func userBody(org object, name string) string {
	return fmt.Sprintf(`{"org_id":%q,"email":"%s@example.org"}`, org.ID, name)
}

// converged demands that all nodes come to one state and returns it.
func converged(t *testing.T, c *nodetest.Cluster) nodetest.Status {
	t.Helper()
	var newest uint64
	for i := range nodetest.Size {
		newest = max(newest, c.Status(i, 0).Index)
	}
	first := c.Status(0, newest)
	for i := 1; i < nodetest.Size; i++ {
		if s := c.Status(i, first.Index); s.Index != first.Index || s.Digest != first.Digest {
			t.Errorf("node-%d is at %d with digest %s, node-1 at %d with %s", i+1, s.Index, s.Digest, first.Index, first.Digest)
		}
	}
	return first
}

// TestWriteAnywhereReadEverywhere: with the index of the answer, every node
// shows what any node acknowledged; a new connection's token works everywhere.
func TestWriteAnywhereReadEverywhere(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	for writer := range nodetest.Size {
		var user object
		made := c.Do(writer, http.MethodPost, "/api/v1/users", userBody(org, fmt.Sprintf("u%d", writer)), &user)
		index := made.Header.Get("X-Authfi-Index")
		if index == "" {
			t.Fatalf("node-%d answers without an index", writer+1)
		}
		for reader := range nodetest.Size {
			c.Do(reader, http.MethodGet, "/api/v1/users/"+user.ID, "", nil, "X-Authfi-Index", index)
		}
		var connection object
		c.Do(writer, http.MethodPost, "/api/v1/organizations/"+org.ID+"/scim-connections", `{"provider":"entra"}`, &connection)
		for reader := range nodetest.Size {
			c.Do(reader, http.MethodGet, "/scim/v2/memorial/Users", "", nil, "Authorization", "Bearer "+connection.Token)
		}
	}
	converged(t, c)
}

// TestIdempotencyKey: a repeat on another node gets the first answer, the same
// key for something else gets none.
func TestIdempotencyKey(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	var first, again object
	c.Do(1, http.MethodPost, "/api/v1/users", userBody(org, "alice"), &first, "Idempotency-Key", "k")
	c.Do(2, http.MethodPost, "/api/v1/users", userBody(org, "alice"), &again, "Idempotency-Key", "k")
	if first.ID == "" || first.ID != again.ID {
		t.Errorf("the first answer was %s, the repeat's %s", first.ID, again.ID)
	}
	if other := c.Call(0, http.MethodPost, "/api/v1/users", userBody(org, "bob"), "Idempotency-Key", "k"); other.Status != http.StatusConflict {
		t.Errorf("the key of another request: %d %s", other.Status, other.Body)
	}
}

// randomWrites sends writes through all nodes; many must be refused, none may
// fail for a reason of the node's own.
func randomWrites(t *testing.T, c *nodetest.Cluster, org object, n int) {
	t.Helper()
	rng := rand.New(rand.NewPCG(1, 2))
	users := []string{"none"}
	for step := range n {
		name, some := fmt.Sprintf("u%d", rng.IntN(60)), users[rng.IntN(len(users))]
		method, path, body := http.MethodPost, "/api/v1/users", userBody(org, name)
		switch rng.IntN(5) {
		case 0:
			path, body = "/api/v1/groups", fmt.Sprintf(`{"org_id":%q,"name":%q}`, org.ID, name)
		case 1:
			path, body = "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":%q,"permissions":["read:x"]}`, org.ID, name)
		case 2:
			method, path, body = http.MethodDelete, "/api/v1/users/"+some, ""
		case 3:
			path, body = "/api/v1/sessions", fmt.Sprintf(`{"org_id":%q,"user_id":%q}`, org.ID, some)
		}
		answer := c.Call(step%nodetest.Size, method, path, body)
		if answer.Status >= 500 {
			t.Errorf("step %d: %s %s: %d %s", step, method, path, answer.Status, answer.Body)
		}
		if path == "/api/v1/users" && answer.Status == http.StatusOK {
			_, rest, _ := strings.Cut(string(answer.Body), `"id":"`)
			id, _, _ := strings.Cut(rest, `"`)
			users = append(users, id)
		}
	}
	if len(users) < n/20 {
		t.Errorf("only %d of %d writes made a user: little was tried", len(users)-1, n)
	}
}

// TestEqualStates: all nodes hold one state after hundreds of writes, and one
// whose stored state was wiped or damaged fills itself with the same.
func TestEqualStates(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	randomWrites(t, c, org, 300)
	before := converged(t, c)
	for name, damage := range map[string]func(*testing.T, string){"wiped": wipe, "a byte flipped": flip} {
		c.Stop(2)
		damage(t, filepath.Join(c.Dir(2), "state"))
		c.Start(2)
		if after := c.Status(2, before.Index); after.Index == before.Index && after.Digest != before.Digest {
			t.Errorf("%s: digest %s, was %s", name, after.Digest, before.Digest)
		}
		before = converged(t, c)
	}
}

func wipe(t *testing.T, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
}

// flip changes a byte in the middle of the largest file that holds rows.
func flip(t *testing.T, dir string) {
	t.Helper()
	var largest string
	var size int64
	for _, pattern := range []string{"*.sst", "*.vlog", "*.mem"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern))
		for _, name := range files {
			if info, err := os.Stat(name); err == nil && largest == "" {
				largest, size = name, info.Size()
			}
		}
	}
	if largest == "" {
		t.Fatalf("no file of rows in %s", dir)
	}
	file, err := os.OpenFile(largest, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b := make([]byte, 1)
	if _, err := file.ReadAt(b, min(size/2, 4096)); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x40
	if _, err := file.WriteAt(b, min(size/2, 4096)); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutQuorum: a node that is alone refuses writes as unavailable, and
// goes on to answer reads and to publish keys.
func TestWithoutQuorum(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	converged(t, c)
	c.Stop(1)
	c.Stop(2)
	if write := c.Call(0, http.MethodPost, "/api/v1/users", userBody(org, "late")); write.Status != http.StatusServiceUnavailable {
		t.Errorf("a write: %d %s", write.Status, write.Body)
	}
	c.Do(0, http.MethodGet, "/api/v1/users?org_id="+org.ID, "", nil)
	c.Do(0, http.MethodGet, "/o/memorial/.well-known/jwks.json", "", nil)
}

// TestNewestMissesNothing: a read that asks for the newest needs no index of the write,
// from whichever node, and has no answer where none can be known.
func TestNewestMissesNothing(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	var user object
	c.Do(0, http.MethodPost, "/api/v1/users", userBody(org, "alice"), &user)
	for i := range 40 {
		title := fmt.Sprintf("title %d", i)
		c.Do(i%nodetest.Size, http.MethodPatch, "/api/v1/users/"+user.ID, fmt.Sprintf(`{"title":%q}`, title), nil)
		var read struct{ Title string }
		reader := (i + 1 + i/nodetest.Size%2) % nodetest.Size
		if c.Do(reader, http.MethodGet, "/api/v1/users/"+user.ID, "", &read, "X-Authfi-Index", "newest"); read.Title != title {
			t.Fatalf("node-%d reads %q after %q was acknowledged", reader+1, read.Title, title)
		}
	}
	c.Stop(1)
	c.Stop(2)
	if answer := c.Call(0, http.MethodGet, "/api/v1/users/"+user.ID, "", "X-Authfi-Index", "newest"); answer.Status != http.StatusServiceUnavailable {
		t.Errorf("without a quorum the newest is %d %s", answer.Status, answer.Body)
	}
	c.Do(0, http.MethodGet, "/api/v1/users/"+user.ID, "", nil) // what the node has is there
}

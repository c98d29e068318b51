package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/node/nodetest"
)

// endWait bounds how long a test waits for an end that the leader proposes: an
// election, on a machine that runs other tests meanwhile.
const endWait = 60 * time.Second

// until asks again and again until the answer is yes.
func until(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(endWait)
	for !yes() {
		select {
		case <-ticker.C:
		case <-deadline:
			t.Fatalf("waited %v, and %s", endWait, what)
		}
	}
}

// endsSoon makes a grant that ends in a second, or in as many as a slow machine
// needs to make it before its end. It returns the index of the grant.
func endsSoon(t *testing.T, c *nodetest.Cluster, path, body string, made any) string {
	t.Helper()
	for ahead := time.Second; ; ahead *= 2 {
		end := time.Now().Add(ahead).UTC().Format("2006-01-02T15:04:05.000Z")
		answer := c.Call(0, http.MethodPost, path, fmt.Sprintf(body, end))
		if answer.Status == http.StatusOK {
			if err := json.Unmarshal(answer.Body, made); err != nil {
				t.Fatal(err)
			}
			return answer.Header.Get("X-Authfi-Index")
		}
		if ahead > endWait || answer.Status != http.StatusBadRequest {
			t.Fatalf("%s: %d %s", path, answer.Status, answer.Body)
		}
	}
}

// leader waits until the cluster has one.
func leader(t *testing.T, c *nodetest.Cluster, ask int) (i int) {
	t.Helper()
	until(t, "there is no leader", func() bool {
		_, err := fmt.Sscanf(c.Status(ask, 0).Leader, "node-%d", &i)
		return err == nil
	})
	return i - 1
}

// TestGrantsEndWithoutTheLeaderThatMadeThem: a role and an API key with an end are
// gone from every node after it, though the leader was lost in between.
func TestGrantsEndWithoutTheLeaderThatMadeThem(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	var role, ada object
	c.Do(0, "POST", "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"doctor","permissions":["read:patients"]}`, org.ID), &role)
	c.Do(0, "POST", "/api/v1/users", userBody(org, "ada"), &ada)
	var given struct {
		Assignment string `json:"assignment_id"`
	}
	index := endsSoon(t, c, "/api/v1/users/"+ada.ID+"/roles", `{"role_id":"`+role.ID+`","expires":%q}`, &given)
	lost := leader(t, c, 0)
	c.Stop(lost)
	alive := slices.DeleteFunc([]int{0, 1, 2}, func(i int) bool { return i == lost })

	check := func(i int, index string) (answer struct{ Allowed bool }, now string) {
		res := c.Do(i, "POST", "/api/v1/check", fmt.Sprintf(`{"user_id":%q,"permission":"read:patients"}`, ada.ID), &answer, "X-Authfi-Index", index)
		return answer, res.Header.Get("X-Authfi-Index")
	}
	var ended string
	until(t, "the role has not ended", func() bool {
		answer, now := check(alive[0], index)
		ended = now
		return !answer.Allowed
	})
	c.Start(lost)
	for i := range nodetest.Size {
		if answer, _ := check(i, ended); answer.Allowed {
			t.Errorf("node-%d allows at %s what has ended", i+1, ended)
		}
	}
	if left := c.Call(0, "GET", "/api/v1/users/"+ada.ID+"/roles", ""); string(left.Body) != `{"assignments":[],"total":0,"cursor":""}` {
		t.Errorf("left: %s", left.Body)
	}
	var log struct {
		Entries []struct{ Type, Actor string }
	}
	c.Do(0, "GET", "/api/v1/audit-log?type=assignment.expired&org_id="+org.ID, "", &log)
	if len(log.Entries) != 1 || log.Entries[0].Actor != "node" || given.Assignment == "" {
		t.Errorf("the log has %v of %s", log.Entries, given.Assignment)
	}
	converged(t, c)
}

// TestKeysEnd: an API key is not only refused after its end but gone.
func TestKeysEnd(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	var role, ada object
	c.Do(0, "POST", "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"doctor","permissions":["read:directory"]}`, org.ID), &role)
	c.Do(0, "POST", "/api/v1/users", userBody(org, "ada"), &ada)
	c.Do(0, "POST", "/api/v1/users/"+ada.ID+"/roles", `{"role_id":"`+role.ID+`"}`, nil)
	var made struct {
		Key object `json:"api_key"`
	}
	index := endsSoon(t, c, "/api/v1/api-keys", fmt.Sprintf(`{"org_id":%q,"user_id":%q,"name":"k","permissions":["read:directory"],"expires":%%q}`, org.ID, ada.ID), &made)
	until(t, "the key has not ended", func() bool {
		answer := c.Call(1, "GET", "/api/v1/api-keys/"+made.Key.ID, "", "X-Authfi-Index", index)
		if answer.Status != http.StatusOK && answer.Status != http.StatusNotFound {
			t.Fatalf("key %q: %d %s", made.Key.ID, answer.Status, answer.Body)
		}
		return answer.Status == http.StatusNotFound
	})
}

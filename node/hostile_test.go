package node_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

// TestHostileRequests: nothing that a client sends breaks a node or changes the
// users, and another organization's objects look like none at all.
func TestHostileRequests(t *testing.T) {
	c := nodetest.Start(t)
	north, south := organization(c, "north"), organization(c, "south")
	var alice, connection object
	c.Do(0, http.MethodPost, "/api/v1/users", userBody(south, "alice"), &alice)
	c.Do(0, http.MethodPost, "/api/v1/organizations/"+north.ID+"/scim-connections", `{"provider":"okta"}`, &connection)
	var before [2][]byte
	for i, org := range []object{north, south} {
		before[i] = c.Do(0, "GET", "/api/v1/users?org_id="+org.ID, "", nil).Body
	}
	bearer := "Bearer " + connection.Token
	deep := strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)
	for _, r := range []struct {
		what, method, path, body string
		headers                  []string
	}{
		{"broken JSON", "POST", "/api/v1/users", `{"org_id":`, nil},
		{"not an object", "POST", "/api/v1/users", `[1]`, nil},
		{"unknown field", "POST", "/api/v1/users", `{"org_id":"` + north.ID + `","email":"a@b.c","admin":true}`, nil},
		{"deep JSON", "POST", "/api/v1/users", deep, nil},
		{"huge body", "POST", "/api/v1/users", `{"email":"` + strings.Repeat("a", 12<<20) + `"}`, nil},
		{"bad UTF-8", "POST", "/api/v1/users", `{"org_id":"` + north.ID + "\",\"email\":\"\xff@b.c\"}", nil},
		{"control character", "POST", "/api/v1/users", `{"org_id":"` + north.ID + `","email":"a\u0000@b.c"}`, nil},
		{"unknown organization", "POST", "/api/v1/users", `{"org_id":"` + alice.ID + `","email":"a@b.c"}`, nil},
		{"unknown id", "DELETE", "/api/v1/users/" + north.ID, "", nil},
		{"broken id", "DELETE", "/api/v1/users/%00%ff", "", nil},
		{"huge header", "GET", "/api/v1/status", "", []string{"X-Filler", strings.Repeat("a", 64<<10)}},
		{"broken token", "POST", "/api/v1/organizations", `{"slug":"x"}`, []string{"Authorization", "Bearer afo_AAAA"}},
		{"dots for a token", "POST", "/api/v1/organizations", `{"slug":"x"}`, []string{"Authorization", "Bearer " + strings.Repeat(".", 4000)}},
		{"a connection's token", "POST", "/api/v1/organizations", `{"slug":"x"}`, []string{"Authorization", bearer}},
		{"a future index", "GET", "/api/v1/users/x", "", []string{"X-Authfi-Index", "-1"}},
		{"deep SCIM", "POST", "/scim/v2/north/Users", deep, []string{"Authorization", bearer}},
		{"broken filter", "GET", "/scim/v2/north/Users?filter=" + strings.Repeat("(", 3000), "", []string{"Authorization", bearer}},
		{"foreign SCIM", "POST", "/scim/v2/south/Users", `{"userName":"x"}`, []string{"Authorization", bearer}},
		{"foreign SCIM deletion", "DELETE", "/scim/v2/north/Users/" + alice.ID, "", []string{"Authorization", bearer}},
	} {
		for i := range nodetest.Size {
			if answer := c.Call(i, r.method, r.path, r.body, r.headers...); answer.Status < 400 || answer.Status >= 500 {
				t.Errorf("%s on node-%d: %d %.200s", r.what, i+1, answer.Status, answer.Body)
			}
		}
	}
	unknown := strings.Replace(alice.ID, alice.ID[len(alice.ID)-6:], "000000", 1)
	foreign := c.Call(0, "GET", "/scim/v2/north/Users/"+alice.ID, "", "Authorization", bearer)
	missing := c.Call(0, "GET", "/scim/v2/north/Users/"+unknown, "", "Authorization", bearer)
	if foreign.Status != http.StatusNotFound || !bytes.Equal(
		bytes.ReplaceAll(foreign.Body, []byte(alice.ID), nil), bytes.ReplaceAll(missing.Body, []byte(unknown), nil)) {
		t.Errorf("another organization's user answers %d %s, an unknown one %d %s", foreign.Status, foreign.Body, missing.Status, missing.Body)
	}
	converged(t, c) // a refused entry moves the index, so the digests are not those of before
	for i, org := range []object{north, south} {
		if after := c.Do(0, "GET", "/api/v1/users?org_id="+org.ID, "", nil); !bytes.Equal(after.Body, before[i]) {
			t.Errorf("the users were %s and are %s", before[i], after.Body)
		}
	}
}

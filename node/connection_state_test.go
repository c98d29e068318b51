package node_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/node/nodetest"
)

type connectionState struct {
	LastProbe       string `json:"last_probe"`
	LastProbeStatus int    `json:"last_probe_status"`
	LastWrite       string `json:"last_write"`
	LastRefused     string `json:"last_refused"`
	Tokens          []struct {
		Token   string
		LastUse string `json:"last_use"`
	}
	Counts struct {
		Requests, Failures, Success int
		ClientFailure               int `json:"client_failure"`
		Refused                     int `json:"refused_tokens"`
	}
	Consecutive int `json:"consecutive_failures"`
	Quarantine  struct {
		Would  bool `json:"would_be_quarantined"`
		Reason string
	}
	Nodes []struct {
		NodeID    string `json:"node_id"`
		Reachable bool
		Since     string
		Requests  int
	}
}

type connectionRequests struct {
	Requests []struct {
		Node, Method, Path, Query, Body, Answer string
		Status                                  int
		ScimType                                string `json:"scim_type"`
	}
	Cursor string
	Silent []string `json:"silent_nodes"`
}

// TestConnectionState: each node has seen a part of a provider's requests, and each of
// them tells the whole; a node that is down is named.
func TestConnectionState(t *testing.T) {
	c := nodetest.Start(t)
	org := organization(c, "memorial")
	var connection object
	at := "/api/v1/organizations/" + org.ID + "/scim-connections"
	c.Do(0, http.MethodPost, at, `{"provider":"entra"}`, &connection)
	var rotated struct{ Token string }
	c.Do(0, http.MethodPost, at+"/"+connection.ID+"/tokens", "", &rotated)
	send := func(node int, method, path, body, token string) nodetest.Answer {
		return c.Call(node, method, "/scim/v2/memorial"+path, body, "Authorization", "Bearer "+token, "Content-Type", "application/scim+json")
	}
	send(0, http.MethodGet, "/Users?filter=userName+eq+%223b2b0f3e-6f9e-4b4a-9f5b-0d5c6d7a8e90%22", "", connection.Token)
	made := send(1, http.MethodPost, "/Users", `{"userName":"ada@canary.example","password":"canarySecret"}`, rotated.Token)
	if made.Status != http.StatusCreated {
		t.Fatalf("%d %s", made.Status, made.Body)
	}
	send(2, http.MethodPost, "/Users", `{"userName":"ADA@canary.example"}`, rotated.Token)
	one := "/api/v1/scim-connections/" + connection.ID

	var s connectionState
	c.Do(2, http.MethodGet, one+"/state", "", &s)
	if s.LastProbe == "" || s.LastProbeStatus != 200 || s.LastWrite == "" || s.LastRefused != "" || s.Quarantine.Would {
		t.Errorf("%+v", s)
	}
	if s.Counts.Requests != 3 || s.Counts.Success != 2 || s.Counts.ClientFailure != 1 || s.Consecutive != 1 {
		t.Errorf("%+v", s.Counts)
	}
	if len(s.Tokens) != 2 || s.Tokens[0].LastUse == "" || s.Tokens[1].LastUse == "" || s.Tokens[0].LastUse >= s.Tokens[1].LastUse {
		t.Errorf("%+v", s.Tokens)
	}
	for _, n := range s.Nodes {
		if !n.Reachable || n.Requests != 1 || n.Since == "" {
			t.Errorf("%+v", n)
		}
	}

	var all connectionRequests
	answer := c.Do(0, http.MethodGet, one+"/requests", "", &all)
	var nodes []string
	for _, r := range all.Requests {
		nodes = append(nodes, fmt.Sprint(r.Node, " ", r.Method, " ", r.Path, " ", r.Status, r.ScimType))
	}
	if want := []string{"node-3 POST /Users 409uniqueness", "node-2 POST /Users 201", "node-1 GET /Users 200"}; !slices.Equal(nodes, want) || all.Cursor != "" || len(all.Silent) != 0 {
		t.Errorf("%v, want %v", nodes, want)
	}
	for _, canary := range []string{"canary", "ada@", connection.Token, rotated.Token} {
		if strings.Contains(strings.ToLower(string(answer.Body)), strings.ToLower(canary)) {
			t.Errorf("%s is served: %s", canary, answer.Body)
		}
	}
	// The same name in another case is the same name on another node.
	first, second := userName(t, all.Requests[1].Body), userName(t, all.Requests[0].Body)
	if first == second || !strings.EqualFold(first, second) {
		t.Errorf("%s and %s", first, second)
	}
	pages(t, c, one, len(all.Requests))

	send(1, http.MethodGet, "/Users", "", changed(connection.Token))
	s = connectionState{}
	c.Do(0, http.MethodGet, one+"/state", "", &s)
	if s.LastRefused == "" || s.Counts.Refused != 1 || !s.Quarantine.Would || s.Quarantine.Reason != "credentials" || s.Counts.Requests != 3 {
		t.Errorf("%+v", s)
	}

	silent(t, c, one)
}

// changed has another secret than the token.
func changed(token string) string {
	at, other := len(token)-10, "A"
	if token[at] == 'A' {
		other = "B"
	}
	return token[:at] + other + token[at+1:]
}

func userName(t *testing.T, body string) string {
	t.Helper()
	var user struct{ UserName string }
	if err := json.Unmarshal([]byte(body), &user); err != nil {
		t.Fatal(err, body)
	}
	return user.UserName
}

// pages walks the requests one by one.
func pages(t *testing.T, c *nodetest.Cluster, one string, want int) {
	t.Helper()
	seen, cursor := 0, ""
	for {
		var page connectionRequests
		c.Do(1, http.MethodGet, one+"/requests?limit=1&cursor="+cursor, "", &page)
		seen += len(page.Requests)
		if cursor = page.Cursor; cursor == "" || seen > want {
			break
		}
	}
	if seen != want {
		t.Errorf("%d requests page by page, want %d", seen, want)
	}
}

// silent stops a node and demands that it is named.
func silent(t *testing.T, c *nodetest.Cluster, one string) {
	t.Helper()
	c.Stop(2)
	var s connectionState
	c.Do(0, http.MethodGet, one+"/state", "", &s)
	for _, n := range s.Nodes {
		if n.Reachable == (n.NodeID == "node-3") || n.NodeID == "node-3" && n.Since != "" {
			t.Errorf("%+v", n)
		}
	}
	if s.Counts.Requests != 2 {
		t.Errorf("%+v", s.Counts)
	}
	var all connectionRequests
	c.Do(0, http.MethodGet, one+"/requests", "", &all)
	if !slices.Equal(all.Silent, []string{"node-3"}) || len(all.Requests) != 2 {
		t.Errorf("%v are silent, %d requests", all.Silent, len(all.Requests))
	}
}

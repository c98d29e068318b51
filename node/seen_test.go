package node_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

// guarded is a cluster of which the first node guards a service, and a user.
type guarded struct {
	t                *testing.T
	c                *nodetest.Cluster
	address          string
	org, id, user    string
	service          string // path of the API
	lastSessionToken string
}

func startGuarded(t *testing.T) *guarded {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "served") }))
	t.Cleanup(service.Close)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &guarded{t: t, address: listener.Addr().String()}
	listener.Close()
	nodes := 0
	g.c = nodetest.Start(t, func(cfg *node.Config) {
		if nodes++; nodes == 1 {
			cfg.Enforce.Listen = []string{g.address}
			cfg.Enforce.Upstreams = map[string]string{g.address: service.Listener.Addr().String()}
		}
	})
	var made struct{ ID string }
	post := func(path, format string, args ...any) string {
		g.c.Do(0, http.MethodPost, "/api/v1"+path, fmt.Sprintf(format, args...), &made)
		return made.ID
	}
	g.org = post("/organizations", `{"slug":"clinic","name":"Clinic"}`)
	g.user = post("/users", `{"org_id":%q,"email":"ada@clinic.example"}`, g.org)
	g.id = post("/services", `{"org_id":%q,"name":"charts","listen":[%q]}`, g.org, g.address)
	g.service = "/api/v1/services/" + g.id
	return g
}

func (g *guarded) put(path, body string) {
	g.t.Helper()
	g.c.Do(0, http.MethodPut, g.service+path, body, nil)
	// A session is told when all gates know it, and what was written before it.
	var session struct {
		AccessToken string `json:"access_token"`
	}
	g.c.Do(0, http.MethodPost, "/api/v1/sessions", fmt.Sprintf(`{"org_id":%q,"user_id":%q,"amr":["pwd"]}`, g.org, g.user), &session)
	g.lastSessionToken = session.AccessToken
}

// ask sends a request to the service, with a token or without, and says what came.
func (g *guarded) ask(method, path string, token bool) string {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+g.address+path, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	if token {
		r.Header.Set("Authorization", "Bearer "+g.lastSessionToken)
	}
	res, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		g.t.Fatal(err)
	}
	res.Body.Close()
	return fmt.Sprint(res.StatusCode, " ", res.Header.Get("X-Authfi-Verdict"))
}

type reported struct {
	Nodes []struct {
		NodeID   string `json:"node_id"`
		Detail   string
		Services []struct {
			Name, Mode    string
			PolicyVersion uint64 `json:"policy_version"`
			LetThrough    uint64 `json:"let_through"`
			Refused       uint64
			WouldRefuse   uint64 `json:"would_be_refused"`
			Verdicts      map[string]uint64
			Routes        []struct {
				Policy     string
				LetThrough uint64 `json:"let_through"`
				Refused    uint64
			}
		}
	}
}

// TestWhatAGateDecidesIsSeen from every node: the service, the route and the version,
// the user, and no token.
func TestWhatAGateDecidesIsSeen(t *testing.T) {
	g := startGuarded(t)
	g.put("/policies", `[{"path":"/old"}]`)
	g.put("/policies", `[{"methods":["GET"],"path":"/charts/*"},{"methods":["POST"],"path":"/charts/*","mfa":true},{"methods":["GET"],"path":"/health","public":true}]`)
	for _, row := range []struct {
		method, path string
		token        bool
		want         string
	}{
		{"GET", "/health", false, "200 "}, {"GET", "/charts/7", true, "200 "}, {"GET", "/charts/7", false, "401 no_token"},
		{"POST", "/charts/secret-of-the-request", true, "403 mfa_required"}, {"DELETE", "/x", true, "403 no_route"},
	} {
		if got := g.ask(row.method, row.path, row.token); got != row.want {
			t.Errorf("%s %s: %s, want %s", row.method, row.path, got, row.want)
		}
	}
	var r reported
	g.c.Do(2, http.MethodGet, "/api/v1/enforcement", "", &r)
	first := r.Nodes[0]
	if first.NodeID != "node-1" || len(first.Services) != 1 || len(r.Nodes[1].Services) != 0 {
		t.Fatalf("report %+v", r)
	}
	s := first.Services[0]
	if s.Name != "charts" || s.Mode != "enforced" || s.PolicyVersion != 2 || s.LetThrough != 2 || s.Refused != 3 || s.Verdicts["mfa_required"] != 1 {
		t.Errorf("service %+v", s)
	}
	if len(s.Routes) != 3 || s.Routes[0].LetThrough != 1 || s.Routes[0].Refused != 1 || s.Routes[1].Refused != 1 || s.Routes[2].Policy != "GET /health" {
		t.Errorf("routes %+v", s.Routes)
	}
	var refusals struct{ Refusals []json.RawMessage }
	g.c.Do(1, http.MethodGet, "/api/v1/enforcement/refusals?service_id="+g.id, "", &refusals)
	all := fmt.Sprintf("%s", refusals.Refusals)
	if len(refusals.Refusals) != 3 || strings.Contains(all, "secret-of-the-request") || strings.Contains(all, g.lastSessionToken) {
		t.Errorf("refusals %s", all)
	}
	for _, part := range []string{`"user_id":"` + g.user + `"`, `"reason":"mfa_required"`, `"policy":"POST /charts/*"`, `"policy_version":"2"`, `"service":"charts"`} {
		if !strings.Contains(strings.ReplaceAll(string(refusals.Refusals[1]), `"policy_version":2`, `"policy_version":"2"`), part) {
			t.Errorf("no %s in %s", part, refusals.Refusals[1])
		}
	}
	metrics := string(g.c.Call(0, http.MethodGet, "/metrics", "").Body)
	for _, part := range []string{
		`authfi_service_verdicts_total{mode="enforced",reason="mfa_required",service_id="` + g.id + `"} 1`,
		`authfi_service_route_hits_total{result="refused",route="1",service_id="` + g.id + `",version="2"} 1`,
		"authfi_services_in_dry_run 0", "authfi_service_series_left_out 0",
	} {
		if !strings.Contains(metrics, part) {
			t.Errorf("no %s in the metrics", part)
		}
	}
}

// TestDryRunOnANode: it is said first, refuses nothing, and ends.
func TestDryRunOnANode(t *testing.T) {
	g := startGuarded(t)
	g.put("/policies", `[{"path":"/charts/*","mfa":true}]`)
	g.put("/dry-run", `{"dry_run":true}`)
	for path, token := range map[string]bool{"/charts/7": true, "/nowhere": false} {
		if got := g.ask("GET", path, token); got != "200 " {
			t.Errorf("%s in a dry run: %s", path, got)
		}
	}
	var r reported
	g.c.Do(1, http.MethodGet, "/api/v1/enforcement", "", &r)
	if s := r.Nodes[0].Services[0]; r.Nodes[0].Detail != "DRY RUN, nothing is refused: charts" || s.Mode != "dry_run" || s.WouldRefuse != 2 || s.Refused != 0 || s.Verdicts["no_route"] != 1 {
		t.Errorf("report %+v", r.Nodes[0])
	}
	g.put("/dry-run", `{"dry_run":false}`)
	if got := g.ask("GET", "/charts/7", true); got != "403 mfa_required" {
		t.Errorf("after the dry run: %s", got)
	}
	var log struct {
		Entries []struct {
			Detail     string
			EnforcedMs map[string]float64 `json:"enforced_ms"`
		}
	}
	g.c.Do(0, http.MethodGet, "/api/v1/sync-log?org_id="+g.org, "", &log)
	for _, e := range log.Entries {
		if strings.Contains(e.Detail, "the dry run has ended") && len(e.EnforcedMs) == nodetest.Size {
			return
		}
	}
	t.Errorf("no entry says when the end of the dry run was enforced: %+v", log.Entries)
}

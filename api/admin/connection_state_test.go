package admin_test

import (
	"fmt"
	"net/http"
	"testing"
)

// TestConnectionState: a connection that nobody has used has a state, and each node
// that does not answer is named.
func TestConnectionState(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	id := s.ok("POST", "/api/v1/organizations/"+org+"/scim-connections", `{"provider":"entra"}`).text(t, "id")
	at := "/api/v1/scim-connections/" + id

	state := s.ok("GET", at+"/state", "")
	if _, probed := state["last_probe"].(string); probed || len(state["tokens"].([]any)) != 1 {
		t.Errorf("%v", state)
	}
	nodes := state["nodes"].([]any)
	if silent := nodes[1].(map[string]any); len(nodes) != 2 || silent["reachable"] != false || silent["since"] != nil {
		t.Errorf("%v", nodes)
	}
	if q := state["quarantine"].(map[string]any); q["would_be_quarantined"] != false || fmt.Sprintf("%v %v", q["failures_min"], q["percent_max"]) != "5000 40" {
		t.Errorf("%v", q)
	}
	requests := s.ok("GET", at+"/requests", "")
	if len(requests["requests"].([]any)) != 0 || fmt.Sprint(requests["silent_nodes"]) != "[node-2]" {
		t.Errorf("%v", requests)
	}
}

func TestConnectionStateRefusals(t *testing.T) {
	s := newServer(t)
	clinic, depot := newTwin(s, "clinic", "x"), newTwin(s, "depot", "x")
	at := func(id, what string) string { return "/api/v1/scim-connections/" + id + "/" + what }
	for _, what := range []string{"state", "requests"} {
		clinic.owner.ok("GET", at(clinic.ids["connection"], what), "")
		clinic.owner.problem(http.StatusNotFound, "not_found", "", "GET", at(depot.ids["connection"], what), "")
		s.problem(http.StatusNotFound, "not_found", "", "GET", at("con-00000000000000000000000000000009", what), "")
		s.problem(http.StatusBadRequest, "invalid_argument", "id", "GET", at("entra", what), "")
		s.ok("DELETE", "/api/v1/organizations/"+depot.org+"/scim-connections/"+depot.ids["connection"], "")
		s.problem(http.StatusNotFound, "not_found", "", "GET", at(depot.ids["connection"], what), "")
		depot.ids["connection"] = depot.fresh("connection", "x")
	}
	requests := at(clinic.ids["connection"], "requests")
	s.problem(http.StatusBadRequest, "invalid_argument", "limit", "GET", requests+"?limit=1001", "")
	s.problem(http.StatusBadRequest, "invalid_argument", "cursor", "GET", requests+"?cursor=x", "")
	s.ok("GET", requests+"?limit=1000", "")
	user := s.user(clinic.org, "nobody")
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+clinic.org+`","user_id":"`+user+`","amr":["pwd"]}`)
	s.as(session.text(t, "access_token")).problem(http.StatusForbidden, "permission_denied", "", "GET", requests, "")
}

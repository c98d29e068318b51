package admin_test

import (
	"fmt"
	"net/http"
	"testing"
)

// TestConnection follows one from its making to its end.
func TestConnection(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/scim-connections"
	made := s.ok("POST", at, `{"provider":"entra"}`)
	one := at + "/" + made.text(t, "id")
	role := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"ward","permissions":["read:patients"]}`).text(t, "id")

	got := s.ok("GET", one, "")
	tokens := got["tokens"].([]any)
	if got["disabled"] != false || len(tokens) != 1 || fmt.Sprint(got["switches"]) != "map[replace_missing_value_path:add sees_all:false unique_group_display_name:true unknown_attributes:ignore unknown_members:skip]" {
		t.Errorf("%v", got)
	}
	first := tokens[0].(map[string]any)["token"].(string)

	changed := s.ok("PATCH", one, `{"name":"Entra of the clinic","disabled":true,"unknown_members":"reject"}`)
	if changed["name"] != "Entra of the clinic" || changed["disabled"] != true || changed["switches"].(map[string]any)["unknown_members"] != "reject" {
		t.Errorf("%v", changed)
	}
	if back := s.ok("PATCH", one, `{"disabled":false}`); back["name"] != "Entra of the clinic" || back["disabled"] != false || back["switches"].(map[string]any)["unknown_members"] != "reject" {
		t.Errorf("a field that was not sent has changed: %v", back)
	}

	for _, row := range []struct{ body, all, unique string }{
		{`{"sees_all":true,"unique_group_display_name":false}`, "true", "false"},
		{`{"name":"x"}`, "true", "false"},
		{`{"update_mask":["sees_all","unique_group_display_name"]}`, "false", "true"},
	} {
		switches := s.ok("PATCH", one, row.body)["switches"].(map[string]any)
		if fmt.Sprint(switches["sees_all"]) != row.all || fmt.Sprint(switches["unique_group_display_name"]) != row.unique {
			t.Errorf("%s: %v", row.body, switches)
		}
	}

	rotated := s.ok("POST", one+"/tokens", "")
	token := rotated.text(t, "token")
	second := rotated["connection"].(map[string]any)["tokens"].([]any)[1].(map[string]any)
	if second["hint"] != token[len(token)-4:] || token == made.text(t, "token") {
		t.Errorf("%v", rotated)
	}
	s.problem(http.StatusTooManyRequests, "resource_exhausted", "tokens", "POST", one+"/tokens", "")
	if left := s.ok("DELETE", one+"/tokens/"+first, "")["tokens"].([]any); len(left) != 1 || left[0].(map[string]any)["token"] != second["token"] {
		t.Errorf("%v", left)
	}
	s.problem(http.StatusNotFound, "not_found", "", "DELETE", one+"/tokens/"+first, "")

	mapped := s.ok("PUT", one+"/mappings", `[{"group_name":"Wards","role_id":"`+role+`"}]`)
	if fmt.Sprint(mapped["mappings"]) != "[map[group_external_id: group_name:Wards role_id:"+role+"]]" {
		t.Errorf("%v", mapped)
	}
	if listed := s.ok("GET", at, "")["connections"].([]any); len(listed) != 1 || fmt.Sprint(listed[0]) != fmt.Sprint(map[string]any(mapped)) {
		t.Errorf("%v", listed)
	}
	if none := s.ok("PUT", one+"/mappings", `[]`)["mappings"].([]any); len(none) != 0 {
		t.Errorf("%v", none)
	}
	s.ok("DELETE", one, "")
	s.problem(http.StatusNotFound, "not_found", "", "GET", one, "")
}

func TestConnectionRefusals(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	at := "/api/v1/organizations/" + org + "/scim-connections"
	one := at + "/" + s.ok("POST", at, `{"provider":"okta"}`).text(t, "id")
	for _, row := range []struct{ method, path, body, field string }{
		{"PATCH", "", `{"unknown_members":"both"}`, "unknown_members"},
		{"PATCH", "", `{"unknown_attributes":""}`, "unknown_attributes"},
		{"PATCH", "", `{"replace_missing_value_path":"x"}`, "replace_missing_value_path"},
		{"PATCH", "", `{"update_mask":["org_id"]}`, "update_mask"},
		{"DELETE", "/tokens/xyz", "", "token"},
		{"PUT", "/mappings", `[{"group_name":"a","role_id":"x"}]`, "mappings[0].role_id"},
		{"PUT", "/mappings", `[{"role_id":"rol-00000000000000000000000000000001"}]`, "mappings"},
		{"PUT", "/mappings", `[{"group_name":"a","group_external_id":"b","role_id":"rol-00000000000000000000000000000001"}]`, "mappings"},
		{"PUT", "/mappings", `[{"group_name":"a","role_id":"rol-00000000000000000000000000000001"}]`, "mappings"},
	} {
		s.problem(http.StatusBadRequest, "invalid_argument", row.field, row.method, one+row.path, row.body)
	}
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "version", "PATCH", one, `{"name":"x"}`, "If-Match", `"1"`)
}

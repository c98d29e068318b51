package admin_test

import (
	"fmt"
	"net/url"
	"testing"
)

func TestRoles(t *testing.T) {
	s := newServer(t)
	org, doctor := s.organization("clinic")
	path := "/api/v1/roles/" + doctor
	made := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"Reader","permissions":["read:*","read:*","a:b"]}`)
	if fmt.Sprint(made["permissions"]) != "[a:b read:*]" || made["builtin"] != false {
		t.Errorf("role %v", made)
	}
	for _, row := range []struct{ permission, field string }{
		{"read", "permissions[1]"}, {"*:*", "permissions[1]"}, {"*", "permissions[1]"}, {"read:pat*", "permissions[1]"},
		{"Read:x", "permissions[1]"}, {"read:", "permissions[1]"}, {":x", "permissions[1]"}, {"read:a:b", "permissions[1]"}, {"", "permissions[1]"},
	} {
		body := `{"permissions":["a:b",` + fmt.Sprintf("%q", row.permission) + `]}`
		s.problem(400, "invalid_argument", row.field, "PATCH", path, body)
		s.problem(400, "invalid_argument", row.field, "POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"n","permissions":["a:b",`+fmt.Sprintf("%q", row.permission)+`]}`)
	}
	if r := s.ok("PATCH", path, `{"name":"Physician"}`); r["name"] != "Physician" || fmt.Sprint(r["permissions"]) != "[read:patients write:notes]" {
		t.Errorf("role %v", r)
	}
	s.problem(409, "conflict", "name", "PATCH", path, `{"name":"READER"}`)
	s.problem(409, "conflict", "name", "POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"physician"}`)
	if r := s.ok("PATCH", path, `{"name":"ignored","description":"d","update_mask":["description","permissions"]}`); r["name"] != "Physician" ||
		r["description"] != "d" || len(r["permissions"].([]any)) != 0 {
		t.Errorf("role %v", r)
	}
	s.problem(400, "invalid_argument", "update_mask", "PATCH", path, `{"update_mask":["builtin"]}`)
	s.ok("DELETE", path, "")
	s.problem(404, "not_found", "", "DELETE", path, "")
}

// The product's own roles are shown as such, and stay as they are.
func TestBuiltinRoles(t *testing.T) {
	s := newServer(t)
	org, doctor := s.organization("clinic")
	list := s.ok("GET", "/api/v1/roles?"+url.Values{"org_id": {org}, "filter": {"builtin eq true"}, "sort": {"name"}}.Encode(), "")
	var names []string
	for _, item := range list["roles"].([]any) {
		r := item.(map[string]any)
		names = append(names, r["name"].(string))
		path := "/api/v1/roles/" + r["id"].(string)
		s.problem(403, "permission_denied", "", "PATCH", path, `{"name":"mine"}`)
		s.problem(403, "permission_denied", "", "PATCH", path, `{"permissions":[]}`)
		s.problem(403, "permission_denied", "", "DELETE", path, "")
		if s.ok("GET", path, "")["builtin"] != true {
			t.Errorf("%v is not shown as built in", r["name"])
		}
	}
	if fmt.Sprint(names) != "[auditor directory-admin owner]" {
		t.Errorf("built in are %v", names)
	}
	if s.ok("GET", "/api/v1/roles/"+doctor, "")["builtin"] != false {
		t.Error("a role of the organization is shown as built in")
	}
}

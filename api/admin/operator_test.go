package admin_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestOperators(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	_, owner := s.admin(org, "owner", "manage:organization", "manage:users", "manage:settings", "read:directory")
	only := s.ok("GET", "/api/v1/operators", "")["operators"].([]any)[0].(map[string]any)
	root := only["id"].(string)
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "id", "DELETE", "/api/v1/operators/"+root, "")

	made := s.ok("POST", "/api/v1/operators", `{"name":"`+strings.Repeat("n", 256)+`"}`)
	second := made["operator"].(map[string]any)["id"].(string)
	as := s.as(made.text(t, "token"))
	as.ok("GET", "/api/v1/organizations", "")
	list := as.ok("GET", "/api/v1/operators", "")
	if list["total"] != json.Number("2") || len(list["operators"].([]any)) != 2 || strings.Contains(strings.Join(keysOf(list), " "), "token") {
		t.Errorf("operators %v", list)
	}
	page := s.ok("GET", "/api/v1/operators?limit=1", "")
	rest := s.ok("GET", "/api/v1/operators?limit=1&cursor="+page.text(t, "cursor"), "")
	if rest["operators"].([]any)[0].(map[string]any)["id"] != second || rest["cursor"] != "" {
		t.Errorf("second page %v", rest)
	}
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/api/v1/operators", ""}, {"POST", "/api/v1/operators", `{"name":"n"}`}, {"DELETE", "/api/v1/operators/" + root, ""},
	} {
		owner.problem(http.StatusForbidden, "permission_denied", "", row.method, row.path, row.body)
	}
	for _, name := range []string{"", " ", strings.Repeat("n", 257), `a\nb`} {
		s.problem(http.StatusBadRequest, "invalid_argument", "name", "POST", "/api/v1/operators", `{"name":"`+name+`"}`)
	}
	s.problem(http.StatusBadRequest, "invalid_argument", "id", "DELETE", "/api/v1/operators/opr-1", "")
	s.problem(http.StatusNotFound, "not_found", "", "DELETE", "/api/v1/operators/"+root[:len(root)-4]+"ffff", "")
	// An operator may remove themselves as long as another stays.
	as.ok("DELETE", "/api/v1/operators/"+second, "")
	as.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", "/api/v1/organizations", "")
}

// keysOf are the names of all fields of an answer, at any depth.
func keysOf(value any) (names []string) {
	switch v := value.(type) {
	case object:
		return keysOf(map[string]any(v))
	case map[string]any:
		for name, inner := range v {
			names = append(append(names, name), keysOf(inner)...)
		}
	case []any:
		for _, inner := range v {
			names = append(names, keysOf(inner)...)
		}
	}
	return names
}

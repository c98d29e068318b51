package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestDefinedPermissions(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic") // its roles: doctor and the built-in ones
	neighbour, _ := s.organization("hospital")
	s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"nurse","permissions":["read:patients","read:*"]}`)
	s.ok("PUT", "/api/v1/permissions/read:imaging", `{"org_id":"`+org+`","description":"See images"}`)
	described := s.ok("PUT", "/api/v1/permissions/read:patients", `{"org_id":"`+org+`","description":"See patients"}`)
	if fmt.Sprint(described) != "map[builtin:false description:See patients permission:read:patients roles:2]" {
		t.Errorf("described %v", described)
	}
	list := func(org, query string) (found []string, answer object) {
		answer = s.ok("GET", "/api/v1/permissions?org_id="+org+query, "")
		for _, p := range answer["permissions"].([]any) {
			p := p.(map[string]any)
			found = append(found, fmt.Sprintf("%s %s %v %q", p["permission"], p["roles"], p["builtin"], p["description"]))
		}
		return found, answer
	}
	reads := []string{
		`read:* 1 false ""`, `read:audit-logs 2 true ""`, `read:directory 3 true ""`,
		`read:imaging 0 false "See images"`, `read:patients 2 false "See patients"`,
	}
	got, answer := list(org, "&q=read:")
	if !slices.Equal(got, reads) || answer["total"] != json.Number("5") || answer["cursor"] != "" {
		t.Errorf("%v", got)
	}
	all, answer := list(org, "")
	if len(all) != 12 || answer["total"] != json.Number("12") || !slices.IsSorted(all) {
		t.Errorf("%d: %v", len(all), all)
	}
	var pages []string
	for cursor, more := "", true; more; more = cursor != "" {
		page, answer := list(org, "&limit=2&q=read:&cursor="+cursor)
		cursor = answer.text(t, "cursor")
		if pages = append(pages, page...); answer["total"] != json.Number("5") {
			t.Errorf("total %v", answer["total"])
		}
	}
	if !slices.Equal(pages, reads) {
		t.Errorf("pages %v", pages)
	}
	if theirs, _ := list(neighbour, "&q=read:imaging"); len(theirs) != 0 {
		t.Errorf("the neighbour sees %v", theirs)
	}
	if none, answer := list(org, "&q=x"); len(none) != 0 || answer["total"] != json.Number("0") {
		t.Errorf("%v", none)
	}
	// A description that is taken away leaves what no role names.
	s.ok("PUT", "/api/v1/permissions/read:imaging", `{"org_id":"`+org+`","description":""}`)
	if got, _ := list(org, "&q=read:imaging"); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

func TestDefinedPermissionsAreBounded(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	_, reader := s.admin(org, "bob", "read:directory")
	_, admin := s.admin(org, "alice", "manage:roles", "read:directory")
	put := func(description string) string { return `{"org_id":"` + org + `","description":"` + description + `"}` }
	longest := "read:" + strings.Repeat("p", 123)
	admin.ok("PUT", "/api/v1/permissions/"+longest, put(strings.Repeat("d", 2048)))
	admin.ok("PUT", "/api/v1/permissions/read:*", put("everything that is read"))
	admin.problem(http.StatusBadRequest, "invalid_argument", "description", "PUT", "/api/v1/permissions/read:x", put(strings.Repeat("d", 2049)))
	for _, bad := range []string{longest + "p", "read", "read:", "*:patients", "Read:x", "read:x:y", "read:x*"} {
		admin.problem(http.StatusBadRequest, "invalid_argument", "permission", "PUT", "/api/v1/permissions/"+bad, put("d"))
	}
	reader.problem(http.StatusForbidden, "permission_denied", "", "PUT", "/api/v1/permissions/read:x", put("d"))
	found := reader.ok("GET", "/api/v1/permissions?org_id="+org+"&q="+longest, "")
	if list := found["permissions"].([]any); len(list) != 1 {
		t.Errorf("%v", found)
	}
	reader.problem(http.StatusBadRequest, "invalid_argument", "q", "GET", "/api/v1/permissions?org_id="+org+"&q="+strings.Repeat("q", 129), "")
	reader.problem(http.StatusBadRequest, "invalid_argument", "limit", "GET", "/api/v1/permissions?org_id="+org+"&limit=1001", "")
	// A cursor holds a name and stays within its bound.
	first := reader.ok("GET", "/api/v1/permissions?limit=1&org_id="+org+"&q=read:p", "")
	if cursor := first.text(t, "cursor"); cursor == "" || len(cursor) > 256 {
		t.Errorf("a cursor of %d bytes", len(cursor))
	}
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func (s *server) group(org, name string) string {
	s.t.Helper()
	return s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"`+name+`"}`).text(s.t, "id")
}

func TestGroupFields(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	made := s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"Doctors","description":"d","external_id":"X"}`)
	want := map[string]any{
		"org_id": org, "name": "Doctors", "description": "d", "external_id": "X", "source": "api", "connection_id": "",
		"member_count": json.Number("0"), "group_count": json.Number("0"),
	}
	path := "/api/v1/groups/" + made.text(t, "id")
	differ := func(what string, g object) {
		t.Helper()
		for name, value := range want {
			if g[name] != value {
				t.Errorf("%s: %s is %#v, want %#v", what, name, g[name], value)
			}
		}
	}
	differ("create", made)
	want["description"] = ""
	differ("a field that is there", s.ok("PATCH", path, `{"description":""}`))
	want["external_id"] = ""
	differ("a field that is named", s.ok("PATCH", path, `{"name":"ignored","update_mask":["external_id"]}`))
	want["name"] = "Surgeons"
	differ("another name", s.ok("PATCH", path, `{"name":"Surgeons"}`))
	s.problem(400, "invalid_argument", "name", "PATCH", path, `{"update_mask":["name"]}`)
	s.problem(400, "invalid_argument", "update_mask", "PATCH", path, `{"update_mask":["member_count"]}`)
	s.group(org, "nurses")
	s.problem(409, "conflict", "name", "PATCH", path, `{"name":"NURSES"}`)
	s.problem(409, "conflict", "name", "POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"surgeons"}`)
	unknown := "usr-" + strings.Repeat("1", 32)
	s.problem(400, "invalid_argument", "user_id", "POST", path+"/members", `{"user_id":"`+unknown+`"}`)
	s.problem(400, "invalid_argument", "user_ids", "POST", path+"/members", `{"user_ids":["`+unknown+`"]}`)
	differ("after refusals", s.ok("GET", path, ""))
}

// TestNesting: from both ends, with what it gives.
func TestNesting(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	other, _ := s.organization("other")
	all, ward, night := s.group(org, "all"), s.group(org, "ward"), s.group(org, "night")
	foreign := s.group(other, "foreign")
	ada := s.user(org, "ada")
	s.ok("POST", "/api/v1/groups/"+night+"/members", `{"user_id":"`+ada+`"}`)
	s.ok("POST", "/api/v1/groups/"+ward+"/members", `{"user_id":"`+ada+`"}`)
	s.ok("POST", "/api/v1/groups/"+all+"/roles", `{"role_id":"`+role+`"}`)
	nest := func(outer, inner string) string { return "/api/v1/groups/" + outer + "/groups/" + inner }
	put := func(outer, inner string) object {
		return s.ok("POST", "/api/v1/groups/"+outer+"/groups", `{"group_id":"`+inner+`"}`)
	}
	if g := put(all, ward); g["id"] != all || g["group_count"] != json.Number("1") || g["member_count"] != json.Number("0") {
		t.Errorf("group %v", g)
	}
	if again := put(all, ward); again["group_count"] != json.Number("1") {
		t.Errorf("group %v", again)
	}
	put(ward, night)
	allowed := func() any {
		return s.ok("POST", "/api/v1/check", `{"user_id":"`+ada+`","permission":"read:patients"}`)["allowed"]
	}
	if allowed() != true {
		t.Error("the roles of a group do not reach the groups in it")
	}
	names := func(path string) string {
		list := s.ok("GET", path, "")
		var names []string
		for _, g := range list["groups"].([]any) {
			name := g.(map[string]any)["name"].(string)
			if direct, told := g.(map[string]any)["direct"]; told && direct == false {
				name = "(" + name + ")"
			}
			names = append(names, name)
		}
		if list["total"] != json.Number(fmt.Sprint(len(names))) {
			t.Errorf("%s: total %v of %v", path, list["total"], names)
		}
		return strings.Join(names, " ")
	}
	for path, want := range map[string]string{
		"/api/v1/groups/" + all + "/groups":                  "ward",
		"/api/v1/groups/" + ward + "/groups":                 "night",
		"/api/v1/groups/" + ward + "/groups?parents=true":    "all",
		"/api/v1/groups/" + all + "/groups?parents=true":     "",
		"/api/v1/users/" + ada + "/groups":                   "(all) ward night",
		"/api/v1/groups?org_id=" + org + "&q=n":              "night",
		"/api/v1/users/" + s.user(org, "nobody") + "/groups": "",
	} {
		if got := names(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	s.problem(409, "conflict", "group_id", "POST", "/api/v1/groups/"+night+"/groups", `{"group_id":"`+all+`"}`)
	s.problem(409, "conflict", "group_id", "POST", "/api/v1/groups/"+all+"/groups", `{"group_id":"`+all+`"}`)
	unknown := "grp-" + strings.Repeat("1", 32)
	for _, inner := range []string{foreign, unknown, "x", ""} {
		s.problem(400, "invalid_argument", "group_id", "POST", "/api/v1/groups/"+all+"/groups", `{"group_id":"`+inner+`"}`)
	}
	s.problem(400, "invalid_argument", "group_id", "DELETE", nest(all, foreign), "")
	s.problem(404, "not_found", "", "DELETE", nest(unknown, ward), "")
	if g := s.ok("DELETE", nest(ward, night), ""); g["group_count"] != json.Number("0") {
		t.Errorf("group %v", g)
	}
	s.ok("DELETE", nest(all, ward), "")
	s.ok("DELETE", nest(all, ward), "") // it is out
	if allowed() != false {
		t.Error("the roles of a group reach those that have left it")
	}
}

func TestListsOfNestingGoOnByCursor(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	outer, ada := s.group(org, "outer"), s.user(org, "ada")
	for i := range 5 {
		inner := s.group(org, fmt.Sprint("inner", i))
		s.ok("POST", "/api/v1/groups/"+outer+"/groups", `{"group_id":"`+inner+`"}`)
		s.ok("POST", "/api/v1/groups/"+inner+"/members", `{"user_id":"`+ada+`"}`)
	}
	for path, want := range map[string]int{
		"/api/v1/groups/" + outer + "/groups": 5,
		"/api/v1/users/" + ada + "/groups":    6,
	} {
		seen := map[string]bool{}
		cursor := ""
		for {
			page := s.ok("GET", path+"?limit=2&cursor="+cursor, "")
			for _, g := range page["groups"].([]any) {
				seen[g.(map[string]any)["id"].(string)] = true
			}
			if page["total"] != json.Number(fmt.Sprint(want)) {
				t.Errorf("%s: total %v", path, page["total"])
			}
			if cursor = page.text(t, "cursor"); cursor == "" {
				break
			}
		}
		if len(seen) != want {
			t.Errorf("%s: saw %d of %d", path, len(seen), want)
		}
	}
	cursor := s.ok("GET", "/api/v1/groups/"+outer+"/groups?limit=2", "").text(t, "cursor")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/groups/"+outer+"/groups?parents=true&cursor="+cursor, "")
}

// A user may see the groups that they are in, and nobody else's.
func TestOwnGroups(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	ada, bob := s.user(org, "ada"), s.user(org, "bob")
	own := s.as(s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+ada+`","amr":["pwd"]}`).text(t, "access_token"))
	own.ok("GET", "/api/v1/users/"+ada+"/groups", "")
	own.problem(403, "permission_denied", "", "GET", "/api/v1/users/"+bob+"/groups", "")
}

func TestProvisionedGroup(t *testing.T) {
	s, direct, org := newDirect(t)
	connection := s.connection(org)
	id := access.NewID[directory.GroupID](time.Now())
	direct.provision(connection, &fsm.CreateGroup{Group: directory.Group{
		ID: id, Name: "doctors", Source: directory.SourceSCIM, Connection: connection,
	}})
	path, ada, mine := "/api/v1/groups/"+id.String(), s.user(org, "ada"), s.group(org, "mine")
	if g := s.ok("GET", path, ""); g["connection_id"] != connection.String() || g["source"] != "scim" {
		t.Fatalf("group %v", g)
	}
	s.problem(409, "conflict", "name", "PATCH", path, `{"name":"x"}`)
	s.problem(409, "conflict", "external_id", "PATCH", path, `{"external_id":"x"}`)
	s.problem(409, "conflict", "user_id", "POST", path+"/members", `{"user_id":"`+ada+`"}`)
	s.problem(409, "conflict", "user_ids", "POST", path+"/members", `{"user_ids":["`+ada+`"]}`)
	s.problem(409, "conflict", "id", "POST", path+"/groups", `{"group_id":"`+mine+`"}`)
	direct.provision(connection, &fsm.ChangeGroup{Group: id, Add: []directory.UserID{direct.user("eve")}})
	eve := s.ok("GET", path+"/members", "")["members"].([]any)[0].(map[string]any)["id"].(string)
	s.problem(409, "conflict", "user_id", "DELETE", path+"/members/"+eve, "")

	s.ok("PATCH", path, `{"description":"ours"}`)
	s.ok("POST", path+"/roles", `{"role_name":"doctor"}`)
	s.ok("POST", "/api/v1/groups/"+mine+"/groups", `{"group_id":"`+id.String()+`"}`)
	s.ok("DELETE", "/api/v1/organizations/"+org+"/scim-connections/"+connection.String(), "")
	s.ok("POST", path+"/members", `{"user_id":"`+ada+`"}`)
}

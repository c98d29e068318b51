package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// one reads a list of objects that must hold exactly one.
func one(t *testing.T, list any) object {
	t.Helper()
	items, ok := list.([]any)
	if !ok || len(items) != 1 {
		t.Fatalf("want one, have %#v", list)
	}
	return items[0].(map[string]any)
}

// TestSourceNamesTheAssignment: a source tells which assignment, by whom and
// since when, the group with its way up, and what the role names.
func TestSourceNamesTheAssignment(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	alice := s.user(org, "alice")
	group := s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"doctors"}`).text(t, "id")
	s.ok("POST", "/api/v1/groups/"+group+"/members", `{"user_id":"`+alice+`"}`)
	s.ok("POST", "/api/v1/groups/"+group+"/roles", `{"role_id":"`+role+`"}`)

	check := `{"user_id":"` + alice + `","permission":"read:patients"}`
	via := one(t, s.ok("POST", "/api/v1/check", check)["source"])
	if via["role"] != "doctor" || via["role_id"] != role || via["via"] != "doctors" || via["via_id"] != group || via["permission"] != "read:patients" {
		t.Errorf("source %v", via)
	}
	if step := one(t, via["path"]); step["id"] != group || step["name"] != "doctors" {
		t.Errorf("path %v", via["path"])
	}
	if id := via.text(t, "assignment_id"); len(id) != 36 || id[:4] != "asg-" || via["since"] == nil || via["by"] == "" || via["expires"] != nil {
		t.Errorf("assignment %v", via)
	}

	s.ok("DELETE", "/api/v1/groups/"+group+"/roles/"+role, "")
	s.ok("POST", "/api/v1/users/"+alice+"/roles", `{"role_id":"`+role+`"}`)
	direct := one(t, s.ok("POST", "/api/v1/check", check)["source"])
	if direct["via"] != "" || direct["via_id"] != "" || len(direct["path"].([]any)) != 0 || direct["assignment_id"] == via["assignment_id"] {
		t.Errorf("direct source %v", direct)
	}
	listed := s.ok("GET", "/api/v1/users/"+alice+"/permissions", "")["source"].(map[string]any)
	if fmt.Sprint(one(t, listed["read:patients"])) != fmt.Sprint(direct) {
		t.Errorf("list says %v, check %v", listed["read:patients"], direct)
	}
	holders := s.ok("GET", "/api/v1/permissions/read:patients/users?org_id="+org, "")
	if holder := one(t, holders["users"]); holder["id"] != alice || fmt.Sprint(one(t, holder["source"])) != fmt.Sprint(direct) {
		t.Errorf("holders %v", holders)
	}
}

// TestThreeFormsOfCheck: one question, one user and several permissions, or
// several questions; never two of them in one request.
func TestThreeFormsOfCheck(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	alice, bob := s.user(org, "alice"), s.user(org, "bob")
	s.ok("POST", "/api/v1/users/"+alice+"/roles", `{"role_id":"`+role+`"}`)
	allowed := func(answer object) (all []bool) {
		if answer["allowed"] != nil || len(answer["source"].([]any)) != 0 {
			t.Errorf("answer to several %v", answer)
		}
		for _, result := range answer["results"].([]any) {
			r := result.(map[string]any)
			all = append(all, r["allowed"].(bool))
			if r["allowed"] != (len(r["source"].([]any)) > 0) {
				t.Errorf("result %v", r)
			}
		}
		return all
	}
	several := s.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permissions":["write:notes","burn:notes","read:patients","write:notes"]}`)
	if got := fmt.Sprint(allowed(several)); got != "[true false true true]" {
		t.Errorf("several permissions: %s", got)
	}
	mixed := s.ok("POST", "/api/v1/check", fmt.Sprintf(
		`{"checks":[{"user_id":%q,"permission":"read:patients"},{"user_id":%q,"permission":"read:patients"}]}`, alice, bob))
	if got := fmt.Sprint(allowed(mixed)); got != "[true false]" {
		t.Errorf("several users: %s", got)
	}
	if one := s.ok("POST", "/api/v1/check", `{"user_id":"`+bob+`","permission":"read:patients"}`); one["allowed"] != false || len(one["results"].([]any)) != 0 {
		t.Errorf("one question: %v", one)
	}

	for _, wrong := range []struct{ name, body, field string }{
		{"nothing", `{}`, "user_id"},
		{"no permission", `{"user_id":"` + alice + `"}`, "permission"},
		{"malformed permission", `{"user_id":"` + alice + `","permission":"Read"}`, "permission"},
		{"malformed user", `{"user_id":"alice","permission":"a:b"}`, "user_id"},
		{"permissions and permission", `{"user_id":"` + alice + `","permission":"a:b","permissions":["a:b"]}`, "permissions"},
		{"permissions of nobody", `{"permissions":["a:b"]}`, "user_id"},
		{"malformed among permissions", `{"user_id":"` + alice + `","permissions":["a:b","ab"]}`, "permissions[1]"},
		{"checks and user", `{"user_id":"` + alice + `","checks":[{"user_id":"` + alice + `","permission":"a:b"}]}`, "checks"},
		{"checks and permissions", `{"permissions":["a:b"],"checks":[{"user_id":"` + alice + `","permission":"a:b"}]}`, "checks"},
		{"malformed user among checks", `{"checks":[{"user_id":"` + alice + `","permission":"a:b"},{"user_id":"x","permission":"a:b"}]}`, "checks[1].user_id"},
		{"malformed permission among checks", `{"checks":[{"user_id":"` + alice + `","permission":"ab"}]}`, "checks[0].permission"},
	} {
		t.Run(wrong.name, func(t *testing.T) {
			s.problem(400, "invalid_argument", wrong.field, "POST", "/api/v1/check", wrong.body)
		})
	}
	permissions := func(n int) string {
		return `{"user_id":"` + alice + `","permissions":[` + times(n, `"a:b"`) + `]}`
	}
	if answer := s.ok("POST", "/api/v1/check", permissions(1000)); len(answer["results"].([]any)) != 1000 {
		t.Errorf("%d results", len(answer["results"].([]any)))
	}
	s.problem(400, "invalid_argument", "permissions", "POST", "/api/v1/check", permissions(1001))
}

// TestCheckAboutOthers: without read:directory a user asks about themselves and
// nobody else, in whatever form.
func TestCheckAboutOthers(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice, bob := s.user(org, "alice"), s.user(org, "bob")
	own := s.session(org, alice)
	own.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permission":"read:patients"}`)
	own.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permissions":["read:patients"]}`)
	for _, body := range []string{
		`{"user_id":"` + bob + `","permission":"read:patients"}`,
		`{"user_id":"` + bob + `","permissions":["read:patients"]}`,
		fmt.Sprintf(`{"checks":[{"user_id":%q,"permission":"a:b"},{"user_id":%q,"permission":"a:b"}]}`, alice, bob),
	} {
		own.problem(403, "permission_denied", "", "POST", "/api/v1/check", body)
	}
}

// A node that has not heard of the second user yet asks before it says that
// there is no such user.
func TestCheckOfSomebodyNew(t *testing.T) {
	leader, follower := newPair(t)
	org, _ := leader.organization("clinic")
	alice := follower.user(org, "alice")
	bob := leader.user(org, "bob")
	answer := follower.ok("POST", "/api/v1/check", fmt.Sprintf(
		`{"checks":[{"user_id":%q,"permission":"a:b"},{"user_id":%q,"permission":"a:b"}]}`, alice, bob))
	if index := answer["index"].(json.Number); len(answer["results"].([]any)) != 2 || index == "0" {
		t.Errorf("answer %v", answer)
	}
}

// session is the same server as one of its users.
func (s *server) session(org, user string) *server {
	s.t.Helper()
	started := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+user+`","amr":["pwd"]}`)
	return s.as(started.text(s.t, "access_token"))
}

// TestSourceThroughNestingAndWildcard: the path goes from the user's own group
// to the one that has the role, and the source names the wildcard.
func TestSourceThroughNestingAndWildcard(t *testing.T) {
	s, d, _ := newDirect(t)
	alice := d.user("alice")
	ward, doctors, staff := d.group("ward", alice), d.group("doctors"), d.group("staff")
	d.do(&fsm.NestGroup{Parent: doctors, Child: ward})
	d.do(&fsm.NestGroup{Parent: staff, Child: doctors})
	d.give(d.role("reader", "read:*"), staff)

	answer := s.ok("POST", "/api/v1/check", fmt.Sprintf(`{"user_id":%q,"permission":"read:x-rays"}`, alice))
	source := one(t, answer["source"])
	var path []any
	for _, step := range source["path"].([]any) {
		path = append(path, step.(map[string]any)["name"])
	}
	if answer["allowed"] != true || source["permission"] != "read:*" || source["via"] != "staff" || fmt.Sprint(path) != "[ward doctors staff]" {
		t.Errorf("answer %v", answer)
	}
	if id := source.text(t, "assignment_id"); !strings.HasPrefix(id, "asg-") {
		t.Errorf("assignment %q", id)
	}
	listed := s.ok("GET", "/api/v1/users/"+alice.String()+"/permissions", "")
	if fmt.Sprint(listed["effective"]) != "[read:*]" {
		t.Errorf("listed %v", listed)
	}
}

// TestSuspendedOrganization: nobody in it holds anything, whoever asks.
func TestSuspendedOrganization(t *testing.T) {
	s, d, org := newDirect(t)
	alice := d.user("alice")
	d.give(d.role("reader", "read:charts"), alice)
	d.do(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	if check := s.ok("POST", "/api/v1/check", fmt.Sprintf(`{"user_id":%q,"permission":"read:charts"}`, alice)); check["allowed"] != false {
		t.Errorf("check %v", check)
	}
	if list := s.ok("GET", "/api/v1/users/"+alice.String()+"/permissions", ""); fmt.Sprint(list["effective"]) != "[]" {
		t.Errorf("list %v", list)
	}
	if who := s.ok("GET", "/api/v1/permissions/read:charts/users?org_id="+org, ""); who["total"] != json.Number("0") {
		t.Errorf("who %v", who)
	}
}

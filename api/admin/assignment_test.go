package admin_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestAssignmentsHaveAnEnd(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	ada, group := s.user(org, "ada"), s.group(org, "doctors")
	soon, later := time.Now().Add(time.Hour).UTC(), time.Now().Add(2*time.Hour).UTC()
	text := func(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }
	for _, holder := range []string{"/api/v1/users/" + ada, "/api/v1/groups/" + group} {
		give := func(rest string) object { return s.ok("POST", holder+"/roles", `{"role_id":"`+role+`"`+rest+`}`) }
		first := give(`,"expires":"` + text(soon) + `"`)
		if first["expires"] != text(soon) || !strings.HasPrefix(first.text(t, "assignment_id"), "asg-") {
			t.Errorf("assigned %v", first)
		}
		for _, rest := range []string{`,"expires":"` + text(later) + `"`, ``} {
			moved := give(rest)
			shown := s.ok("GET", holder+"/roles", "")["assignments"].([]any)[0].(map[string]any)
			if moved["assignment_id"] != first["assignment_id"] || shown["expires"] != moved["expires"] || (moved["expires"] == nil) != (rest == "") {
				t.Errorf("with%s: answered %v, shown %v", rest, moved, shown)
			}
		}
		for what, end := range map[string]string{
			"the past": text(time.Now().Add(-time.Second)), "the epoch": "1970-01-01T00:00:00Z", "before it": "1969-12-31T00:00:00Z",
		} {
			answer := s.problem(400, "invalid_argument", "expires", "POST", holder+"/roles", `{"role_id":"`+role+`","expires":"`+end+`"}`)
			if answer["detail"] == "" {
				t.Errorf("%s: no detail", what)
			}
		}
		s.ok("DELETE", holder+"/roles/"+role, "")
		s.problem(404, "not_found", "", "DELETE", holder+"/roles/"+role, "")
		if left := s.ok("GET", holder+"/roles", ""); left["total"] != json.Number("0") {
			t.Errorf("left %v", left)
		}
	}
}

// TestListAssignments: by role, by holder and all, page by page, from any side the
// same rows.
func TestListAssignments(t *testing.T) {
	s := newServer(t)
	org, doctor := s.organization("clinic")
	var roles, users, groups []string
	roles = append(roles, doctor)
	for i := range 3 {
		roles = append(roles, s.ok("POST", "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"r%d"}`, org, i)).text(t, "id"))
	}
	for i := range 4 {
		users, groups = append(users, s.user(org, fmt.Sprint("u", i))), append(groups, s.group(org, fmt.Sprint("g", i)))
	}
	want := map[string][]string{} // assignment ids by question
	note := func(id string, questions ...string) {
		for _, q := range questions {
			want[q] = append(want[q], id)
		}
	}
	for i, role := range roles {
		for k := range users {
			if (i+k)%3 == 0 {
				continue
			}
			id := s.ok("POST", "/api/v1/users/"+users[k]+"/roles", `{"role_id":"`+role+`"}`).text(t, "assignment_id")
			note(id, "", "role_id="+role, "user_id="+users[k], "role_id="+role+"&user_id="+users[k])
			id = s.ok("POST", "/api/v1/groups/"+groups[k]+"/roles", `{"role_id":"`+role+`"}`).text(t, "assignment_id")
			note(id, "", "role_id="+role, "group_id="+groups[k], "role_id="+role+"&group_id="+groups[k])
		}
	}
	if len(want) < 20 {
		t.Fatalf("only %d questions", len(want))
	}
	for q, ids := range want {
		s.sameAssignments("/api/v1/assignments?org_id="+org+"&"+q, ids)
		for _, noun := range []string{"user", "group"} {
			if id, ok := strings.CutPrefix(q, noun+"_id="); ok {
				s.sameAssignments("/api/v1/"+noun+"s/"+id+"/roles?", ids)
			}
		}
	}
	one := s.ok("GET", "/api/v1/assignments?org_id="+org+"&role_id="+doctor+"&user_id="+users[1], "")["assignments"].([]any)[0].(map[string]any)
	if one["role_name"] != "doctor" || one["holder_name"] != "u1@example.org" || one["group_id"] != "" || one["expires"] != nil ||
		one["created"] == nil || !strings.HasPrefix(one["by"].(string), "opr-") {
		t.Errorf("assignment %v", one)
	}
}

func (s *server) sameAssignments(path string, want []string) {
	s.t.Helper()
	for _, limit := range []int{1, 3, 1000} {
		var got []string
		for cursor := ""; ; {
			page := s.ok("GET", fmt.Sprintf("%s&limit=%d&cursor=%s", path, limit, cursor), "")
			for _, a := range page["assignments"].([]any) {
				got = append(got, a.(map[string]any)["id"].(string))
			}
			if page["total"] != json.Number(fmt.Sprint(len(want))) {
				s.t.Errorf("%s: total %v of %d", path, page["total"], len(want))
			}
			if cursor = page.text(s.t, "cursor"); cursor == "" {
				break
			}
		}
		slices.Sort(got)
		sorted := slices.Sorted(slices.Values(want))
		if !slices.Equal(got, sorted) {
			s.t.Errorf("%s by %d: %v, want %v", path, limit, got, sorted)
		}
	}
}

func TestAssignmentsThatCannotBeListed(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	other, foreign := s.organization("other")
	ada, group := s.user(org, "ada"), s.group(org, "g")
	stranger, strangers := s.user(other, "eve"), s.group(other, "g")
	ask := func(pairs ...string) string {
		q := url.Values{"org_id": {org}}
		for i := 0; i < len(pairs); i += 2 {
			q.Set(pairs[i], pairs[i+1])
		}
		return "/api/v1/assignments?" + q.Encode()
	}
	s.problem(400, "invalid_argument", "user_id", "GET", ask("user_id", ada, "group_id", group), "")
	for field, ids := range map[string][]string{
		"role_id":  {"x", foreign, "rol-" + strings.Repeat("1", 32)},
		"user_id":  {"x", stranger, "usr-" + strings.Repeat("1", 32)},
		"group_id": {"x", strangers, "grp-" + strings.Repeat("1", 32)},
	} {
		s.problem(400, "invalid_argument", field, "GET", ask(field, ids[0]), "")
		s.problem(404, "not_found", "", "GET", ask(field, ids[1]), "")
		s.problem(404, "not_found", "", "GET", ask(field, ids[2]), "")
	}
	for range 2 {
		s.ok("POST", "/api/v1/groups/"+group+"/roles", `{"role_id":"`+role+`"}`)
		s.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+role+`"}`)
	}
	cursor := s.ok("GET", ask("role_id", role, "limit", "1"), "").text(t, "cursor")
	s.problem(400, "invalid_argument", "cursor", "GET", ask("cursor", cursor), "")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/groups/"+group+"/roles?cursor="+cursor, "")
}

// Who asks a node that is behind about a role made a moment ago is not told that
// there is none.
func TestAssignmentsOfSomethingNew(t *testing.T) {
	leader, follower := newPair(t)
	org, role := leader.organization("clinic")
	follower.ok("GET", "/api/v1/assignments?org_id="+org+"&role_id="+role, "")
	ada := leader.user(org, "ada")
	given := leader.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+role+`"}`)
	list := follower.ok("GET", "/api/v1/assignments?org_id="+org+"&user_id="+ada, "")
	if list["total"] != json.Number("1") || list["assignments"].([]any)[0].(map[string]any)["id"] != given["assignment_id"] {
		t.Errorf("list %v", list)
	}
}

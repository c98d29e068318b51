package admin_test

import (
	"encoding/json"
	"net/http"
	"testing"
)

// TestSuspensionRefusesEverybody of the organization: its users, keys and tokens are refused everywhere, and
// operators still see it.
func TestSuspensionRefusesEverybody(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice, own := s.admin(org, "alice", "read:directory", "read:patients")
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+alice+`","amr":["pwd"]}`)
	_, key := own.key(`{"org_id":"` + org + `","name":"k","permissions":["read:directory"]}`)
	limits := "/api/v1/organizations/" + org + "/limits"
	reads := []string{"/api/v1/users?org_id=" + org, "/api/v1/users/" + alice, "/api/v1/organizations/" + org, "/api/v1/groups?org_id=" + org}
	for _, path := range reads {
		own.ok("GET", path, "")
		key.ok("GET", path, "")
	}
	if o := s.ok("PATCH", limits, `{"status":"suspended"}`); o["status"] != "suspended" || o["users"] != json.Number("1") {
		t.Errorf("organization %v", o)
	}
	for _, path := range reads {
		own.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", path, "")
		key.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", path, "")
		s.ok("GET", path, "")
	}
	refresh := `{"refresh_token":"` + session.text(t, "refresh_token") + `"}`
	s.problem(http.StatusUnauthorized, "unauthenticated", "", "POST", "/api/v1/sessions/refresh", refresh)
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "org_id", "POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+alice+`","amr":["pwd"]}`)
	if check := s.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permission":"read:patients"}`); check["allowed"] != false {
		t.Errorf("check %v", check)
	}
	// Being active again gives the keys back, and no session.
	s.ok("PATCH", limits, `{"status":"active"}`)
	key.ok("GET", reads[0], "")
	own.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", reads[0], "")
	s.problem(http.StatusUnauthorized, "unauthenticated", "", "POST", "/api/v1/sessions/refresh", refresh)
	for _, bad := range []string{"", "Active", "deleted"} {
		s.problem(http.StatusBadRequest, "invalid_argument", "status", "PATCH", limits, `{"status":"`+bad+`"}`)
	}
}

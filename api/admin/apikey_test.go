package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// key makes an API key and returns its id and itself.
func (s *server) key(body string) (id string, as *server) {
	s.t.Helper()
	made := s.ok("POST", "/api/v1/api-keys", body)
	return made["api_key"].(map[string]any)["id"].(string), s.as(made.text(s.t, "key"))
}

func TestAPIKeyOfAServiceAccount(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	owner, admin := s.admin(org, "alice", "manage:users", "read:directory")
	person := s.user(org, "person")
	bot := s.ok("POST", "/api/v1/service-accounts", `{"org_id":"`+org+`","user_name":"bot","owner_id":"`+person+`"}`).text(t, "id")
	s.ok("POST", "/api/v1/users/"+bot+"/roles", `{"role_name":"auditor"}`)
	end := time.Now().Add(time.Hour).UTC().Truncate(time.Millisecond)
	// The administrator lacks read:audit-logs, so their key for the account cannot
	// have it either.
	admin.problem(http.StatusForbidden, "permission_denied", "", "POST", "/api/v1/api-keys",
		`{"org_id":"`+org+`","user_id":"`+bot+`","name":"nightly","permissions":["read:audit-logs"]}`)
	made := admin.ok("POST", "/api/v1/api-keys", fmt.Sprintf(
		`{"org_id":%q,"user_id":%q,"name":"nightly","permissions":["read:directory","read:directory"],"expires":%q}`, org, bot, end.Format(time.RFC3339Nano)))
	key := made["api_key"].(map[string]any)
	id := key["id"].(string)
	if key["user_id"] != bot || key["by"] != owner || key["org_id"] != org || key["name"] != "nightly" ||
		fmt.Sprint(key["permissions"]) != "[read:directory]" || key["expires"] != end.Format("2006-01-02T15:04:05.000Z07:00") || key["created"] == nil {
		t.Errorf("key %v", key)
	}
	secret := made.text(t, "key")
	if !strings.HasPrefix(secret, "afk_") {
		t.Errorf("key %s", secret)
	}
	as := s.as(secret)
	as.ok("GET", "/api/v1/users?org_id="+org, "")
	as.problem(http.StatusForbidden, "permission_denied", "", "GET", "/api/v1/audit-log?org_id="+org, "")
	as.problem(http.StatusForbidden, "permission_denied", "", "POST", "/api/v1/api-keys", `{"org_id":"`+org+`","name":"k","permissions":["read:directory"]}`)
	as.problem(http.StatusForbidden, "permission_denied", "", "GET", "/api/v1/api-keys/"+id, "")
	if got := admin.ok("GET", "/api/v1/api-keys/"+id, ""); fmt.Sprint(got) != fmt.Sprint(object(key)) {
		t.Errorf("read %v, want %v", got, key)
	}
	admin.ok("DELETE", "/api/v1/api-keys/"+id, "")
	as.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", "/api/v1/users?org_id="+org, "")
	admin.problem(http.StatusNotFound, "not_found", "", "DELETE", "/api/v1/api-keys/"+id, "")
	admin.problem(http.StatusNotFound, "not_found", "", "GET", "/api/v1/api-keys/"+id, "")
	// The account's keys end with its owner, and do not come back with either.
	_, last := admin.key(`{"org_id":"` + org + `","user_id":"` + bot + `","name":"last","permissions":["read:directory"]}`)
	last.ok("GET", "/api/v1/users?org_id="+org, "")
	s.ok("POST", "/api/v1/users/"+person+"/deactivate", "{}")
	last.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", "/api/v1/users?org_id="+org, "")
	s.ok("POST", "/api/v1/users/"+person+"/activate", "{}")
	s.ok("POST", "/api/v1/users/"+bot+"/activate", "{}")
	last.problem(http.StatusUnauthorized, "unauthenticated", "", "GET", "/api/v1/users?org_id="+org, "")
}

// TestOwnAPIKeys: without any permission of the product a user makes, lists, sees
// and revokes their own keys, and nobody else's.
func TestOwnAPIKeys(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice, own := s.admin(org, "alice", "read:patients")
	bob, other := s.admin(org, "bob", "read:patients")
	body := `{"org_id":"` + org + `","name":"mine","permissions":["read:patients"]}`
	first, _ := own.key(body)
	second, _ := own.key(body)
	theirs, _ := other.key(body)
	list := func(as *server, query string) (ids []string, total any) {
		found := as.ok("GET", "/api/v1/api-keys?org_id="+org+query, "")
		for _, k := range found["api_keys"].([]any) {
			ids = append(ids, k.(map[string]any)["id"].(string))
		}
		return ids, found["total"]
	}
	for _, query := range []string{"", "&user_id=" + alice} {
		if ids, total := list(own, query); !slices.Equal(ids, []string{first, second}) || total != json.Number("2") {
			t.Errorf("%q lists %v of %v", query, ids, total)
		}
	}
	if ids, total := list(s, ""); len(ids) != 3 || total != json.Number("3") {
		t.Errorf("the operator sees %v of %v", ids, total)
	}
	if ids, total := list(s, "&user_id="+bob); !slices.Equal(ids, []string{theirs}) || total != json.Number("1") {
		t.Errorf("the operator sees of bob %v of %v", ids, total)
	}
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/api/v1/api-keys?org_id=" + org + "&user_id=" + bob, ""},
		{"GET", "/api/v1/api-keys/" + theirs, ""},
		{"DELETE", "/api/v1/api-keys/" + theirs, ""},
		{"POST", "/api/v1/api-keys", `{"org_id":"` + org + `","user_id":"` + bob + `","name":"n","permissions":["read:patients"]}`},
	} {
		own.problem(http.StatusForbidden, "permission_denied", "", row.method, row.path, row.body)
	}
	own.ok("GET", "/api/v1/api-keys/"+first, "")
	own.ok("DELETE", "/api/v1/api-keys/"+first, "")
	if ids, _ := list(own, ""); !slices.Equal(ids, []string{second}) {
		t.Errorf("after a revocation %v", ids)
	}
	s.problem(http.StatusNotFound, "not_found", "", "GET", "/api/v1/api-keys?org_id="+org+"&user_id="+alice[:len(alice)-4]+"ffff", "")
}

func TestAPIKeysThatCannotBeMade(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	neighbour, _ := s.organization("hospital")
	stranger := s.user(neighbour, "stranger")
	alice, own := s.admin(org, "alice", "read:patients")
	create := func(more string) string { return `{"org_id":"` + org + `","name":"k"` + more + `}` }
	s.problem(http.StatusBadRequest, "invalid_argument", "user_id", "POST", "/api/v1/api-keys", create(`,"permissions":["read:patients"]`))
	s.problem(http.StatusNotFound, "not_found", "", "POST", "/api/v1/api-keys", create(`,"permissions":["read:patients"],"user_id":"`+stranger+`"`))
	for _, row := range []struct{ field, more string }{
		{"permissions", ``},
		{"permissions", `,"permissions":["write:patients"]`}, // not the owner's
		{"permission", `,"permissions":["Read"]`},
		{"permissions", `,"permissions":["` + strings.Repeat(`read:patients","`, 200) + `read:patients"]`},
		{"user_id", `,"permissions":["read:patients"],"user_id":"usr-1"`},
		{"expires", `,"permissions":["read:patients"],"expires":"1970-01-01T00:00:00Z"`},
		{"expires", `,"permissions":["read:patients"],"expires":"` + time.Now().Add(-time.Second).Format(time.RFC3339) + `"`},
		{"name", `,"permissions":["read:patients"],"name":"` + strings.Repeat("n", 257) + `"`},
		{"name", `,"permissions":["read:patients"],"name":""`},
	} {
		own.problem(http.StatusBadRequest, "invalid_argument", row.field, "POST", "/api/v1/api-keys",
			strings.Replace(create(row.more), `"name":"k",`, map[bool]string{true: "", false: `"name":"k",`}[row.field == "name"], 1))
	}
	own.key(create(`,"permissions":["` + strings.Repeat(`read:patients","`, 199) + `read:patients"]`))
	for range 49 {
		own.key(create(`,"permissions":["read:patients"]`))
	}
	own.problem(http.StatusTooManyRequests, "resource_exhausted", "api_keys", "POST", "/api/v1/api-keys", create(`,"permissions":["read:patients"]`))
	// Pages go through the keys of one owner.
	first := own.ok("GET", "/api/v1/api-keys?limit=30&org_id="+org, "")
	second := own.ok("GET", "/api/v1/api-keys?limit=30&org_id="+org+"&cursor="+first.text(t, "cursor"), "")
	if n, m := len(first["api_keys"].([]any)), len(second["api_keys"].([]any)); n != 30 || m != 20 || second["cursor"] != "" {
		t.Errorf("pages of %d and %d, cursor %v", n, m, second["cursor"])
	}
	s.problem(http.StatusBadRequest, "invalid_argument", "cursor", "GET", "/api/v1/api-keys?org_id="+org+"&cursor="+first.text(t, "cursor"), "")
	s.ok("POST", "/api/v1/users/"+alice+"/deactivate", "{}")
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "user_id", "POST", "/api/v1/api-keys", create(`,"permissions":["read:patients"],"user_id":"`+alice+`"`))
}

// TestSecretsAreShownOnce: a repeat of a request whose answer held a secret says
// that it happened, and has the secret no more.
func TestSecretsAreShownOnce(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	_, own := s.admin(org, "alice", "read:patients")
	for i, row := range []struct {
		as         *server
		path, body string
	}{
		{own, "/api/v1/api-keys", `{"org_id":"` + org + `","name":"k","permissions":["read:patients"]}`},
		{s, "/api/v1/operators", `{"name":"second"}`},
		{s, "/api/v1/organizations/" + org + "/scim-connections", `{"provider":"okta"}`},
	} {
		key := fmt.Sprint("once-", i)
		row.as.ok("POST", row.path, row.body, "Idempotency-Key", key)
		row.as.problem(http.StatusConflict, "conflict", "Idempotency-Key", "POST", row.path, row.body, "Idempotency-Key", key)
	}
}

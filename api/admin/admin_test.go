package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/admin"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// open are the procedures that need no operation, each with its reason.
var open = map[string]string{
	"/authfi.v1.SessionService/RefreshSession": "the refresh token is the credential",
}

func TestEveryProcedureIsAnOperationWithARule(t *testing.T) {
	operations := admin.Operations()
	protoregistry.GlobalFiles.RangeFilesByPackage(authfiv1.File_authfi_v1_user_proto.Package(), func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for k := range service.Methods().Len() {
				procedure := fmt.Sprintf("/%s/%s", service.FullName(), service.Methods().Get(k).Name())
				if open[procedure] != "" {
					continue
				}
				if _, ok := access.RuleOf(operations[procedure]); !ok {
					t.Errorf("%s is operation %q, which has no rule", procedure, operations[procedure])
				}
			}
		}
		return true
	})
}

// TestStoryOverREST goes the way of the demo: organization, role, group, user,
// permissions with their reasons, session, deactivation, sync log.
func TestStoryOverREST(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("memorial-hospital")
	alice := s.user(org, "alice")
	group := s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"doctors"}`).text(t, "id")

	given := s.ok("POST", "/api/v1/groups/"+group+"/roles", `{"role_name":"Doctor"}`)
	if given["role_id"] != role || fmt.Sprint(given["permissions"]) != "[read:patients write:notes]" {
		t.Fatalf("assigned %v", given)
	}
	if g := s.ok("POST", "/api/v1/groups/"+group+"/members", `{"user_id":"`+alice+`"}`); g["member_count"] != json.Number("1") {
		t.Fatalf("group %v", g)
	}

	effective := s.ok("GET", "/api/v1/users/"+alice+"/permissions", "")
	why, ok := effective["source"].(map[string]any)["read:patients"].([]any)
	if !ok || len(why) != 1 || why[0].(map[string]any)["role"] != "doctor" || why[0].(map[string]any)["via"] != "doctors" {
		t.Fatalf("effective %v", effective)
	}
	if _, isNumber := effective["index"].(json.Number); !isNumber {
		t.Fatalf("index %#v is not a number", effective["index"])
	}
	check := s.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permission":"read:patients"}`)
	if check["allowed"] != true || len(check["source"].([]any)) != 1 {
		t.Fatalf("check %v", check)
	}
	holders := s.ok("GET", "/api/v1/permissions/read:patients/users?org_id="+org, "")
	if holders["total"] != json.Number("1") || holders["users"].([]any)[0].(map[string]any)["id"] != alice {
		t.Fatalf("holders %v", holders)
	}

	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+alice+`","amr":["pwd","otp"]}`)
	own := s.as(session.text(t, "access_token"))
	own.ok("GET", "/api/v1/users/"+alice+"/permissions", "")
	own.problem(403, "permission_denied", "", "GET", "/api/v1/users?org_id="+org, "")
	refreshed := s.as("").ok("POST", "/api/v1/sessions/refresh", `{"refresh_token":"`+session.text(t, "refresh_token")+`"}`)

	if u := s.ok("POST", "/api/v1/users/"+alice+"/deactivate", ""); u["active"] != false {
		t.Fatalf("deactivated %v", u)
	}
	s.as(refreshed.text(t, "access_token")).problem(401, "unauthenticated", "", "GET", "/api/v1/users/"+alice, "")
	s.as("").problem(401, "unauthenticated", "", "POST", "/api/v1/sessions/refresh", `{"refresh_token":"`+refreshed.text(t, "refresh_token")+`"}`)

	log := s.ok("GET", "/api/v1/sync-log?limit=3&org_id="+org, "")
	entries := log["entries"].([]any)
	newest := entries[0].(map[string]any)
	if len(entries) != 3 || newest["event"] != "session.ended" || newest["status"] != "ok" || log["cursor"] == "" {
		t.Fatalf("log %v", log)
	}
	if _, told := newest["latency_ms"]; !told {
		t.Fatalf("latency_ms is absent from %v", newest)
	}
}

func TestListsGoOnByCursor(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	for i := range 7 {
		s.user(org, fmt.Sprintf("user-%d", i))
	}
	for _, list := range []struct{ path, items string }{
		{"/api/v1/users?org_id=" + org, "users"},
		{"/api/v1/users?q=USER&org_id=" + org, "users"},
		{"/api/v1/sync-log?org_id=" + org, "entries"},
	} {
		seen, cursor := 0, ""
		for {
			page := s.ok("GET", list.path+"&limit=3&cursor="+cursor, "")
			seen += len(page[list.items].([]any))
			if cursor = page.text(t, "cursor"); cursor == "" {
				if total := page["total"]; total != json.Number(fmt.Sprint(seen)) {
					t.Errorf("%s: total %v of %d", list.path, total, seen)
				}
				break
			}
		}
	}
	first := s.ok("GET", "/api/v1/users?limit=3&org_id="+org, "")
	cursor := first.text(t, "cursor")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/users?q=u&org_id="+org+"&cursor="+cursor, "")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/groups?org_id="+org+"&cursor="+cursor, "")
	s.ok("GET", "/api/v1/users?limit=1000&org_id="+org, "")
	s.problem(400, "invalid_argument", "limit", "GET", "/api/v1/users?limit=1001&org_id="+org, "")
}

func TestAnotherOrganizationIsNotFound(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("one")
	other, _ := s.organization("two")
	admin := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"admin","permissions":["manage:users","manage:groups","manage:roles","read:directory"]}`).text(t, "id")
	ada, bob := s.user(org, "ada"), s.user(other, "bob")
	s.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+admin+`"}`)
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+ada+`","amr":["pwd"]}`)
	a := s.as(session.text(t, "access_token"))
	a.ok("GET", "/api/v1/users/"+ada, "")
	a.problem(404, "not_found", "", "GET", "/api/v1/users/"+bob, "")
	a.problem(404, "not_found", "", "DELETE", "/api/v1/users/"+bob, "")
	a.problem(404, "not_found", "", "GET", "/api/v1/users?org_id="+other, "")
	// Nor may an administrator give what they do not hold.
	a.problem(403, "permission_denied", "", "POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+role+`"}`)
	// An operator's request cannot mix organizations either.
	s.problem(404, "not_found", "", "POST", "/api/v1/users/"+bob+"/roles", `{"role_id":"`+role+`"}`)
	s.problem(404, "not_found", "", "POST", "/api/v1/check",
		`{"checks":[{"user_id":"`+ada+`","permission":"a:b"},{"user_id":"`+bob+`","permission":"a:b"}]}`)
}

// What one node has acknowledged, another may not hold yet: it must ask before
// it says that there is no such thing.
func TestNodeThatIsBehindAsksBeforeItRefuses(t *testing.T) {
	leader, follower := newPair(t)
	org, role := leader.organization("clinic")
	alice := follower.user(org, "alice") // in an organization that it has not heard of
	group := leader.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"doctors"}`).text(t, "id")
	follower.ok("POST", "/api/v1/groups/"+group+"/members", `{"user_id":"`+alice+`"}`)
	leader.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"nurse","permissions":["read:charts"]}`)
	follower.ok("POST", "/api/v1/groups/"+group+"/roles", `{"role_name":"nurse"}`)
	leader.ok("DELETE", "/api/v1/roles/"+role, "")
	follower.problem(404, "not_found", "", "POST", "/api/v1/users/"+alice+"/roles", `{"role_id":"`+role+`"}`)

	// A read is from the state at hand, unless it says how new it must be.
	res, _ := leader.send("POST", "/api/v1/users/"+alice+"/deactivate", "")
	if u := follower.ok("GET", "/api/v1/users/"+alice, "", "X-Authfi-Index", res.Header.Get("X-Authfi-Index")); u["active"] != false {
		t.Errorf("user %v", u)
	}

	bob := leader.user(org, "bob")
	session := leader.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+bob+`","amr":["pwd"]}`)
	if ended := follower.ok("DELETE", "/api/v1/users/"+bob+"/sessions", ""); ended["ended"] != json.Number("1") {
		t.Errorf("ended %v", ended)
	}
	list := follower.ok("GET", "/api/v1/sessions?user_id="+bob, "")
	if one := list["sessions"].([]any)[0].(map[string]any); one["id"] != session["session_id"] || one["ended"] == nil {
		t.Errorf("sessions %v", list)
	}
	leader.problem(404, "not_found", "", "DELETE", "/api/v1/sessions/ses-"+strings.Repeat("1", 32), "")
}

func TestProblems(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	unknown := strings.Replace(org, org[4:8], "0000", 1)
	for _, p := range []struct {
		name, method, path, body string
		status                   int
		code, field              string
	}{
		{"no such path", "GET", "/api/v1/nothing", "", 404, "not_found", ""},
		{"method not allowed", "PUT", "/api/v1/users", "{}", 405, "method_not_allowed", ""},
		{"unknown name", "POST", "/api/v1/organizations", `{"slug":"x","nmae":"y"}`, 400, "invalid_argument", ""},
		{"unknown parameter", "GET", "/api/v1/users?bogus=1", "", 400, "invalid_argument", "bogus"},
		{"parameter of another type", "GET", "/api/v1/users?limit=x", "", 400, "invalid_argument", "limit"},
		{"body where none belongs", "GET", "/api/v1/users", `{"a":1}`, 400, "invalid_argument", ""},
		{"value of another type", "POST", "/api/v1/organizations", `{"slug":1}`, 400, "invalid_argument", ""},
		{"not JSON", "POST", "/api/v1/organizations", `{"slug":`, 400, "invalid_argument", ""},
		{"taken", "POST", "/api/v1/organizations", `{"slug":"clinic","name":"y"}`, 409, "conflict", "slug"},
		{"bad id", "GET", "/api/v1/users/usr-1", "", 400, "invalid_argument", "id"},
		{"unknown organization", "GET", "/api/v1/users?org_id=" + unknown, "", 404, "not_found", ""},
		{"too large", "POST", "/api/v1/organizations", `{"slug":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too_large", ""},
	} {
		t.Run(p.name, func(t *testing.T) {
			answer := s.problem(p.status, p.code, p.field, p.method, p.path, p.body)
			if answer["type"] != "about:blank" || answer["title"] == "" || answer["detail"] == "" || answer["status"] != json.Number(fmt.Sprint(p.status)) {
				t.Errorf("problem %v", answer)
			}
			if strings.Contains(fmt.Sprint(answer["detail"]), "proto") {
				t.Errorf("detail %v", answer["detail"])
			}
		})
	}
	s.problem(415, "unsupported_media_type", "", "POST", "/api/v1/organizations", `{}`, "Content-Type", "text/plain")
	s.problem(503, "unavailable", "", "GET", "/api/v1/users?org_id="+org, "", "X-Authfi-Index", "999999")
	s.problem(400, "invalid_argument", "X-Authfi-Index", "GET", "/api/v1/users?org_id="+org, "", "X-Authfi-Index", "-1")
	s.as("afo_x").problem(401, "unauthenticated", "", "GET", "/api/v1/users?org_id="+org, "")
	s.as("").problem(401, "unauthenticated", "", "POST", "/api/v1/organizations", "{}")
}

// A request that cannot be read must not reach its handler as an empty message.
func TestUnreadableRequestIsNotCalled(t *testing.T) {
	s := newServer(t)
	before := s.ok("GET", "/api/v1/status", "")["applied_index"]
	s.problem(400, "invalid_argument", "", "POST", "/api/v1/join-tokens", `{"unknown":1}`)
	s.problem(400, "invalid_argument", "", "POST", "/api/v1/organizations", `{"slug":`)
	if after := s.ok("GET", "/api/v1/status", "")["applied_index"]; after != before {
		t.Errorf("index %v became %v", before, after)
	}
	if res, _ := s.send("POST", "/api/v1/join-tokens", `{"unknown":1}`); res.Header.Get("X-Authfi-Index") != "" {
		t.Error("the handler was called")
	}
}

func TestIndexVersionAndRepeat(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	res, made := s.send("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"a@b.c"}`, "Idempotency-Key", "k1")
	index, etag := res.Header.Get("X-Authfi-Index"), res.Header.Get("ETag")
	if index == "" || etag != `"`+index+`"` || made["version"] != json.Number(index) {
		t.Fatalf("index %q, etag %q, version %v", index, etag, made["version"])
	}
	again := s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"a@b.c"}`, "Idempotency-Key", "k1")
	if again["id"] != made["id"] {
		t.Errorf("a repeat made %v after %v", again["id"], made["id"])
	}
	s.problem(409, "conflict", "Idempotency-Key", "POST", "/api/v1/users", `{"org_id":"`+org+`","email":"d@e.f"}`, "Idempotency-Key", "k1")

	id := made.text(t, "id")
	if u := s.ok("PATCH", "/api/v1/users/"+id, `{"display_name":"A"}`, "If-Match", etag); u["display_name"] != "A" || u["email"] != "a@b.c" {
		t.Errorf("patched %v", u)
	}
	s.problem(412, "failed_precondition", "version", "PATCH", "/api/v1/users/"+id, `{"display_name":"B"}`, "If-Match", etag)
	s.ok("PATCH", "/api/v1/users/"+id, `{"display_name":"C"}`)

	// An absent list changes nothing, an empty one takes every permission.
	if r := s.ok("PATCH", "/api/v1/roles/"+role, `{"description":"d"}`); len(r["permissions"].([]any)) != 2 {
		t.Errorf("role %v", r)
	}
	if r := s.ok("PATCH", "/api/v1/roles/"+role, `{"permissions":[]}`); len(r["permissions"].([]any)) != 0 {
		t.Errorf("role %v", r)
	}
	s.ok("DELETE", "/api/v1/roles/"+role, "")
	s.problem(404, "not_found", "", "GET", "/api/v1/roles/"+role, "")
}

func TestServicesAndPolicies(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	service := s.ok("POST", "/api/v1/services", `{"org_id":"`+org+`","name":"demo","listen":["127.0.0.1:8641"]}`).text(t, "id")
	path := "/api/v1/services/" + service + "/policies"
	set := s.ok("PUT", path, `[{"methods":["POST"],"path":"/api/patients/*","roles":["doctor"],"mfa":true},{"path":"/health","public":true}]`)
	if len(set["policies"].([]any)) != 2 {
		t.Fatalf("service %v", set)
	}
	if set = s.ok("PUT", path, `{"policies":[{"path":"/health","public":true}]}`); len(set["policies"].([]any)) != 1 {
		t.Fatalf("service %v", set)
	}
	s.problem(400, "invalid_argument", "policies[0].path", "PUT", path, `[{"path":"health"}]`)
	s.problem(400, "invalid_argument", "", "PUT", path, `{}`)
	s.problem(400, "invalid_argument", "listen", "POST", "/api/v1/services", `{"org_id":"`+org+`","name":"x","listen":["nowhere"]}`)
}

func TestGroupMembers(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	group := s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"g","description":"d"}`).text(t, "id")
	a, b, c := s.user(org, "a"), s.user(org, "b"), s.user(org, "c")
	members := "/api/v1/groups/" + group + "/members"
	s.ok("POST", members, fmt.Sprintf(`{"user_ids":[%q,%q,%q]}`, a, b, c))
	s.ok("DELETE", members, `{"user_id":"`+a+`"}`)
	s.ok("DELETE", members+"/"+b, "")
	left := s.ok("GET", members, "")
	if left["total"] != json.Number("1") || left["members"].([]any)[0].(map[string]any)["id"] != c {
		t.Fatalf("members %v", left)
	}
	s.problem(400, "invalid_argument", "user_ids", "POST", members, `{}`)
	s.ok("DELETE", "/api/v1/groups/"+group, "")
}

func TestLimitsOfLists(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	group := s.ok("POST", "/api/v1/groups", `{"org_id":"`+org+`","name":"g"}`).text(t, "id")
	alice := s.user(org, "alice")
	users := func(n int) string { return `{"user_ids":[` + times(n, `"`+alice+`"`) + `]}` }
	checks := func(n int) string {
		return `{"checks":[` + times(n, `{"user_id":"`+alice+`","permission":"a:b"}`) + `]}`
	}
	s.ok("POST", "/api/v1/groups/"+group+"/members", users(1000))
	s.problem(400, "invalid_argument", "user_ids", "POST", "/api/v1/groups/"+group+"/members", users(1001))
	if answer := s.ok("POST", "/api/v1/check", checks(1000)); len(answer["results"].([]any)) != 1000 || answer["allowed"] != nil {
		t.Errorf("%d results, allowed %v", len(answer["results"].([]any)), answer["allowed"])
	}
	s.problem(400, "invalid_argument", "checks", "POST", "/api/v1/check", checks(1001))
	second := `{"org_id":"` + org + `","name":"h"}`
	s.ok("POST", "/api/v1/groups", second, "Idempotency-Key", strings.Repeat("k", 255))
	s.problem(400, "invalid_argument", "Idempotency-Key", "POST", "/api/v1/groups", second, "Idempotency-Key", strings.Repeat("k", 256))
}

// times is a list of n equal elements.
func times(n int, element string) string {
	return strings.TrimSuffix(strings.Repeat(element+",", n), ",")
}

func TestConnectionsAndInstance(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	connections := "/api/v1/organizations/" + org + "/scim-connections"
	made := s.ok("POST", connections, `{"provider":"entra"}`, "Idempotency-Key", "once")
	if made["base_url"] != issuer+"/scim/v2/clinic" || !strings.HasPrefix(made.text(t, "token"), "afs_") {
		t.Fatalf("connection %v", made)
	}
	s.problem(409, "conflict", "Idempotency-Key", "POST", connections, `{"provider":"entra"}`, "Idempotency-Key", "once")
	s.problem(400, "invalid_argument", "provider", "POST", connections, `{"provider":"other"}`)
	// A connection provisions over SCIM and does nothing here.
	s.as(made.text(t, "token")).problem(403, "permission_denied", "", "GET", "/api/v1/users?org_id="+org, "")
	if list := s.ok("GET", connections, ""); list["total"] != json.Number("1") {
		t.Fatalf("connections %v", list)
	}
	s.ok("DELETE", connections+"/"+made.text(t, "id"), "")

	status := s.ok("GET", "/api/v1/status", "")
	if status["leader"] != "node-1" || len(status.text(t, "digest")) != 64 || status["members"].([]any)[0].(map[string]any)["leader"] != true || len(status["warnings"].([]any)) != 1 {
		t.Fatalf("status %v", status)
	}
	if s.ok("POST", "/api/v1/join-tokens", "{}")["token"] != "v1.token" {
		t.Fatal("no join token")
	}
	node := s.ok("GET", "/api/v1/enforcement", "")["nodes"].([]any)[0].(map[string]any)
	if node["latency_p50_us"] != nil || node["counters"].(map[string]any)["allowed"] != json.Number("1099511627776") {
		t.Fatalf("enforcement %v", node)
	}
}

// TestProcedures: the same operations as plain JSON under the procedure's path,
// with and without Connect's version header.
func TestProcedures(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	for _, headers := range [][]string{
		nil,
		{"Connect-Protocol-Version", "1"},
		{"Connect-Protocol-Version", "1", "Content-Type", "application/json; charset=utf-8"},
	} {
		made := s.ok("POST", "/authfi.v1.UserService/CreateUser",
			fmt.Sprintf(`{"org_id":%q,"email":"u%d@b.c"}`, org, len(headers)), headers...)
		if made["org_id"] != org {
			t.Fatalf("user %v", made)
		}
		list := s.ok("POST", "/authfi.v1.UserService/ListUsers", `{"orgId":"`+org+`"}`, headers...)
		if list["total"] == json.Number("0") {
			t.Fatalf("users %v", list)
		}
		res, refused := s.send("POST", "/authfi.v1.UserService/GetUser", `{"id":"usr-1"}`, headers...)
		if res.StatusCode != http.StatusBadRequest || refused["code"] != "invalid_argument" {
			t.Fatalf("%d %v", res.StatusCode, refused)
		}
	}
	res, refused := s.as("").send("POST", "/authfi.v1.UserService/ListUsers", `{}`)
	if res.StatusCode != http.StatusUnauthorized || refused["code"] != "unauthenticated" {
		t.Fatalf("%d %v", res.StatusCode, refused)
	}
}

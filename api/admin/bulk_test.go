package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/rest"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// bulk sends operations and returns their results.
func (s *server) bulk(inOrder bool, operations string, headers ...string) (results []object, answer object, header http.Header) {
	s.t.Helper()
	res, answer := s.send("POST", "/api/v1/bulk", fmt.Sprintf(`{"in_order":%v,"operations":[%s]}`, inOrder, operations), headers...)
	if res.StatusCode != http.StatusOK {
		s.t.Fatalf("bulk: %d %v", res.StatusCode, answer)
	}
	for _, result := range answer["results"].([]any) {
		results = append(results, result.(map[string]any))
	}
	return results, answer, res.Header
}

func statuses(results []object) (all []string) {
	for _, r := range results {
		all = append(all, r["status"].(string))
	}
	return all
}

// TestOperationsStandAlone: each succeeds or fails alone, and says so as its own
// request would.
func TestOperationsStandAlone(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	alice := s.user(org, "alice")
	results, answer, header := s.bulk(false, fmt.Sprintf(`
		{"create_user":{"org_id":%[1]q,"email":"bob@example.org"}},
		{"create_user":{"org_id":%[1]q,"email":"alice@example.org"}},
		{"assign_user_role":{"user_id":%[2]q,"role_id":%[3]q}},
		{"deactivate_user":{"id":"usr-1"}},
		{"create_group":{"org_id":%[1]q,"name":"doctors"}}`, org, alice, role))
	if got := fmt.Sprint(statuses(results)); got != "[ok failed ok failed ok]" {
		t.Fatalf("%s: %v", got, answer)
	}
	if answer["succeeded"] != json.Number("3") || answer["failed"] != json.Number("2") || answer["skipped"] != json.Number("0") {
		t.Errorf("counts %v", answer)
	}
	made := s.ok("GET", "/api/v1/users/"+results[0].text(t, "id"), "")
	if made["user_name"] != "bob@example.org" || results[0]["version"] != made["version"] || results[0]["index"] != made["version"] {
		t.Errorf("made %v, told %v", made, results[0])
	}
	for i, want := range map[int]string{1: "conflict user_name", 3: "invalid_argument id"} {
		problem := results[i]["problem"].(map[string]any)
		if got := fmt.Sprint(problem["code"], " ", problem["field"]); got != want || results[i]["detail"] == "" || results[i]["index"] != json.Number("0") {
			t.Errorf("operation %d: %v, want %s", i, results[i], want)
		}
	}
	highest := 0
	for _, r := range results {
		var index int
		fmt.Sscan(string(r["index"].(json.Number)), &index)
		highest = max(highest, index)
	}
	if header.Get("X-Authfi-Index") != fmt.Sprint(highest) {
		t.Errorf("index %s, highest %d", header.Get("X-Authfi-Index"), highest)
	}
	if id := results[2].text(t, "id"); !strings.HasPrefix(id, "asg-") {
		t.Errorf("assignment %v", results[2])
	}
	if all, _, _ := s.bulk(false, times(3, `{"delete_user":{"id":"usr-1"}}`)); fmt.Sprint(statuses(all)) != "[failed failed failed]" {
		t.Errorf("results %v", all)
	}
}

// TestOperationsInOrder: a later one sees what an earlier one made, and none
// follows the first that fails.
func TestOperationsInOrder(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice := s.user(org, "alice")
	results, answer, _ := s.bulk(true, fmt.Sprintf(`
		{"create_role":{"org_id":%[1]q,"name":"nurse","permissions":["read:charts"]}},
		{"assign_user_role":{"user_id":%[2]q,"role_name":"nurse"}},
		{"create_role":{"org_id":%[1]q,"name":"nurse"}},
		{"deactivate_user":{"id":%[2]q}},
		{"delete_user":{"id":%[2]q}}`, org, alice))
	if got := fmt.Sprint(statuses(results)); got != "[ok ok failed skipped skipped]" || answer["skipped"] != json.Number("2") {
		t.Fatalf("%s: %v", got, answer)
	}
	if results[3]["problem"] != nil || results[3]["detail"] != "" {
		t.Errorf("skipped %v", results[3])
	}
	if check := s.ok("POST", "/api/v1/check", `{"user_id":"`+alice+`","permission":"read:charts"}`); check["allowed"] != true {
		t.Errorf("check %v", check)
	}
}

// TestRepeatOfBulk: the same key repeats no change and answers the same ids;
// other operations under it are conflicts, each by itself.
func TestRepeatOfBulk(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	group := func(name string) string {
		return fmt.Sprintf(`{"create_group":{"org_id":%q,"name":%q}}`, org, name)
	}
	first, _, _ := s.bulk(false, group("a")+","+group("b"), "Idempotency-Key", "k")
	before := s.ok("GET", "/api/v1/groups?org_id="+org, "")
	again, answer, _ := s.bulk(false, group("a")+","+group("b"), "Idempotency-Key", "k")
	if first[0]["id"] != again[0]["id"] || first[1]["id"] != again[1]["id"] || answer["failed"] != json.Number("0") {
		t.Errorf("first %v, again %v", first, again)
	}
	if after := s.ok("GET", "/api/v1/groups?org_id="+org, ""); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("groups %v became %v", before, after)
	}
	other, _, _ := s.bulk(false, group("a")+","+group("c"), "Idempotency-Key", "k")
	if problem := other[1]["problem"].(map[string]any); other[0]["id"] != first[0]["id"] || problem["code"] != "conflict" || problem["field"] != "Idempotency-Key" {
		t.Errorf("other %v", other)
	}
	s.bulk(false, group("d"), "Idempotency-Key", strings.Repeat("k", 251))
	s.problem(400, "invalid_argument", "Idempotency-Key", "POST", "/api/v1/bulk",
		`{"operations":[`+group("e")+`]}`, "Idempotency-Key", strings.Repeat("k", 252))
}

func TestLimitsOfBulk(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	operations := func(n int) string {
		return `{"operations":[` + times(n, `{"delete_user":{"id":"usr-1"}}`) + `]}`
	}
	if answer := s.ok("POST", "/api/v1/bulk", operations(1000)); answer["failed"] != json.Number("1000") {
		t.Errorf("answer %v", answer)
	}
	s.problem(400, "invalid_argument", "operations", "POST", "/api/v1/bulk", operations(1001))
	s.problem(400, "invalid_argument", "operations", "POST", "/api/v1/bulk", `{}`)
	// One that is none refuses them all, before anything is changed.
	group := `{"create_group":{"org_id":"` + org + `","name":"never"}}`
	s.problem(400, "invalid_argument", "operations[1]", "POST", "/api/v1/bulk", `{"operations":[`+group+`,{}]}`)
	if groups := s.ok("GET", "/api/v1/groups?org_id="+org, ""); groups["total"] != json.Number("0") {
		t.Errorf("groups %v", groups)
	}

	one := `{"operations":[{"create_group":{"org_id":"` + org + `","name":"g"}}]}`
	padded := one + strings.Repeat(" ", rest.BulkBodyMax-len(one))
	if answer := s.ok("POST", "/api/v1/bulk", padded); answer["succeeded"] != json.Number("1") {
		t.Errorf("answer %v", answer)
	}
	s.problem(413, "too_large", "", "POST", "/api/v1/bulk", padded+" ")
	const procedure = "/authfi.v1.BulkService/Bulk"
	s.ok("POST", procedure, padded)
	if res, answer := s.send("POST", procedure, padded+" "); res.StatusCode == http.StatusOK || answer["code"] != "resource_exhausted" {
		t.Errorf("%d %v", res.StatusCode, answer)
	}
	// The larger limit is for these services alone.
	s.problem(413, "too_large", "", "POST", "/api/v1/check", strings.Repeat(" ", rest.BodyMax+1))
}

// TestRightsOfBulk: whoever may make a change alone may make it here, and nobody
// else, whatever else they may or may not do.
func TestRightsOfBulk(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	other, _ := s.organization("other")
	role := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"desk","permissions":["manage:users"]}`).text(t, "id")
	ada, bob, stranger := s.user(org, "ada"), s.user(org, "bob"), s.user(other, "eve")
	s.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+role+`"}`)
	operations := fmt.Sprintf(`
		{"create_user":{"org_id":%[1]q,"email":"c@example.org"}},
		{"create_group":{"org_id":%[1]q,"name":"g"}},
		{"create_user":{"org_id":%[2]q,"email":"c@example.org"}},
		{"deactivate_user":{"id":%[3]q}}`, org, other, stranger)
	desk, _, _ := s.session(org, ada).bulk(false, operations)
	var codes []any
	for _, result := range desk[1:] {
		codes = append(codes, result["problem"].(map[string]any)["code"])
	}
	if desk[0]["status"] != "ok" || fmt.Sprint(codes) != "[permission_denied not_found not_found]" {
		t.Errorf("the desk's results %v", desk)
	}
	if none, _, _ := s.session(org, bob).bulk(false, operations); fmt.Sprint(statuses(none)) != "[failed failed failed failed]" {
		t.Errorf("results of somebody without rights %v", none)
	}
	key := s.session(org, ada).ok("POST", "/api/v1/api-keys", `{"org_id":"`+org+`","name":"import","permissions":["manage:users"]}`)
	byKey, _, _ := s.as(key.text(t, "key")).bulk(false, strings.ReplaceAll(operations, "c@example.org", "d@example.org"))
	if got := fmt.Sprint(statuses(byKey)); got != "[ok failed failed failed]" {
		t.Errorf("results of an API key %v", byKey)
	}
	connection := s.ok("POST", "/api/v1/organizations/"+org+"/scim-connections", `{"provider":"entra"}`)
	s.as(connection.text(t, "token")).problem(403, "permission_denied", "", "POST", "/api/v1/bulk", `{"operations":[{}]}`)
	s.as("").problem(401, "unauthenticated", "", "POST", "/api/v1/bulk", `{"operations":[{}]}`)
}

// TestEveryOperationIsItsProcedure walks the operations that a request can hold:
// each is served by the procedure that takes the same message, and answers what
// that answers alone.
func TestEveryOperationIsItsProcedure(t *testing.T) {
	s := newServer(t)
	procedures := map[protoreflect.FullName]string{}
	for _, file := range []protoreflect.FileDescriptor{
		authfiv1.File_authfi_v1_user_proto, authfiv1.File_authfi_v1_group_proto,
		authfiv1.File_authfi_v1_role_proto, authfiv1.File_authfi_v1_assignment_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for k := range methods.Len() {
				procedures[methods.Get(k).Input().FullName()] = fmt.Sprintf("/%s/%s", file.Services().Get(i).FullName(), methods.Get(k).Name())
			}
		}
	}
	fields := (&authfiv1.Operation{}).ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		procedure, ok := procedures[field.Message().FullName()]
		if !ok {
			t.Errorf("%s is no procedure's request", field.Name())
			continue
		}
		_, alone := s.send("POST", procedure, `{}`)
		together, _, _ := s.bulk(false, fmt.Sprintf(`{%q:{}}`, field.Name()))
		if together[0]["detail"] != alone["message"] || together[0]["problem"].(map[string]any)["code"] != alone["code"] {
			t.Errorf("%s: %v together, %v alone", field.Name(), together[0], alone)
		}
	}
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// codes are the routes and codes of findings.
func codes(t *testing.T, answer object) string {
	t.Helper()
	var all []string
	findings, _ := answer["findings"].([]any)
	for _, f := range findings {
		one := f.(map[string]any)
		all = append(all, fmt.Sprint(one["route"], " ", one["severity"], " ", one["code"]))
	}
	return strings.Join(all, ", ")
}

func (s *server) service(org string) string {
	s.t.Helper()
	return s.ok("POST", "/api/v1/services", `{"org_id":"`+org+`","name":"demo","listen":["127.0.0.1:8641"]}`).text(s.t, "id")
}

func TestPoliciesAreLintedWhenWritten(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	path := "/api/v1/services/" + s.service(org) + "/policies"
	set := s.ok("PUT", path+"?fold_case=true&fold_slash=true", `[
		{"path":"/patients/**","roles":["Doctor"],"permissions_any":["read:patients","read:nothing"],"mfa":true},
		{"path":"/patients/x","roles_all":["doctor"],"permissions":["write:notes"],"upgrade":true,"get_body":true},
		{"path":"/**"}]`)
	if got, want := codes(t, set), "0 warning unknown_role, 0 warning unknown_permission, 2 warning broad, 1 warning weaker"; got != want {
		t.Errorf("findings %s, want %s", got, want)
	}
	if set["policy_version"] != json.Number("1") || set["fold_case"] != true || set["fold_slash"] != true {
		t.Errorf("service %v", set)
	}
	second := set["policies"].([]any)[1].(map[string]any)
	if second["upgrade"] != true || second["get_body"] != true || fmt.Sprint(second["roles_all"]) != "[doctor]" {
		t.Errorf("route %v", second)
	}
	if got := s.ok("GET", strings.TrimSuffix(path, "/policies"), ""); codes(t, got) != "" || got["policy_version"] != json.Number("1") {
		t.Errorf("read again: %v", got)
	}
	// What can never work is refused, and nothing is written.
	s.problem(400, "invalid_argument", "policies[0].path", "PUT", path,
		`[{"path":"/a","roles":["doctor"]},{"methods":["GET","HEAD","POST","PUT","DELETE","PATCH","OPTIONS"],"path":"/a","roles":["doctor"]}]`)
	s.problem(400, "invalid_argument", "policies[1].path", "PUT", path, `[{"path":"/a","roles":["doctor"]},{"path":"/A/","roles":["doctor"]}]`)
	set = s.ok("PUT", path+"?fold_slash=false", `[{"path":"/a","roles":["doctor"]}]`)
	if set["policy_version"] != json.Number("2") || set["fold_case"] != true || set["fold_slash"] != false || codes(t, set) != "" {
		t.Errorf("service %v", set)
	}
}

func TestPoliciesAreLintedWithoutBeingWritten(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	service := "/api/v1/services/" + s.service(org)
	lint := service + "/policies/lint"
	if got := codes(t, s.ok("POST", lint, `{}`)); got != "<nil> warning empty" {
		t.Errorf("no policies: %s", got)
	}
	if got := codes(t, s.ok("POST", lint, `{"policies":[{"path":"/a","public":true},{"path":"/a/*","roles":["nurse"]}]}`)); got != "0 warning public_write, 1 warning unknown_role" {
		t.Errorf("findings %s", got)
	}
	s.problem(400, "invalid_argument", "policies[0].path", "POST", lint, `{"policies":[{"path":"a"}]}`)
	if got := s.ok("GET", service, ""); got["policy_version"] != json.Number("0") || len(got["policies"].([]any)) != 0 {
		t.Errorf("the service %v", got)
	}
	s.problem(404, "not_found", "", "POST", "/api/v1/services/svc-00000000000000000000000000000001/policies/lint", `{}`)
}

func TestDryRunIsTheOwners(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	service := "/api/v1/services/" + s.service(org)
	_, settler := s.admin(org, "settler", "manage:settings", "read:directory", "read:audit-logs")
	settler.problem(403, "permission_denied", "", "PUT", service+"/dry-run", `{"dry_run":true}`)
	_, owner := s.admin(org, "owner", "manage:organization", "manage:settings")
	for _, on := range []bool{true, false} {
		if got := owner.ok("PUT", service+"/dry-run", fmt.Sprintf(`{"dry_run":%v}`, on)); got["dry_run"] != on {
			t.Errorf("service %v", got)
		}
	}
	began := s.ok("PUT", service+"/dry-run", `{"dry_run":true}`)
	s.problem(412, "failed_precondition", "version", "PUT", service+"/dry-run", `{"dry_run":false}`, "If-Match", `"1"`)
	if got := settler.ok("PUT", service+"/policies", `[{"path":"/a"}]`); got["dry_run"] != true || got["version"] == began["version"] {
		t.Errorf("new policies: %v", got)
	}
	log := settler.ok("GET", "/api/v1/sync-log?org_id="+org, "")
	if text := fmt.Sprint(log["entries"]); !strings.Contains(text, "a dry run has begun, nothing is refused") {
		t.Errorf("the log does not say it: %s", text)
	}
}

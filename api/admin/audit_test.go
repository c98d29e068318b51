package admin_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/authfi/authfi/audit"
)

func (s *server) audit(query string) (entries []map[string]any, cursor string) {
	s.t.Helper()
	answer := s.ok("GET", "/api/v1/audit-log?"+query, "")
	for _, e := range answer["entries"].([]any) {
		entries = append(entries, e.(map[string]any))
	}
	return entries, answer.text(s.t, "cursor")
}

func TestAuditLogIsSearched(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice, bob := s.user(org, "alice"), s.user(org, "bob")
	s.ok("PATCH", "/api/v1/users/"+alice, `{"display_name":"Chief <of> ward"}`)
	s.problem(409, "conflict", "user_name", "POST", "/api/v1/users", `{"org_id":"`+org+`","email":"BOB@example.org"}`)
	s.ok("DELETE", "/api/v1/users/"+bob, "")
	newest, _ := s.audit("org_id=" + org)
	if e := newest[0]; e["type"] != "user.deleted" || e["object"] != bob || e["status"] != "ok" || e["operation"] != "users.delete" ||
		e["before"].(map[string]any)["email"] != "bob@example.org" || e["after"] != nil {
		t.Fatalf("%v", e)
	}
	for query, want := range map[string]int{
		"object=" + alice:   2,
		"type=user.":        4,
		"type=user.deleted": 1,
		"status=refused":    1,
		"q=chief+%3Cof":     1,
		"q=BOB%40EXAMPLE":   3,
		"q=users.update":    1,
		"source=okta":       0,
		"actor=" + alice:    0,
		"actor=" + newest[0]["actor"].(string) + "&type=user.": 4,
		"before_time=2020-01-01T00:00:00Z":                     0,
		"after_time=2020-01-01T00:00:00Z&type=user.":           4,
	} {
		if entries, cursor := s.audit("org_id=" + org + "&" + query); len(entries) != want || cursor != "" {
			t.Errorf("%s: %d entries, want %d", query, len(entries), want)
		}
	}
	s.problem(400, "invalid_argument", "status", "GET", "/api/v1/audit-log?status=good&org_id="+org, "")
	s.problem(400, "invalid_argument", "after_time", "GET", "/api/v1/audit-log?after_time=noon&org_id="+org, "")
	for n, status := range map[int]int{256: 200, 257: 400} {
		if res, _ := s.send("GET", "/api/v1/audit-log?q="+strings.Repeat("x", n)+"&org_id="+org, ""); res.StatusCode != status {
			t.Errorf("q of %d bytes: %d", n, res.StatusCode)
		}
	}
}

// TestAuditPagesAreTheWholeLog, newest first, and a cursor is good for its own
// organization and filter only.
func TestAuditPagesAreTheWholeLog(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	other, _ := s.organization("praxis")
	for i := range 9 {
		s.user(org, fmt.Sprint("u", i))
	}
	all, _ := s.audit("org_id=" + org)
	var paged []map[string]any
	cursor, first := "", ""
	for {
		page, next := s.audit("limit=2&org_id=" + org + "&cursor=" + cursor)
		paged = append(paged, page...)
		if cursor = next; first == "" {
			first = next
		}
		if cursor == "" {
			break
		}
	}
	if fmt.Sprint(paged) != fmt.Sprint(all) || len(all) < 10 {
		t.Errorf("%d entries by pages, %d at once", len(paged), len(all))
	}
	for _, query := range []string{"org_id=" + other, "org_id=" + org + "&type=user.", "org_id=" + org + "&q=u"} {
		s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/audit-log?limit=2&cursor="+first+"&"+query, "")
	}
	log := s.ok("GET", "/api/v1/sync-log?limit=2&org_id="+org, "")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/sync-log?limit=2&source=api&org_id="+org+"&cursor="+url.QueryEscape(log.text(t, "cursor")), "")
}

func (s *server) export(org string) (*http.Response, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), "GET", s.base+"/api/v1/audit-log/export?org_id="+org, nil)
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(s.t, err)
	return res, string(body)
}

func TestExportVerifies(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	alice := s.user(org, "älice\u2028<&>")
	s.ok("PATCH", "/api/v1/users/"+alice, `{"display_name":"a \"chief\"","attributes":{"x":{"y":[1,2.50,"<é>"]}}}`)
	for _, name := range []string{org, ""} {
		res, body := s.export(name)
		report, err := audit.Verify(strings.NewReader(body))
		if err != nil || !report.OK() || report.Entries == 0 || res.Header.Get("Content-Type") != "application/jsonl" {
			t.Fatalf("%q: %v %v %+v\n%s", name, err, report.Broken, report, body)
		}
		changed := strings.Replace(body, `"source":"api"`, `"source":"okta"`, 1)
		if report, err := audit.Verify(strings.NewReader(changed)); err != nil || name != "" && report.OK() {
			t.Errorf("%q: an altered export verifies: %v", name, err)
		}
	}
	// What the list shows and what the export holds are the same chain.
	_, body := s.export(org)
	var last struct{ Chain string }
	lines := strings.Split(strings.TrimSpace(body), "\n")
	must(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	kept := s.ok("GET", "/api/v1/audit-log/retention?org_id="+org, "")
	if kept["chain"] != last.Chain || fmt.Sprint(kept["entries"]) != fmt.Sprint(len(lines)-1) {
		t.Errorf("%v, %d lines", kept, len(lines))
	}
}

func TestRetentionIsSet(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	kept := s.ok("GET", "/api/v1/audit-log/retention?org_id="+org, "")
	if fmt.Sprintf("%v %v", kept["count"], kept["days"]) != "50000 400" {
		t.Fatalf("%v", kept)
	}
	if kept = s.ok("PUT", "/api/v1/audit-log/retention", `{"org_id":"`+org+`","count":1000,"days":0}`); fmt.Sprintf("%v %v", kept["count"], kept["days"]) != "1000 0" {
		t.Fatalf("%v", kept)
	}
	s.problem(400, "invalid_argument", "count", "PUT", "/api/v1/audit-log/retention", `{"org_id":"`+org+`","count":999}`)
	s.problem(400, "invalid_argument", "count", "PUT", "/api/v1/audit-log/retention", `{"org_id":"`+org+`","count":-1}`)
}

// TestLogsAreTheOrganizationsOwn: another organization's log is not found, the
// instance's is the operator's, and without the permission there is nothing.
func TestLogsAreTheOrganizationsOwn(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	other, _ := s.organization("praxis")
	alice := s.user(org, "alice")
	s.ok("POST", "/api/v1/users/"+alice+"/roles", `{"role_id":"`+role+`"}`)
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+alice+`","amr":["pwd"]}`)
	user := s.as(session.text(t, "access_token"))
	user.problem(403, "permission_denied", "", "GET", "/api/v1/audit-log?org_id="+org, "")
	s.ok("PATCH", "/api/v1/roles/"+role, `{"permissions":["read:audit-logs"]}`)
	if entries, _ := user.audit("org_id=" + org); len(entries) == 0 {
		t.Error("an auditor sees nothing")
	}
	if res, body := user.export(org); res.StatusCode != 200 || !strings.Contains(body, alice) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	user.problem(403, "permission_denied", "", "GET", "/api/v1/audit-log", "")
	user.problem(403, "permission_denied", "", "PUT", "/api/v1/audit-log/retention", `{"org_id":"`+org+`","count":1000}`)
	_, mine := user.export(other)
	_, nobodys := user.export("org-" + strings.Repeat("1", 32))
	if mine != nobodys || !bytes.Contains([]byte(mine), []byte("not_found")) {
		t.Errorf("%s\n%s", mine, nobodys)
	}
	if res, _ := s.as("").export(org); res.StatusCode != 401 {
		t.Errorf("without a credential: %d", res.StatusCode)
	}
	if entries, _ := s.audit(""); entries[0]["type"] != "organization.created" {
		t.Errorf("%v", entries[0])
	}
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestNewOrganizationHasItsRoles(t *testing.T) {
	s := newServer(t)
	org := s.ok("POST", "/api/v1/organizations", `{"slug":"clinic","name":"City Clinic","user_quota":7}`)
	if org["user_quota"] != json.Number("7") || org["users"] != json.Number("0") || org["status"] != "active" {
		t.Errorf("organization %v", org)
	}
	id := org.text(t, "id")
	var names []string
	for _, r := range s.ok("GET", "/api/v1/roles?org_id="+id, "")["roles"].([]any) {
		names = append(names, r.(map[string]any)["name"].(string))
	}
	if strings.Join(names, " ") != "owner directory-admin auditor" {
		t.Errorf("roles %v", names)
	}
	// The owner's role works: it may do and give everything in the organization.
	owner := s.user(id, "owner")
	s.ok("POST", "/api/v1/users/"+owner+"/roles", `{"role_name":"owner"}`)
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+id+`","user_id":"`+owner+`","amr":["pwd"]}`)
	as := s.as(session.text(t, "access_token"))
	as.ok("PATCH", "/api/v1/organizations/"+id, `{"name":"Clinic"}`)
	bob := as.user(id, "bob")
	as.ok("POST", "/api/v1/users/"+bob+"/roles", `{"role_name":"auditor"}`)
	as.problem(http.StatusForbidden, "permission_denied", "", "PATCH", "/api/v1/organizations/"+id+"/limits", `{"user_quota":100}`)
	as.problem(http.StatusForbidden, "permission_denied", "", "DELETE", "/api/v1/organizations/"+id, "")
	as.problem(http.StatusForbidden, "permission_denied", "", "GET", "/api/v1/organizations", "")
	if got := as.ok("GET", "/api/v1/organizations/"+id, ""); got["users"] != json.Number("2") || got["name"] != "Clinic" {
		t.Errorf("organization %v", got)
	}
}

func TestOrganizationQuotas(t *testing.T) {
	s := newServer(t)
	create := func(slug, quota string) string {
		return `{"slug":"` + slug + `","name":"n","user_quota":` + quota + `}`
	}
	if o := s.ok("POST", "/api/v1/organizations", create("default", "0")); o["user_quota"] != json.Number("5000") {
		t.Errorf("quota %v", o["user_quota"])
	}
	s.ok("POST", "/api/v1/organizations", create("large", "1000000"))
	s.problem(http.StatusBadRequest, "invalid_argument", "user_quota", "POST", "/api/v1/organizations", create("larger", "1000001"))

	org := s.ok("POST", "/api/v1/organizations", create("small", "1")).text(t, "id")
	limits := "/api/v1/organizations/" + org + "/limits"
	s.user(org, "alice")
	s.problem(http.StatusTooManyRequests, "resource_exhausted", "users", "POST", "/api/v1/users", `{"org_id":"`+org+`","email":"bob@example.org"}`)
	for _, bad := range []string{"0", "1000001"} {
		s.problem(http.StatusBadRequest, "invalid_argument", "user_quota", "PATCH", limits, `{"user_quota":`+bad+`}`)
	}
	if o := s.ok("PATCH", limits, `{"user_quota":1000000}`); o["user_quota"] != json.Number("1000000") || o["status"] != "active" {
		t.Errorf("organization %v", o)
	}
	s.ok("PATCH", limits, `{"user_quota":2}`)
	s.user(org, "bob")
	s.problem(http.StatusTooManyRequests, "resource_exhausted", "users", "POST", "/api/v1/users", `{"org_id":"`+org+`","email":"eve@example.org"}`)
	s.ok("PATCH", limits, `{"user_quota":1}`) // below the present number: nobody is removed
	if o := s.ok("GET", "/api/v1/organizations/"+org, ""); o["users"] != json.Number("2") {
		t.Errorf("organization %v", o)
	}
}

func TestOrganizationUpdate(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	path := "/api/v1/organizations/" + org
	brand := `"branding":{"logo_url":"https://clinic.example/logo.png","color":"#00aa7f","support":"help@clinic.example"}`
	signIn := `"sign_in":{"mfa":true,"session_idle_seconds":3600,"session_max_seconds":86400}`
	res, set := s.send("PATCH", path, `{"name":"City Clinic",`+brand+`,`+signIn+`}`)
	if res.StatusCode != http.StatusOK || set["name"] != "City Clinic" || set["slug"] != "clinic" ||
		fmt.Sprint(set["branding"]) != "map[color:#00aa7f logo_url:https://clinic.example/logo.png support:help@clinic.example]" ||
		fmt.Sprint(set["sign_in"]) != "map[mfa:true session_idle_seconds:3600 session_max_seconds:86400]" {
		t.Fatalf("%d %v", res.StatusCode, set)
	}
	if got := s.ok("GET", path, ""); fmt.Sprint(got) != fmt.Sprint(set) {
		t.Errorf("read %v, want %v", got, set)
	}
	// Conditional on the version.
	etag := res.Header.Get("ETag")
	if res.Header.Get("X-Authfi-Index") == "" || etag != fmt.Sprintf("%q", set["version"]) {
		t.Errorf("ETag %s, index %s, version %v", etag, res.Header.Get("X-Authfi-Index"), set["version"])
	}
	s.ok("PATCH", path, `{"name":"Clinic"}`, "If-Match", etag)
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "version", "PATCH", path, `{"name":"Late"}`, "If-Match", etag)
	// What is not there stays; what a mask names and is not there is emptied.
	if got := s.ok("PATCH", path, `{"sign_in":{"mfa":true}}`); fmt.Sprint(got["branding"]) != fmt.Sprint(set["branding"]) ||
		got["name"] != "Clinic" || fmt.Sprint(got["sign_in"]) != "map[mfa:true session_idle_seconds:0 session_max_seconds:0]" {
		t.Errorf("updated %v", got)
	}
	if got := s.ok("PATCH", path, `{"name":"ignored","update_mask":["branding"]}`); got["name"] != "Clinic" ||
		fmt.Sprint(got["branding"]) != "map[color: logo_url: support:]" {
		t.Errorf("updated %v", got)
	}
	s.problem(http.StatusBadRequest, "invalid_argument", "name", "PATCH", path, `{"update_mask":["name"]}`)
	s.problem(http.StatusBadRequest, "invalid_argument", "update_mask", "PATCH", path, `{"update_mask":["slug"]}`)
	// A repeat of a request is no second change.
	once := s.ok("PATCH", path, `{"name":"Once"}`, "Idempotency-Key", "k")
	s.ok("PATCH", path, `{"name":"Twice"}`)
	if again := s.ok("PATCH", path, `{"name":"Once"}`, "Idempotency-Key", "k"); again["name"] != "Twice" {
		t.Errorf("after %v the repeat says %v", once, again)
	}
}

func TestOrganizationFieldsAreBounded(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	path := "/api/v1/organizations/" + org
	url := func(n int) string { return "https://a.example/" + strings.Repeat("x", n-len("https://a.example/")) }
	for _, row := range []struct{ field, good, bad string }{
		{"name", `{"name":"` + strings.Repeat("n", 256) + `"}`, `{"name":"` + strings.Repeat("n", 257) + `"}`},
		{"name", `{"name":"n"}`, `{"name":" "}`},
		{"branding.logo_url", `{"branding":{"logo_url":"` + url(2048) + `"}}`, `{"branding":{"logo_url":"` + url(2049) + `"}}`},
		{"branding.logo_url", `{"branding":{"logo_url":"https://a.example/x"}}`, `{"branding":{"logo_url":"http://a.example/x"}}`},
		{"branding.logo_url", `{"branding":{"logo_url":""}}`, `{"branding":{"logo_url":"https://u:p@a.example/x"}}`},
		{"branding.color", `{"branding":{"color":"#0a0b0c"}}`, `{"branding":{"color":"#0A0B0C"}}`},
		{"branding.color", `{"branding":{"color":""}}`, `{"branding":{"color":"#0a0b0"}}`},
		{"branding.support", `{"branding":{"support":"` + strings.Repeat("s", 2048) + `"}}`, `{"branding":{"support":"` + strings.Repeat("s", 2049) + `"}}`},
		{"sign_in.session_idle_seconds", `{"sign_in":{"session_idle_seconds":600}}`, `{"sign_in":{"session_idle_seconds":599}}`},
		{"sign_in.session_idle_seconds", `{"sign_in":{"session_idle_seconds":604800}}`, `{"sign_in":{"session_idle_seconds":604801}}`},
		{"sign_in.session_idle_seconds", `{"sign_in":{"session_idle_seconds":0}}`, `{"sign_in":{"session_idle_seconds":4294967295}}`},
		{"sign_in.session_max_seconds", `{"sign_in":{"session_max_seconds":600}}`, `{"sign_in":{"session_max_seconds":1}}`},
		{"sign_in.session_max_seconds", `{"sign_in":{"session_max_seconds":7776000}}`, `{"sign_in":{"session_max_seconds":7776001}}`},
	} {
		s.ok("PATCH", path, row.good)
		s.problem(http.StatusBadRequest, "invalid_argument", row.field, "PATCH", path, row.bad)
	}
	s.ok("POST", "/api/v1/organizations", `{"slug":"`+strings.Repeat("s", 63)+`","name":"n"}`)
	for _, slug := range []string{"", strings.Repeat("s", 64), "Clinic", "-a", "a-", "a.b", "ü"} {
		s.problem(http.StatusBadRequest, "invalid_argument", "slug", "POST", "/api/v1/organizations", `{"slug":"`+slug+`","name":"n"}`)
	}
	s.problem(http.StatusConflict, "conflict", "slug", "POST", "/api/v1/organizations", `{"slug":"clinic","name":"n"}`)
}

func TestOrganizationsBySlug(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	s.organization("clinic-north")
	s.user(org, "alice")
	list := func(query string) (slugs []string, total any) {
		found := s.ok("GET", "/api/v1/organizations"+query, "")
		for _, o := range found["organizations"].([]any) {
			slugs = append(slugs, o.(map[string]any)["slug"].(string))
		}
		return slugs, found["total"]
	}
	for query, want := range map[string]string{
		"":                                 "[clinic clinic-north] 2",
		"?slug=clinic":                     "[clinic] 1",
		"?slug=clinic-north":               "[clinic-north] 1",
		"?slug=clin":                       "[] 0",
		"?slug=clinic&limit=1":             "[clinic] 1",
		"?slug=" + strings.Repeat("a", 63): "[] 0",
	} {
		slugs, total := list(query)
		if got := fmt.Sprint(slugs, " ", total); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
	s.problem(http.StatusBadRequest, "invalid_argument", "slug", "GET", "/api/v1/organizations?slug=CLINIC", "")
	s.problem(http.StatusBadRequest, "invalid_argument", "slug", "GET", "/api/v1/organizations?slug="+strings.Repeat("a", 64), "")
	first := s.ok("GET", "/api/v1/organizations?limit=1", "")
	if one := first["organizations"].([]any)[0].(map[string]any); one["users"] != json.Number("1") {
		t.Errorf("organization %v", one)
	}
	cursor := first.text(t, "cursor")
	if second := s.ok("GET", "/api/v1/organizations?limit=1&cursor="+cursor, ""); second["cursor"] != "" {
		t.Errorf("the last page has the cursor %v", second["cursor"])
	}
	s.problem(http.StatusBadRequest, "invalid_argument", "cursor", "GET", "/api/v1/organizations?slug=clinic&cursor="+cursor, "")
}

func TestDeleteOrganization(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	neighbour, _ := s.organization("hospital")
	alice := s.user(org, "alice")
	path := "/api/v1/organizations/" + org
	s.claim(org, "clinic.example")
	s.ok("POST", verifyPath(org, "clinic.example"), "{}")
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "status", "DELETE", path, "")
	s.ok("PATCH", path+"/limits", `{"status":"suspended"}`)
	s.ok("DELETE", path, "")
	for _, gone := range []string{path, "/api/v1/users/" + alice, "/api/v1/users?org_id=" + org} {
		if res, _ := s.send("GET", gone, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("%s answers %d", gone, res.StatusCode)
		}
	}
	s.problem(http.StatusNotFound, "not_found", "", "DELETE", path, "")
	s.problem(http.StatusBadRequest, "invalid_argument", "id", "DELETE", "/api/v1/organizations/org-1", "")
	s.ok("GET", "/api/v1/organizations/"+neighbour, "")
	// Its names are free.
	again := s.ok("POST", "/api/v1/organizations", `{"slug":"clinic","name":"n"}`).text(t, "id")
	if again == org {
		t.Error("an id was used again")
	}
	s.claim(again, "clinic.example")
	s.ok("POST", verifyPath(again, "clinic.example"), "{}")
}

// TestOrganizationOfOthers: everything by id answers alike for an organization of
// somebody else and for one that nobody has.
func TestOrganizationOfOthers(t *testing.T) {
	s := newServer(t)
	mine, _ := s.organization("clinic")
	theirs, _ := s.organization("hospital")
	s.claim(theirs, "hospital.example")
	_, owner := s.admin(mine, "owner", "manage:organization", "manage:settings", "manage:users", "read:directory", "manage:roles")
	unknown := theirs[:len(theirs)-4] + "ffff"
	for _, row := range []struct{ method, path, body string }{
		{"GET", "/api/v1/organizations/ORG", ""},
		{"PATCH", "/api/v1/organizations/ORG", `{"name":"n"}`},
		{"PATCH", "/api/v1/organizations/ORG/limits", `{"user_quota":1}`},
		{"DELETE", "/api/v1/organizations/ORG", ""},
		{"POST", "/api/v1/organizations/ORG/domains/hospital.example/verify", "{}"},
		{"GET", "/api/v1/organizations/ORG/schema", ""},
		{"PUT", "/api/v1/organizations/ORG/schema", `{"attributes":[]}`},
		{"GET", "/api/v1/api-keys?org_id=ORG", ""},
		{"POST", "/api/v1/api-keys", `{"org_id":"ORG","name":"k","permissions":["read:directory"]}`},
		{"GET", "/api/v1/permissions?org_id=ORG", ""},
		{"PUT", "/api/v1/permissions/read:x", `{"org_id":"ORG","description":"d"}`},
	} {
		said := func(org string) string {
			res, body := owner.send(row.method, strings.ReplaceAll(row.path, "ORG", org), strings.ReplaceAll(row.body, "ORG", org))
			return fmt.Sprint(res.StatusCode, res.Header["Etag"], res.Header["X-Authfi-Index"], body)
		}
		if foreign, missing := said(theirs), said(unknown); foreign != missing || !strings.HasPrefix(foreign, "40") {
			t.Errorf("%s %s:\n%s\n%s", row.method, row.path, foreign, missing)
		}
	}
}

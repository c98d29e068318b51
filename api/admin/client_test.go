package admin_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestClients are made, read, changed, given another secret and deleted; a secret is
// in two answers and in no other.
func TestClients(t *testing.T) {
	s := newServer(t)
	org := s.ok("POST", "/api/v1/organizations", `{"slug":"north","name":"North"}`).text(t, "id")
	path := "/api/v1/organizations/" + org + "/clients"
	made := s.ok("POST", path, `{"name":"portal","grant_types":["refresh_token","authorization_code"],"redirect_uris":["https://app.example/back"],"permissions":["read:patients"]}`)
	secret := made.text(t, "client_secret")
	client := made["client"].(map[string]any)
	id := client["id"].(string)
	if !strings.HasPrefix(secret, "afc_") || !strings.HasPrefix(id, "cli-") || client["org_id"] != org || len(client["grant_types"].([]any)) != 2 {
		t.Errorf("made %v", made)
	}
	changed := s.ok("PATCH", path+"/"+id, `{"name":"desk","permissions":[]}`)
	if changed["name"] != "desk" || changed["permissions"] != nil && len(changed["permissions"].([]any)) != 0 || len(changed["redirect_uris"].([]any)) != 1 {
		t.Errorf("changed %v", changed)
	}
	rotated := s.ok("POST", path+"/"+id+"/secret", ``)
	if next := rotated.text(t, "client_secret"); next == secret || !strings.HasPrefix(next, "afc_") {
		t.Errorf("rotated %v", rotated)
	}
	list := fmt.Sprint(s.ok("GET", path, ""))
	if strings.Contains(list, "afc_") || !strings.Contains(list, "total:1") {
		t.Errorf("listed %s", list)
	}
	s.ok("DELETE", path+"/"+id, "")
	s.problem(http.StatusNotFound, "not_found", "", "GET", path+"/"+id, "")
	public := s.ok("POST", path, `{"name":"app","public":true,"grant_types":["authorization_code"],"redirect_uris":["com.example.app:/back"]}`)
	if public["client_secret"] != nil && public["client_secret"] != "" {
		t.Errorf("a public client has a secret: %v", public)
	}
}

// TestClientsAreChecked: each is refused for the field that it names.
func TestClientsAreChecked(t *testing.T) {
	s := newServer(t)
	org := s.ok("POST", "/api/v1/organizations", `{"slug":"north","name":"North"}`).text(t, "id")
	path := "/api/v1/organizations/" + org + "/clients"
	for body, field := range map[string]string{
		`{"name":"x","grant_types":["password"]}`: "grant_types",
		`{"name":"x"}`: "grant_types",
		`{"name":"x","grant_types":["authorization_code"]}`:                                                                                                           "redirect_uris",
		`{"name":"x","grant_types":["authorization_code"],"redirect_uris":["http://app.example/"]}`:                                                                   "redirect_uris",
		`{"name":"x","grant_types":["client_credentials"]}`:                                                                                                           "account_id",
		`{"name":"x","grant_types":["client_credentials"],"account_id":"robot"}`:                                                                                      "account_id",
		`{"name":"x","grant_types":["authorization_code"],"redirect_uris":["https://a.example/"],"keys":"{}"}`:                                                        "keys",
		`{"name":"x","grant_types":["authorization_code"],"redirect_uris":["https://a.example/"],"public":true,"keys":"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"}]}"}`: "keys",
	} {
		s.problem(http.StatusBadRequest, "invalid_argument", field, "POST", path, body)
	}
}

package admin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// secretFields are the fields of answers that hold a credential.
var secretFields = map[string]bool{"token": true, "key": true, "access_token": true, "refresh_token": true}

// secretsOf are the credentials in an answer.
func secretsOf(value any) (secrets []string) {
	switch v := value.(type) {
	case object:
		return secretsOf(map[string]any(v))
	case map[string]any:
		for name, inner := range v {
			if text, ok := inner.(string); ok && secretFields[name] {
				secrets = append(secrets, text)
				continue
			}
			secrets = append(secrets, secretsOf(inner)...)
		}
	case []any:
		for _, inner := range v {
			secrets = append(secrets, secretsOf(inner)...)
		}
	}
	return secrets
}

// spellings are how a credential or what is stored of it could show.
func spellings(secret string) []string {
	sum := sha256.Sum256([]byte(secret))
	return []string{
		secret, secret[len(secret)/2:], hex.EncodeToString(sum[:]), strings.ToUpper(hex.EncodeToString(sum[:])),
		base64.StdEncoding.EncodeToString(sum[:]), base64.RawURLEncoding.EncodeToString(sum[:]), fmt.Sprint(sum),
	}
}

// TestLogsHoldNoSecret: every write is in the log of whom it is about, and neither
// log says a credential or what is kept of one.
func TestLogsHoldNoSecret(t *testing.T) {
	s := newServer(t)
	org, role := s.organization("clinic")
	alice, own := s.admin(org, "alice", "read:patients")
	var secrets []string
	do := func(as *server, method, path, body string) object {
		t.Helper()
		answer := as.ok(method, path, body)
		secrets = append(secrets, secretsOf(answer)...)
		return answer
	}
	path := "/api/v1/organizations/" + org
	key := do(own, "POST", "/api/v1/api-keys", `{"org_id":"`+org+`","name":"k","permissions":["read:patients"]}`)["api_key"].(map[string]any)["id"].(string)
	do(own, "DELETE", "/api/v1/api-keys/"+key, "")
	operator := do(s, "POST", "/api/v1/operators", `{"name":"second"}`)["operator"].(map[string]any)["id"].(string)
	do(s, "DELETE", "/api/v1/operators/"+operator, "")
	connection := do(s, "POST", path+"/scim-connections", `{"provider":"okta"}`).text(t, "id")
	do(s, "DELETE", path+"/scim-connections/"+connection, "")
	session := do(s, "POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+alice+`","amr":["pwd"]}`)
	do(s, "POST", "/api/v1/sessions/refresh", `{"refresh_token":"`+session.text(t, "refresh_token")+`"}`)
	do(s, "PATCH", path, `{"name":"City Clinic","domains":["clinic.example"],"branding":{"color":"#00aa7f"},"sign_in":{"session_idle_seconds":3600}}`)
	do(s, "POST", verifyPath(org, "clinic.example"), "{}")
	do(s, "PATCH", path+"/limits", `{"user_quota":9}`)
	do(s, "PUT", path+"/schema", `{"attributes":[{"name":"wing","type":"string"}]}`)
	do(s, "PUT", "/api/v1/permissions/read:patients", `{"org_id":"`+org+`","description":"See patients"}`)
	do(s, "PATCH", "/api/v1/roles/"+role, `{"description":"treats patients"}`)
	second := do(s, "POST", "/api/v1/organizations", `{"slug":"second","name":"n"}`).text(t, "id")
	do(s, "PATCH", "/api/v1/organizations/"+second+"/limits", `{"status":"suspended"}`)
	do(s, "DELETE", "/api/v1/organizations/"+second, "")
	if len(secrets) < 6 {
		t.Fatalf("only %d secrets were given out", len(secrets))
	}
	types := map[string]bool{}
	var said strings.Builder
	for _, query := range []string{"?limit=1000&org_id=" + org, "?limit=1000"} {
		for _, e := range s.ok("GET", "/api/v1/audit-log"+query, "")["entries"].([]any) {
			entry := e.(map[string]any)
			types[entry["type"].(string)] = true
			text, err := json.Marshal(entry)
			must(t, err)
			said.Write(text)
			said.WriteByte('\n')
		}
	}
	for _, typ := range []string{
		"api_key.created", "api_key.revoked", "operator.created", "operator.deleted", "connection.created", "connection.deleted",
		"session.started", "session.refreshed", "organization.created", "organization.updated", "organization.deleted",
		"schema.updated", "permission.described", "role.updated",
	} {
		if !types[typ] {
			t.Errorf("no log says %s: %v", typ, types)
		}
	}
	log := said.String()
	for _, secret := range secrets {
		for _, spelling := range spellings(secret) {
			if strings.Contains(log, spelling) {
				t.Errorf("a log says %s of %s", spelling, secret)
			}
		}
	}
	if t.Failed() {
		t.Log(log)
	}
}

package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestUserHasEveryField: what a request sends is what every answer shows.
func TestUserHasEveryField(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger},
		directory.AttributeDefinition{Name: "wards", Type: directory.AttributeString, Several: true})
	boss := s.user(org, "boss")
	sent := map[string]any{
		"email": "ada@example.org", "user_name": "ada", "display_name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace",
		"external_id": "X-1", "phone": "+44 20", "title": "Dr", "department": "Cardiology", "manager_id": boss,
		"attributes": map[string]any{"z": []any{json.Number("1"), "x", nil, map[string]any{"b": true}}, "a": "1"},
		"custom":     map[string]any{"badge": json.Number("7"), "wards": []any{"North", "East"}},
	}
	body := map[string]any{"org_id": org}
	for name, value := range sent {
		body[name] = value
	}
	text, err := json.Marshal(body)
	must(t, err)
	made := s.ok("POST", "/api/v1/users", string(text))
	sent["active"], sent["source"], sent["service"], sent["owner_id"], sent["connection_id"] = true, "api", false, "", ""
	sent["org_id"] = org
	list := s.ok("GET", "/api/v1/users?q=ada&org_id="+org, "")["users"].([]any)
	for what, shown := range map[string]object{
		"create": made, "get": s.ok("GET", "/api/v1/users/"+made.text(t, "id"), ""), "list": list[0].(map[string]any),
	} {
		for name, want := range sent {
			if !reflect.DeepEqual(shown[name], want) {
				t.Errorf("%s: %s is %#v, want %#v", what, name, shown[name], want)
			}
		}
	}
	// Written again with its names in another order, nothing has changed.
	again := s.ok("PATCH", "/api/v1/users/"+made.text(t, "id"), `{"custom":{"wards":["North","East"],"badge":7},"attributes":{"z":[1,"x",null,{"b":true}],"a":"1"}}`)
	if again["version"] != made["version"] {
		t.Errorf("version %v became %v without a change", made["version"], again["version"])
	}
}

// TestUserPatch: a field changes by being there, or by being named.
func TestUserPatch(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger})
	boss := s.user(org, "boss")
	for _, row := range []struct {
		patch string
		want  map[string]any // of what changes
	}{
		{`{}`, nil},
		{`{"title":"Prof"}`, map[string]any{"title": "Prof"}},
		{`{"title":"","manager_id":""}`, map[string]any{"title": "", "manager_id": ""}},
		{`{"title":"Prof","phone":"1","update_mask":["phone"]}`, map[string]any{"phone": "1"}},
		{`{"update_mask":["phone","title","manager_id","attributes","custom","external_id"]}`, map[string]any{
			"phone": "", "title": "", "manager_id": "", "attributes": map[string]any{}, "custom": map[string]any{}, "external_id": "",
		}},
		{`{"attributes":{"b":2}}`, map[string]any{"attributes": map[string]any{"b": json.Number("2")}}},
		{`{"attributes":{}}`, map[string]any{"attributes": map[string]any{}}},
		{`{"custom":{"badge":null}}`, map[string]any{"custom": map[string]any{}}},
		{`{"custom":{"badge":8},"email":"new@b.c"}`, map[string]any{"custom": map[string]any{"badge": json.Number("8")}, "email": "new@b.c"}},
	} {
		made := s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"e@b.c","title":"Dr","phone":"0","external_id":"x","manager_id":"`+boss+`","attributes":{"a":1},"custom":{"badge":7}}`)
		path := "/api/v1/users/" + made.text(t, "id")
		now := s.ok("PATCH", path, row.patch)
		for name, before := range made {
			want, changes := row.want[name]
			if !changes {
				want = before
			}
			if name != "version" && name != "modified" && !reflect.DeepEqual(now[name], want) {
				t.Errorf("%s: %s is %#v, want %#v", row.patch, name, now[name], want)
			}
		}
		s.ok("DELETE", path, "")
	}
}

func TestUserFieldsThatAreRefused(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger})
	other, _ := s.organization("other")
	ada, stranger := s.user(org, "ada"), s.user(other, "stranger")
	unknown := "usr-" + strings.Repeat("1", 32)
	for _, row := range []struct {
		body, code, field string
		status            int
	}{
		{`{"manager_id":"x"}`, "invalid_argument", "manager_id", 400},
		{`{"manager_id":"` + unknown + `"}`, "invalid_argument", "manager_id", 400},
		{`{"manager_id":"` + stranger + `"}`, "invalid_argument", "manager_id", 400},
		{`{"manager_id":"` + ada + `"}`, "invalid_argument", "manager_id", 400}, // of themselves
		{`{"owner_id":"` + ada + `"}`, "invalid_argument", "owner_id", 400},     // of a person
		{`{"owner_id":"x"}`, "invalid_argument", "owner_id", 400},
		{`{"custom":{"badge":"seven"}}`, "invalid_argument", "custom.badge", 400},
		{`{"custom":{"wing":"x"}}`, "invalid_argument", "custom.wing", 400},
		{`{"user_name":"STRANGER@example.org"}`, "", "", 200},
		{`{"user_name":"BOB@example.org"}`, "conflict", "user_name", 409},
		{`{"user_name":""}`, "invalid_argument", "user_name", 400},
		{`{"update_mask":["active"]}`, "invalid_argument", "update_mask", 400},
		{`{"title":"a\u0007b"}`, "invalid_argument", "title", 400},
	} {
		if row.status == 200 {
			s.ok("PATCH", "/api/v1/users/"+ada, row.body)
			continue
		}
		if row.code == "conflict" {
			s.user(org, "bob")
		}
		s.problem(row.status, row.code, row.field, "PATCH", "/api/v1/users/"+ada, row.body)
	}
	s.problem(400, "invalid_argument", "manager_id", "POST", "/api/v1/users", `{"org_id":"`+org+`","email":"x@y.z","manager_id":"`+stranger+`"}`)
	s.problem(404, "not_found", "", "PATCH", "/api/v1/users/"+unknown, `{"title":"x"}`)
}

// TestOwnedFieldsAreShownAndRefused: who provisions a user has the profile.
func TestOwnedFieldsAreShownAndRefused(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger})
	connection := s.connection(org)
	id := access.NewID[directory.UserID](time.Now())
	direct.provision(connection, &fsm.CreateUser{User: directory.User{
		ID: id, UserName: "eve", Active: true, Source: directory.SourceSCIM, Connection: connection,
	}})
	path := "/api/v1/users/" + id.String()
	eve := s.ok("GET", path, "")
	owned := eve["owned_fields"].([]any)
	if eve["connection_id"] != connection.String() || eve["source"] != "scim" || len(owned) == 0 {
		t.Fatalf("user %v", eve)
	}
	other := map[string]string{"attributes": `{"a":1}`, "custom": `{"badge":1}`, "manager_id": `"` + s.user(org, "boss") + `"`}
	fields := []string{
		"email", "user_name", "display_name", "given_name", "family_name", "external_id", "attributes", "phone", "title", "department",
		"manager_id", "custom",
	}
	for _, field := range fields {
		value, ok := other[field]
		if !ok {
			value = `"other"`
		}
		if slices.Contains(owned, any(field)) {
			s.problem(409, "conflict", field, "PATCH", path, `{"`+field+`":`+value+`}`)
		} else {
			s.ok("PATCH", path, `{"`+field+`":`+value+`}`)
		}
	}
	if len(owned) != len(fields)-1 {
		t.Errorf("owned are %v", owned)
	}
	s.ok("POST", path+"/deactivate", "") // never has to wait for the provider
	s.ok("DELETE", "/api/v1/organizations/"+org+"/scim-connections/"+connection.String(), "")
	if eve := s.ok("PATCH", path, `{"title":"Dr"}`); len(eve["owned_fields"].([]any)) != 0 || eve["title"] != "Dr" {
		t.Errorf("user %v of a connection that is gone", eve)
	}
}

func TestServiceAccounts(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	other, _ := s.organization("other")
	admin := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"admin","permissions":["manage:users","read:directory"]}`).text(t, "id")
	ada := s.user(org, "ada")
	s.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+admin+`"}`)
	own := s.as(s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+ada+`","amr":["pwd"]}`).text(t, "access_token"))

	robot := own.ok("POST", "/api/v1/service-accounts", `{"org_id":"`+org+`","user_name":"robot","display_name":"R"}`)
	if robot["service"] != true || robot["owner_id"] != ada || robot["active"] != true || robot["display_name"] != "R" {
		t.Fatalf("account %v", robot)
	}
	account := func(owner string) string {
		return `{"org_id":"` + org + `","user_name":"second","owner_id":"` + owner + `"}`
	}
	for _, owner := range []string{"", "x", robot.text(t, "id"), s.user(other, "eve"), "usr-" + strings.Repeat("1", 32)} {
		s.problem(400, "invalid_argument", "owner_id", "POST", "/api/v1/service-accounts", account(owner))
	}
	bob := s.user(org, "bob")
	second := s.ok("POST", "/api/v1/service-accounts", account(bob)).text(t, "id")
	if moved := s.ok("PATCH", "/api/v1/users/"+second, `{"owner_id":"`+ada+`"}`); moved["owner_id"] != ada {
		t.Errorf("account %v", moved)
	}
	s.problem(400, "invalid_argument", "owner_id", "PATCH", "/api/v1/users/"+second, `{"update_mask":["owner_id"]}`)

	// It does not outlive its owner.
	s.ok("POST", "/api/v1/users/"+ada+"/deactivate", "")
	if second := s.ok("GET", "/api/v1/users/"+second, ""); second["active"] != false {
		t.Errorf("account %v of somebody who is off", second)
	}
	s.problem(412, "failed_precondition", "owner_id", "POST", "/api/v1/users/"+second+"/activate", "")
	s.ok("DELETE", "/api/v1/users/"+ada, "")
	s.problem(404, "not_found", "", "GET", "/api/v1/users/"+second, "")
}

// An API key that makes a service account without naming an owner makes it for
// the person behind the key.
func TestServiceAccountMadeByAKey(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	ada := s.user(org, "ada")
	admin := s.ok("POST", "/api/v1/roles", `{"org_id":"`+org+`","name":"admin","permissions":["manage:users"]}`).text(t, "id")
	s.ok("POST", "/api/v1/users/"+ada+"/roles", `{"role_id":"`+admin+`"}`)
	key := s.ok("POST", "/api/v1/api-keys", `{"org_id":"`+org+`","name":"k","user_id":"`+ada+`","permissions":["manage:users"]}`).text(t, "key")
	if made := s.as(key).ok("POST", "/api/v1/service-accounts", `{"org_id":"`+org+`","user_name":"robot"}`); made["owner_id"] != ada {
		t.Errorf("account %v", made)
	}
}

// TestUpdatesAtOnce: of two changes of different fields at the same time neither
// is lost, whether a node repeats the one that came second or its caller does.
func TestUpdatesAtOnce(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	path := "/api/v1/users/" + s.user(org, "ada")
	var writers sync.WaitGroup
	for _, field := range []string{"title", "department"} {
		writers.Go(func() {
			for i := 0; i < 30; {
				switch res, answer := s.send("PATCH", path, fmt.Sprintf(`{%q:"%d"}`, field, i)); res.StatusCode {
				case http.StatusOK:
					i++
				case http.StatusPreconditionFailed:
				default:
					t.Errorf("%d %v", res.StatusCode, answer)
					return
				}
			}
		})
	}
	writers.Wait()
	if u := s.ok("GET", path, ""); u["title"] != "29" || u["department"] != "29" {
		t.Errorf("title %v, department %v", u["title"], u["department"])
	}
}

// TestServiceAccountOfADeactivatedPerson can be made, switched off as its owner is:
// an import makes what stood in the organization that was exported.
func TestServiceAccountOfADeactivatedPerson(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	owner := s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"ada@example.org"}`).text(t, "id")
	s.ok("POST", "/api/v1/users/"+owner+"/deactivate", `{}`)
	body := `{"org_id":"` + org + `","user_name":"robot","owner_id":"` + owner + `"`
	path := "/api/v1/service-accounts"
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "owner_id", "POST", path, body+`}`)
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "owner_id", "POST", path, body+`,"active":true}`)
	made := s.ok("POST", path, body+`,"active":false}`)
	if made["active"] != false {
		t.Errorf("%v", made)
	}
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "owner_id", "POST", "/api/v1/users/"+made.text(t, "id")+"/activate", `{}`)
}

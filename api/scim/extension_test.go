package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const clinicURN = "urn:ietf:params:scim:schemas:extension:clinic:2.0:User"

// declared is an organization that has declared an extension.
type declared struct {
	*world
	*client
	org directory.OrgID
}

func newDeclared(t *testing.T) *declared {
	d := &declared{world: newWorld(t)}
	d.client = d.organization("clinic")
	d.org, _ = d.world.connection()
	d.declare(clinicURN)
	return d
}

func (d *declared) declare(urn string) {
	d.world.must(d.org, &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
		{Name: "badge", Type: directory.AttributeInteger, URN: urn, Description: "On the coat"},
		{Name: "hired", Type: directory.AttributeDate, URN: urn},
		{Name: "night", Type: directory.AttributeBoolean, URN: urn},
		{Name: "wards", Type: directory.AttributeString, Several: true, Values: []string{"east", "west"}, URN: urn},
		{Name: "note", Type: directory.AttributeString}, // of which no provider knows
	}}})
}

// user is what the rest of the product knows of one.
func (d *declared) user(id string) *directory.User {
	parsed, err := directory.ParseUserID(id)
	if err != nil {
		d.world.t.Fatal(err)
	}
	org, _ := d.log.machine.Root().Org(d.org)
	u, ok := org.User(parsed)
	if !ok {
		d.world.t.Fatalf("no user %s", id)
	}
	return u
}

func (d *declared) update(id string, change func(*directory.User)) {
	u := *d.user(id)
	change(&u)
	d.world.must(d.org, &fsm.UpdateUser{User: u})
}

// extension is what the provider reads.
func (d *declared) extension(id string) string {
	d.world.t.Helper()
	var user map[string]json.RawMessage
	if err := json.Unmarshal(d.want(200, "GET", "/Users/"+id, "").body, &user); err != nil {
		d.world.t.Fatal(err)
	}
	if has := strings.Contains(string(user["schemas"]), clinicURN); has != (user[clinicURN] != nil) {
		d.world.t.Errorf("schemas are %s", user["schemas"])
	}
	return string(user[clinicURN])
}

func (d *declared) holds(id, custom, extension string) {
	d.world.t.Helper()
	if got := string(d.user(id).Custom); got != custom {
		d.world.t.Errorf("the user has %s, want %s", got, custom)
	}
	if got := d.extension(id); got != extension {
		d.world.t.Errorf("the provider reads %s, want %s", got, extension)
	}
}

func patched(op, path, value string) string {
	return fmt.Sprintf(`{"Operations":[{"op":%q,"path":%q,"value":%s}]}`, op, path, value)
}

// TestDeclaredExtensionIsTheOrganizationsOwn: what a provider sends in it are the values
// that the rest of the product knows, and what others set the provider reads.
func TestDeclaredExtensionIsTheOrganizationsOwn(t *testing.T) {
	d := newDeclared(t)
	id := d.create("/Users", person("ada", `,"`+clinicURN+`":{"badge":"7","wards":["west"],"shoe":44}`))
	d.holds(id, `{"badge":7,"wards":["west"]}`, `{"badge":7,"shoe":44,"wards":["west"]}`)

	d.update(id, func(u *directory.User) { u.Custom = []byte(`{"badge":8,"note":"n","wards":["west"]}`) })
	d.holds(id, `{"badge":8,"note":"n","wards":["west"]}`, `{"badge":8,"shoe":44,"wards":["west"]}`)
	d.want(200, "PATCH", "/Users/"+id, patched("Replace", clinicURN+":Night", `"True"`))
	d.want(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"add","value":{"`+strings.ToUpper(clinicURN)+`:HIRED":"2026-11-30","`+clinicURN+`":{"wards":["east"]}}}]}`)
	d.holds(id, `{"badge":8,"hired":"2026-11-30","night":true,"note":"n","wards":["west","east"]}`,
		`{"badge":8,"hired":"2026-11-30","night":true,"shoe":44,"wards":["west","east"]}`)
	before := d.user(id).Version
	for _, body := range []string{patched("replace", clinicURN+":badge", `"8"`), patched("add", clinicURN+":wards", `["west"]`), patched("replace", "title", `""`)} {
		if got := d.want(200, "PATCH", "/Users/"+id, body); d.user(id).Version != before || got.header.Get("X-Authfi-Index") != "" {
			t.Errorf("%s is an entry", body)
		}
	}
	d.want(200, "PATCH", "/Users/"+id, patched("remove", clinicURN+":wards", `["west"]`))
	d.want(200, "PATCH", "/Users/"+id, patched("remove", clinicURN+":shoe", "null"))
	d.holds(id, `{"badge":8,"hired":"2026-11-30","night":true,"note":"n","wards":["east"]}`, `{"badge":8,"hired":"2026-11-30","night":true,"wards":["east"]}`)
	d.want(200, "PUT", "/Users/"+id, person("ada", `,"`+clinicURN+`":{"badge":9}`))
	d.holds(id, `{"badge":9,"note":"n"}`, `{"badge":9}`)
	d.want(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"remove","path":"`+clinicURN+`"}]}`)
	d.holds(id, `{"note":"n"}`, "")
	d.want(200, "PUT", "/Users/"+id, person("ada", `,"`+clinicURN+`:badge":1,"badge":2`))
	d.holds(id, `{"badge":1,"note":"n"}`, `{"badge":1}`)
	if strings.Contains(string(d.user(id).Attributes), "badge") {
		t.Errorf("a value is stored twice: %s", d.user(id).Attributes)
	}
}

// TestDeclaredTypes: what is not of the type is refused, and says which attribute and
// what it must be; nothing of the request applies.
func TestDeclaredTypes(t *testing.T) {
	d := newDeclared(t)
	id := d.create("/Users", person("ada", ""))
	for _, row := range []struct{ name, value, detail string }{
		{"badge", `"x"`, "badge must be a whole number"},
		{"badge", `7.5`, "badge must be a whole number"},
		{"badge", `9007199254740992`, "custom.badge: must be integer"},
		{"night", `"perhaps"`, "night must be true or false"},
		{"hired", `"30.11.2026"`, "custom.hired: must be a date as in 2026-11-30"},
		{"wards", `["north"]`, "custom.wards: must be an array of at most 100, each one of the allowed values"},
		{"wards", `[{"x":"east"}]`, "wards must be a string"},
		{"badge", `{"value":{"value":1}}`, "badge must be a whole number"},
	} {
		for _, r := range []struct{ method, path, body string }{
			{"POST", "/Users", person("bob", `,"`+clinicURN+`":{"`+row.name+`":`+row.value+`}`)},
			{"POST", "/Users", person("bob", `,"`+clinicURN+`:`+row.name+`":`+row.value)},
			{"PUT", "/Users/" + id, person("bob", `,"`+clinicURN+`":{"`+row.name+`":`+row.value+`}`)},
			{"PATCH", "/Users/" + id, patched("add", clinicURN+":"+row.name, row.value)},
			{"PATCH", "/Users/" + id, `{"Operations":[{"op":"replace","value":{"title":"t","` + clinicURN + `:` + row.name + `":` + row.value + `}}]}`},
		} {
			got := d.do(r.method, r.path, r.body)
			var failure struct{ ScimType, Detail string }
			if err := json.Unmarshal(got.body, &failure); err != nil || got.status != http.StatusBadRequest || failure.ScimType != "invalidValue" || failure.Detail != row.detail {
				t.Errorf("%s %s: %d %s", r.method, r.body, got.status, got.body)
			}
		}
	}
	if got := d.extension(id); got != "" || d.user(id).UserName != "ada" {
		t.Errorf("something was applied: %s", got)
	}
}

// TestDeclaredFilters are by the URN, by the bare name, and in an order.
func TestDeclaredFilters(t *testing.T) {
	d := newDeclared(t)
	d.create("/Users", person("ada", `,"`+clinicURN+`":{"badge":10,"wards":["west","east"],"hired":"2026-01-30"}`))
	d.create("/Users", person("bob", `,"`+clinicURN+`":{"badge":9,"night":true}`))
	d.create("/Users", person("cara", ""))
	for _, row := range []struct{ filter, want string }{
		{clinicURN + `:badge eq 10`, "ada"},
		{strings.ToUpper(clinicURN) + `:Badge gt 9`, "ada"},
		{clinicURN + `:badge ge 9`, "ada bob"},
		{clinicURN + `:badge pr`, "ada bob"},
		{`not (` + clinicURN + `:badge pr)`, "cara"},
		{clinicURN + `:wards eq "EAST"`, "ada"},
		{clinicURN + `:night eq "True"`, "bob"},
		{clinicURN + `:hired sw "2026-01"`, "ada"},
		{`badge eq 9`, "bob"},
		{`schemas eq "` + clinicURN + `"`, "ada bob"},
		{`userName eq "bob" and ` + clinicURN + `:badge eq 9`, "bob"},
		{`urn:other:2.0:User:badge eq 9`, ""},
	} {
		if got := strings.Join(d.list("/Users", url.Values{"filter": {row.filter}}).names(), " "); got != row.want {
			t.Errorf("%s: %s", row.filter, got)
		}
	}
	if got := d.list("/Users", url.Values{"sortBy": {clinicURN + ":badge"}}).names(); !slices.Equal(got, []string{"bob", "ada", "cara"}) {
		t.Errorf("sorted: %v", got)
	}
	l := d.list("/Users", url.Values{"attributes": {clinicURN + ":badge"}, "filter": {`userName eq "ada"`}})
	if got := l.Resources[0]; len(got) != 3 || fmt.Sprint(got[clinicURN]) != "map[badge:10]" {
		t.Errorf("%v", got)
	}
}

// TestDeclaredSchemasAreServed to whoever shows a token, and nothing of them to anybody
// else.
func TestDeclaredSchemasAreServed(t *testing.T) {
	d := newDeclared(t)
	read := func(path string, header map[string]string) (all map[string]any) {
		t.Helper()
		got := d.send("GET", path, "", header)
		if err := json.Unmarshal(got.body, &all); err != nil || got.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, got.status, got.body)
		}
		return all
	}
	token := map[string]string{"Authorization": "Bearer " + d.token}
	schema := read("/Schemas/"+strings.ToUpper(clinicURN), token)
	if schema["id"] != clinicURN || schema["name"] != "clinic" || !noNulls(schema) {
		t.Errorf("%v", schema)
	}
	want := map[string]string{"badge": "integer false", "hired": "string false", "night": "boolean false", "wards": "string true [east west]"}
	found := map[string]string{}
	for _, a := range schema["attributes"].([]any) {
		attribute := a.(map[string]any)
		text := fmt.Sprint(attribute["type"], " ", attribute["multiValued"])
		if values := attribute["canonicalValues"]; values != nil {
			text += fmt.Sprint(" ", values)
		}
		found[attribute["name"].(string)] = text
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("%v", found)
	}
	for _, row := range []struct {
		header map[string]string
		want   bool
	}{{token, true}, {nil, false}} {
		list, user := read("/Schemas", row.header), read("/ResourceTypes/User", row.header)
		for what, got := range map[string]bool{
			"schemas":        strings.Contains(fmt.Sprint(list["Resources"]), clinicURN),
			"resource types": strings.Contains(fmt.Sprint(user["schemaExtensions"]), clinicURN),
		} {
			if got != row.want {
				t.Errorf("%s: declared %v with %v", what, got, row.header)
			}
		}
	}
	if got := d.send("GET", "/Schemas/"+clinicURN, "", nil); got.status != http.StatusNotFound {
		t.Errorf("without a token: %d", got.status)
	}
}

// TestExtensionIsDeclaredLater: what was kept as it came shows as what it is now, and a
// value of no such type does not hinder any other change.
func TestExtensionIsDeclaredLater(t *testing.T) {
	d := newDeclared(t)
	d.declare("")
	ada := d.create("/Users", person("ada", `,"`+strings.ToUpper(clinicURN)+`":{"badge":7,"HIRED":"2026-11-30","shoe":44}`))
	bob := d.create("/Users", person("bob", `,"`+clinicURN+`":{"badge":"seven","night":"yes"}`))
	if got := string(d.user(ada).Custom); got != "" {
		t.Fatalf("not declared, and yet %s", got)
	}
	d.declare(clinicURN)
	d.holds(ada, "", `{"badge":7,"hired":"2026-11-30","shoe":44}`)
	d.holds(bob, "", "")
	for _, id := range []string{ada, bob} {
		d.want(200, "PATCH", "/Users/"+id, patched("replace", "title", `"t"`))
	}
	d.holds(ada, `{"badge":7,"hired":"2026-11-30"}`, `{"badge":7,"hired":"2026-11-30","shoe":44}`)
	d.holds(bob, "", "")
	d.declare("") // and not any more: the values stay the organization's
	d.holds(ada, `{"badge":7,"hired":"2026-11-30"}`, `{"shoe":44}`)
}

// TestValuesThatTheSchemaLost: a user who had a value that the schema does not allow any
// more could not be changed by a provider, which knows nothing of it.
func TestValuesThatTheSchemaLost(t *testing.T) {
	d := newDeclared(t)
	id := d.create("/Users", person("ada", `,"`+clinicURN+`":{"badge":7}`))
	d.update(id, func(u *directory.User) { u.Custom = []byte(`{"badge":7,"note":"n"}`) })
	d.world.must(d.org, &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
		{Name: "badge", Type: directory.AttributeString, URN: clinicURN},
	}}})
	d.holds(id, `{"badge":7,"note":"n"}`, "")
	d.want(200, "PATCH", "/Users/"+id, patched("replace", "title", `"t"`))
	d.holds(id, "", "")
	d.want(200, "PATCH", "/Users/"+id, patched("replace", clinicURN+":badge", `7`))
	d.holds(id, `{"badge":"7"}`, `{"badge":"7"}`)
}

// TestUndeclaredExtensions are kept as they came or refused, as the switch has it; in a
// declared one an attribute that it has not is treated so.
func TestUndeclaredExtensions(t *testing.T) {
	d := newDeclared(t)
	org, con := d.world.connection()
	yes := true
	d.world.must(org, &fsm.UpdateConnection{ID: con, RejectAttributes: &yes})
	id := d.create("/Users", person("ada", `,"`+clinicURN+`":{"badge":7}`))
	for _, body := range []string{
		patched("add", clinicURN+":shoe", "44"), patched("add", "urn:other:2.0:User:badge", "7"),
		`{"Operations":[{"op":"add","value":{"` + clinicURN + `":{"shoe":44}}}]}`,
	} {
		if got := d.want(400, "PATCH", "/Users/"+id, body); !strings.Contains(string(got.body), "invalidPath") {
			t.Errorf("%s: %s", body, got.body)
		}
	}
	d.want(400, "POST", "/Users", person("bob", `,"urn:other:2.0:User":{"badge":"x"}`))
	no := false
	d.world.must(org, &fsm.UpdateConnection{ID: con, RejectAttributes: &no})
	d.want(200, "PATCH", "/Users/"+id, patched("add", "urn:other:2.0:User:badge", `{"any":"thing"}`))
	d.holds(id, `{"badge":7}`, `{"badge":7}`)
	d.create("/Groups", fmt.Sprintf(`{"displayName":"g",%q:{"badge":"x"}}`, clinicURN))
}

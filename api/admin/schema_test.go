package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestSchema(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	_, admin := s.admin(org, "alice", "manage:settings", "read:directory")
	_, reader := s.admin(org, "bob", "read:directory")
	path := "/api/v1/organizations/" + org + "/schema"
	res, empty := admin.send("GET", path, "")
	if list, _ := empty["attributes"].([]any); len(list) != 0 || res.Header.Get("ETag") != "" || empty["version"] != json.Number("0") {
		t.Errorf("an empty schema is %v, ETag %q", empty, res.Header.Get("ETag"))
	}
	body := `{"attributes":[{"name":"wing","type":"string","several":true,"values":["north","east","east"],"description":"where"},{"name":"badge","type":"integer","urn":"urn:x:2.0:User"}]}`
	res, set := admin.send("PUT", path, body)
	want := `[map[description: name:badge several:false type:integer urn:urn:x:2.0:User values:[]] map[description:where name:wing several:true type:string urn: values:[east north]]]`
	if fmt.Sprint(set["attributes"]) != want || set["modified"] == nil || res.Header.Get("ETag") != fmt.Sprintf("%q", set["version"]) {
		t.Errorf("schema %v", set)
	}
	if got := reader.ok("GET", path, ""); fmt.Sprint(got) != fmt.Sprint(set) {
		t.Errorf("read %v, want %v", got, set)
	}
	reader.problem(http.StatusForbidden, "permission_denied", "", "PUT", path, body)
	admin.ok("PUT", path, body, "If-Match", res.Header.Get("ETag"))
	admin.problem(http.StatusPreconditionFailed, "failed_precondition", "version", "PUT", path, body, "If-Match", res.Header.Get("ETag"))
	if got := admin.ok("PUT", path, `{"attributes":[]}`); fmt.Sprint(got["attributes"]) != "[]" {
		t.Errorf("schema %v", got)
	}
}

func TestSchemaIsBounded(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	path := "/api/v1/organizations/" + org + "/schema"
	schema := func(attributes ...string) string { return `{"attributes":[` + strings.Join(attributes, ",") + `]}` }
	many := func(n int) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(`{"name":"a%d","type":"date"}`, i))
		}
		return list
	}
	values := func(n int) string {
		var list []string
		for i := range n {
			list = append(list, fmt.Sprintf(`"v%d"`, i))
		}
		return `{"name":"a","type":"string","values":[` + strings.Join(list, ",") + `]}`
	}
	text := func(name string, n int) string {
		return `{"name":"a","type":"string","` + name + `":"` + strings.Repeat("x", n) + `"}`
	}
	urn := func(n int) string {
		const begin, end = "urn:", ":2.0:User"
		return `{"name":"a","type":"string","urn":"` + begin + strings.Repeat("x", n-len(begin)-len(end)) + end + `"}`
	}
	for what, good := range map[string]string{
		"attributes":  schema(many(100)...),
		"values":      schema(values(100)),
		"name":        schema(`{"name":"` + strings.Repeat("n", 64) + `","type":"boolean"}`),
		"description": schema(text("description", 2048)),
		"urn":         schema(urn(256)),
		"value":       schema(`{"name":"a","type":"string","values":["` + strings.Repeat("v", 1024) + `"]}`),
	} {
		t.Log(what)
		s.ok("PUT", path, good)
	}
	for what, bad := range map[string]string{
		"attributes":             schema(many(101)...),
		"values":                 schema(values(101)),
		"name":                   schema(`{"name":"` + strings.Repeat("n", 65) + `","type":"boolean"}`),
		"description":            schema(text("description", 2049)),
		"urn":                    schema(urn(257)),
		"value":                  schema(`{"name":"a","type":"string","values":["` + strings.Repeat("v", 1025) + `"]}`),
		"no name":                schema(`{"type":"string"}`),
		"no type":                schema(`{"name":"a"}`),
		"another type":           schema(`{"name":"a","type":"float"}`),
		"a name with a dot":      schema(`{"name":"a.b","type":"string"}`),
		"a name in upper case":   schema(`{"name":"A","type":"string"}`),
		"two of a name":          schema(`{"name":"a","type":"string"}`, `{"name":"a","type":"date"}`),
		"values of an integer":   schema(`{"name":"a","type":"integer","values":["1"]}`),
		"an empty allowed value": schema(`{"name":"a","type":"string","values":[""]}`),
	} {
		t.Log(what)
		s.problem(http.StatusBadRequest, "invalid_argument", "attributes", "PUT", path, bad)
	}
}

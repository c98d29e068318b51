package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/scim/journal"
)

type bulkAnswer struct {
	Operations []struct {
		Method, BulkID, Location, Version, Status string
		Response                                  map[string]any
	}
}

func (c *client) bulk(more string, operations ...string) (a bulkAnswer) {
	c.t.Helper()
	got := c.do("POST", "/Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]`+more+`,"Operations":[`+strings.Join(operations, ",")+`]}`)
	if got.status != http.StatusOK {
		c.t.Fatalf("%d %s", got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &a); err != nil {
		c.t.Fatal(err)
	}
	return a
}

func (a bulkAnswer) statuses() string {
	var all []string
	for _, op := range a.Operations {
		all = append(all, op.Status)
	}
	return strings.Join(all, " ")
}

func operation(method, path, more string) string {
	return fmt.Sprintf(`{"method":%q,"path":%q%s}`, method, path, more)
}

func post(kind, bulkID, data string) string {
	return operation("POST", "/"+kind, fmt.Sprintf(`,"bulkId":%q,"data":%s`, bulkID, data))
}

func team(name string, members ...string) string {
	var all []string
	for _, m := range members {
		all = append(all, fmt.Sprintf(`{"value":%q}`, m))
	}
	return fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":%q,"members":[%s]}`, name, strings.Join(all, ","))
}

// members are the ids of a group's members, with their types.
func (c *client) members(location string) string {
	c.t.Helper()
	var g struct {
		Members []struct{ Value, Type string }
	}
	got := c.do("GET", strings.TrimPrefix(location, c.base), "")
	if err := json.Unmarshal(got.body, &g); err != nil {
		c.t.Fatal(err)
	}
	var all []string
	for _, m := range g.Members {
		all = append(all, m.Type+" "+m.Value)
	}
	return strings.Join(all, ",")
}

// TestBulk: references to what comes before and after, and to a circle, become ids
// (RFC 7644 section 3.7.1).
func TestBulk(t *testing.T) {
	c := newWorld(t).organization("clinic")
	a := c.bulk("",
		post("Groups", "team", team("team", "bulkId:late")), // before there is anybody
		post("Users", "late", person("late", `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"bulkId:boss"}}`)),
		post("Users", "boss", person("boss", "")),
		operation("PATCH", "/Users/bulkId:boss", `,"data":{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"add","path":"title","value":"Dr."}]}`),
		operation("DELETE", "/Users/bulkId:boss", ``),
	)
	if a.statuses() != "201 201 201 200 204" {
		t.Fatalf("%+v", a)
	}
	late := strings.TrimPrefix(a.Operations[1].Location, c.base+"/Users/")
	if got := c.members(a.Operations[0].Location); got != "User "+late {
		t.Errorf("the team has %s", got)
	}
	boss := strings.TrimPrefix(a.Operations[2].Location, c.base+"/Users/")
	if got := c.do("GET", "/Users/"+late, ""); !strings.Contains(string(got.body), boss) {
		t.Errorf("no manager: %s", got.body)
	}
	if got := c.do("GET", "/Users/"+boss, ""); got.status != http.StatusNotFound {
		t.Errorf("the boss is there: %d", got.status)
	}
	if a.Operations[1].Version == "" || a.Operations[4].Location != a.Operations[2].Location || a.Operations[0].BulkID != "team" {
		t.Errorf("%+v", a)
	}
}

// TestBulkCircle: two users who manage each other.
func TestBulkCircle(t *testing.T) {
	c := newWorld(t).organization("clinic")
	managed := func(name, by string) string {
		return person(name, fmt.Sprintf(`,"title":"Dr.","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"bulkId:%s"}}`, by))
	}
	a := c.bulk("", post("Users", "a", managed("ada", "b")), post("Users", "b", managed("bob", "a")))
	if a.statuses() != "201 201" {
		t.Fatalf("%+v", a)
	}
	for i, op := range a.Operations {
		other := strings.TrimPrefix(a.Operations[1-i].Location, c.base+"/Users/")
		got := c.do("GET", strings.TrimPrefix(op.Location, c.base), "")
		if !strings.Contains(string(got.body), `"manager":{"value":"`+other+`"`) && !strings.Contains(string(got.body), other) {
			t.Errorf("%s", got.body)
		}
		if got.header.Get("ETag") != op.Version {
			t.Errorf("version %s is now %s", op.Version, got.header.Get("ETag"))
		}
	}
}

func TestBulkStopsAfterErrors(t *testing.T) {
	c := newWorld(t).organization("clinic")
	bad := operation("DELETE", "/Users/usr-0", "")
	last := post("Users", "x", person("last", ""))
	for _, row := range []struct{ more, want string }{
		{"", "404 404 201"}, {`,"failOnErrors":0`, "404 404 409"}, {`,"failOnErrors":1`, "404"}, {`,"failOnErrors":2`, "404 404"}, {`,"failOnErrors":3`, "404 404 409"},
	} {
		if got := c.bulk(row.more, bad, bad, last).statuses(); got != row.want {
			t.Errorf("%s: %s", row.more, got)
		}
	}
}

// TestBulkRefusals: what is wrong with one operation is its own, and the rest of the
// request goes on.
func TestBulkRefusals(t *testing.T) {
	w := newWorld(t)
	c, other := w.organization("clinic"), w.organization("lab")
	foreign := other.create("/Users", person("foreign", ""))
	a := c.bulk("",
		operation("GET", "/Users", ""), operation("PUT", "/Users/"+foreign, `,"data":`+person("x", "")),
		operation("DELETE", "/scim/v2/lab/Users/"+foreign, ""), operation("DELETE", "/../lab/Users/"+foreign, ""),
		operation("POST", "/Bulk", `,"bulkId":"b","data":{}`), operation("POST", "/Users/.search", `,"bulkId":"s","data":{}`),
		post("Users", "n", `{"title":"nobody"}`), post("Groups", "g", team("g", "bulkId:nobody")),
		operation("DELETE", "/Users/bulkId:n", ""), operation("PATCH", "/Users", ""), operation("DELETE", "", ""),
		operation("DELETE", "/Users/"+foreign, `,"version":"W/\"1\""`), post("Users", "ok", person("ok", "")),
	)
	if got := a.statuses(); got != "400 404 400 400 400 400 400 400 400 405 400 404 201" {
		t.Errorf("%s: %+v", got, a)
	}
	for _, op := range a.Operations[:12] {
		if op.Response["status"] != op.Status || op.Response["detail"] == "" || op.Location == "" && op.Response == nil {
			t.Errorf("%+v", op)
		}
	}
	if got := other.do("GET", "/Users/"+foreign, ""); got.status != http.StatusOK {
		t.Error("a bulk request has reached another organization")
	}
	version := c.do("GET", strings.TrimPrefix(a.Operations[12].Location, c.base), "").header.Get("ETag")
	path := strings.TrimPrefix(a.Operations[12].Location, c.base)
	if got := c.bulk("", operation("DELETE", path, `,"version":"W/\"1\""`), operation("DELETE", path, fmt.Sprintf(`,"version":%q`, version))).statuses(); got != "412 204" {
		t.Errorf("versions: %s", got)
	}
}

func TestBulkLimits(t *testing.T) {
	c := newWorld(t).organization("clinic")
	const head = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[`
	one := operation("DELETE", "/Users/usr-0", "")
	for name, row := range map[string]struct {
		body   string
		status int
	}{
		"100 operations": {head + strings.Repeat(one+",", 99) + one + `]}`, 200},
		"101 operations": {head + strings.Repeat(one+",", 100) + one + `]}`, 413},
		"1 MB":           {head + one + `]` + strings.Repeat(" ", 1<<20-len(head)-len(one)-2) + `}`, 200},
		"a byte more":    {head + one + `]` + strings.Repeat(" ", 1<<20-len(head)-len(one)-1) + `}`, 413},
		"no schema":      {`{"Operations":[]}`, 400},
		"no bulkId":      {head + operation("POST", "/Users", `,"data":{}`) + `]}`, 400},
		"one name twice": {head + post("Users", "a", "{}") + "," + post("Users", "a", "{}") + `]}`, 400},
		"256 bytes":      {head + post("Users", strings.Repeat("a", 256), "{}") + `]}`, 200},
		"a long name":    {head + post("Users", strings.Repeat("a", 257), "{}") + `]}`, 400},
		"a number":       {`7`, 400},
		"an error bound": {`{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"failOnErrors":-1,"Operations":[]}`, 400},
		"nothing":        {head + `]}`, 200},
	} {
		if got := c.do("POST", "/Bulk", row.body); got.status != row.status {
			t.Errorf("%s: %d %.200s", name, got.status, got.body)
		}
	}
}

// TestFlood: who sends without end is told to wait, and nobody else is.
func TestFlood(t *testing.T) {
	w := newWorld(t)
	c, other := w.organization("clinic"), w.organization("lab")
	one := operation("DELETE", "/Users/usr-0", "")
	body := `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[` + strings.Repeat(one+",", 99) + one + `]}`
	for range 1000 {
		got := c.do("POST", "/Bulk", body)
		if got.status == http.StatusOK {
			continue
		}
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") != "1" || !strings.Contains(string(got.body), `"status":"429"`) {
			t.Errorf("%d %v %s", got.status, got.header, got.body)
		}
		if got := other.do("GET", "/Users", ""); got.status != http.StatusOK {
			t.Errorf("the neighbour: %d", got.status)
		}
		return
	}
	t.Error("100,000 operations are not too many")
}

// TestBulkCircleThatBreaks: ada was told to be whole although her manager had never
// been created.
func TestBulkCircleThatBreaks(t *testing.T) {
	c := newWorld(t).organization("clinic")
	taken := c.create("/Users", person("bob", ""))
	managed := func(name, by string) string {
		return person(name, fmt.Sprintf(`,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":{"value":"bulkId:%s"}}`, by))
	}
	a := c.bulk("", post("Users", "b", managed("bob", "a")), post("Users", "a", managed("ada", "b")))
	if a.statuses() != "409 409" || a.Operations[0].Response["scimType"] != "uniqueness" {
		t.Fatalf("%+v", a)
	}
	ada := a.Operations[1]
	if detail, _ := ada.Response["detail"].(string); !strings.Contains(detail, "bulkId:b") || ada.Location == "" || strings.HasSuffix(ada.Location, taken) {
		t.Errorf("%+v", ada)
	}
}

// TestBulkReferencesInPaths: the filter of a path names what the request creates.
func TestBulkReferencesInPaths(t *testing.T) {
	c := newWorld(t).organization("clinic")
	group := c.create("/Groups", team("team"))
	patch := func(op, value string) string {
		return operation("PATCH", "/Groups/"+group, fmt.Sprintf(`,"data":{"Operations":[{"op":%q,%s}]}`, op, value))
	}
	a := c.bulk("", post("Users", "a", person("ada", `,"title":"say \"bulkId:a\""`)), post("Users", "b", person("bob", "")),
		patch("add", `"path":"members","value":[{"value":"bulkId:a"},{"value":"bulkId:b"}]`),
		patch("remove", `"path":"members[value eq \"bulkId:a\"]"`), patch("remove", `"path":"members[value eq \"bulkId:c\"]"`),
	)
	bob := strings.TrimPrefix(a.Operations[1].Location, c.base+"/Users/")
	if got := c.members("/Groups/" + group); a.statuses() != "201 201 204 204 400" || got != "User "+bob {
		t.Errorf("%+v: the team has %s", a, got)
	}
	if got := c.do("GET", "/Users?filter=title%20co%20%22bulkId:a%22", ""); !strings.Contains(string(got.body), `"totalResults":1`) {
		t.Errorf("a text was taken for a reference: %s", got.body)
	}
}

// TestBulkIsCountedByOperations: a provider that sends in bulk was healthy however much of
// it failed.
func TestBulkIsCountedByOperations(t *testing.T) {
	w := newWorld(t)
	c := w.organization("clinic")
	id := c.create("/Users", person("ada", ""))
	group := c.create("/Groups", team("team"))
	reference := `,"data":{"Operations":[{"op":"remove","path":"members","value":[{"value":"x"}]}]}`
	c.bulk("", operation("DELETE", "/Users/usr-0", ""), operation("PATCH", "/Groups/grp-0", reference),
		operation("PATCH", "/Groups/"+group, reference), operation("PUT", "/Users/"+id, `,"data":`+person("Ada", "")), post("Users", "n", `{}`))
	state := w.journal.Answer(journal.Question{Org: c.org, Connection: c.connection}, time.Now()).State
	want := journal.Counts{Success: 4, ClientFailure: 3, Reference: 1}
	if state.Window != want || state.Consecutive != 1 || state.LastWrite.IsZero() {
		t.Errorf("%+v, want %+v", state, want)
	}
	c.bulk(`,"failOnErrors":1`, operation("DELETE", "/Users/usr-0", ""), operation("DELETE", "/Users/usr-0", ""))
	if got := c.do("POST", "/Bulk", `{}`); got.status != http.StatusBadRequest {
		t.Errorf("%d %s", got.status, got.body)
	}
	want.ClientFailure += 2 // the one that was done, and the request that was none
	if state = w.journal.Answer(journal.Question{Org: c.org, Connection: c.connection}, time.Now()).State; state.Window != want || state.Consecutive != 3 {
		t.Errorf("%+v, want %+v", state, want)
	}
}

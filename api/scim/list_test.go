package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// listed is the answer to a list request.
type listed struct {
	TotalResults *int
	StartIndex   *int
	ItemsPerPage int
	NextCursor   string
	Resources    []map[string]any
	ScimType     string
	Detail       string
}

func (c *client) list(path string, query url.Values) (l listed) {
	c.t.Helper()
	got := c.do("GET", path+"?"+query.Encode(), "")
	if err := json.Unmarshal(got.body, &l); err != nil || got.status != http.StatusOK && got.status != http.StatusBadRequest {
		c.t.Fatalf("%s %v: %d %s", path, query, got.status, got.body)
	}
	return l
}

// names are the user names, or display names, of a page.
func (l listed) names() (names []string) {
	for _, r := range l.Resources {
		name, ok := r["userName"].(string)
		if !ok {
			name, _ = r["displayName"].(string)
		}
		names = append(names, name)
	}
	return names
}

const userURN = `"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"]`

func person(name, more string) string {
	return fmt.Sprintf(`{%s,"userName":%q%s}`, userURN, name, more)
}

// TestSort is RFC 7644 section 3.4.2.3.
func TestSort(t *testing.T) {
	c := newWorld(t).organization("clinic")
	c.create("/Users", person("cara", `,"title":"beta","name":{"familyName":"Young"}`))
	c.create("/Users", person("abel", `,"title":"Alpha","emails":[{"value":"z@x.example"},{"value":"b@x.example","primary":true}]`))
	c.create("/Users", person("Bert", `,"title":"gamma","active":false,"emails":[{"value":"a@x.example"}]`))
	c.create("/Users", person("dora", `,"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"ward"}`))
	for _, row := range []struct{ by, order, want string }{
		{"userName", "", "abel Bert cara dora"}, // without regard to case
		{"userName", "descending", "dora cara Bert abel"},
		{"USERNAME", "Ascending", "abel Bert cara dora"},
		{"title", "", "abel cara Bert dora"}, // who has none comes last
		{"title", "descending", "dora Bert cara abel"},
		{"name.familyName", "", "cara abel Bert dora"}, // equals stay in the order of ids
		{"name.familyName", "descending", "abel Bert dora cara"},
		{"emails", "", "Bert abel cara dora"}, // the primary one
		{"emails.value", "", "Bert abel cara dora"},
		{"active", "", "Bert cara abel dora"},
		{"meta.created", "", "cara abel Bert dora"},
		{"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "", "dora cara abel Bert"},
		{"nothing", "", "cara abel Bert dora"},
	} {
		whole := c.list("/Users", url.Values{"sortBy": {row.by}, "sortOrder": {row.order}})
		if got := strings.Join(whole.names(), " "); got != row.want || *whole.TotalResults != 4 {
			t.Errorf("sortBy %s %s: %s", row.by, row.order, got)
		}
		var paged []string
		for start := 1; start <= 4; start += 3 {
			l := c.list("/Users", url.Values{"sortBy": {row.by}, "sortOrder": {row.order}, "startIndex": {fmt.Sprint(start)}, "count": {"3"}})
			paged = append(paged, l.names()...)
		}
		if got := strings.Join(paged, " "); got != row.want {
			t.Errorf("sortBy %s %s in pages: %s", row.by, row.order, got)
		}
	}
	if l := c.list("/Users", url.Values{"sortBy": {"userName"}, "sortOrder": {"upwards"}}); l.ScimType != "invalidValue" {
		t.Errorf("%+v", l)
	}
	if l := c.list("/Users", url.Values{"sortBy": {`emails[type eq "x"]`}}); l.ScimType != "invalidPath" {
		t.Errorf("%+v", l)
	}
	if l := c.list("/Users", url.Values{"sortBy": {"userName"}, "startIndex": {"9223372036854775807"}}); len(l.Resources) != 0 || *l.TotalResults != 4 {
		t.Errorf("a page beyond the last: %+v", l)
	}
}

// walk follows a cursor to the end; between the pages it calls between.
func (c *client) walk(path string, query url.Values, between func(page int)) (names []string) {
	c.t.Helper()
	query.Set("cursor", "")
	for page := 1; ; page++ {
		l := c.list(path, query)
		if l.StartIndex != nil || l.ScimType != "" {
			c.t.Fatalf("page %d: %+v", page, l)
		}
		names = append(names, l.names()...)
		if l.NextCursor == "" {
			return names
		}
		query.Set("cursor", l.NextCursor)
		between(page)
	}
}

// TestCursor: whoever is there all the while is shown once, in every order, whoever
// comes and goes between the pages (RFC 9865).
func TestCursor(t *testing.T) {
	for _, query := range []url.Values{
		{}, {"sortBy": {"userName"}}, {"sortBy": {"userName"}, "sortOrder": {"descending"}}, {"filter": {`userName sw "stays"`}},
		{"sortBy": {"title"}, "filter": {"active eq true"}},
	} {
		c := newWorld(t).organization("clinic")
		var want, goes []string
		for i := range 20 {
			stays, leaves := fmt.Sprintf("stays-%02d", i), fmt.Sprintf("leaves-%02d", i)
			c.create("/Users", person(stays, ""))
			goes = append(goes, c.create("/Users", person(leaves, "")))
			want = append(want, stays)
		}
		query.Set("count", "3")
		got := c.walk("/Users", query, func(page int) {
			c.create("/Users", person(fmt.Sprintf("comes-%02d", page), ""))
			if page < len(goes) {
				c.do("DELETE", "/Users/"+goes[page], "")
			}
		})
		stayed := slices.DeleteFunc(got, func(name string) bool { return !strings.HasPrefix(name, "stays") })
		if slices.Sort(stayed); !slices.Equal(stayed, want) {
			t.Errorf("%v: %v", query, stayed)
		}
	}
}

// TestLongValuesAreSortedByTheirBeginning: a key has 256 bytes, and whatever it is of,
// its cursor is taken back.
func TestLongValuesAreSortedByTheirBeginning(t *testing.T) {
	c := newWorld(t).organization("clinic")
	within, beyond := strings.Repeat("\u00ff", 127), strings.Repeat("\u00ff", 128)
	for name, title := range map[string]string{"b": within + "b", "a": within + "a"} {
		c.create("/Users", person("within-"+name, fmt.Sprintf(`,"title":%q`, title)))
	}
	for _, title := range []string{"z", "y", "x"} { // differ after the key only: as they were made
		c.create("/Users", person("beyond-"+title, fmt.Sprintf(`,"title":%q`, beyond+title)))
	}
	got := c.walk("/Users", url.Values{"sortBy": {"title"}, "count": {"1"}}, func(int) {})
	if want := "within-a within-b beyond-z beyond-y beyond-x"; strings.Join(got, " ") != want {
		t.Errorf("%v", got)
	}
}

func TestCursorIsOfOneList(t *testing.T) {
	w := newWorld(t)
	c, other := w.organization("clinic"), w.organization("lab")
	for i := range 4 {
		c.create("/Users", person(fmt.Sprint("user-", i), ""))
		c.create("/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"group-%d"}`, i))
	}
	cursor := c.list("/Users", url.Values{"cursor": {""}, "count": {"2"}}).NextCursor
	if cursor == "" {
		t.Fatal("no cursor")
	}
	for _, row := range []struct {
		client *client
		path   string
		query  url.Values
		want   string
	}{
		{c, "/Users", url.Values{"cursor": {cursor}, "sortBy": {"userName"}}, "invalidCursor"},
		{c, "/Users", url.Values{"cursor": {cursor}, "filter": {"active eq true"}}, "invalidCursor"},
		{c, "/Groups", url.Values{"cursor": {cursor}}, "invalidCursor"},
		{c, "/", url.Values{"cursor": {cursor}}, "invalidCursor"},
		{other, "/Users", url.Values{"cursor": {cursor}}, "invalidCursor"},
		{c, "/Users", url.Values{"cursor": {cursor[1:]}}, "invalidCursor"},
		{c, "/Users", url.Values{"cursor": {strings.Repeat("A", 1025)}}, "invalidCursor"},
		{c, "/Users", url.Values{"cursor": {cursor}, "count": {"many"}}, "invalidCount"},
		{c, "/Users", url.Values{"count": {"many"}}, "invalidValue"},
		{c, "/Users", url.Values{"cursor": {cursor}, "startIndex": {"1"}}, "invalidValue"},
	} {
		if l := row.client.list(row.path, row.query); l.ScimType != row.want || l.Detail == "" {
			t.Errorf("%s %v: %+v", row.path, row.query, l)
		}
	}
	// Another page size is no other list.
	if l := c.list("/Users", url.Values{"cursor": {cursor}, "count": {"1"}}); len(l.Resources) != 1 || l.names()[0] != "user-2" || *l.TotalResults != 4 {
		t.Errorf("%+v", l)
	}
}

// TestSearch is RFC 7644 section 3.4.3: the same answers as for a GET.
func TestSearch(t *testing.T) {
	c := newWorld(t).organization("clinic")
	id := c.create("/Users", person("ada", `,"title":"Dr."`))
	c.create("/Users", person("bob", ""))
	c.create("/Groups", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:Group"],"displayName":"ada's","members":[{"value":%q}]}`, id))
	const head = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]`
	for _, row := range []struct{ path, body, want string }{
		{"/Users/.search", head + `}`, "ada bob"},
		{"/Users/.search", head + `,"filter":"title pr","attributes":["userName"]}`, "ada"},
		{"/Groups/.search", head + `,"excludedAttributes":["members"]}`, "ada's"},
		{"/.search", head + `,"sortBy":"userName","sortOrder":"descending"}`, "ada's bob ada"}, // a group has no user name
		{"/.search", head + `,"filter":"meta.resourceType eq \"User\"","startIndex":2,"count":5}`, "bob"},
		{"/.search", head + `,"filter":"displayName sw \"ada\" or userName eq \"BOB\""}`, "ada's bob"},
		{"/.search", head + `,"cursor":"","count":1}`, "ada's"},
	} {
		got := c.do("POST", row.path, row.body)
		var l listed
		if err := json.Unmarshal(got.body, &l); err != nil || got.status != http.StatusOK || strings.Join(l.names(), " ") != row.want {
			t.Errorf("%s %s: %d %s", row.path, row.body, got.status, got.body)
		}
		for _, r := range l.Resources {
			if strings.Contains(row.body, `"attributes"`) && (len(r) != 3 || r["id"] != id) || r["members"] != nil && strings.Contains(row.body, "excluded") {
				t.Errorf("%s: %v", row.body, r)
			}
		}
	}
	for _, body := range []string{"", "[]", `{}`, head + `,"filter":"x"}`, head + `,"filter":7}`, head + `,"count":"1"}`} {
		if got := c.do("POST", "/.search", body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d %s", body, got.status, got.body)
		}
	}
	for more, want := range map[int]int{0: http.StatusOK, 1: http.StatusRequestEntityTooLarge} {
		body := head + strings.Repeat(" ", 64<<10-len(head)-1+more) + "}"
		if got := c.do("POST", "/.search", body); got.status != want {
			t.Errorf("64 KB and %d bytes: %d %s", more, got.status, got.body)
		}
	}
	if l := c.list("/", url.Values{}); strings.Join(l.names(), " ") != "ada's ada bob" {
		t.Errorf("the root has %v", l.names())
	}
}

func TestConditionalReads(t *testing.T) {
	c := newWorld(t).organization("clinic")
	id := c.create("/Users", person("ada", ""))
	first := c.do("GET", "/Users/"+id, "")
	tag := first.header.Get("ETag")
	auth := "Bearer " + c.token
	for _, row := range []struct {
		header string
		want   int
	}{{tag, 304}, {strings.TrimPrefix(tag, "W/"), 304}, {`"x", ` + tag, 304}, {"*", 304}, {`W/"1"`, 200}, {"", 200}} {
		got := c.send("GET", "/Users/"+id, "", map[string]string{"Authorization": auth, "If-None-Match": row.header})
		if got.status != row.want || got.header.Get("ETag") != tag || row.want == 304 && len(got.body) > 0 {
			t.Errorf("If-None-Match %s: %d %s", row.header, got.status, got.body)
		}
	}
	if got := c.do("HEAD", "/Users/"+id, ""); got.status != http.StatusOK || got.header.Get("ETag") != tag || len(got.body) > 0 {
		t.Errorf("HEAD: %d", got.status)
	}
}

// TestDiscoveryIsOpen: what is the same for everybody needs no token and tells
// nothing of who has an organization here (RFC 7644 section 4).
func TestDiscoveryIsOpen(t *testing.T) {
	c := newWorld(t).organization("clinic")
	nobody := &client{t: t, base: strings.TrimSuffix(c.base, "clinic") + "nobody"}
	for _, path := range []string{"/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/ResourceTypes/User", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group"} {
		have, none := c.send("GET", path, "", nil), nobody.send("GET", path, "", nil)
		if have.status != http.StatusOK || strings.ReplaceAll(string(have.body), "/clinic", "/nobody") != string(none.body) {
			t.Errorf("%s: %d %s and %s", path, have.status, have.body, none.body)
		}
		if got := c.send("GET", path, "", map[string]string{"Authorization": "Bearer afs_x"}); path != "/ServiceProviderConfig" && got.status != http.StatusUnauthorized {
			t.Errorf("%s with a bad token: %d", path, got.status)
		}
	}
	for path, want := range map[string]int{
		"/Schemas?filter=id%20pr": 403, "/Schemas/urn:x": 404, "/ResourceTypes/Me": 404, "/Me": 501, "/Me/x": 501, "/Nothing": 404, "/Bulk": 405, "/Users/.search": 405,
	} {
		if got := c.do("GET", path, ""); got.status != want {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
}

// TestLongWalksEnd: a list that looks at many gives back what keeps others of its
// organization waiting, also when it ends early.
func TestLongWalksEnd(t *testing.T) {
	w := newWorld(t)
	c := w.organization("large")
	c.fill(w, 2_500)
	for range 3 {
		for query, want := range map[string]int{`filter=nickName eq "N2400"`: 1, `filter=nickName eq "n1" and active gt true`: -1, "sortBy=displayName": 2_500, "sortBy=userName&startIndex=2400": 2_500} {
			var l listed
			a := c.do("GET", "/Users?count=1&"+query, "")
			if err := json.Unmarshal(a.body, &l); err != nil || (want < 0) != (l.TotalResults == nil) || want >= 0 && *l.TotalResults != want {
				t.Errorf("%s: %v %.300s", query, err, a.body)
			}
		}
	}
}

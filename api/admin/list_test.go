package admin_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// crowd is an organization with random users, groups and roles.
type crowd struct {
	*server
	direct     *direct
	rng        *rand.Rand
	org        string
	connection directory.ConnectionID
	users      []string
}

func newCrowd(t *testing.T, seed uint64, size int) *crowd {
	t.Helper()
	s, direct, org := newDirect(t)
	d := &crowd{s, direct, rand.New(rand.NewPCG(seed, 1)), org, s.connection(org), nil}
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger},
		directory.AttributeDefinition{Name: "hired", Type: directory.AttributeDate},
		directory.AttributeDefinition{Name: "night", Type: directory.AttributeBoolean},
		directory.AttributeDefinition{Name: "ward", Type: directory.AttributeString})
	for i := range size {
		d.addUser(i)
		d.ok("POST", "/api/v1/groups", d.json(map[string]any{
			"org_id": org, "name": d.pick("Ward", "ward", "Ärzte", "Team") + fmt.Sprint(i),
			"description": d.pick("", "night shift", "Day"), "external_id": d.pick("", "x", "X"),
		}))
		d.ok("POST", "/api/v1/roles", d.json(map[string]any{
			"org_id": org, "name": d.pick("Role", "rule") + fmt.Sprint(i), "description": d.pick("", "text"),
			"permissions": slices.Repeat([]string{d.pick("read:a", "read:b", "write:*")}, d.rng.IntN(3)),
		}))
	}
	return d
}

// schema gives the organization attributes of its own.
func (d *direct) schema(attributes ...directory.AttributeDefinition) {
	d.t.Helper()
	d.do(&fsm.PutSchema{Schema: directory.Schema{Attributes: attributes}})
}

// provision makes a change as an identity provider's connection does.
func (d *direct) provision(connection directory.ConnectionID, command fsm.OrgCommand) {
	d.t.Helper()
	provider := *d
	provider.env.Actor = directory.Actor{Kind: directory.ActorConnection, ID: connection}
	provider.do(command)
}

// connection makes a connection of an identity provider.
func (s *server) connection(org string) directory.ConnectionID {
	s.t.Helper()
	made := s.ok("POST", "/api/v1/organizations/"+org+"/scim-connections", `{"provider":"entra"}`)
	id, err := directory.ParseConnectionID(made.text(s.t, "id"))
	must(s.t, err)
	return id
}

func (d *crowd) json(v any) string {
	b, err := json.Marshal(v)
	must(d.t, err)
	return string(b)
}

func (d *crowd) pick(from ...string) string { return from[d.rng.IntN(len(from))] }

// addUser makes a user of whom anything may be missing, and every third through
// the connection.
func (d *crowd) addUser(i int) {
	name := d.pick("Ada", "ada", "Åsa", "Zoë", "ĐORĐE", "bo") + fmt.Sprint(i)
	if i%3 == 0 {
		d.direct.provision(d.connection, &fsm.CreateUser{User: directory.User{
			ID: access.NewID[directory.UserID](time.Now()), UserName: name, ExternalID: d.pick("", "X1", "x1"),
			DisplayName: d.pick("", "Ada Lovelace", "O'Neill, bo"), Active: d.rng.IntN(2) == 0,
			Source: directory.SourceSCIM, Connection: d.connection, Department: d.pick("", "Cardiology", "oncology"),
			Attributes: []byte(d.pick("", `{"nick":"A"}`)),
		}})
		return
	}
	custom := map[string]any{}
	for name, value := range map[string]any{
		"badge": d.rng.IntN(5), "hired": d.pick("2024-02-29", "2025-01-01"), "night": d.rng.IntN(2) == 0, "ward": d.pick("North", "south"),
	} {
		if d.rng.IntN(2) == 0 {
			custom[name] = value
		}
	}
	made := d.ok("POST", "/api/v1/users", d.json(map[string]any{
		"org_id": d.org, "user_name": name, "email": d.pick("", name+"@Example.org", "same@example.org"),
		"display_name": d.pick("", "Ada Lovelace", "Åsa Öst", "bo derek"), "family_name": d.pick("", "Lovelace", "von Neumann-Ost"),
		"title": d.pick("", "Dr", "dr"), "department": d.pick("", "Cardiology", "oncology"), "external_id": d.pick("", "X1", "x1"),
		"manager_id": d.pick(append(d.users, "")...), "custom": custom,
	}))
	d.users = append(d.users, made.text(d.t, "id"))
}

// nounList is one of the lists, and what its twin has to know of it.
type nounList struct {
	items  string // also the last part of the path
	text   []string
	others map[string][]string // fields with literals of their own
	sorts  []string
	begins func(item object, q string) bool
}

var nounLists = []nounList{
	{
		"users", []string{"user_name", "email", "display_name", "family_name", "title", "department", "source", "custom.ward", "owned_fields"},
		map[string][]string{
			"active": {"true", "false"}, "service": {"true", "false"}, "external_id": {`"X1"`, `"x1"`, `"x"`},
			"created": {`"2020-01-01T00:00:00Z"`, `"2999-01-01T01:00:00+01:00"`}, "version": {"5", "20", "-1.5e1"},
			"custom.badge": {"0", "2", "4.5"}, "custom.hired": {`"2024-02-29"`, `"2024-12-31"`}, "custom.night": {"true", "false"},
		},
		[]string{"", "id", "user_name", "email", "display_name", "created", "modified"}, userBegins,
	},
	{
		"groups", []string{"name", "description", "source"},
		map[string][]string{"external_id": {`"X"`, `"x"`}, "member_count": {"0", "1"}, "group_count": {"0"}, "modified": {`"2026-01-01T00:00:00.5Z"`}},
		[]string{"id", "name", "created", "modified"}, nameBegins,
	},
	{
		"roles", []string{"name", "description", "permissions"},
		map[string][]string{"builtin": {"true", "false"}, "version": {"4"}, "created": {`"2026-01-01T00:00:00Z"`}},
		[]string{"id", "name", "created", "modified"}, nameBegins,
	},
}

func nameBegins(item object, q string) bool {
	return strings.HasPrefix(strings.ToLower(item["name"].(string)), strings.ToLower(q))
}

func userBegins(item object, q string) bool {
	q = strings.ToLower(q)
	whole := []string{strings.ToLower(item["user_name"].(string)), strings.ToLower(item["email"].(string))}
	begins := func(word string) bool {
		return slices.ContainsFunc(whole, func(s string) bool { return strings.HasPrefix(s, word) })
	}
	if begins(q) {
		return true
	}
	for _, field := range []string{"display_name", "given_name", "family_name"} {
		name := strings.ToLower(item[field].(string))
		for i, c := range name {
			last, _ := utf8.DecodeLastRuneInString(name[:i])
			if i == 0 || !unicode.IsLetter(last) && !unicode.IsDigit(last) && !unicode.IsSpace(c) {
				whole = append(whole, name[i:])
			}
		}
	}
	return !slices.ContainsFunc(strings.Fields(q), func(word string) bool { return !begins(word) })
}

// comparison makes a random comparison that the list allows.
func (l nounList) comparison(d *crowd, items []object) string {
	if d.rng.IntN(2) == 0 {
		field := d.pick(l.text...)
		return field + " " + d.pick("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le") + " " + l.literal(d, field, items)
	}
	var fields []string
	for field := range l.others {
		fields = append(fields, field)
	}
	slices.Sort(fields)
	field := d.pick(fields...)
	literal := d.pick(l.others[field]...)
	switch {
	case d.rng.IntN(6) == 0:
		return field + " pr"
	case literal == "true" || literal == "false":
		return field + d.pick(" eq ", " ne ") + literal
	case field == "external_id":
		return field + d.pick(" eq ", " ne ", " sw ") + literal
	}
	return field + d.pick(" eq ", " ne ", " gt ", " ge ", " lt ", " le ") + literal
}

// literal is a part of a text that one of the items has, or of none.
func (l nounList) literal(d *crowd, field string, items []object) string {
	text := "nothing"
	if s, ok := items[d.rng.IntN(len(items))][field].(string); ok {
		runes := []rune(s)
		from := d.rng.IntN(len(runes) + 1)
		text = string(runes[from:min(len(runes), from+d.rng.IntN(8))])
	} else if field == "custom.ward" {
		text = d.pick("North", "SOUTH", "o")
	} else if field == "owned_fields" || field == "permissions" {
		text = d.pick("email", "user_", "read:a", "write:*", "READ")
	}
	return d.json(d.pick(text, strings.ToUpper(text)))
}

func (l nounList) filter(d *crowd, items []object, depth int) string {
	if depth == 0 || d.rng.IntN(4) == 0 {
		return l.comparison(d, items)
	}
	inner := func() string { return "(" + l.filter(d, items, depth-1) + ")" }
	switch d.rng.IntN(3) {
	case 0:
		return "not " + inner()
	case 1:
		return inner() + " or " + inner()
	}
	return inner() + " and " + inner()
}

// exactly are the attributes that compare with regard to case.
type exactly struct{}

func (exactly) Has(string) bool            { return false }
func (exactly) CaseExact(path string) bool { return path == "external_id" || path == "id" }

// twin answers a question by the slow and obvious way: look at every item.
func (l nounList) twin(t testing.TB, all []object, q, where, order string) (ids []string) {
	t.Helper()
	var found []object
	for _, item := range all {
		match := q == "" || l.begins(item, q)
		if where != "" && match {
			e, err := filter.Parse(where)
			must(t, err)
			match, err = filter.Match(e, item, exactly{})
			must(t, err)
		}
		if match {
			found = append(found, item)
		}
	}
	field, descending := strings.CutPrefix(order, "-")
	if field == "" {
		field = "id"
	}
	slices.SortStableFunc(found, func(a, b object) int {
		c := strings.Compare(strings.ToLower(a[field].(string)), strings.ToLower(b[field].(string)))
		if descending {
			c = -c
		}
		if c == 0 {
			c = strings.Compare(a["id"].(string), b["id"].(string))
		}
		return c
	})
	for _, item := range found {
		ids = append(ids, item["id"].(string))
	}
	return ids
}

// pages reads a list page by page; between is called after each.
func (d *crowd) pages(l nounList, limit int, q, where, order string, between func()) (items []object, total json.Number) {
	d.t.Helper()
	ask := url.Values{"org_id": {d.org}, "limit": {fmt.Sprint(limit)}, "q": {q}, "filter": {where}, "sort": {order}}
	for cursor := ""; ; {
		ask.Set("cursor", cursor)
		page := d.ok("GET", "/api/v1/"+l.items+"?"+ask.Encode(), "")
		on := page[l.items].([]any)
		if len(on) > limit {
			d.t.Fatalf("%d items on a page of %d", len(on), limit)
		}
		for _, item := range on {
			items = append(items, item.(map[string]any))
		}
		total = page["total"].(json.Number)
		if cursor = page.text(d.t, "cursor"); cursor == "" {
			return items, total
		}
		if len(on) != limit {
			d.t.Fatalf("%d items on a page of %d that is not the last", len(on), limit)
		}
		between()
	}
}

func identifiers(items []object) (ids []string) {
	for _, item := range items {
		ids = append(ids, item["id"].(string))
	}
	return ids
}

// TestListsEqualTheirTwins: every order and direction, every limit and many
// filters and searches give what looking at every item gives, and the pages of a
// list are the list.
func TestListsEqualTheirTwins(t *testing.T) {
	for seed := range uint64(2) {
		d := newCrowd(t, seed, 24)
		for _, l := range nounLists {
			all, _ := d.pages(l, 1000, "", "", "", func() {})
			filters := []string{""}
			for range 8 {
				filters = append(filters, l.filter(d, all, 3))
			}
			for _, order := range l.sorts {
				for _, where := range filters {
					for _, direction := range []string{"", "-"} {
						if order == "" && direction == "-" {
							continue
						}
						q := d.pick("", "", "a", "AD", "Ö", "von", "ward1", "nobody", "love ada", "neill", " Bo ")
						d.compare(l, all, q, where, direction+order)
					}
				}
			}
		}
	}
}

func (d *crowd) compare(l nounList, all []object, q, where, order string) {
	d.t.Helper()
	want := l.twin(d.t, all, q, where, order)
	for _, limit := range []int{1, 5, max(1, len(want)), 1000} {
		if limit == 1 && len(want) > 12 {
			continue // one of many by one is slow and shows nothing that five do not
		}
		items, total := d.pages(l, limit, q, where, order, func() {})
		if got := identifiers(items); !slices.Equal(got, want) || total != json.Number(fmt.Sprint(len(want))) {
			d.t.Fatalf("%s q=%q filter=%s sort=%s limit=%d: %d of total %s\n%v\nwant %d\n%v", l.items, q, where, order, limit, len(got), total, got, len(want), want)
		}
	}
}

// TestListsUnderWritesShowWhatStaysOnce: between the pages users come, go and are
// renamed; whoever stays as they are is shown exactly once.
func TestListsUnderWritesShowWhatStaysOnce(t *testing.T) {
	d := newCrowd(t, 7, 30)
	stay, move := slices.Clone(d.users[:10]), slices.Clone(d.users[10:])
	next := 1000
	disturb := func() {
		switch i := d.rng.IntN(len(move)); d.rng.IntN(3) {
		case 0:
			next++
			d.addUser(3*next + 1)
		case 1:
			d.ok("PATCH", "/api/v1/users/"+move[i], d.json(map[string]any{
				"user_name": d.pick("a", "m", "z") + fmt.Sprint(next), "email": d.pick("a", "z") + "@b.c", "display_name": d.pick("a", "z"),
			}))
			next++
		case 2:
			if len(move) > 5 {
				d.ok("DELETE", "/api/v1/users/"+move[i], "")
				d.users = slices.DeleteFunc(d.users, func(id string) bool { return id == move[i] })
				move = slices.Delete(move, i, i+1)
			}
		}
	}
	for _, order := range nounLists[0].sorts {
		for _, direction := range []string{"", "-"} {
			if order == "" {
				continue
			}
			items, _ := d.pages(nounLists[0], 3, "", "service eq false", direction+order, disturb)
			seen := map[string]int{}
			for _, id := range identifiers(items) {
				seen[id]++
			}
			for _, id := range stay {
				if seen[id] != 1 {
					t.Errorf("sorted by %s%s: %s, who stayed, is there %d times", direction, order, id, seen[id])
				}
			}
		}
	}
}

// TestCursorBelongsToOneList: a cursor is refused by every other list, and by the
// same one for anybody else.
func TestCursorBelongsToOneList(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("one")
	other, _ := s.organization("two")
	for _, o := range []string{org, other} {
		for i := range 4 {
			s.user(o, fmt.Sprint("ada", i))
			s.ok("POST", "/api/v1/groups", fmt.Sprintf(`{"org_id":%q,"name":"ada%d"}`, o, i))
		}
	}
	reader := s.reader(org, "reader")
	question := url.Values{"org_id": {org}, "limit": {"2"}, "q": {"ada"}, "filter": {"created pr"}, "sort": {"-created"}}
	cursor := s.ok("GET", "/api/v1/users?"+question.Encode(), "").text(t, "cursor")
	question.Set("cursor", cursor)
	s.ok("GET", "/api/v1/users?"+question.Encode(), "")
	question.Set("limit", "3") // how much of it is shown does not make another list
	s.ok("GET", "/api/v1/users?"+question.Encode(), "")

	refused := func(as *server, path string, change ...string) {
		t.Helper()
		asked, err := url.ParseQuery(question.Encode())
		must(t, err)
		for i := 0; i < len(change); i += 2 {
			asked.Set(change[i], change[i+1])
		}
		as.problem(400, "invalid_argument", "cursor", "GET", path+"?"+asked.Encode(), "")
	}
	refused(s, "/api/v1/groups")
	refused(s, "/api/v1/users", "org_id", other)
	refused(s, "/api/v1/users", "q", "ad")
	refused(s, "/api/v1/users", "filter", "created  pr")
	refused(s, "/api/v1/users", "sort", "created")
	refused(s, "/api/v1/users", "q", "", "filter", "", "sort", "")
	refused(reader, "/api/v1/users")
	refused(s, "/api/v1/users", "cursor", cursor[:len(cursor)-4])
	refused(s, "/api/v1/users", "cursor", strings.Replace(cursor, cursor[40:44], "AAAA", 1))
	refused(s, "/api/v1/users", "cursor", strings.Repeat("A", 1024))
	refused(s, "/api/v1/users", "cursor", strings.Repeat("A", 1025))
}

// reader is the server for a person who may read the directory.
func (s *server) reader(org, name string) *server {
	s.t.Helper()
	id := s.user(org, name)
	role := s.ok("POST", "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":%q,"permissions":["read:directory"]}`, org, "of "+name)).text(s.t, "id")
	s.ok("POST", "/api/v1/users/"+id+"/roles", `{"role_id":"`+role+`"}`)
	return s.as(s.ok("POST", "/api/v1/sessions", fmt.Sprintf(`{"org_id":%q,"user_id":%q,"amr":["pwd"]}`, org, id)).text(s.t, "access_token"))
}

// The longest place that a cursor can hold: a name that grows when it is folded.
func TestCursorOfTheLongestName(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	for i := range 3 {
		s.ok("POST", "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"user_name":%q}`, org, strings.Repeat("Ⱥ", 159)+fmt.Sprint(i)))
	}
	cursor := ""
	for i := range 3 {
		page := s.ok("GET", "/api/v1/users?limit=1&sort=user_name&org_id="+org+"&cursor="+cursor, "")
		name := page["users"].([]any)[0].(map[string]any)["user_name"].(string)
		if cursor = page.text(t, "cursor"); !strings.HasSuffix(name, fmt.Sprint(i)) || (cursor == "") != (i == 2) {
			t.Fatalf("page %d has %s and cursor %q", i, name, cursor)
		}
	}
}

func TestFiltersThatAreRefused(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "badge", Type: directory.AttributeInteger},
		directory.AttributeDefinition{Name: "hired", Type: directory.AttributeDate})
	for _, row := range []struct{ list, filter, detail string }{
		{"users", `active zz true`, `expected an operator such as eq behind "active" at position 7`},
		{"users", `active eq true and nmae eq "x"`, `nmae at position 19 is no field of a user`},
		{"users", `custom.wing eq "x"`, `custom.wing at position 0 is no field of a user`},
		{"users", `urn:x:2.0:User:active eq true`, `urn:x:2.0:User:active at position 0 is no field of a user`},
		{"users", `email.value eq "x"`, `email.value at position 0 is no field of a user`},
		{"users", `email pr or emails[type eq "work"]`, `emails has no elements that a filter in brackets could choose from at position 12`},
		{"users", `(active eq "true")`, `active is compared by eq or ne with true or false at position 1`},
		{"users", `active gt true`, `active is compared by eq or ne with true or false at position 0`},
		{"users", `email eq true`, `email is compared with a quoted text at position 0`},
		{"users", `email gt null`, `email is compared with a quoted text at position 0`},
		{"users", `not (created co "2026")`, `created is compared by eq, ne, gt, ge, lt or le with a time as in "2026-01-31T08:00:00Z" at position 5`},
		{"users", `created gt "yesterday"`, `created is compared by eq, ne, gt, ge, lt or le with a time as in "2026-01-31T08:00:00Z" at position 0`},
		{"users", `version eq "1"`, `version is compared by eq, ne, gt, ge, lt or le with a number at position 0`},
		{"users", `version eq 1e999`, `version is compared by eq, ne, gt, ge, lt or le with a number at position 0`},
		{"users", `id eq "usr-1"`, `id is compared by eq or ne with a quoted id of its kind at position 0`},
		{"users", `manager_id eq "grp-` + strings.Repeat("1", 32) + `"`, `manager_id is compared by eq or ne with a quoted id of its kind at position 0`},
		{"users", `connection_id co "con-"`, `connection_id is compared by eq or ne with a quoted id of its kind at position 0`},
		{"users", `external_id co "x"`, `external_id is compared by eq, ne or sw with a quoted text at position 0`},
		{"users", `attributes eq "x"`, `attributes is an object, which a filter can ask for by pr alone at position 0`},
		{"users", `custom.badge sw "1"`, `custom.badge is compared by eq, ne, gt, ge, lt or le with a number at position 0`},
		{"users", `custom.hired eq "2025-02-29"`, `custom.hired is compared by eq, ne, gt, ge, lt or le with a date as in "2026-01-31" at position 0`},
		{"groups", `email pr`, `email at position 0 is no field of a group; these are: connection_id, created, description, external_id, group_count, id, member_count, modified, name, source, version`},
		{"roles", `source pr`, `source at position 0 is no field of a role; these are: builtin, created, description, id, modified, name, permissions, version`},
	} {
		answer := s.problem(400, "invalid_argument", "filter", "GET", "/api/v1/"+row.list+"?"+url.Values{"org_id": {org}, "filter": {row.filter}}.Encode(), "")
		if detail, _ := answer["detail"].(string); !strings.HasPrefix(strings.TrimPrefix(detail, "filter: "), row.detail) {
			t.Errorf("%s: %q, want %q", row.filter, detail, row.detail)
		}
	}
	s.problem(400, "invalid_argument", "sort", "GET", "/api/v1/users?sort=phone&org_id="+org, "")
	s.problem(400, "invalid_argument", "sort", "GET", "/api/v1/users?sort=--id&org_id="+org, "")
	s.problem(400, "invalid_argument", "sort", "GET", "/api/v1/groups?sort=-&org_id="+org, "")
	s.problem(400, "invalid_argument", "q", "GET", "/api/v1/roles?q=%01&org_id="+org, "")
}

// Filters that a person would write, and what they find.
func TestFiltersThatFind(t *testing.T) {
	s, direct, org := newDirect(t)
	direct.schema(directory.AttributeDefinition{Name: "cost_centre", Type: directory.AttributeString},
		directory.AttributeDefinition{Name: "wards", Type: directory.AttributeString, Several: true})
	connection := s.connection(org)
	ada := s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"ada@b.c","department":"Cardiology","custom":{"cost_centre":"12","wards":["North","East"]},"attributes":{"nick":"a"}}`).text(t, "id")
	s.ok("POST", "/api/v1/users", `{"org_id":"`+org+`","email":"bob@b.c","department":"Oncology","manager_id":"`+ada+`","external_id":"B-1"}`)
	direct.provision(connection, &fsm.CreateUser{User: directory.User{
		ID: access.NewID[directory.UserID](time.Now()), UserName: "eve", Email: "eve@b.c", Source: directory.SourceSCIM, Connection: connection,
	}})
	s.ok("POST", "/api/v1/service-accounts", `{"org_id":"`+org+`","user_name":"robot","owner_id":"`+ada+`"}`)
	for where, want := range map[string]string{
		`active eq true and department co "Card"`:             "ada@b.c",
		`custom.cost_centre eq "12"`:                          "ada@b.c",
		`custom.wards eq "east"`:                              "ada@b.c",
		`custom.wards ne "east"`:                              "ada@b.c bob@b.c eve robot", // ada has another one, too
		`not (custom.wards eq "east")`:                        "bob@b.c eve robot",
		`custom.wards pr`:                                     "ada@b.c",
		`custom pr`:                                           "ada@b.c",
		`attributes eq null`:                                  "bob@b.c eve robot",
		`created gt "2026-01-01T00:00:00Z"`:                   "ada@b.c bob@b.c eve robot",
		`created lt "2026-01-01T00:00:00Z"`:                   "",
		`service eq true`:                                     "robot",
		`owner_id eq "` + ada + `"`:                           "robot",
		`source eq "scim"`:                                    "eve",
		`connection_id eq "` + connection.String() + `"`:      "eve",
		`owned_fields eq "email" and ACTIVE EQ False`:         "eve",
		`manager_id eq "` + ada + `"`:                         "bob@b.c",
		`manager_id pr`:                                       "bob@b.c",
		`manager_id eq null and service ne true`:              "ada@b.c eve",
		`email eq "" or external_id eq "B-1"`:                 "bob@b.c robot",
		`external_id eq "b-1"`:                                "",
		`email eq "ADA@b.c" and active eq false`:              "",
		`user_name eq "EVE"`:                                  "eve",
		`id eq "` + ada + `" and email sw "ad"`:               "ada@b.c",
		`id eq "` + ada + `" or email sw "ev"`:                "ada@b.c eve",
		`not (email eq "ada@b.c") and user_name gt "ada@b.c"`: "bob@b.c eve robot",
	} {
		page := s.ok("GET", "/api/v1/users?"+url.Values{"org_id": {org}, "sort": {"user_name"}, "filter": {where}}.Encode(), "")
		var names []string
		for _, u := range page["users"].([]any) {
			names = append(names, u.(map[string]any)["user_name"].(string))
		}
		if got := strings.Join(names, " "); got != want || page["total"] != json.Number(fmt.Sprint(len(names))) {
			t.Errorf("%s: found %q of %v, want %q", where, got, page["total"], want)
		}
	}
}

func TestLimitsOfFilters(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	ask := func(name, value string) string {
		return "/api/v1/users?" + url.Values{"org_id": {org}, name: {value}}.Encode()
	}
	for _, row := range []struct{ field, at, past string }{
		{"filter", `email eq "` + strings.Repeat("x", 2048-11) + `"`, `email eq "` + strings.Repeat("x", 2048-10) + `"`},
		{"filter", strings.Repeat("email pr or ", 63) + "email pr", strings.Repeat("email pr or ", 64) + "email pr"},
		{"filter", strings.Repeat("(", 32) + "email pr" + strings.Repeat(")", 32), strings.Repeat("(", 33) + "email pr" + strings.Repeat(")", 33)},
		{"q", strings.Repeat("q", 256), strings.Repeat("q", 257)},
		{"limit", "1000", "1001"},
		{"limit", "1", "-1"},
	} {
		s.ok("GET", ask(row.field, row.at), "")
		s.problem(400, "invalid_argument", row.field, "GET", ask(row.field, row.past), "")
	}
}

// TestGroupsOfOneName: each is on one page of a list that is sorted by name, and all are
// found by it.
func TestGroupsOfOneName(t *testing.T) {
	s, direct, org := newDirect(t)
	connection := s.connection(org)
	shares := true
	direct.do(&fsm.UpdateConnection{ID: connection, SharesNames: &shares})
	for range 5 {
		for _, name := range []string{"Ward", "alone"} {
			g := directory.Group{ID: access.NewID[directory.GroupID](time.Now()), Name: name, Source: directory.SourceSCIM, Connection: connection}
			direct.provision(connection, &fsm.CreateGroup{Group: g})
		}
	}
	for _, sort := range []string{"name", "-name"} {
		seen, cursor := map[string]bool{}, ""
		for range 10 {
			page := s.ok("GET", "/api/v1/groups?org_id="+org+"&limit=1&sort="+sort+"&cursor="+url.QueryEscape(cursor), "")
			seen[page["groups"].([]any)[0].(map[string]any)["id"].(string)] = true
			cursor, _ = page["cursor"].(string)
		}
		if len(seen) != 10 || cursor != "" {
			t.Errorf("sorted by %s: %d of 10 groups, and then %q", sort, len(seen), cursor)
		}
	}
	for query, want := range map[string]string{
		"filter=" + url.QueryEscape(`name eq "WARD"`): "5", "q=wa": "5", "q=": "10",
	} {
		if got := s.ok("GET", "/api/v1/groups?org_id="+org+"&"+query, ""); fmt.Sprint(got["total"]) != want {
			t.Errorf("%s: %v", query, got["total"])
		}
	}
}

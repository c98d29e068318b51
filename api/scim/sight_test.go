package scim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// shared is one organization with two connections, and what has come neither by one
// nor by the other.
type shared struct {
	*world
	org           directory.OrgID
	entra, okta   *client
	entraID       directory.ConnectionID
	person, chief string // of the API
	team          string // of the API, with people of all
	byEntra       []string
	byOkta        []string
	oktas         string // a group of okta
}

// connect makes another connection of an organization.
func (w *world) connect(org directory.OrgID, slug string) (*client, directory.ConnectionID) {
	id := access.NewID[directory.ConnectionID](time.Now())
	token, hash := access.NewConnectionToken(org, id)
	w.must(org, &fsm.CreateConnection{Connection: directory.Connection{
		ID: id, Provider: directory.ProviderOkta, Tokens: []directory.ConnectionToken{{Hash: hash}},
	}})
	return &client{t: w.t, base: w.url + "/scim/v2/" + slug, token: token}, id
}

func newShared(t *testing.T) *shared {
	s := &shared{world: newWorld(t)}
	s.entra = s.organization("clinic")
	s.org, s.entraID = s.connection()
	s.okta, _ = s.connect(s.org, "clinic")
	api := func(name string) string {
		u := directory.User{
			ID: access.NewID[directory.UserID](time.Now()), UserName: name, ExternalID: "x-" + name,
			Email: name + "@x.example", Active: true, Source: directory.SourceAPI,
		}
		s.must(s.org, &fsm.CreateUser{User: u})
		return u.ID.String()
	}
	s.person = api("person")
	for i := range 3 {
		s.byEntra = append(s.byEntra, s.entra.create("/Users", person(fmt.Sprint("entra-", i), `,"externalId":"x"`)))
		s.byOkta = append(s.byOkta, s.okta.create("/Users", person(fmt.Sprint("okta-", i), `,"externalId":"x"`)))
	}
	s.chief = api("chief")
	s.oktas = s.okta.create("/Groups", team("oktas", s.byOkta[0]))
	g := directory.Group{ID: access.NewID[directory.GroupID](time.Now()), Name: "everybody", Source: directory.SourceAPI}
	s.must(s.org, &fsm.CreateGroup{Group: g, Members: s.users(s.person, s.byEntra[0], s.byOkta[0])})
	s.team = g.ID.String()
	return s
}

func (s *shared) users(ids ...string) (users []directory.UserID) {
	for _, text := range ids {
		id, err := directory.ParseUserID(text)
		if err != nil {
			s.t.Fatal(err)
		}
		users = append(users, id)
	}
	return users
}

func (s *shared) set(c *fsm.UpdateConnection) {
	s.t.Helper()
	c.ID = s.entraID
	s.must(s.org, c)
}

func (s *shared) seeAll(all bool) { s.set(&fsm.UpdateConnection{SeesAll: &all}) }

func members(op, value string) string {
	return `{"Operations":[{"op":"` + op + `","path":"members","value":[{"value":"` + value + `"}]}]}`
}

// TestWhatIsNotSeenIsNotThere: what others have sent or made is answered, byte for
// byte, like what nobody has.
func TestWhatIsNotSeenIsNotThere(t *testing.T) {
	s := newShared(t)
	nobody := access.NewID[directory.UserID](time.Now()).String()
	none := access.NewID[directory.GroupID](time.Now()).String()
	own := s.entra.create("/Groups", team("own", s.byEntra[1]))
	filtered := func(format string) func(string) string {
		return func(id string) string { return url.QueryEscape(fmt.Sprintf(format, id)) }
	}
	plain := func(id string) string { return id }
	for _, row := range []struct {
		method, path, body string
		header             string
		fill               func(id string) string
	}{
		{"GET", "/KIND/ID", "", "", plain},
		{"HEAD", "/KIND/ID", "", "", plain},
		{"GET", "/KIND/ID?attributes=meta", "", "", plain},
		{"PUT", "/KIND/ID", `{"userName":"free","displayName":"free"}`, "", plain},
		{"PUT", "/KIND/ID", `{"userName":"entra-0","displayName":"own"}`, "", plain},
		{"PATCH", "/KIND/ID", `{"Operations":[{"op":"replace","path":"externalId","value":"y"}]}`, "", plain},
		{"PATCH", "/KIND/ID", `{"Operations":[{"op":"replace","path":"externalId","value":"y"}]}`, `W/"1"`, plain},
		{"DELETE", "/KIND/ID", "", "", plain},
		{"DELETE", "/KIND/ID", "", "*", plain},
		{"GET", "/KIND?filter=ID", "", "", filtered(`id eq "%s"`)},
		{"GET", "/KIND?filter=ID&count=0", "", "", filtered(`id eq "%s" or id sw "usr-"`)},
		{"GET", "/?filter=ID", "", "", filtered(`not (id eq "%s")`)},
		{"GET", "/Groups?filter=ID", "", "", filtered(`members eq "%s"`)},
		{"GET", "/Groups?filter=ID", "", "", filtered(`members[value eq "%s"]`)},
		{"GET", "/Users?filter=ID", "", "", filtered(`groups.value eq "%s"`)},
		{"GET", "/Users?filter=ID", "", "", filtered(`manager eq "%s"`)},
		{"PATCH", "/Groups/" + own, members("add", "ID"), "", plain},
		{"PATCH", "/Groups/" + own, members("remove", "ID"), "", plain},
		{"GET", "/Groups/" + own, "", "", plain},
		{"POST", "/Bulk", `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[
			{"method":"PUT","path":"/KIND/ID","data":{"userName":"free","displayName":"free"}},
			{"method":"PATCH","path":"/Groups/` + own + `","data":` + members("add", "ID") + `},
			{"method":"DELETE","path":"/KIND/ID"}]}`, "", plain},
	} {
		for _, kind := range []struct {
			name, nobody string
			hidden       []string
		}{
			{"Users", nobody, []string{s.person, s.chief, s.byOkta[0], s.byOkta[2]}},
			{"Groups", none, []string{s.team, s.oktas}},
		} {
			said := func(id string) string {
				path := strings.NewReplacer("KIND", kind.name, "ID", row.fill(id)).Replace(row.path)
				body := strings.NewReplacer("KIND", kind.name, "ID", id).Replace(row.body)
				header := map[string]string{"Authorization": "Bearer " + s.entra.token, "Content-Type": "application/scim+json", "If-Match": row.header}
				a := s.entra.send(row.method, path, body, header)
				a.header.Del("Date")
				return strings.ReplaceAll(fmt.Sprint(a.status, a.header, string(a.body)), id, "ID")
			}
			want := said(kind.nobody)
			for _, id := range kind.hidden {
				if got := said(id); got != want {
					t.Errorf("%s %s %s: answers\n%s\nfor what is not seen, and\n%s\nfor what is not there", row.method, row.path, row.body, got, want)
				}
			}
		}
	}
	yes := true
	s.set(&fsm.UpdateConnection{RejectMembers: &yes})
	for hidden, missing := range map[string]string{s.person: nobody, s.byOkta[1]: nobody, s.team: none} {
		got, want := s.entra.do("PATCH", "/Groups/"+own, members("add", hidden)), s.entra.do("PATCH", "/Groups/"+own, members("add", missing))
		if want.status != http.StatusBadRequest || strings.ReplaceAll(string(got.body), hidden, "") != strings.ReplaceAll(string(want.body), missing, "") {
			t.Errorf("%s and %s", got.body, want.body)
		}
	}
}

// TestListsShowWhatIsSeen, whole and in pages, and count nothing else.
func TestListsShowWhatIsSeen(t *testing.T) {
	s := newShared(t)
	own := s.entra.create("/Groups", team("own", s.byEntra[0], s.byEntra[2]))
	for _, row := range []struct {
		path  string
		query url.Values
		want  string
	}{
		{"/Users", url.Values{}, "entra-0 entra-1 entra-2"},
		{"/Users", url.Values{"sortBy": {"userName"}, "sortOrder": {"descending"}}, "entra-2 entra-1 entra-0"},
		{"/Users", url.Values{"filter": {`userName eq "ENTRA-1"`}}, "entra-1"},
		{"/Users", url.Values{"filter": {`userName eq "person"`}}, ""},
		{"/Users", url.Values{"filter": {`userName pr`}}, "entra-0 entra-1 entra-2"},
		{"/Users", url.Values{"filter": {`not (userName eq "entra-0")`}}, "entra-1 entra-2"},
		{"/Users", url.Values{"filter": {`externalId eq "x"`}}, "entra-0 entra-1 entra-2"},
		{"/Users", url.Values{"filter": {`externalId eq "x-chief"`}}, ""},
		{"/Users", url.Values{"filter": {`emails.value eq "person@x.example"`}}, ""},
		{"/Users", url.Values{"filter": {`groups.display eq "everybody"`}}, ""},
		{"/Users", url.Values{"filter": {`groups.display eq "own"`}}, "entra-0 entra-2"},
		{"/Groups", url.Values{}, "own"},
		{"/Groups", url.Values{"filter": {`displayName eq "everybody"`}}, ""},
		{"/Groups", url.Values{"filter": {`members eq "` + s.byEntra[2] + `"`}}, "own"},
		{"/Groups", url.Values{"sortBy": {"displayName"}}, "own"},
		{"/", url.Values{}, "own entra-0 entra-1 entra-2"},
	} {
		whole := s.entra.list(row.path, row.query)
		if got := strings.Join(whole.names(), " "); got != row.want || *whole.TotalResults != len(whole.Resources) {
			t.Errorf("%s %v: %d, %s", row.path, row.query, *whole.TotalResults, got)
		}
		var paged []string
		for start := 1; start <= len(whole.Resources); start++ {
			row.query.Set("startIndex", fmt.Sprint(start))
			row.query.Set("count", "1")
			page := s.entra.list(row.path, row.query)
			if paged = append(paged, page.names()...); *page.TotalResults != *whole.TotalResults {
				t.Errorf("%s %v: %d of a page", row.path, row.query, *page.TotalResults)
			}
		}
		row.query.Del("startIndex")
		walked := s.entra.walk(row.path, row.query, func(int) {})
		if !slices.Equal(paged, whole.names()) || !slices.Equal(walked, whole.names()) {
			t.Errorf("%s %v: by index %v, by cursor %v", row.path, row.query, paged, walked)
		}
		if none := s.entra.list(row.path, url.Values{"count": {"0"}, "filter": row.query["filter"]}); *none.TotalResults != *whole.TotalResults {
			t.Errorf("%s %v: counted without a page: %d", row.path, row.query, *none.TotalResults)
		}
	}
	s.entra.do("DELETE", "/Users/"+s.byEntra[0], "")
	s.entra.do("DELETE", "/Groups/"+own, "")
	if l := s.entra.list("/", url.Values{}); *l.TotalResults != 2 || len(l.Resources) != 2 {
		t.Errorf("after deletions: %+v", l)
	}
}

// TestMembersWhoAreNotSeen: they are in a group that the connection sent while it saw
// all; they do not show any more, and can still be taken out.
func TestMembersWhoAreNotSeen(t *testing.T) {
	s := newShared(t)
	s.seeAll(true)
	own := s.entra.create("/Groups", team("own", s.byEntra[0], s.person, s.chief))
	s.entra.want(204, "PATCH", "/Groups/"+own, members("add", s.oktas))
	before := s.entra.want(200, "GET", "/Groups/"+own, "")
	s.seeAll(false)
	after := s.entra.want(200, "GET", "/Groups/"+own, "")
	for _, id := range []string{s.person, s.chief, s.oktas} {
		if !strings.Contains(string(before.body), id) || strings.Contains(string(after.body), id) {
			t.Errorf("%s:\n%s\n%s", id, before.body, after.body)
		}
	}
	if before.header.Get("ETag") == after.header.Get("ETag") {
		t.Error("other members, and the same version")
	}
	for _, id := range []string{s.person, s.oktas} {
		s.entra.want(204, "PATCH", "/Groups/"+own, members("remove", id))
	}
	s.entra.want(200, "PUT", "/Groups/"+own, team("own", s.byEntra[0]))
	s.seeAll(true)
	if got := s.entra.want(200, "GET", "/Groups/"+own, ""); strings.Count(string(got.body), `"value"`) != 1 {
		t.Errorf("who was taken out is still in: %s", got.body)
	}
}

// TestNamesAreTakenByWhomIsNotSeen: one name space of user names and of groups is what
// people sign in with and what roles are given to, so a connection learns that a name is
// taken, and nothing of by whom.
func TestNamesAreTakenByWhomIsNotSeen(t *testing.T) {
	s := newShared(t)
	for _, name := range []string{"person", "OKTA-1", "entra-1"} {
		for _, got := range []answer{
			s.entra.do("POST", "/Users", person(name, "")),
			s.entra.do("PUT", "/Users/"+s.byEntra[0], person(name, "")),
		} {
			want := fmt.Sprintf(`{"detail":"user_name: \"%s\" is taken","schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"scimType":"uniqueness","status":"409"}`, name)
			if got.status != http.StatusConflict || string(got.body) != want {
				t.Errorf("%s: %d %s", name, got.status, got.body)
			}
		}
	}
	for _, name := range []string{"everybody", "OKTAS"} {
		if got := s.entra.do("POST", "/Groups", team(name)); got.status != http.StatusConflict || !strings.Contains(string(got.body), `"uniqueness"`) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	// An e-mail address names nobody: two people may have one.
	s.entra.create("/Users", person("new", `,"emails":[{"value":"person@x.example"}]`))
}

// TestTakeOver: a connection that sees all matches and changes what has no connection,
// and no more than reads what another has sent.
func TestTakeOver(t *testing.T) {
	s := newShared(t)
	if l := s.entra.list("/Users", url.Values{"filter": {`userName eq "person"`}}); len(l.Resources) != 0 {
		t.Fatalf("%+v", l)
	}
	s.seeAll(true)
	l := s.entra.list("/Users", url.Values{"filter": {`userName eq "person"`}})
	if len(l.Resources) != 1 || l.Resources[0]["id"] != s.person {
		t.Fatalf("%+v", l)
	}
	if l := s.entra.list("/", url.Values{}); *l.TotalResults != 10 || len(l.Resources) != 10 {
		t.Errorf("%d", *l.TotalResults)
	}
	s.entra.want(200, "PATCH", "/Users/"+s.person, `{"Operations":[{"op":"Add","path":"externalId","value":"entra's"}]}`)
	s.entra.want(204, "PATCH", "/Groups/"+s.team, members("add", s.byEntra[1]))
	s.entra.want(200, "GET", "/Users/"+s.byOkta[0], "")
	s.entra.want(409, "PATCH", "/Users/"+s.byOkta[0], `{"Operations":[{"op":"Add","path":"externalId","value":"entra's"}]}`)
	s.entra.want(409, "PATCH", "/Groups/"+s.oktas, members("add", s.byEntra[1]))
	got := s.entra.want(200, "GET", "/Users/"+s.byEntra[0], "")
	var user struct{ Groups []struct{ Value string } }
	if err := json.Unmarshal(got.body, &user); err != nil || len(user.Groups) != 1 || user.Groups[0].Value != s.team {
		t.Errorf("%s", got.body)
	}
	s.seeAll(false)
	s.entra.want(404, "GET", "/Users/"+s.person, "")
	if again := s.entra.want(200, "GET", "/Users/"+s.byEntra[0], ""); strings.Contains(string(again.body), "groups") || again.header.Get("ETag") == got.header.Get("ETag") {
		t.Errorf("%s: %s", again.header.Get("ETag"), again.body)
	}
	// What happens in a group that is not seen moves no version.
	tag := s.entra.want(200, "GET", "/Users/"+s.byEntra[0], "").header.Get("ETag")
	group, _ := directory.ParseGroupID(s.team)
	name := "renamed"
	s.must(s.org, &fsm.ChangeGroup{Group: group, Name: &name})
	if again := s.entra.want(200, "GET", "/Users/"+s.byEntra[0], "").header.Get("ETag"); again != tag {
		t.Errorf("%s became %s", tag, again)
	}
}

// TestSharedGroupNames is the switch unique_group_display_name.
func TestSharedGroupNames(t *testing.T) {
	s := newShared(t)
	first := s.entra.create("/Groups", team("twins"))
	s.entra.want(409, "POST", "/Groups", team("TWINS"))
	s.entra.want(409, "POST", "/Groups", team("oktas"))
	uniqueness := func() string {
		var schema struct {
			Attributes []struct{ Name, Uniqueness string }
		}
		if err := json.Unmarshal(s.entra.want(200, "GET", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group", "").body, &schema); err != nil {
			t.Fatal(err)
		}
		for _, a := range schema.Attributes {
			if a.Name == "displayName" {
				return a.Uniqueness
			}
		}
		return ""
	}
	if got := uniqueness(); got != "server" {
		t.Errorf("unique: %s", got)
	}
	yes := true
	s.set(&fsm.UpdateConnection{SharesNames: &yes})
	if got := uniqueness(); got != "none" {
		t.Errorf("not unique: %s", got)
	}
	second := s.entra.create("/Groups", team("TWINS", s.byEntra[0]))
	s.entra.create("/Groups", team("oktas"))
	l := s.entra.list("/Groups", url.Values{"filter": {`displayName eq "twins"`}})
	if *l.TotalResults != 2 || l.Resources[0]["id"] != first || l.Resources[1]["id"] != second {
		t.Errorf("%+v", l)
	}
	if l := s.entra.list("/Groups", url.Values{"filter": {`displayName eq "oktas"`}}); *l.TotalResults != 1 || l.Resources[0]["id"] == s.oktas {
		t.Errorf("%+v", l)
	}
	s.okta.want(409, "POST", "/Groups", team("twins")) // whose switch says otherwise
	s.entra.want(204, "PATCH", "/Groups/"+second, `{"Operations":[{"op":"replace","path":"displayName","value":"everybody"}]}`)
	s.entra.want(204, "DELETE", "/Groups/"+first, "")
}

package scim_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const enterpriseURN = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// crowd are the people that filters and orders are tried on.
var crowd = []string{
	`{"userName":"ada@x.example","externalId":"Ext-1","title":"Ms","nickName":"zed","displayName":"Ada Lovelace","name":{"givenName":"Ada","familyName":"Lovelace"},
	  "emails":[{"type":"work","value":"Ada@Work.example","primary":true},{"type":"home","value":"ada@home.example"}],
	  "phoneNumbers":[{"type":"work","value":"+1 (555) 0100"}],"roles":[{"value":"Admin","primary":true}],
	  "addresses":[{"type":"work","locality":"Paris","country":"FR"}],"locale":"en-GB",
	  "` + enterpriseURN + `":{"department":"Ward","employeeNumber":"7","manager":{"value":"Boss-1"}}}`,
	`{"userName":"bob@x.example","externalId":"ext-1","active":false,"displayName":"Bob \"The\" Builder\\","nickName":"Yak",
	  "emails":[{"type":"work","value":"bob@work.example"}],"name":{"givenName":"Bob"},
	  "` + enterpriseURN + `":{"department":"ward","employeeNumber":"10"}}`,
	`{"userName":"ÉVA@x.example","displayName":"Éva Ünal","emails":[{"type":"home","value":"ada@work.example"},{"type":"work","value":"eva@work.example"}]}`,
	`{"userName":"dan","displayName":"not (eq) [x]"}`,
}

// matches tells for each filter whom it finds, by the first letters of user names.
var matches = map[string]string{
	// Every operator on text, which is compared without case.
	`userName eq "ADA@X.EXAMPLE"`:      "a",
	`USERNAME EQ "ada@x.example"`:      "a",
	`userName ne "ada@x.example"`:      "béd",
	`userName co "X.EX"`:               "abé",
	`userName sw "AD"`:                 "a",
	`userName ew "EXAMPLE"`:            "abé",
	`userName gt "bob@x.example"`:      "éd",
	`userName ge "BOB@x.example"`:      "béd",
	`userName lt "bob@x.example"`:      "a",
	`userName le "bob@x.example"`:      "ab",
	`userName pr`:                      "abéd",
	`not (userName pr)`:                "",
	`userName eq "éva@X.EXAMPLE"`:      "é",
	`userName eq "\u00c9va@x.example"`: "é",
	`userName sw "É"`:                  "é",
	`userName co ""`:                   "abéd",
	`userName sw ""`:                   "abéd",
	`userName eq ""`:                   "",
	`userName eq null`:                 "",
	`userName ne null`:                 "abéd",

	// External ids are compared with case, and so are ids of managers.
	`externalId eq "ext-1"`:       "b",
	`externalId eq "Ext-1"`:       "a",
	`externalId eq "EXT-1"`:       "",
	`externalId sw "ext"`:         "b",
	`externalId pr`:               "ab",
	`externalId eq null`:          "éd",
	`externalId ne "Ext-1"`:       "béd",
	`externalId ne null`:          "ab",
	`not (externalId eq "Ext-1")`: "béd",

	// Booleans.
	`active eq true`:        "aéd",
	`active eq false`:       "b",
	`active ne true`:        "b",
	`active eq "False"`:     "b",
	`ACTIVE EQ TRUE`:        "aéd",
	`not (active eq false)`: "aéd",
	`active pr`:             "abéd",

	// Sub-attributes.
	`name.familyName eq "lovelace"`: "a",
	`NAME.FAMILYNAME EQ "LOVELACE"`: "a",
	`name.familyName pr`:            "a",
	`name pr`:                       "ab",
	`not (name pr)`:                 "éd",
	`name.middleName eq null`:       "abéd",
	`name.givenName ne "Ada"`:       "béd",
	`urn:ietf:params:scim:schemas:core:2.0:User:name.givenName eq "ada"`: "a",
	`urn:ietf:params:scim:schemas:core:2.0:User:userName eq "dan"`:       "d",
	`URN:IETF:PARAMS:SCIM:SCHEMAS:CORE:2.0:USER:username eq "dan"`:       "d",

	// Attributes with several values.
	`emails.value eq "ada@work.example"`:                           "aé",
	`emails eq "ada@work.example"`:                                 "aé",
	`emails co "home"`:                                             "a",
	`emails.type eq "home"`:                                        "aé",
	`emails[type eq "work"].value eq "ada@work.example"`:           "a",
	`emails[type eq "home"].value eq "ada@work.example"`:           "é",
	`emails[type eq "work" and value eq "ada@work.example"]`:       "a",
	`EMAILS[TYPE EQ "WORK" AND VALUE CO "@WORK"]`:                  "abé",
	`emails[type eq "work"]`:                                       "abé",
	`emails[not (type eq "work")]`:                                 "aé",
	`emails[type eq "home" or primary eq true].value ew "example"`: "aé",
	`emails[primary eq true]`:                                      "a",
	`emails[primary eq "True"].value pr`:                           "a",
	`emails.primary eq true`:                                       "a",
	`emails pr`:                                                    "abé",
	`emails.display pr`:                                            "",
	`not (emails pr)`:                                              "d",
	`emails eq null`:                                               "d",
	`emails.value eq "ada@home.example" and emails.type eq "work"`: "a",
	`emails[value eq "ada@home.example" and type eq "work"]`:       "",
	`phoneNumbers.value eq "+1 (555) 0100"`:                        "a",
	`roles[value eq "admin" and primary eq true]`:                  "a",
	`roles.value eq "admin"`:                                       "a",
	`addresses[type eq "work"].locality eq "paris"`:                "a",
	`addresses.country eq "fr"`:                                    "a",
	`addresses pr`:                                                 "a",

	// Extensions, with the URN and without.
	enterpriseURN + `:department eq "WARD"`:               "ab",
	enterpriseURN + `:employeeNumber gt "1"`:              "ab",
	enterpriseURN + `:employeeNumber eq "7"`:              "a",
	enterpriseURN + `:employeeNumber eq 7`:                "a",
	enterpriseURN + `:manager eq "Boss-1"`:                "a",
	enterpriseURN + `:manager eq "boss-1"`:                "",
	enterpriseURN + `:manager.value eq "Boss-1"`:          "a",
	enterpriseURN + `:manager[value eq "Boss-1"]`:         "a",
	`manager eq "Boss-1"`:                                 "a",
	`manager.value eq "Boss-1"`:                           "a",
	`department eq "ward"`:                                "ab",
	`manager pr`:                                          "a",
	enterpriseURN + `:division pr`:                        "",
	strings.ToUpper(enterpriseURN) + `:DEPARTMENT sw "w"`: "ab",
	`schemas eq "` + enterpriseURN + `"`:                  "ab",
	`urn:example:none:2.0:User:x eq "1"`:                  "",
	`urn:example:none:2.0:User:x pr`:                      "",
	`schemas co "enterprise"`:                             "ab",

	// What the server assigns.
	`meta.resourceType eq "User"`:                      "abéd",
	`meta.resourceType eq "Group"`:                     "",
	`meta.created gt "2011-05-13T04:42:34Z"`:           "abéd",
	`meta.lastModified lt "2011-05-13T04:42:34+02:00"`: "",
	`meta.lastModified ge "2011-05-13T04:42:34Z" and meta.lastModified lt "2999-01-01T00:00:00.5Z"`: "abéd",
	`meta.created ne meta.lastModified`: "!",
	`meta.location co "/Users/"`:        "abéd",
	`meta.version pr`:                   "abéd",
	`meta pr`:                           "abéd",
	`id pr`:                             "abéd",
	`id eq "x"`:                         "",
	`id ne "x"`:                         "abéd",
	`id sw "usr-"`:                      "abéd",
	`id sw "USR-"`:                      "",
	`groups pr`:                         "a",
	`groups.display eq "TEAM"`:          "a",
	`groups[display eq "team"].value sw "grp-"`: "a",
	`groups.type eq "direct"`:                   "a",
	`password pr`:                               "",
	`password eq "x"`:                           "",
	`shoeSize eq 43`:                            "",
	`shoeSize pr`:                               "",
	`not (shoeSize pr)`:                         "abéd",

	// Precedence: not binds closest, then and, then or.
	`userName eq "dan" or userName sw "ada" and active eq false`:         "d",
	`(userName eq "dan" or userName sw "ada") and active eq true`:        "ad",
	`active eq false or title pr and nickName pr`:                        "ab",
	`not (active eq false) and title pr`:                                 "a",
	`not (active eq false and title pr)`:                                 "abéd",
	`not(title pr)and(active eq false)`:                                  "b",
	`not (not (title pr))`:                                               "a",
	`((((title pr))))`:                                                   "a",
	`title pr or externalId pr and active eq false or userName eq "dan"`: "abd",

	// Strings are those of JSON.
	`displayName eq "Bob \"The\" Builder\\"`: "b",
	`displayName co "\"the\""`:               "b",
	`displayName ew "\\"`:                    "b",
	`displayName eq "not (eq) [x]"`:          "d",
	`displayName co "\u0028eq"`:              "d",
	`displayName eq "\u00c9va \u00dcnal"`:    "é",
	`title eq "Ms" and nickName eq "Zed"`:    "a",
	`title gt 5`:                             "a",

	// What is no filter.
	``:                                "!",
	`userName`:                        "!",
	`userName eq`:                     "!",
	`userName eq ada`:                 "!",
	`userName eq 'ada'`:               "!",
	`userName eq "ada`:                "!",
	`userName == "ada"`:               "!",
	`userName eq "a" and`:             "!",
	`and userName eq "a"`:             "!",
	`userName eq "a" userName eq "b"`: "!",
	`(userName eq "a"`:                "!",
	`userName eq "a")`:                "!",
	`not userName eq "a"`:             "!",
	`emails[type eq "work"`:           "!",
	`emails[]`:                        "!",
	`emails[type eq "work"].value`:    "!",
	`emails[type[value eq "x"]]`:      "!",
	`userName pr "x"`:                 "!",
	`userName eq TRUE1`:               "!",
	`userName eq 01`:                  "!",
	`userName eq "\x"`:                "!",
	`userName eq "\ud800"`:            "!",
	`a.b.c eq "x"`:                    "!",
	`1a eq "x"`:                       "!",
	`urn:x eq`:                        "!",
	`active gt true`:                  "!",
	`active co "t"`:                   "!",
}

// TestFilterMatrix tries each filter in the address, as a search, with other pages and
// with an order: whoever is found is found however the list is asked for.
func TestFilterMatrix(t *testing.T) {
	c := newWorld(t).organization("clinic")
	var first string
	for i, body := range crowd {
		if id := c.create("/Users", body); i == 0 {
			first = id
		}
	}
	c.create("/Groups", team("team", first))
	for text, want := range matches {
		t.Run(text, func(t *testing.T) {
			address := "filter=" + url.QueryEscape(text)
			quoted, _ := json.Marshal(text)
			for about, got := range map[string]string{
				"address":       c.found(t, c.do("GET", "/Users?"+address, "")),
				"search":        c.found(t, c.do("POST", "/Users/.search", searched(`"filter":`+string(quoted)))),
				"ordered":       c.found(t, c.do("GET", "/Users?sortBy=meta.created&"+address, "")),
				"cursor":        c.found(t, c.do("GET", "/Users?cursor&"+address, "")),
				"looked at all": c.found(t, c.do("GET", "/Users?filter="+url.QueryEscape("not (not ("+text+"))"), "")),
				"reduced":       c.found(t, c.do("GET", "/Users?attributes=userName&"+address, "")),
			} {
				if got != want {
					t.Errorf("%s: %s finds %q, want %q", about, text, got, want)
				}
			}
		})
	}
}

// found are the first letters of the user names of a list; ! is a filter that was refused.
func (c *client) found(t *testing.T, a answer) string {
	var list struct {
		TotalResults int
		ScimType     string
		Resources    []struct{ UserName string }
	}
	if err := json.Unmarshal(a.body, &list); err != nil {
		t.Fatal(err, string(a.body))
	}
	if a.status == 400 && list.ScimType == "invalidFilter" {
		return "!"
	}
	if a.status != 200 || list.TotalResults != len(list.Resources) {
		t.Errorf("%d %s", a.status, a.body)
	}
	var found string
	for _, u := range list.Resources {
		found += strings.ToLower(string([]rune(u.UserName)[:1]))
	}
	return found
}

// orders tells for each order who comes, by the first letters of user names.
var orders = map[string]string{
	"sortBy=userName":                                            "abdé",
	"sortBy=userName&sortOrder=descending":                       "édba",
	"sortBy=USERNAME&sortOrder=Ascending":                        "abdé",
	"sortBy=urn:ietf:params:scim:schemas:core:2.0:User:userName": "abdé",
	"sortBy=nickName":                                            "baéd",
	"sortBy=nickName&sortOrder=descending":                       "édab",
	"sortBy=displayName":                                         "abdé",
	"sortBy=name.familyName":                                     "abéd",
	"sortBy=name.givenName&sortOrder=descending":                 "édba",
	"sortBy=emails":                                              "aébd",
	"sortBy=emails.value":                                        "aébd",
	"sortBy=active":                                              "baéd",
	"sortBy=active&sortOrder=descending":                         "aédb",
	"sortBy=" + enterpriseURN + ":employeeNumber":                "baéd",
	"sortBy=department":                                          "abéd",
	"sortBy=meta.created":                                        "abéd",
	"sortBy=id":                                                  "abéd",
	"sortBy=shoeSize":                                            "abéd",
	"sortBy=externalId":                                          "abéd",
	"sortOrder=descending":                                       "abéd",
	"startIndex=0&count=2":                                       "ab",
	"startIndex=-3&count=2":                                      "ab",
	"startIndex=2&count=2":                                       "bé",
	"startIndex=4&count=2":                                       "d",
	"startIndex=5&count=2":                                       "",
	"startIndex=9223372036854775807&count=1000":                  "",
	"count=0":                              "",
	"count=-1":                             "",
	"count=1001":                           "abéd",
	"count=9223372036854775807":            "abéd",
	"count=":                               "abéd",
	"startIndex=&count=1":                  "a",
	"sortBy=userName&startIndex=2&count=2": "bd",
	"sortBy=userName&sortOrder=descending&startIndex=2&count=2":  "db",
	"sortBy=userName&startIndex=9223372036854775807":             "",
	"sortBy=userName&startIndex=3":                               "dé",
	"sortBy=userName&filter=active eq true&startIndex=2&count=1": "d",
	"filter=emails pr&startIndex=2":                              "bé",
	"filter=emails pr&startIndex=2&count=1":                      "b",
	"filter=emails pr&startIndex=4":                              "",
}

func TestOrderMatrix(t *testing.T) {
	c := newWorld(t).organization("clinic")
	for _, body := range crowd {
		c.create("/Users", body)
	}
	for query, want := range orders {
		var list struct {
			TotalResults, ItemsPerPage, StartIndex *int
			Resources                              []struct{ UserName string }
		}
		a := c.do("GET", "/Users?"+query, "")
		if err := json.Unmarshal(a.body, &list); err != nil || a.status != 200 || list.TotalResults == nil || list.ItemsPerPage == nil || list.StartIndex == nil || list.Resources == nil {
			t.Errorf("%s: %v, %d %s", query, err, a.status, a.body)
			continue
		}
		var got string
		for _, u := range list.Resources {
			got += strings.ToLower(string([]rune(u.UserName)[:1]))
		}
		all := 4
		switch {
		case strings.Contains(query, "active eq true"), strings.Contains(query, "emails pr"):
			all = 3
		}
		if got != want || *list.TotalResults != all || *list.ItemsPerPage != len(list.Resources) || *list.StartIndex < 1 {
			t.Errorf("%s gives %q, want %q: %d of %d from %d", query, got, want, *list.ItemsPerPage, *list.TotalResults, *list.StartIndex)
		}
		// The same by cursor, one by one.
		if strings.Contains(query, "startIndex") || strings.Contains(query, "count") {
			continue
		}
		if walked := c.walked(t, query); walked != want {
			t.Errorf("%s by cursor gives %q, want %q", query, walked, want)
		}
	}
	if len(orders) < 39 {
		t.Error("too few")
	}
}

func (c *client) walked(t *testing.T, query string) (found string) {
	cursor := ""
	for range 10 {
		var page struct {
			NextCursor string
			Resources  []struct{ UserName string }
		}
		a := c.do("GET", "/Users?count=1&"+query+"&cursor="+cursor, "")
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			t.Fatal(err, string(a.body))
		}
		for _, u := range page.Resources {
			found += strings.ToLower(string([]rune(u.UserName)[:1]))
		}
		if cursor = page.NextCursor; cursor == "" {
			break
		}
	}
	return found
}

// TestOrderByName: the index of names gives the order that a comparison of all gives, for
// names that are as long as may be, look like moments or differ in case, from page to page
// and backwards, and for a connection that sees only its own.
func TestOrderByName(t *testing.T) {
	w := newWorld(t)
	c := w.organization("clinic")
	other := c.connection
	var names []string
	for i := range 60 {
		name := []string{"b%d", "B-%d", "2026-01-02T03:04:05+0%d:00", "É%d", "用%d", strings.Repeat("long", 75) + "%d", "\U0001F469%d", "z %d"}[i%8]
		name = fmt.Sprintf(name, i%9)
		if a := c.do("POST", "/Users", person(name, "")); a.status == 201 {
			names = append(names, name)
		}
	}
	second := access.NewID[directory.ConnectionID](time.Now())
	token, hash := access.NewConnectionToken(c.org, second)
	w.must(c.org, &fsm.CreateConnection{Connection: directory.Connection{ID: second, Provider: directory.ProviderOkta, Token: hash}})
	c.connection, c.token, token = second, token, c.token
	c.create("/Users", person("c of another", ""))
	c.create("/Users", person("A of another", ""))
	if got := c.names(t, "sortBy=userName"); !slices.Equal(got, []string{"A of another", "c of another"}) {
		t.Errorf("%q", got)
	}
	c.connection, c.token = other, token

	slices.SortFunc(names, func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) })
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	for query, want := range map[string][]string{
		"sortBy=userName": names, "sortBy=userName&sortOrder=descending": backwards,
		"sortBy=userName&filter=userName+pr": names, "sortBy=userName&sortOrder=descending&filter=not+(title+pr)": backwards,
		"sortBy=userName&filter=userName+sw+%22b%22": slices.DeleteFunc(slices.Clone(names), func(s string) bool { return !strings.HasPrefix(strings.ToLower(s), "b") }),
	} {
		if got := c.names(t, query); !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", query, got, want)
		}
		for i := range want { // by index
			var page struct {
				TotalResults int
				Resources    []struct{ UserName string }
			}
			a := c.do("GET", fmt.Sprintf("/Users?%s&startIndex=%d&count=2", query, i+1), "")
			if err := json.Unmarshal(a.body, &page); err != nil || page.TotalResults != len(want) || page.Resources[0].UserName != want[i] {
				t.Errorf("%s from %d: %v %s", query, i+1, err, a.body)
			}
		}
	}
}

// names walks a list by cursor, three at a time.
func (c *client) names(t *testing.T, query string) (names []string) {
	for cursor, begun := "", false; cursor != "" || !begun; begun = true {
		var page struct {
			NextCursor string
			Resources  []struct{ UserName string }
		}
		a := c.do("GET", "/Users?count=3&"+query+"&cursor="+cursor, "")
		if err := json.Unmarshal(a.body, &page); err != nil || a.status != 200 {
			t.Fatal(err, string(a.body))
		}
		for _, u := range page.Resources {
			names = append(names, u.UserName)
		}
		cursor = page.NextCursor
	}
	return names
}

// groupMatches tells for each filter which groups it finds, of a (with ada and the group b),
// b (with bob) and c.
var groupMatches = map[string]string{
	`displayName eq "ALPHA"`: "a", `displayName eq "alpha" or displayName eq "GAMMA"`: "ac", `displayName ne "alpha"`: "bc",
	`displayName sw "al"`: "a", `displayName co "MM"`: "c", `displayName ew "A"`: "abc", `displayName gt "alpha"`: "bc", `displayName pr`: "abc",
	`externalId eq "X-1"`: "a", `externalId eq "x-1"`: "b", `externalId sw "X"`: "a", `externalId pr`: "ab", `externalId eq null`: "c", `not (externalId pr)`: "c",
	`members eq "{ada}"`: "a", `members.value eq "{ada}"`: "a", `members[value eq "{bob}"]`: "b", `members eq "{b}"`: "a", `members pr`: "ab", `not (members pr)`: "c",
	`members ne "{ada}"`: "abc", `not (members eq "{ada}")`: "bc", `members.type eq "Group"`: "a", `members[type eq "User" and value eq "{ada}"]`: "a",
	`members[type eq "Group" and value eq "{ada}"]`: "", `members.$ref ew "{bob}"`: "b", `members.value sw "usr-"`: "ab", `members.value sw "grp-"`: "a", `members.display pr`: "",
	`members eq "{ada}" and members eq "{b}"`: "a", `members eq "{ada}" or members eq "{bob}"`: "ab", `members eq "{ada}" and displayName eq "beta"`: "",
	`members eq "nobody"`: "", `members eq "usr-00000000000000000000000000000000"`: "", `members eq null`: "c",
	`id eq "{b}"`: "b", `id eq "{b}" and members eq "{bob}"`: "b", `id eq "{b}" and members eq "{ada}"`: "", `id eq "{ada}"`: "", `id pr`: "abc", `id sw "grp-"`: "abc",
	`urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "beta"`: "b", `urn:ietf:params:scim:schemas:core:2.0:Group:members.value eq "{ada}"`: "a",
	`meta.resourceType eq "group"`: "abc", `meta.resourceType eq "User"`: "", `meta.lastModified gt "2011-05-13T04:42:34Z"`: "abc", `meta.location ew "{b}"`: "b",
	`schemas eq "urn:ietf:params:scim:schemas:core:2.0:Group"`: "abc", `userName eq "ada"`: "", `userName ne "ada"`: "abc", `not (userName eq "ada")`: "abc",
	`userName eq "ada" or displayName eq "beta"`: "b", `emails[value eq "x"] or externalId eq "x-1"`: "b", `displayName eq`: "!", `members[value eq "x"`: "!",
}

func TestGroupFilterMatrix(t *testing.T) {
	c := newWorld(t).organization("clinic")
	ids := map[string]string{"ada": c.create("/Users", person("ada", "")), "bob": c.create("/Users", person("bob", ""))}
	named := func(name, external string, members ...string) string {
		return strings.Replace(team(name, members...), `"members"`, fmt.Sprintf(`"externalId":%q,"members"`, external), 1)
	}
	ids["b"] = c.create("/Groups", named("beta", "x-1", ids["bob"]))
	ids["a"] = c.create("/Groups", named("alpha", "X-1", ids["ada"], ids["b"]))
	c.create("/Groups", team("gamma"))
	for text, want := range groupMatches {
		for name, id := range ids {
			text = strings.ReplaceAll(text, "{"+name+"}", id)
		}
		for _, query := range []string{text, "not (not (" + text + "))"} {
			l := c.list("/Groups", url.Values{"filter": {query}, "excludedAttributes": {"members"}, "sortBy": {"displayName"}})
			got := ""
			for _, name := range l.names() {
				got += name[:1]
			}
			if l.ScimType == "invalidFilter" {
				got = "!"
			}
			if got = strings.Replace(got, "g", "c", 1); got != want || got != "!" && *l.TotalResults != len(want) {
				t.Errorf("%s finds %q, want %q (%s)", query, got, want, l.Detail)
			}
		}
	}
}

// TestCostOfMembersCounts: a filter that asks something of every member looks at them, and
// so is a long walk however few the groups are.
func TestCostOfMembersCounts(t *testing.T) {
	w := newWorld(t)
	c := w.organization("large")
	c.fill(w, 2_500)
	var all []string
	for _, r := range c.list("/Users", url.Values{"count": {"1000"}, "attributes": {"id"}}).Resources {
		all = append(all, r["id"].(string))
	}
	for i := range 3 {
		c.create("/Groups", team(fmt.Sprint("g", i), all...))
	}
	for range 3 {
		if l := c.list("/Groups", url.Values{"filter": {`members.type eq "Group"`}}); *l.TotalResults != 0 {
			t.Errorf("%v", l.names())
		}
	}
}

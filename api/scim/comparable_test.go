package scim_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestListFindsWhatTheFilterSays: a list compares a part of each user. It must find
// what the filter finds in the whole resources, as they are answered one by one.
func TestListFindsWhatTheFilterSays(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 9))
	w := newWorld(t)
	c := w.organization("clinic")
	var users []map[string]any
	org, con := w.connection()
	all := true
	w.must(org, &fsm.UpdateConnection{ID: con, SeesAll: &all})
	w.must(org, &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{
		{Name: "level", Type: directory.AttributeInteger, URN: clinicURN},
	}}})
	for i := range 60 {
		if i%5 == 0 { // another way into the directory, which knows no resources
			w.must(org, &fsm.CreateUser{User: typedPerson(random, i)})
			continue
		}
		id := c.create("/Users", randomPerson(random, i))
		if i%3 == 0 {
			c.create("/Groups", team(fmt.Sprint("g", i), id))
		}
	}
	for _, id := range c.ids() {
		var whole map[string]any
		d := json.NewDecoder(strings.NewReader(string(c.want(200, "GET", "/Users/"+id, "").body)))
		d.UseNumber()
		if err := d.Decode(&whole); err != nil {
			t.Fatal(err)
		}
		users = append(users, whole)
	}
	found := 0
	for range 600 {
		text := randomFilter(random, 2)
		e, err := filter.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		want := []string{}
		for _, whole := range users {
			if ok, err := filter.Match(e, whole, patch.User); err != nil {
				t.Fatalf("%s: %v", text, err)
			} else if ok {
				want = append(want, whole["id"].(string))
			}
		}
		got := []string{}
		for _, r := range c.list("/Users", url.Values{"filter": {text}, "attributes": {"id"}}).Resources {
			got = append(got, r["id"].(string))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the list has %d, the filter finds %d", text, len(got), len(want))
		}
		found += len(want)
	}
	if found < 1000 {
		t.Errorf("only %d found: nothing was compared", found)
	}
}

func (c *client) ids() (ids []string) {
	for _, r := range c.list("/Users", url.Values{"attributes": {"id"}}).Resources {
		ids = append(ids, r["id"].(string))
	}
	return ids
}

var words = []string{"alpha", "Beta", "gamma", "DELTA", "x y", `q"uote`}

func word(random *rand.Rand) string { return words[random.IntN(len(words))] }

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// randomPerson has some of the attributes, and one extension that has names of the core.
func randomPerson(random *rand.Rand, i int) string {
	resource := map[string]any{"userName": fmt.Sprint(word(random), i)}
	set := func(object map[string]any, name string, value any) {
		if random.IntN(2) == 0 {
			object[name] = value
		}
	}
	set(resource, "title", word(random))
	set(resource, "displayName", word(random))
	set(resource, "externalId", word(random))
	set(resource, "active", random.IntN(2) == 0)
	set(resource, "name", map[string]any{"givenName": word(random), "formatted": word(random)})
	set(resource, "emails", []any{
		map[string]any{"type": "work", "value": word(random) + "@x.example"}, map[string]any{"type": "home", "value": word(random), "primary": true},
	})
	set(resource, enterprise, map[string]any{"department": word(random), "manager": map[string]any{"value": word(random)}})
	set(resource, "urn:ietf:params:scim:schemas:extension:clinic:2.0:User", map[string]any{
		"title": word(random), "displayName": word(random), "level": random.IntN(3),
	})
	b, err := json.Marshal(resource)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// typedPerson has fields, and attributes that say otherwise or nothing.
func typedPerson(random *rand.Rand, i int) directory.User {
	u := directory.User{
		ID: access.NewID[directory.UserID](time.Now()), UserName: fmt.Sprint("typed", i), GivenName: word(random), Email: word(random) + "@x.example",
		Active: random.IntN(2) == 0, Source: directory.SourceAPI,
	}
	if random.IntN(2) == 0 {
		u.Attributes = []byte(`{"active":true,"displayName":"alpha","emails":[{"value":"old@x.example"}],"name":{"formatted":"gamma","givenName":"old"},"title":"alpha","userName":"old"}`)
	}
	return u
}

func randomFilter(random *rand.Rand, depth int) string {
	if depth > 0 {
		switch left := randomFilter(random, depth-1); random.IntN(4) {
		case 0:
			return "(" + left + ") and (" + randomFilter(random, depth-1) + ")"
		case 1:
			return "(" + left + ") or (" + randomFilter(random, depth-1) + ")"
		case 2:
			return "not (" + left + ")"
		}
	}
	attrs := []string{
		"userName", "TITLE", "displayName", "externalId", "name.givenName", "name.formatted", "emails", "emails.value", "emails.type",
		"groups.display", "department", "manager", enterprise + ":department", enterprise + ":manager.value", "meta.resourceType", "nothing",
		"urn:ietf:params:scim:schemas:extension:clinic:2.0:User:title", "urn:ietf:params:scim:schemas:core:2.0:User:title", "schemas", "meta.location",
	}
	attr := attrs[random.IntN(len(attrs))]
	switch op := []string{"eq", "ne", "co", "sw", "ew", "pr", "gt", "le", "["}[random.IntN(9)]; op {
	case "pr":
		return attr + " pr"
	case "[":
		return fmt.Sprintf(`emails[type eq "work" and value co %q]`, word(random))
	default:
		return fmt.Sprintf("%s %s %q", attr, op, word(random))
	}
}

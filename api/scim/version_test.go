package scim_test

import (
	"net/http"
	"strings"
	"testing"
)

func (c *client) conditional(method, path, body, name, tag string) answer {
	c.t.Helper()
	return c.send(method, path, body, map[string]string{
		"Authorization": "Bearer " + c.token, "Content-Type": "application/scim+json", name: tag,
	})
}

// TestVersionsTellWhatShows: a client that asks for what has changed was told 304 of a
// user who had joined a group, and of a group whose member had been deleted, for no
// entry had touched their own records.
func TestVersionsTellWhatShows(t *testing.T) {
	c := newWorld(t).organization("clinic")
	ada, bob := c.create("/Users", person("ada", "")), c.create("/Users", person("bob", ""))
	group := c.create("/Groups", team("team", bob))
	inner := c.create("/Groups", team("inner"))
	for _, row := range []struct{ what, path, method, change, body string }{
		{"a user joins", "/Users/" + ada, "PATCH", "/Groups/" + group, `{"Operations":[{"op":"add","path":"members","value":[{"value":"` + ada + `"}]}]}`},
		{"a group of the user gets another name", "/Users/" + ada, "PATCH", "/Groups/" + group, `{"Operations":[{"op":"replace","path":"displayName","value":"crew"}]}`},
		{"a group is nested", "/Groups/" + group, "PATCH", "/Groups/" + group, `{"Operations":[{"op":"add","path":"members","value":[{"value":"` + inner + `"}]}]}`},
		{"a member is deleted", "/Groups/" + group, "DELETE", "/Users/" + bob, ""},
		{"a nested group is deleted", "/Groups/" + group, "DELETE", "/Groups/" + inner, ""},
		{"the group is deleted", "/Users/" + ada, "DELETE", "/Groups/" + group, ""},
	} {
		before := c.do("GET", row.path, "")
		tag := before.header.Get("ETag")
		if got := c.conditional("GET", row.path, "", "If-None-Match", tag); got.status != http.StatusNotModified {
			t.Errorf("%s: before, %d", row.what, got.status)
		}
		if got := c.do(row.method, row.change, row.body); got.status/100 != 2 {
			t.Fatalf("%s: %d %s", row.what, got.status, got.body)
		}
		after := c.conditional("GET", row.path, "", "If-None-Match", tag)
		if after.status != http.StatusOK || string(after.body) == string(before.body) {
			t.Errorf("%s: %d %s", row.what, after.status, after.body)
		}
		version := `"version":"` + strings.ReplaceAll(after.header.Get("ETag"), `"`, `\"`) + `"`
		if !strings.Contains(string(after.body), version) {
			t.Errorf("%s: the header has %s, the body %s", row.what, after.header.Get("ETag"), after.body)
		}
	}
}

// TestWritesLookAtTheResourceAlone: who has joined a group meanwhile can be written to
// with the version of before, for the write does not touch that.
func TestWritesLookAtTheResourceAlone(t *testing.T) {
	c := newWorld(t).organization("clinic")
	ada := c.create("/Users", person("ada", ""))
	tag := c.do("GET", "/Users/"+ada, "").header.Get("ETag")
	c.create("/Groups", team("team", ada))
	if got := c.conditional("PUT", "/Users/"+ada, person("ada", `,"title":"Dr."`), "If-Match", `"x", `+tag); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
	for _, stale := range []string{tag, strings.TrimPrefix(tag, "W/"), `W/"x"`, "nonsense"} {
		if got := c.conditional("PUT", "/Users/"+ada, person("ada", ""), "If-Match", stale); got.status != http.StatusPreconditionFailed {
			t.Errorf("%s: %d %s", stale, got.status, got.body)
		}
	}
}

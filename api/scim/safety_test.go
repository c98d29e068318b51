package scim_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
)

func (c *client) create(path, body string) (id string) {
	c.t.Helper()
	got := c.do("POST", path, body)
	var resource struct{ ID string }
	if err := json.Unmarshal(got.body, &resource); err != nil || got.status != 201 {
		c.t.Fatalf("POST %s: %d %s", path, got.status, got.body)
	}
	return resource.ID
}

func (c *client) want(status int, method, path, body string) answer {
	c.t.Helper()
	got := c.do(method, path, body)
	if got.status != status || status >= 400 && !strings.Contains(string(got.body), fmt.Sprintf(`"status":"%d"`, status)) {
		c.t.Errorf("%s %.60s: got %d %.200s, want %d", method, path, got.status, got.body, status)
	}
	return got
}

func TestIsolation(t *testing.T) {
	w := newWorld(t)
	a, b := w.organization("a"), w.organization("b")
	user := b.create("/Users", `{"userName":"bob"}`)
	group := b.create("/Groups", `{"displayName":"g","members":[{"value":"`+user+`"}]}`)

	a.want(404, "GET", "/Users/"+user, "")
	a.want(404, "DELETE", "/Users/"+user, "")
	a.want(404, "PUT", "/Users/"+user, `{"userName":"eve"}`)
	a.want(404, "DELETE", "/Groups/"+group, "")
	a.create("/Users", `{"userName":"bob"}`) // the same name is free here
	mine := a.create("/Groups", `{"displayName":"g","members":[{"value":"`+user+`"}]}`)
	if got := a.want(200, "GET", "/Groups/"+mine, ""); strings.Contains(string(got.body), user) {
		t.Errorf("a foreign user became a member: %s", got.body)
	}

	foreign := &client{t: t, base: b.base, token: a.token}
	nobody := &client{t: t, base: w.url + "/scim/v2/nobody", token: a.token}
	theirs, none := foreign.want(404, "GET", "/Users/"+user, ""), nobody.want(404, "GET", "/Users/"+user, "")
	if string(theirs.body) != string(none.body) {
		t.Errorf("an existing slug answers %s, an unknown one %s", theirs.body, none.body)
	}
	foreign.want(404, "POST", "/Users", `{"userName":"eve"}`)
	(&client{t: t, base: b.base, token: "afs_nonsense"}).want(401, "GET", "/Users", "")
	b.want(200, "GET", "/Users/"+user, "")
}

func TestConcurrentChangesAllCount(t *testing.T) {
	const users = 12
	c := newWorld(t).organization("a")
	group := c.create("/Groups", `{"displayName":"g"}`)
	target := c.create("/Users", `{"userName":"target"}`)
	var wg sync.WaitGroup
	for i := range users {
		id := c.create("/Users", fmt.Sprintf(`{"userName":"u%d"}`, i))
		wg.Go(func() {
			c.want(204, "PATCH", "/Groups/"+group, `{"Operations":[{"op":"Add","path":"members","value":[{"value":"`+id+`"}]}]}`)
		})
	}
	for _, op := range []string{`"path":"title","value":"t"`, `"path":"nickName","value":"n"`, `"path":"locale","value":"l"`} {
		wg.Go(func() { c.want(200, "PATCH", "/Users/"+target, `{"Operations":[{"op":"Add",`+op+`}]}`) })
	}
	wg.Wait()
	var g struct{ Members []any }
	if err := json.Unmarshal(c.do("GET", "/Groups/"+group, "").body, &g); err != nil || len(g.Members) != users {
		t.Errorf("%d members, want %d (%v)", len(g.Members), users, err)
	}
	got := string(c.do("GET", "/Users/"+target, "").body)
	for _, part := range []string{`"title":"t"`, `"nickName":"n"`, `"locale":"l"`} {
		if !strings.Contains(got, part) {
			t.Errorf("%s is lost: %s", part, got)
		}
	}
}

func TestHostileRequests(t *testing.T) {
	c := newWorld(t).organization("a")
	id := c.create("/Users", `{"userName":"u"}`)
	c.want(400, "GET", "/Users?filter="+strings.Repeat("%28", filter.MaxFilter+1), "")
	c.want(400, "GET", "/Users?filter=", "")
	c.want(400, "GET", "/Users?count=many", "")
	c.want(413, "POST", "/Users", `{"userName":"`+strings.Repeat("a", patch.MaxUser)+`"}`)
	c.want(413, "PATCH", "/Users/"+id, strings.Repeat(" ", patch.MaxBody+1))
	c.want(400, "POST", "/Users", `{"userName":`)
	c.want(400, "POST", "/Users", "")
	c.want(400, "POST", "/Users", "{\"userName\":\"\xff\xfe\"}")
	c.want(400, "POST", "/Users", `{"displayName":"nameless"}`)
	c.want(400, "PATCH", "/Users/"+id, strings.Repeat("[", 10_000))
	c.want(405, "DELETE", "/Users", "")
	c.want(404, "GET", "/Users/"+id+"/more", "")
	c.want(404, "GET", "/Nothing", "")
	xml := c.send("POST", "/Users", "<a/>", map[string]string{"Authorization": "Bearer " + c.token, "Content-Type": "text/xml"})
	stale := c.send("DELETE", "/Users/"+id, "", map[string]string{"Authorization": "Bearer " + c.token, "If-Match": `W/"1"`})
	if xml.status != 415 || stale.status != 412 {
		t.Errorf("text/xml: %d, a stale version: %d", xml.status, stale.status)
	}
}

func TestWriteWithoutChangeIsNoEntry(t *testing.T) {
	c := newWorld(t).organization("a")
	id := c.create("/Users", `{"userName":"u","title":"t"}`)
	first := c.want(200, "GET", "/Users/"+id, "")
	again := c.want(200, "PATCH", "/Users/"+id, `{"Operations":[{"op":"Replace","path":"title","value":"t"}]}`)
	if again.header.Get("X-Authfi-Index") != "" || string(first.body) != string(again.body) {
		t.Errorf("the user changed: %s, %s", first.body, again.body)
	}
}

func TestPutDoesNotReactivate(t *testing.T) {
	c := newWorld(t).organization("a")
	id := c.create("/Users", `{"userName":"u","active":false}`)
	if got := c.want(200, "PUT", "/Users/"+id, `{"userName":"u2"}`); !strings.Contains(string(got.body), `"active":false`) {
		t.Errorf("active again: %s", got.body)
	}
}

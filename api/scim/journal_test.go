package scim_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/scim/journal"
)

// remembered is what the journal keeps of the requests of a connection, oldest first.
func (w *world) remembered(c *client) []journal.Request {
	w.t.Helper()
	a := w.journal.Answer(journal.Question{Org: c.org, Connection: c.connection, Requests: journal.RequestsMax}, time.Now())
	slices.Reverse(a.Requests)
	return a.Requests
}

// TestReplayOfTheRedactedLog has each recorded conversation, takes it from the log as
// it is served, and repeats it at an organization that is empty: every request must be
// answered with the status that it had. What the server made up, such as ids, is taken
// from the answers that the replay gets.
func TestReplayOfTheRedactedLog(t *testing.T) {
	files, err := filepath.Glob("testdata/*/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal("no scenarios", err)
	}
	replayed := 0
	for _, file := range files {
		t.Run(strings.TrimPrefix(filepath.ToSlash(file), "testdata/"), func(t *testing.T) {
			w := newWorld(t)
			c := w.organization("corpus")
			if fault := c.converse(t, file); fault != "" {
				t.Fatal(fault)
			}
			served, err := json.Marshal(w.remembered(c))
			if err != nil {
				t.Fatal(err)
			}
			nobody(t, file, served)
			if conditional(t, file) {
				return // conditions are headers, which the log does not keep
			}
			var log []journal.Request
			if err := json.Unmarshal(served, &log); err != nil {
				t.Fatal(err)
			}
			repeat(t, newWorld(t).organization("fresh"), log)
			replayed += len(log)
		})
	}
	if replayed < 3*len(files) {
		t.Errorf("%d requests of %d conversations were replayed", replayed, len(files))
	}
}

// personal are the values of the conversations that cannot be anything else.
var personal = regexp.MustCompile(`[\w.+'&%-]+@[\w.-]+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`)

// nobody demands that no mail address and no GUID of a conversation is served.
func nobody(t *testing.T, file string, served []byte) {
	t.Helper()
	var conversation struct {
		Steps []struct {
			Path string
			Body json.RawMessage
		}
	}
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &conversation)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range conversation.Steps {
		path, err := url.QueryUnescape(step.Path)
		if err != nil {
			t.Fatal(err)
		}
		for _, value := range personal.FindAllString(path+string(step.Body), -1) {
			if strings.Contains(strings.ToLower(string(served)), strings.ToLower(value)) {
				t.Errorf("%s is served", value)
			}
		}
	}
}

// conditional tells whether a conversation has requests with conditions.
func conditional(t *testing.T, file string) bool {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(b), `"If-Match"`) || strings.Contains(string(b), `"If-None-Match"`)
}

// repeat sends a log and compares the statuses.
func repeat(t *testing.T, c *client, log []journal.Request) {
	t.Helper()
	known := map[string]string{}
	for i, q := range log {
		if q.BodyOmitted > 0 {
			t.Fatalf("%d: the body was not kept", i+1)
		}
		path := q.Path
		if q.Query != "" {
			path += "?" + q.Query
		}
		got := c.do(q.Method, made(path, known), made(q.Body, known))
		if got.status != q.Status {
			t.Errorf("%d: %s %s %s: %d %s, was %d %s", i+1, q.Method, path, q.Body, got.status, got.body, q.Status, q.Answer)
		}
		var old, now any
		if json.Unmarshal([]byte(q.Answer), &old) == nil && json.Unmarshal(got.body, &now) == nil {
			learn(old, now, known)
		}
	}
}

// made puts what the server made up now in the place of what it had made up then.
func made(text string, known map[string]string) string {
	for then, now := range known {
		text = strings.ReplaceAll(text, then, now)
	}
	return text
}

// learn compares two answers to one request for ids and cursors.
func learn(old, now any, known map[string]string) {
	switch o := old.(type) {
	case map[string]any:
		n, _ := now.(map[string]any)
		for _, key := range []string{"id", "value", "nextCursor"} {
			then, ok := o[key].(string)
			if made, isText := n[key].(string); ok && isText && then != made && (key == "nextCursor" || resourceID.MatchString(then)) {
				known[then] = made
			}
		}
		for key := range o {
			learn(o[key], n[key], known)
		}
	case []any:
		n, _ := now.([]any)
		for i := range min(len(o), len(n)) {
			learn(o[i], n[i], known)
		}
	}
}

var resourceID = regexp.MustCompile(`^(usr|grp)-[0-9a-f]{32}$`)

// TestNothingPersonalIsRemembered sends canaries in every place where a provider has
// sent a value, and some where none should, and looks for them in what is served.
func TestNothingPersonalIsRemembered(t *testing.T) {
	w := newWorld(t)
	c := w.organization("canary-clinic")
	const extension = `"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"`
	made := c.do("POST", "/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User",`+extension+`,"urn:clinic:person"],
		"externalId":"cafe0001-1111-4222-8333-444455556666","userName":"Canary.User@Canary-Mail.example","password":"canaryPassword1",
		"name":{"givenName":"Canaria","familyName":"Canaryson"},"displayName":"Canaria Canaryson","nickName":"canarybird","locale":"canary-XX",
		"emails":[{"type":"work","value":"canary.work@canary-mail.example","primary":true},{"type":"canarytype","value":"other@canary-mail.example"}],
		"phoneNumbers":[{"type":"mobile","value":"+1 555 2276279"}],"addresses":[{"type":"work","formatted":"1 Canary Wharf"}],
		"photos":[{"type":"photo","value":"https://canary-host.example/Users/canary.png"}],
		"roles":["{\"id\":\"canaryrole\",\"value\":\"canaryvalue\",\"displayName\":\"canary display\"}"],
		`+extension+`:{"employeeNumber":"CANARY-77","manager":{"value":"canary-boss"},"costCenter":2276279,"birthday":"1971-12-13T01:02:03Z"},
		"canary person":"canary key","secrets":{"pin":["canarypin"]}}`)
	if made.status != http.StatusCreated {
		t.Fatalf("%d %s", made.status, made.body)
	}
	var user struct{ ID string }
	if err := json.Unmarshal(made.body, &user); err != nil {
		t.Fatal(err)
	}
	for _, q := range []struct{ method, path, body string }{
		{"GET", `/Users?filter=userName+eq+%22canary.user@canary-mail.example%22&canary+parameter=canaryvalue&attributes=canary%20name`, ""},
		{"GET", `/Users?filter=userName+eq+canary.user@canary-mail.example`, ""},
		{"GET", `/Users?cursor=canarycursor&count=x2276279`, ""},
		{"GET", `/Users?%zzcanary`, ""},
		{"GET", `/Users/canary.user`, ""},
		{"GET", `/Canaries/canary?canary`, ""},
		{"CANARY", `/Users`, ""},
		{"PUT", `/Users/` + user.ID, `{"userName":"canary.user@canary-mail.example","displayName":"Canaria, married Canaryson"}`},
		{"PATCH", `/Users/` + user.ID, `{"Operations":[{"op":"Replace","path":"emails[type eq \"work\" and value co \"canary.work\"].value","value":"canary@new.example"},{"op":"add","value":{"phoneNumbers[type eq \"canarytype\"].value":"+15552276279"}}]}`},
		{"PATCH", `/Users/` + user.ID, `{"Operations":[{"op":"canaryop","path":"canary is no path","value":"x"}]}`},
		{"PATCH", `/Users/` + user.ID, `this is canary.user, not JSON`},
		{"POST", `/Users`, `{"schemas":[],"userName":"canary.user@canary-mail.example"}`},
		{"POST", `/.search`, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],"filter":"userName sw \"canary\"","sortBy":"canary name"}`},
		{"POST", `/Groups`, `{"displayName":"Canary Watchers","members":[{"value":"` + user.ID + `","display":"Canaria"}]}`},
		{"POST", `/Bulk`, `{"schemas":["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],"Operations":[{"method":"POST","path":"/Users","bulkId":"canarybulk","data":{"userName":"canary2"}},
			{"method":"PATCH","path":"/Users/bulkId:canarybulk","data":{"Operations":[{"op":"add","path":"title","value":"Canary in chief"}]}}]}`},
	} {
		c.do(q.method, q.path, q.body)
	}
	log := w.remembered(c)
	if len(log) != 16 {
		t.Errorf("%d requests are remembered", len(log))
	}
	served, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ToLower(string(served))
	for _, canary := range []string{"canar", "cafe0001", "2276279", "227 62", "1971-12-13", c.token, c.token[4:], strings.ToLower(c.token), user.ID[4:]} {
		if i := strings.Index(text, strings.ToLower(canary)); i >= 0 {
			t.Errorf("%s is served: …%s…", canary, text[max(i-80, 0):min(i+80, len(text))])
		}
	}
	if !strings.Contains(text, `urn:ietf:params:scim:schemas:extension:enterprise:2.0:user`) || !strings.Contains(text, "emails[type eq") {
		t.Error("what is no one's is not served either")
	}
}

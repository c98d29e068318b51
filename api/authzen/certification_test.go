package authzen_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The tests of this file go the way of the working group's certification
// scenario for the API 1.0, as far as it fits a directory without resources:
// identifiers alone decide (its "Core"), and a resource is its type. Alice may
// read and write records, Bob may read them.
func fixture(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.user(w.clinic, "alice", "read:record", "write:record")
	w.user(w.clinic, "bob", "read:record")
	return w
}

// parts of the scenario's requests.
const (
	alice   = `"subject":{"type":"user","id":"alice"}`
	bob     = `"subject":{"type":"user","id":"bob"}`
	anybody = `"subject":{"type":"user"}`
	read    = `"action":{"name":"read"}`
	write   = `"action":{"name":"write"}`
	record  = `"resource":{"type":"record","id":"record-1"}`
	records = `"resource":{"type":"record"}`
	around  = `"context":{"time":"2025-06-27T18:03-07:00","ip":"192.168.1.1"}`
)

func body(parts ...string) string { return "{" + strings.Join(parts, ",") + "}" }

func TestBasicCertification(t *testing.T) {
	w := fixture(t)
	for _, c := range []struct {
		name, body string
		allowed    bool
	}{
		{"a permit", body(alice, read, record), true},
		{"another action", body(alice, write, record), true},
		{"another subject", body(bob, read, record), true},
		{"a denial", body(bob, write, record), false},
		{"with a context", body(alice, read, record, around), true},
		{"with properties that decide nothing", body(
			`"subject":{"type":"user","id":"alice","properties":{"department":"Sales","role":"manager"}}`,
			`"action":{"name":"read","properties":{"method":"GET"}}`,
			`"resource":{"type":"record","id":"record-1","properties":{"status":"active"}}`), true},
		{"with names of the future", body(alice, read, record, `"foo":"bar"`, `"futureField":{"nested":true}`), true},
		{"an unknown subject", body(`"subject":{"type":"user","id":"nobody"}`, read, record), false},
		{"an unknown type of subject", body(`"subject":{"type":"spaceship","id":"alice"}`, read, record), false},
		{"an unknown type of resource", body(alice, read, `"resource":{"type":"Space Ship","id":"1"}`), false},
		{"an unknown action", body(alice, `"action":{"name":"Read:record"}`, record), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 3 { // the same question has the same answer
				if a := w.ok("evaluation", c.body); a.Decision == nil || *a.Decision != c.allowed || a.Context.Index == 0 {
					t.Fatalf("answer %+v", a)
				}
			}
		})
	}
	for name, wrong := range map[string]string{
		"no subject":              body(read, record),
		"no action":               body(alice, record),
		"no resource":             body(alice, read),
		"subject without type":    body(`"subject":{"id":"alice"}`, read, record),
		"subject without id":      body(anybody, read, record),
		"action without name":     body(alice, `"action":{}`, record),
		"resource without type":   body(alice, read, `"resource":{"id":"record-1"}`),
		"resource without id":     body(alice, read, records),
		"subject is a string":     body(`"subject":"alice"`, read, record),
		"name is a number":        body(alice, `"action":{"name":123}`, record),
		"subject is null":         body(`"subject":null`, read, record),
		"id is empty":             body(`"subject":{"type":"user","id":""}`, read, record),
		"name in another case":    body(`"Subject":{"type":"user","id":"alice"}`, read, record),
		"properties is a list":    body(alice, `"action":{"name":"read","properties":[]}`, record),
		"context is a string":     body(alice, read, record, `"context":"now"`),
		"a name twice":            body(alice, bob, write, record),
		"a name twice, inside":    body(`"subject":{"type":"user","id":"bob","id":"alice"}`, write, record),
		"a name twice, escaped":   body(`"subject":{"type":"user","id":"bob","\u0069d":"alice"}`, write, record),
		"nested beyond the depth": body(alice, read, record, `"context":{"a":`+strings.Repeat("[", 32)+strings.Repeat("]", 32)+`}`),
		"not JSON":                `{"subject":`,
		"two values":              body(alice, read, record) + "{}",
		"a list":                  "[" + body(alice, read, record) + "]",
		"not UTF-8":               body(alice, read, record, "\"context\":{\"a\":\"\xff\"}"),
		"empty":                   "",
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluation", wrong))
		})
	}
	w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluation", body(alice, read, record), "Content-Type", "text/plain"))
	w.ok("evaluation", body(alice, read, record, `"context":{"a":`+strings.Repeat("[", 30)+strings.Repeat("]", 30)+`}`))
}

// TestRequestIdentification: what the client calls a request, the answer is
// called, a refusal too.
func TestRequestIdentification(t *testing.T) {
	w := fixture(t)
	const id = "bfe9eb29-ab87-4ca3-be83-a1d5d8305716"
	for _, b := range []string{body(alice, read, record), `{}`} {
		if r := w.ask(w.token, "/o/clinic/access/v1/evaluation", b, "X-Request-ID", id); r.header.Get("X-Request-Id") != id {
			t.Errorf("%d %v", r.status, r.header)
		}
	}
	if r := w.ask(w.token, "/o/clinic/access/v1/evaluation", body(alice, read, record)); r.status != http.StatusOK || r.header.Get("X-Request-Id") == "" {
		t.Errorf("without one: %d %v", r.status, r.header)
	}
}

// decisions writes those of a batch as text: + and -, e for an error.
func decisions(a answer) (text string) {
	for _, one := range a.Evaluations {
		switch {
		case one.Decision == nil:
			text += "?"
		case *one.Decision:
			text += "+"
		case one.Context.Error != nil:
			text += "e"
		default:
			text += "-"
		}
	}
	return text
}

func list(items ...string) string { return `"evaluations":[` + strings.Join(items, ",") + `]` }

func TestBatchCertification(t *testing.T) {
	w := fixture(t)
	semantic := func(name string) string { return `"options":{"evaluations_semantic":"` + name + `","another":1}` }
	second := `{"resource":{"type":"record","id":"record-2"}}`
	first := `{"resource":{"type":"record","id":"record-1"}}`
	for _, c := range []struct{ name, body, want string }{
		{"defaults of subject and action", body(alice, read, list(first, second)), "++"},
		{"order and decisions", body(bob, record, list(`{`+read+`}`, `{`+write+`}`)), "+-"},
		{"no defaults", body(list(body(alice, read, record), body(bob, write, record))), "+-"},
		{"a context of its own", body(alice, read, around, list(first, `{"resource":{"type":"record","id":"2"},"context":{"source":"item"}}`)), "++"},
		{"everything from the request", body(alice, write, record, list(`{}`, `{`+bob+`}`)), "+-"},
		{"one that lacks something", body(alice, read, semantic("execute_all"), list(first, `{}`)), "+e"},
		{"one that is malformed", body(alice, read, record, list(`{}`, `7`, `{"subject":null}`, `{"context":1}`)), "+eee"},
		{"execute all", body(record, read, semantic("execute_all"), list(`{`+bob+`}`, `{`+bob+`,`+write+`}`, `{`+alice+`}`)), "+-+"},
		{"deny on first deny", body(record, read, semantic("deny_on_first_deny"), list(`{`+bob+`}`, `{`+bob+`,`+write+`}`, `{`+alice+`}`)), "+-"},
		{"deny on first error", body(record, read, semantic("deny_on_first_deny"), list(`{`+bob+`}`, `{}`, `{`+alice+`}`)), "+e"},
		{"permit on first permit", body(record, write, semantic("permit_on_first_permit"), list(`{`+bob+`}`, `{}`, `{`+alice+`}`, `{`+bob+`}`)), "-e+"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.ok("evaluations", c.body)
			if got := decisions(a); got != c.want || a.Decision != nil {
				t.Errorf("%s, want %s; decision %v", got, c.want, a.Decision)
			}
		})
	}
	for name, c := range map[string]string{"no list": body(alice, read, record), "an empty list": body(alice, read, record, list())} {
		if a := w.ok("evaluations", c); a.Decision == nil || !*a.Decision || a.Evaluations != nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	for name, wrong := range map[string]string{
		"subject of the request":  body(`"subject":"alice"`, read, list(first)),
		"resource of the request": body(alice, read, records, list(first)),
		"context of the request":  body(alice, read, `"context":[]`, list(first)),
		"list":                    body(alice, read, record, `"evaluations":{}`),
		"null for a list":         body(alice, read, record, `"evaluations":null`),
		"options":                 body(alice, read, `"options":[]`, list(first)),
		"semantic":                body(alice, read, semantic("guess"), list(first)),
		"semantic is a number":    body(alice, read, `"options":{"evaluations_semantic":1}`, list(first)),
	} {
		t.Run(name, func(t *testing.T) {
			w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluations", wrong))
		})
	}
}

func TestLimitOfEvaluations(t *testing.T) {
	w := fixture(t)
	many := func(n int) string {
		return body(alice, read, record, list(strings.TrimSuffix(strings.Repeat("{},", n), ",")))
	}
	if a := w.ok("evaluations", many(1000)); decisions(a) != strings.Repeat("+", 1000) {
		t.Errorf("%d decisions", len(a.Evaluations))
	}
	w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluations", many(1001)))
	one := body(alice, read, record)
	full := one + strings.Repeat(" ", 1<<20-len(one))
	w.ok("evaluation", full)
	w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluation", full+" "))
}

// names are the results of a search, by what people call them.
func names(a answer) (all []string) {
	for _, r := range a.Results {
		switch {
		case r["name"] != nil:
			all = append(all, r["name"].(string))
		case r["properties"] != nil:
			all = append(all, r["properties"].(map[string]any)["user_name"].(string))
		default:
			all = append(all, fmt.Sprint(r["type"], "/", r["id"]))
		}
	}
	return all
}

func TestSearchCertification(t *testing.T) {
	w := fixture(t)
	spaceship := `"subject":{"type":"spaceship","id":"1"}`
	for _, c := range []struct{ name, endpoint, body, want string }{
		{"subjects", "search/subject", body(anybody, read, record), "[alice bob]"},
		{"subjects, with a context", "search/subject", body(anybody, read, record, around), "[alice bob]"},
		{"subjects, with an id that is ignored", "search/subject", body(alice, read, record), "[alice bob]"},
		{"subjects of another action", "search/subject", body(anybody, write, record), "[alice]"},
		{"subjects of an unknown type", "search/subject", body(`"subject":{"type":"spaceship"}`, read, record), "[]"},
		{"subjects for an unknown resource", "search/subject", body(anybody, read, `"resource":{"type":"Space Ship","id":"1"}`), "[]"},
		{"subjects for an unknown action", "search/subject", body(anybody, `"action":{"name":"fly"}`, record), "[]"},
		{"resources", "search/resource", body(alice, write, records), "[record/*]"},
		{"resources, with an id that is ignored", "search/resource", body(alice, read, record, around), "[record/*]"},
		{"resources that are denied", "search/resource", body(bob, write, records), "[]"},
		{"resources of an unknown type", "search/resource", body(alice, read, `"resource":{"type":"Space Ship"}`), "[]"},
		{"resources of an unknown subject", "search/resource", body(`"subject":{"type":"user","id":"nobody"}`, read, records), "[]"},
		{"resources of an unknown type of subject", "search/resource", body(spaceship, read, records), "[]"},
		{"actions", "search/action", body(alice, record), "[read write]"},
		{"actions, with a context", "search/action", body(bob, record, around), "[read]"},
		{"actions on an unknown resource", "search/action", body(alice, `"resource":{"type":"Space Ship","id":"1"}`), "[]"},
		{"actions of an unknown subject", "search/action", body(`"subject":{"type":"user","id":"nobody"}`, record), "[]"},
		{"actions of an unknown type of subject", "search/action", body(spaceship, record), "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := w.ok(c.endpoint, c.body)
			found := names(a)
			slices.Sort(found) // subjects are in the order of their ids
			if got := fmt.Sprint(found); got != c.want || a.Results == nil || a.Context.Index == 0 {
				t.Errorf("%s, want %s", got, c.want)
			}
			if *a.Page.NextToken != "" || a.Page.Count != len(a.Results) || a.Page.Total != len(a.Results) {
				t.Errorf("page %+v", a.Page)
			}
		})
	}
	for _, wrong := range [][2]string{
		{"search/subject", body(anybody, record)},
		{"search/subject", body(anybody, read)},
		{"search/subject", body(read, record)},
		{"search/subject", body(anybody, read, records)},
		{"search/resource", body(read, records)},
		{"search/resource", body(anybody, read, records)},
		{"search/resource", body(alice, records)},
		{"search/resource", body(alice, read, `"resource":{"id":"record-1"}`)},
		{"search/action", body(alice)},
		{"search/action", body(anybody, record)},
		{"search/action", body(alice, records)},
		{"search/action", body(alice, record, `"context":1`)},
	} {
		w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/"+wrong[0], wrong[1]))
	}
}

func TestDiscoveryCertification(t *testing.T) {
	w := newWorld(t)
	for path, base := range map[string]string{
		"/.well-known/authzen-configuration":          issuer,
		"/.well-known/authzen-configuration/o/clinic": issuer + "/o/clinic",
		// A name that nobody has: whoever asks learns nothing.
		"/.well-known/authzen-configuration/o/nobody": issuer + "/o/nobody",
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+path, nil)
		must(t, err)
		r := w.send(req)
		var said map[string]string
		must(t, json.Unmarshal(r.body, &said))
		want := map[string]string{
			"policy_decision_point": base, "access_evaluation_endpoint": base + "/access/v1/evaluation",
			"access_evaluations_endpoint": base + "/access/v1/evaluations", "search_subject_endpoint": base + "/access/v1/search/subject",
			"search_resource_endpoint": base + "/access/v1/search/resource", "search_action_endpoint": base + "/access/v1/search/action",
		}
		if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || fmt.Sprint(said) != fmt.Sprint(want) {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.base+"/.well-known/authzen-configuration/o/No%20Slug", nil)
	must(t, err)
	if r := w.send(req); r.status != http.StatusNotFound {
		t.Errorf("a name that no organization can have: %d", r.status)
	}
}

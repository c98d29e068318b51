package authzen_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

var endpoints = []string{"evaluation", "evaluations", "search/subject", "search/resource", "search/action"}

// TestWhoMayAsk: the rows of the table are those of the same questions elsewhere.
func TestWhoMayAsk(t *testing.T) {
	w := newWorld(t)
	desk := w.user(w.clinic, "desk", "read:directory")
	plain := w.user(w.clinic, "plain", "read:record")
	stranger := w.user(w.other, "stranger", "read:directory", "read:record")
	about := func(id string) string {
		return fmt.Sprintf(`{"subject":{"type":"user","id":%q},%s,%s}`, id, read, record)
	}
	for _, path := range []string{"/access/v1/", "/o/clinic/access/v1/"} {
		for _, endpoint := range endpoints {
			if r := w.ask(w.session(w.clinic, desk), path+endpoint, about("plain")); r.status != http.StatusOK {
				t.Errorf("the desk at %s%s: %d %s", path, endpoint, r.status, r.body)
			}
			r := w.ask(w.session(w.clinic, plain), path+endpoint, about(plain.String()))
			if want := map[bool]int{true: http.StatusForbidden, false: http.StatusOK}[endpoint == "search/subject"]; r.status != want {
				t.Errorf("about themselves at %s%s: %d %s", path, endpoint, r.status, r.body)
			}
			// Others are refused alike, whether there is one or not.
			for _, other := range []string{"desk", "nobody", stranger.String()} {
				w.refused(http.StatusForbidden, w.ask(w.session(w.clinic, plain), path+endpoint, about(other)))
			}
		}
	}
	batch := fmt.Sprintf(`{%s,%s,"evaluations":[{"subject":{"type":"user","id":"plain"}},{"subject":{"type":"user","id":"desk"}}]}`, read, record)
	if r := w.ask(w.session(w.clinic, plain), "/access/v1/evaluations", batch); r.status != http.StatusOK || !contains(r.body, `"status":403`) {
		t.Errorf("a batch about others: %d %s", r.status, r.body)
	}
}

func contains(body []byte, text string) bool {
	for i := range body {
		if len(body)-i >= len(text) && string(body[i:i+len(text)]) == text {
			return true
		}
	}
	return false
}

// TestNobodyLearnsOfOthers: without a credential all organizations look the
// same, and with one all but one's own.
func TestNobodyLearnsOfOthers(t *testing.T) {
	w := newWorld(t)
	desk := w.session(w.clinic, w.user(w.clinic, "desk", "read:directory"))
	w.user(w.other, "alice", "read:record")
	question := evaluate("alice", "read", "record")
	for _, endpoint := range endpoints {
		var without, within reply
		for i, slug := range []string{"nobody", "other", "clinic"} {
			path := "/o/" + slug + "/access/v1/" + endpoint
			r := w.ask("afo_wrong", path, question)
			w.refused(http.StatusUnauthorized, r)
			if r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("no challenge in %v", r.header)
			}
			if i > 0 && string(r.body) != string(without.body) {
				t.Errorf("%s says %q, another %q", slug, r.body, without.body)
			}
			without = r
			if slug == "clinic" {
				continue
			}
			r = w.ask(desk, path, question)
			w.refused(http.StatusNotFound, r)
			if i > 0 && string(r.body) != string(within.body) {
				t.Errorf("%s says %q, another %q", slug, r.body, within.body)
			}
			within = r
		}
	}
	// A neighbour's user is as unknown as nobody.
	neighbour := w.user(w.other, "eve", "read:record")
	for _, id := range []string{neighbour.String(), "usr-00000000000000000000000000000001", "eve"} {
		if r := w.ask(desk, "/access/v1/evaluation", evaluate(id, "read", "record")); !contains(r.body, `"decision":false`) || !contains(r.body, "subject_unknown") {
			t.Errorf("%s: %d %s", id, r.status, r.body)
		}
	}
	w.refused(http.StatusBadRequest, w.ask(w.token, "/access/v1/evaluation", question)) // an operator names the organization
}

// TestReasons: what stands in the way of a decision is said.
func TestReasons(t *testing.T) {
	w := newWorld(t)
	alice := w.user(w.clinic, "Alice", "read:record", "burn:*")
	reason := func(subject, action, kind string) string {
		a := w.ok("evaluation", evaluate(subject, action, kind))
		if *a.Decision != (a.Context.Reason == "granted") {
			t.Errorf("decision %v because %s", *a.Decision, a.Context.Reason)
		}
		return a.Context.Reason
	}
	for _, c := range [][4]string{
		{"alice", "read", "record", "granted"}, // names have no case
		{alice.String(), "read", "record", "granted"},
		{alice.String(), "burn", "anything", "granted"},
		{alice.String(), "burn", "*", "granted"}, // the wildcard itself
		{alice.String(), "read", "*", "not_granted"},
		{alice.String(), "write", "record", "not_granted"},
		{"nobody", "read", "record", "subject_unknown"},
	} {
		if got := reason(c[0], c[1], c[2]); got != c[3] {
			t.Errorf("%v: %s", c, got)
		}
	}
	w.do(w.clinic, &fsm.SetUserActive{User: alice, Active: false})
	if got := reason("alice", "read", "record"); got != "user_inactive" {
		t.Errorf("deactivated: %s", got)
	}
	w.do(w.clinic, &fsm.SetUserActive{User: alice, Active: true})
	w.do(w.clinic, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	if got := reason("alice", "read", "record"); got != "organization_suspended" {
		t.Errorf("suspended: %s", got)
	}
	if found := w.ok("search/subject", body(anybody, read, record)); len(found.Results) != 0 {
		t.Errorf("suspended: %v", found.Results)
	}
}

// A user whose name has the form of another's id is never taken for them.
func TestNameThatLooksLikeAnID(t *testing.T) {
	w := newWorld(t)
	gone := w.user(w.clinic, "gone", "read:record")
	w.do(w.clinic, &fsm.DeleteUser{User: gone})
	w.user(w.clinic, gone.String(), "read:record")
	if a := w.ok("evaluation", evaluate(gone.String(), "read", "record")); *a.Decision || a.Context.Reason != "subject_unknown" {
		t.Errorf("decision %v because %s", *a.Decision, a.Context.Reason)
	}
}

// TestConnectionsAskNothing: an identity provider provisions, and nothing else.
func TestConnectionsAskNothing(t *testing.T) {
	w := newWorld(t)
	id := access.NewID[directory.ConnectionID](time.Now())
	token, hash := access.NewConnectionToken(w.clinic, id)
	w.do(w.clinic, &fsm.CreateConnection{Connection: directory.Connection{ID: id, Provider: directory.ProviderEntra, Token: hash}})
	for _, endpoint := range endpoints {
		w.refused(http.StatusForbidden, w.ask(token, "/access/v1/"+endpoint, evaluate("alice", "read", "record")))
	}
}

func TestFreshness(t *testing.T) {
	w := fixture(t)
	question := body(alice, read, record)
	index := w.ok("evaluation", question).Context.Index
	if a := w.ok("evaluation", question, "X-Authfi-Index", fmt.Sprint(index)); a.Context.Index < index {
		t.Errorf("index %d", a.Context.Index)
	}
	w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/evaluation", question, "X-Authfi-Index", "soon"))
}

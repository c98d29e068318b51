package authzen_test

import (
	"fmt"
	"math/rand"
	"net/http"
	"slices"
	"testing"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func page(limit, token string) string {
	switch {
	case limit == "":
		return fmt.Sprintf(`"page":{"token":%q}`, token)
	case token == "":
		return fmt.Sprintf(`"page":{"limit":%s}`, limit)
	}
	return fmt.Sprintf(`"page":{"limit":%s,"token":%q,"properties":{}}`, limit, token)
}

// TestPagesStandStill: the pages of a search are exactly what it would have
// found in one when it began, whatever changes meanwhile.
func TestPagesStandStill(t *testing.T) {
	w := newWorld(t)
	var ids []directory.UserID
	var want []string
	for i := range 11 {
		name := fmt.Sprintf("user-%02d", i)
		ids = append(ids, w.user(w.clinic, name, "read:record"))
		want = append(want, name)
	}
	for _, stated := range []string{"3", ""} { // a further page need not state the limit again
		var got []string
		a := w.ok("search/subject", body(anybody, read, record, page("3", "")))
		index := a.Context.Index
		for n := 0; ; n++ {
			got = append(got, names(a)...)
			if a.Context.Index != index || a.Page.Total != len(want) || a.Page.Count != len(a.Results) {
				t.Errorf("page %d: %+v at %d", n, a.Page, a.Context.Index)
			}
			if *a.Page.NextToken == "" {
				break
			}
			if stated != "" {
				w.do(w.clinic, &fsm.SetUserActive{User: ids[10-n], Active: false})
			}
			w.user(w.clinic, fmt.Sprintf("new-%d-%s", n, stated), "read:record")
			a = w.ok("search/subject", body(anybody, read, record, page(stated, *a.Page.NextToken)))
		}
		slices.Sort(got) // pages are in the order of ids
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("limit %q: %v, want %v", stated, got, want)
		}
		for _, id := range ids {
			w.do(w.clinic, &fsm.SetUserActive{User: id, Active: true})
		}
		want = append(slices.Clone(want), "new-0-3", "new-1-3", "new-2-3") // what the second turn begins with
	}
}

// TestPagesOfActions: a list that is not of users is paged alike, also by one.
func TestPagesOfActions(t *testing.T) {
	w := newWorld(t)
	w.user(w.clinic, "alice", "a:record", "b:record", "c:*", "d:record", "b:other")
	var got []string
	for token := ""; ; {
		a := w.ok("search/action", body(alice, record, page("1", token)))
		got = append(got, names(a)...)
		if token = *a.Page.NextToken; token == "" {
			break
		}
		w.user(w.clinic, fmt.Sprintf("later-%d", len(got)))
	}
	if fmt.Sprint(got) != "[a b c d]" {
		t.Errorf("actions %v", got)
	}
}

func TestLimitsOfPages(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		w.user(w.clinic, fmt.Sprintf("user-%d", i), "read:record")
	}
	search := func(limit string) answer { return w.ok("search/subject", body(anybody, read, record, page(limit, ""))) }
	if a := search("0"); len(a.Results) != 0 || a.Page.Total != 3 || *a.Page.NextToken == "" {
		t.Errorf("a count: %+v", a.Page)
	} else if next := w.ok("search/subject", body(anybody, read, record, page("", *a.Page.NextToken))); len(next.Results) != 0 {
		t.Errorf("a limit of 0 became %d", len(next.Results))
	}
	for _, limit := range []string{"1000", "1001", "4294967294"} {
		if a := search(limit); len(a.Results) != 3 {
			t.Errorf("limit %s: %+v", limit, a.Page)
		}
	}
	for _, wrong := range []string{"-1", "1.5", `"1"`, "null", "1e99", "4294967296"} {
		w.refused(http.StatusBadRequest, w.ask(w.token, "/o/clinic/access/v1/search/subject", body(anybody, read, record, page(wrong, ""))))
	}
}

// TestTokensAreBound: a token goes on with its own search and no other.
func TestTokensAreBound(t *testing.T) {
	w := newWorld(t)
	for i := range 4 {
		w.user(w.clinic, fmt.Sprintf("user-%d", i), "read:record", "write:record", "a:record")
		w.user(w.other, fmt.Sprintf("user-%d", i), "read:record")
	}
	const subjects = "/o/clinic/access/v1/search/subject"
	token := *w.ok("search/subject", body(anybody, read, record, around, page("1", ""))).Page.NextToken
	w.ok("search/subject", body(around, record, read, anybody, page("1", token))) // the order of names is nothing
	for name, r := range map[string]reply{
		"another action":       w.ask(w.token, subjects, body(anybody, write, record, around, page("1", token))),
		"another resource":     w.ask(w.token, subjects, body(anybody, read, `"resource":{"type":"record","id":"2"}`, around, page("1", token))),
		"another subject":      w.ask(w.token, subjects, body(alice, read, record, around, page("1", token))),
		"another context":      w.ask(w.token, subjects, body(anybody, read, record, page("1", token))),
		"another limit":        w.ask(w.token, subjects, body(anybody, read, record, around, page("2", token))),
		"another organization": w.ask(w.token, "/o/other/access/v1/search/subject", body(anybody, read, record, around, page("1", token))),
		"another endpoint":     w.ask(w.token, "/o/clinic/access/v1/search/action", body(`"subject":{"type":"user","id":"user-1"}`, read, record, around, page("1", token))),
		"a damaged one":        w.ask(w.token, subjects, body(anybody, read, record, around, page("1", token[:len(token)-2]))),
		"a made-up one":        w.ask(w.token, subjects, body(anybody, read, record, around, page("1", "AAAA"))),
		"a number":             w.ask(w.token, subjects, body(anybody, read, record, around, `"page":{"token":1}`)),
		"a page that is none":  w.ask(w.token, subjects, body(anybody, read, record, around, `"page":[]`)),
	} {
		t.Run(name, func(t *testing.T) { w.refused(http.StatusBadRequest, r) })
	}
}

// TestTokenThatIsTooOld: newer states have pushed out the one that it names.
func TestTokenThatIsTooOld(t *testing.T) {
	w := fixture(t)
	first := w.ok("search/subject", body(anybody, read, record, page("1", "")))
	for i := range 4 {
		w.user(w.clinic, fmt.Sprintf("later-%d", i))
		w.ok("search/subject", body(anybody, read, record, page("1", "")))
	}
	r := w.ask(w.token, "/o/clinic/access/v1/search/subject", body(anybody, read, record, page("1", *first.Page.NextToken)))
	w.refused(http.StatusBadRequest, r)
	if !contains(r.body, "not kept any more") {
		t.Errorf("says %s", r.body)
	}
}

// TestEachPageAsksForTheRight: a search that stands still outlives no right.
func TestEachPageAsksForTheRight(t *testing.T) {
	w := fixture(t)
	desk := w.user(w.clinic, "desk", "read:directory")
	token := w.session(w.clinic, desk)
	first := w.ask(token, "/access/v1/search/subject", body(anybody, read, record, page("1", "")))
	if first.status != http.StatusOK {
		t.Fatalf("%d %s", first.status, first.body)
	}
	next := *w.ok("search/subject", body(anybody, read, record, page("1", ""))).Page.NextToken
	pass, err := w.gate.Admit(t.Context(), w.operator, w.clinic, "roles.delete", access.Freshness{})
	must(t, err)
	role, ok := pass.View().RoleByName("of desk")
	if !ok {
		t.Fatal("the desk has no role")
	}
	w.do(w.clinic, &fsm.DeleteRole{Role: role.ID})
	w.refused(http.StatusForbidden, w.ask(token, "/access/v1/search/subject", body(anybody, read, record, page("1", next))))
}

// TestWhatIsFoundIsAllowed: on random directories, a search finds exactly what
// evaluates to true.
func TestWhatIsFoundIsAllowed(t *testing.T) {
	verbs, nouns := []string{"read", "write", "burn"}, []string{"a", "b", "c"}
	for seed := range int64(4) {
		w := newWorld(t)
		rng := rand.New(rand.NewSource(seed))
		var users []string
		for i := range 6 {
			var held []directory.Permission
			for range rng.Intn(4) {
				noun := append(nouns, "*")[rng.Intn(4)]
				held = append(held, directory.Permission(verbs[rng.Intn(3)]+":"+noun))
			}
			slices.Sort(held)
			users = append(users, fmt.Sprintf("user-%d", i))
			w.user(w.clinic, users[i], slices.Compact(held)...)
		}
		for _, noun := range append(nouns, "*", "never") {
			resource := fmt.Sprintf(`"resource":{"type":%q,"id":"1"}`, noun)
			for _, verb := range verbs {
				action := fmt.Sprintf(`"action":{"name":%q}`, verb)
				subjects := names(w.ok("search/subject", body(anybody, action, resource)))
				for _, user := range users {
					subject := fmt.Sprintf(`"subject":{"type":"user","id":%q}`, user)
					allowed := *w.ok("evaluation", body(subject, action, resource)).Decision
					actions := names(w.ok("search/action", body(subject, resource)))
					resources := names(w.ok("search/resource", body(subject, action, resource)))
					if slices.Contains(subjects, user) != allowed || slices.Contains(actions, verb) != allowed || (len(resources) == 1) != allowed {
						t.Fatalf("seed %d: %s %s:%s is %v; found %v, %v, %v", seed, user, verb, noun, allowed, subjects, actions, resources)
					}
				}
			}
		}
	}
}

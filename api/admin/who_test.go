package admin_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// holders reads a list to its end; between pages something happens.
func (s *server) holders(t *testing.T, org string, limit int, meanwhile func(page int)) (ids []string) {
	t.Helper()
	path := fmt.Sprintf("/api/v1/permissions/read:charts/users?org_id=%s&limit=%d&cursor=", org, limit)
	first := s.ok("GET", path, "")
	for page, answer := 0, first; ; page++ {
		if answer["total"] != first["total"] || answer["index"] != first["index"] {
			t.Errorf("page %d: total %v at %v, the first said %v at %v", page, answer["total"], answer["index"], first["total"], first["index"])
		}
		for _, user := range answer["users"].([]any) {
			u := user.(map[string]any)
			ids = append(ids, u["id"].(string))
			if len(u["source"].([]any)) == 0 || u["user_name"] == "" {
				t.Errorf("holder %v", u)
			}
		}
		cursor := answer.text(t, "cursor")
		if cursor == "" {
			break
		}
		meanwhile(page)
		res, next := s.send("GET", path+cursor, "")
		if res.StatusCode != 200 || res.Header.Get("X-Authfi-Index") != fmt.Sprint(first["index"]) {
			t.Fatalf("page %d: %d %v at %s", page+1, res.StatusCode, next, res.Header.Get("X-Authfi-Index"))
		}
		answer = next
	}
	if total := first["total"]; total != json.Number(fmt.Sprint(len(ids))) {
		t.Errorf("%d holders of %v", len(ids), total)
	}
	return ids
}

// TestWhoStandsStill: the pages together are exactly those who held the
// permission when the first was asked for, whatever changes meanwhile.
func TestWhoStandsStill(t *testing.T) {
	s, d, org := newDirect(t)
	var members []directory.UserID
	var want []string
	for i := range 25 {
		members = append(members, d.user(fmt.Sprintf("user-%d", i)))
		want = append(want, members[i].String())
	}
	readers := d.group("readers", members...)
	d.give(d.role("reader", "read:charts"), readers)
	got := s.holders(t, org, 4, func(page int) {
		d.do(&fsm.ChangeGroup{Group: readers, Remove: members[5*page : 5*page+2], Add: []directory.UserID{d.user(fmt.Sprintf("new-%d", page))}})
		if page == 1 {
			d.do(&fsm.DeleteUser{User: members[20]})
		}
	})
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%d users %v, want %d %v", len(got), got, len(want), want)
	}
	if again := s.holders(t, org, 4, func(int) {}); slices.Equal(again, want) {
		t.Error("a new list is not from the newest state")
	}
}

// TestEachPageAsksForTheRight: a list that stands still outlives no right.
func TestEachPageAsksForTheRight(t *testing.T) {
	s, d, org := newDirect(t)
	ada := d.user("ada")
	desk, reader := d.role("desk", "read:directory"), d.role("reader", "read:charts")
	d.give(desk, ada)
	for i := range 3 {
		d.give(reader, d.user(fmt.Sprintf("user-%d", i)))
	}
	own := s.session(org, ada.String())
	path := "/api/v1/permissions/read:charts/users?limit=1&org_id=" + org + "&cursor="
	cursor := own.ok("GET", path, "").text(t, "cursor")
	own.ok("GET", path+cursor, "")
	d.do(&fsm.UnassignRole{Role: desk, User: ada})
	own.problem(403, "permission_denied", "", "GET", path+cursor, "")
}

func TestCursorsOfWho(t *testing.T) {
	s, d, org := newDirect(t)
	other, _ := s.organization("other")
	reader := d.role("reader", "read:charts", "read:notes")
	for i := range 6 {
		d.give(reader, d.user(fmt.Sprintf("user-%d", i)))
	}
	list := func(permission, org, cursor string) string {
		return fmt.Sprintf("/api/v1/permissions/%s/users?limit=1&org_id=%s&cursor=%s", permission, org, cursor)
	}
	cursor := s.ok("GET", list("read:charts", org, ""), "").text(t, "cursor")
	s.problem(400, "invalid_argument", "cursor", "GET", list("read:notes", org, cursor), "")
	s.problem(400, "invalid_argument", "cursor", "GET", list("read:charts", other, cursor), "")
	s.problem(400, "invalid_argument", "cursor", "GET", "/api/v1/users?org_id="+org+"&cursor="+cursor, "")
	users := s.ok("GET", "/api/v1/users?limit=1&org_id="+org, "").text(t, "cursor")
	s.problem(400, "invalid_argument", "cursor", "GET", list("read:charts", org, users), "")
	// Four newer states of the organization push the pinned one out.
	for i := range 4 {
		d.user(fmt.Sprintf("later-%d", i))
		s.ok("GET", list("read:charts", org, ""), "")
	}
	s.problem(412, "cursor_expired", "cursor", "GET", list("read:charts", org, cursor), "")
}

// TestPageOfANodeThatIsBehind: a node that has not reached the list's index waits
// for it, answers from the root that it keeps of it, and says so when it has none.
func TestPageOfANodeThatIsBehind(t *testing.T) {
	s, d, org := newDirect(t)
	behind := &laggingLog{memoryLog: s.log}
	behind.root.Store(s.log.machine.Root()) // from before there was anybody
	follower := func(keeps bool) *server {
		config := configured(t, behind, behind.root.Load, s.ring)
		if keeps {
			config.Gate.Keep(s.log.machine.RootAt)
		}
		return s.serving(config)
	}
	with, without := follower(true), follower(false)
	reader := d.role("reader", "read:charts")
	var want []string
	for i := range 4 {
		user := d.user(fmt.Sprintf("user-%d", i))
		d.give(reader, user)
		want = append(want, user.String())
	}
	slices.Sort(want)
	path := "/api/v1/permissions/read:charts/users?limit=3&org_id=" + org + "&cursor="
	first := s.ok("GET", path, "")
	cursor := first.text(t, "cursor")
	d.do(&fsm.DeleteRole{Role: reader})

	second := with.ok("GET", path+cursor, "")
	if last := one(t, second["users"]); last["id"] != want[3] || last["user_name"] == "" || second["index"] != first["index"] {
		t.Errorf("the second page %v after the first %v", second, first)
	}
	without.problem(412, "cursor_expired", "cursor", "GET", path+cursor, "")
	// What the first page came from is pinned where it was asked for.
	if again := s.ok("GET", path+cursor, ""); fmt.Sprint(again) != fmt.Sprint(second) {
		t.Errorf("the node that began the list says %v, another %v", again, second)
	}
}

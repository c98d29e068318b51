package fsm_test

import (
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// found are the user names on a page.
func found(f state.Found[directory.User]) (names []string) {
	for _, u := range f.Page {
		names = append(names, u.UserName)
	}
	return names
}

func TestUsersAreFoundByHowTheirNamesBegin(t *testing.T) {
	w := newWard(t)
	for i, u := range []directory.User{
		{UserName: "zoe", Email: "Zoe@Example.org", DisplayName: "Zoë O’Hara-Smith", FamilyName: "O’Hara-Smith"},
		{UserName: "anna.smith@example.org", Email: "anna.smith@example.org", DisplayName: "Anna Smith", GivenName: "Anna", FamilyName: "Smith"},
		{UserName: "a1", DisplayName: "Dr. (med.) Anneliese  von der Smithe"},
		{UserName: "smith the third", Email: "x@y.example"},
		{UserName: "robot", DisplayName: "Ωmega ÄRZTE"},
	} {
		u.ID, u.Active = id[directory.UserID](i), true
		w.must(&fsm.CreateUser{User: u})
	}
	for question, want := range map[string]string{
		"smith":             "[zoe anna.smith@example.org a1 smith the third]",
		"SMITH":             "[zoe anna.smith@example.org a1 smith the third]",
		"smithe":            "[a1]",
		" o’hara-sm ":       "[zoe]",
		"zoe@ex":            "[zoe]",
		"zoë":               "[zoe]",
		"anna":              "[anna.smith@example.org]",
		"ann":               "[anna.smith@example.org a1]",
		"smith ann":         "[anna.smith@example.org a1]",
		"anna smith":        "[anna.smith@example.org]",
		"anna smithe":       "[]",
		"smith the":         "[smith the third]",
		"third":             "[]", // a user name is one text
		"med.) von":         "[a1]",
		"(med":              "[a1]",
		"ω ä":               "[robot]",
		"mith":              "[]",
		"x@y.example":       "[smith the third]",
		"anna.smith@exampl": "[anna.smith@example.org]",
		"":                  "[zoe anna.smith@example.org a1 smith the third robot]",
		"  ":                "[zoe anna.smith@example.org a1 smith the third robot]",
		"\x00":              "[]",
	} {
		f := w.view().FindUsers(question, directory.UserID{}, 10)
		if got := fmt.Sprint(found(f)); got != want || f.Total != len(f.Page) || f.More {
			t.Errorf("%q finds %s of %d, want %s", question, got, f.Total, want)
		}
	}
	changed := directory.User{ID: id[directory.UserID](1), UserName: "anna", DisplayName: "Anna Jones", Active: true}
	w.must(&fsm.UpdateUser{User: changed})
	w.must(&fsm.DeleteUser{User: id[directory.UserID](2)})
	if got := fmt.Sprint(found(w.view().FindUsers("smith", directory.UserID{}, 10))); got != "[zoe smith the third]" {
		t.Errorf("after a change smith finds %s", got)
	}
	if got := fmt.Sprint(found(w.view().FindUsers("jones", directory.UserID{}, 10))); got != "[anna]" {
		t.Errorf("after a change jones finds %s", got)
	}
}

// beginsSlowly says without any index whether a question finds a user.
func beginsSlowly(u *directory.User, question string) bool {
	question = strings.TrimSpace(strings.ToLower(question))
	texts := []string{strings.ToLower(u.UserName), strings.ToLower(u.Email)}
	for _, whole := range texts {
		if strings.HasPrefix(whole, question) {
			return true
		}
	}
	for _, name := range []string{u.DisplayName, u.GivenName, u.FamilyName} {
		for _, word := range strings.Fields(strings.ToLower(name)) {
			texts = append(texts, word)
			if _, after, ok := strings.Cut(word, "-"); ok {
				texts = append(texts, after)
			}
		}
	}
	for _, word := range strings.Fields(question) {
		if !slices.ContainsFunc(texts, func(text string) bool { return strings.HasPrefix(text, word) }) {
			return false
		}
	}
	return true
}

// TestFindingEqualsLooking: on random directories that change, with words that are
// longer than what an index row holds, pages put together are what a look at every
// user gives, on a machine that was opened again, too.
func TestFindingEqualsLooking(t *testing.T) {
	for seed := int64(1); seed <= 10; seed++ {
		rng := rand.New(rand.NewSource(seed))
		word := func() string {
			parts := []string{"a", "an", "Ba", "ann", "B", strings.Repeat("long", 8), strings.Repeat("long", 8) + "er", "ä", strings.Repeat("ß", 13)}
			s := parts[rng.Intn(len(parts))] + parts[rng.Intn(len(parts))]
			if rng.Intn(5) == 0 {
				s += "-" + parts[rng.Intn(len(parts))]
			}
			return s
		}
		w := newWard(t)
		for range 300 {
			u := directory.User{ID: id[directory.UserID](rng.Intn(60)), UserName: word() + fmt.Sprint(rng.Intn(50)), Email: word(), Active: true}
			if rng.Intn(3) == 0 {
				u.Email = strings.ToUpper(u.UserName)
			}
			u.GivenName, u.FamilyName, u.DisplayName = word(), word(), word()+" "+word()
			switch rng.Intn(4) {
			case 0:
				w.try(&fsm.DeleteUser{User: u.ID})
			case 1:
				w.try(&fsm.UpdateUser{User: u})
			default:
				w.try(&fsm.CreateUser{User: u})
			}
		}
		reborn := open(t, disk.NewMemory())
		restore(t, reborn, w.m.Root())
		again, _ := reborn.Root().Org(w.org)
		for _, o := range []*state.Org{w.view(), again} {
			for range 100 {
				question := word()
				if rng.Intn(3) == 0 {
					question += " " + word()[:1]
				}
				findsAll(t, o, strings.ToValidUTF8(question, ""), 1+rng.Intn(7))
			}
		}
	}
}

func findsAll(t *testing.T, o *state.Org, question string, limit int) {
	t.Helper()
	var want, got []directory.UserID
	o.EachUser(directory.UserID{}, func(u *directory.User) bool {
		if beginsSlowly(u, question) {
			want = append(want, u.ID)
		}
		return true
	})
	for after := (directory.UserID{}); ; {
		f := o.FindUsers(question, after, limit)
		if f.Total != len(want) || f.More {
			t.Fatalf("%q: the total is %d, %d are there", question, f.Total, len(want))
		}
		for _, u := range f.Page {
			got = append(got, u.ID)
		}
		if len(f.Page) < limit {
			break
		}
		after = f.Page[limit-1].ID
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%q in pages of %d finds %d of %d users", question, limit, len(got), len(want))
	}
}

func TestNamesInOrderFromAPlace(t *testing.T) {
	w := newWard(t)
	for i, name := range []string{"delta", "Alpha", "charlie", "Bravo"} {
		u := user(i)
		u.UserName = name
		w.must(&fsm.CreateUser{User: u})
		w.must(&fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](i), Name: name}})
		w.must(&fsm.CreateRole{Role: directory.Role{ID: id[directory.RoleID](i), Name: name}})
	}
	o := w.view()
	for _, c := range []struct {
		from       string
		descending bool
		want       string
	}{
		{"", false, "[Alpha Bravo charlie delta]"},
		{"", true, "[delta charlie Bravo Alpha]"},
		{"BRAVO", false, "[charlie delta]"},
		{"bravo", true, "[Alpha]"},
		{"bz", false, "[charlie delta]"},
		{"bz", true, "[Bravo Alpha]"},
		{"alpha", true, "[]"},
		{"delta", false, "[]"},
		{"zz", true, "[delta charlie Bravo Alpha]"},
	} {
		var users, groups, roles []string
		o.EachUserByName(c.from, c.descending, func(u *directory.User) bool { users = append(users, u.UserName); return true })
		o.EachGroupByName(c.from, c.descending, func(g *directory.Group) bool { groups = append(groups, g.Name); return true })
		o.EachRoleByName(c.from, c.descending, func(r *directory.Role) bool { roles = append(roles, r.Name); return true })
		for noun, got := range map[string][]string{"users": users, "groups": groups, "roles": roles} {
			if fmt.Sprint(got) != c.want {
				t.Errorf("%s from %q, descending %v: %v, want %s", noun, c.from, c.descending, got, c.want)
			}
		}
		first := 0
		o.EachUserByName(c.from, c.descending, func(*directory.User) bool { first++; return false })
		if first > 1 {
			t.Errorf("from %q: the walk went on after it was stopped", c.from)
		}
	}
	if f := o.FindGroups("CH", directory.GroupID{}, 10); f.Total != 1 || f.Page[0].Name != "charlie" {
		t.Errorf("groups: %+v", f)
	}
	if f := o.FindGroups("", id[directory.GroupID](1), 1); f.Total != 4 || f.Page[0].Name != "charlie" {
		t.Errorf("all groups: %+v", f)
	}
	if f := o.FindRoles("", id[directory.RoleID](1), 10); f.Total != 4 || len(f.Page) != 2 {
		t.Errorf("all roles: %+v", f)
	}
	if f := o.FindRoles("b", directory.RoleID{}, 10); f.Total != 1 || f.Page[0].Name != "Bravo" {
		t.Errorf("roles: %+v", f)
	}
}

// TestFoundMax: a question that finds as many as are counted has the exact total;
// with one more it says so, and its pages are still right.
func TestFoundMax(t *testing.T) {
	w := newWard(t)
	add := func(from, to int) {
		for from < to {
			var envs []*fsm.Envelope
			for ; from < to && len(envs) < 1000; from++ {
				envs = append(envs, &fsm.Envelope{Command: &fsm.CreateUser{User: user(from)}})
			}
			w.send(envs...)
		}
	}
	add(0, state.FoundMax)
	if f := w.view().FindUsers("user", directory.UserID{}, 10); f.Total != state.FoundMax || f.More {
		t.Errorf("at the bound: %d, more %v", f.Total, f.More)
	}
	add(state.FoundMax, state.FoundMax+1)
	f := w.view().FindUsers("user", id[directory.UserID](state.FoundMax-3), 10)
	if f.Total != state.FoundMax || !f.More || len(f.Page) != 3 || f.Page[2].ID != id[directory.UserID](state.FoundMax) {
		t.Errorf("one past the bound: %d, more %v, %d on the last page", f.Total, f.More, len(f.Page))
	}
	f = w.view().FindUsers("user", id[directory.UserID](100), 10)
	if len(f.Page) != 10 || f.Page[0].ID != id[directory.UserID](101) || f.Page[9].ID != id[directory.UserID](110) {
		t.Errorf("the page in the middle has %d users", len(f.Page))
	}
}

// TestWordsPerUserMax: the last word that has a row is found, the next is not.
func TestWordsPerUserMax(t *testing.T) {
	w := newWard(t)
	u := directory.User{ID: id[directory.UserID](0), UserName: "x", Active: true}
	for i := range state.WordsPerUserMax + 1 {
		u.DisplayName += fmt.Sprintf("w%c%c ", 'a'+i/26, 'a'+i%26)
	}
	w.must(&fsm.CreateUser{User: u})
	last := state.WordsPerUserMax - 1
	for i, want := range map[int]int{last: 1, last + 1: 0} {
		if f := w.view().FindUsers(fmt.Sprintf("w%c%c", 'a'+i/26, 'a'+i%26), directory.UserID{}, 10); f.Total != want {
			t.Errorf("word %d is found %d times, want %d", i+1, f.Total, want)
		}
	}
}

// TestEmailThatIsTheUserNameIsFound in its place among others with the same.
func TestEmailThatIsTheUserNameIsFound(t *testing.T) {
	w := newWard(t)
	for i, name := range []string{"a", "B@x.example", "c"} {
		w.must(&fsm.CreateUser{User: directory.User{ID: id[directory.UserID](i), UserName: name, Email: "b@X.example", Active: true}})
	}
	var got []string
	w.view().EachUserByEmail("B@X.EXAMPLE", func(u *directory.User) bool { got = append(got, u.UserName); return true })
	if fmt.Sprint(got) != "[a B@x.example c]" {
		t.Errorf("found %v", got)
	}
	for stop := 1; stop <= 3; stop++ {
		n := 0
		w.view().EachUserByEmail("b@x.example", func(*directory.User) bool { n++; return n < stop })
		if n != stop {
			t.Errorf("stopped after %d users, not %d", n, stop)
		}
	}
	w.must(&fsm.UpdateUser{User: directory.User{ID: id[directory.UserID](1), UserName: "B@x.example", Active: true}})
	w.view().EachUserByEmail("b@x.example", func(u *directory.User) bool {
		if u.UserName == "B@x.example" {
			t.Error("found by an e-mail that it no longer has")
		}
		return true
	})
}

package fsm_test

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestRewindEqualsWhatWas: on random histories, what the log tells of every index
// and every user is what the root of that index said. Only an organization that was
// not there yet is refused.
func TestRewindEqualsWhatWas(t *testing.T) {
	for seed := int64(1); seed <= 10; seed++ {
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		m := open(t, disk.NewMemory())
		begin(t, m)
		roots := []*state.Root{nil, m.Root()}
		for i := range 250 {
			apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: []*fsm.Envelope{h.next(), h.next()}})
			roots = append(roots, m.Root())
		}
		m.Root().EachOrg(directory.OrgID{}, func(o *state.Org) bool {
			sameWhenever(t, seed, o, roots)
			return true
		})
	}
}

func sameWhenever(t *testing.T, seed int64, o *state.Org, roots []*state.Root) {
	t.Helper()
	for n := range objects {
		user := id[directory.UserID](n)
		for index := len(roots) - 1; index > 0; index-- {
			past, err := o.PermissionsAt(user, directory.Index(index))
			was, there := roots[index].Org(o.ID())
			switch {
			case err != nil && (!there || strings.Contains(err.Error(), "the organization is there since index")):
				return
			case err != nil:
				t.Fatalf("seed %d: index %d: %v", seed, index, err)
			}
			want, got := fmt.Sprint(was.Permissions().List(user)), fmt.Sprint(past.List(user))
			if want != got {
				t.Fatalf("seed %d: of index %d the log tells %s, it was %s", seed, index, got, want)
			}
		}
	}
}

// TestRewindThroughCrowds: with entries that change more members than they name and
// more permissions than they name, what is told is still what was, and what cannot
// be told is refused. Both happen.
func TestRewindThroughCrowds(t *testing.T) {
	const crowd = 3 * directory.MembersPerRightsMax
	told, refused := 0, 0
	for seed := int64(1); seed <= 4; seed++ {
		rng := rand.New(rand.NewSource(seed))
		w := newWard(t)
		roots := map[directory.Index]*state.Org{w.index: w.view()}
		do := func(c fsm.Command) {
			w.try(c)
			roots[w.index] = w.view()
		}
		for i := range crowd {
			do(&fsm.CreateUser{User: user(i)})
		}
		some := func(n int) (ids []directory.UserID) {
			for range n {
				ids = append(ids, user(rng.Intn(crowd)).ID)
			}
			return ids
		}
		many := func() (ps []directory.Permission) {
			for i := range 1 + rng.Intn(3)*rng.Intn(200) {
				ps = append(ps, directory.Permission(fmt.Sprintf("read:thing-number-%04d", i)))
			}
			return ps
		}
		for range 150 {
			g, r := id[directory.GroupID](rng.Intn(3)), id[directory.RoleID](100+rng.Intn(3))
			switch rng.Intn(12) {
			case 0:
				do(&fsm.CreateGroup{Group: directory.Group{ID: g, Name: g.String()}, Members: some(rng.Intn(2) * crowd), SkipUnknown: true})
			case 1, 2:
				do(&fsm.ChangeGroup{Group: g, Add: some(rng.Intn(crowd)), Remove: some(rng.Intn(2 * crowd)), SkipUnknown: true})
			case 3:
				do(&fsm.ChangeGroup{Group: g, SetMembers: true, Set: some(rng.Intn(crowd)), Add: some(3), Remove: some(3), SkipUnknown: true})
			case 4:
				do(&fsm.DeleteGroup{Group: g})
			case 5:
				do(&fsm.CreateRole{Role: directory.Role{ID: r, Name: r.String(), Permissions: many()}})
			case 6:
				do(&fsm.UpdateRole{Role: r, SetPermissions: true, Permissions: many()})
			case 7, 8, 9, 10:
				do(&fsm.AssignRole{ID: id[directory.AssignmentID](rng.Intn(1 << 30)), Role: r, Group: g})
			case 11:
				do(&fsm.DeleteUser{User: user(rng.Intn(crowd)).ID})
			}
		}
		for range 500 {
			index := directory.Index(3 + rng.Intn(int(w.index)-2))
			u := user(rng.Intn(crowd)).ID
			past, err := w.view().PermissionsAt(u, index)
			if err != nil {
				if directory.KindOf(err) != directory.KindPrecondition || !strings.Contains(err.Error(), "does not name") {
					t.Fatalf("seed %d: index %d: %v", seed, index, err)
				}
				refused++
				continue
			}
			told++
			want, got := fmt.Sprint(roots[index].Permissions().List(u)), fmt.Sprint(past.List(u))
			if want != got {
				t.Fatalf("seed %d: of index %d the log tells %s, it was %s", seed, index, got, want)
			}
		}
	}
	if told < 250 || refused < 250 {
		t.Errorf("%d were told, %d refused", told, refused)
	}
}

// TestCrowdsThatCannotConcernAUser are no reason to refuse.
func TestCrowdsThatCannotConcernAUser(t *testing.T) {
	w := newWard(t)
	var all []directory.UserID
	for i := range directory.MembersPerRightsMax + 1 {
		w.must(&fsm.CreateUser{User: user(i)})
		all = append(all, user(i).ID)
	}
	outsider, insider := user(1_000), all[3]
	w.must(&fsm.CreateUser{User: outsider})
	begin := w.index
	g, r := id[directory.GroupID](1), id[directory.RoleID](1)
	w.must(&fsm.CreateRole{Role: directory.Role{ID: r, Name: "r", Permissions: []directory.Permission{"read:a"}}})
	w.must(&fsm.CreateGroup{Group: directory.Group{ID: g, Name: "g"}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: r, Group: g})
	w.must(&fsm.ChangeGroup{Group: g, Add: all})
	tell := func(u directory.UserID, index directory.Index) string {
		past, err := w.view().PermissionsAt(u, index)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(past.Permissions(u))
	}
	joined := w.index
	last := w.last()
	if len(last.Rights) != 1 || last.Rights[0].String() != fmt.Sprintf("+members %s %d", g, len(all)) {
		t.Fatalf("the entry tells %v", last.Rights)
	}
	refused := fmt.Sprintf("index: entry %d of the log, index %d, does not name all whose membership of group %s it changed", last.Seq, last.Index, g)
	for _, c := range []struct {
		what  string
		user  directory.UserID
		index directory.Index
		want  string
	}{
		{"who is in the group now, before", insider, joined - 1, refused},
		{"and at it", insider, joined, "[read:a]"},
		{"who is not in the group now", outsider.ID, joined - 1, "[]"},
		{"before the role was given to the group", insider, joined - 2, "[]"},
		{"before there was the group", insider, begin, "[]"},
		{"who was never there", user(5_000).ID, begin, "[]"},
		{"the future", insider, w.index + 1, fmt.Sprintf("index: the state is at index %d", w.index)},
	} {
		if got := tell(c.user, c.index); got != c.want {
			t.Errorf("%s: %s, want %s", c.what, got, c.want)
		}
	}
	w.must(&fsm.ChangeGroup{Group: g, Remove: all[:directory.MembersPerRightsMax]})
	if last = w.last(); len(last.Rights) != directory.MembersPerRightsMax {
		t.Errorf("at the bound %d members are named", len(last.Rights))
	}
	if got := tell(insider, joined); got != "[read:a]" {
		t.Errorf("a leaver who is named: %s", got)
	}
}

// TestRewindEndsWhereTheLogBegins: retention has removed what would be needed.
func TestRewindEndsWhereTheLogBegins(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(0)})
	w.must(&fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	for i := range directory.RetentionCountMin + 5 {
		w.must(&fsm.SetUserActive{User: user(0).ID, Active: i%2 == 1})
	}
	anchor := w.view().AuditLog().Anchor.Index
	if _, err := w.view().PermissionsAt(user(0).ID, anchor); err != nil {
		t.Errorf("the oldest index that is reached: %v", err)
	}
	_, err := w.view().PermissionsAt(user(0).ID, anchor-1)
	if want := fmt.Sprintf("index: the log reaches back to index %d", anchor); directory.KindOf(err) != directory.KindPrecondition || err.Error() != want {
		t.Errorf("one before it: %v", err)
	}
}

// TestPermissionsAtAKeptRoot need no log.
func TestPermissionsAtAKeptRoot(t *testing.T) {
	w := newWard(t)
	u, r := user(0), id[directory.RoleID](1)
	w.must(&fsm.CreateUser{User: u})
	w.must(&fsm.CreateRole{Role: directory.Role{ID: r, Name: "r", Permissions: []directory.Permission{"read:a"}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: r, User: u.ID})
	held := w.index
	w.must(&fsm.DeleteRole{Role: r})
	reborn := open(t, disk.NewMemory())
	restore(t, reborn, w.m.Root())
	for name, m := range map[string]*fsm.Machine{"kept": w.m, "rewound": reborn} {
		past, err := m.PermissionsAt(w.org, u.ID, held)
		if err != nil || !past.Has(u.ID, "read:a") {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := m.PermissionsAt(w.org, u.ID, m.Applied()); err != nil || now.Has(u.ID, "read:a") {
			t.Errorf("%s, now: %v", name, err)
		}
		if _, err := m.PermissionsAt(id[directory.OrgID](7), u.ID, held); directory.KindOf(err) != directory.KindNotFound {
			t.Errorf("%s, another organization: %v", name, err)
		}
	}
	if _, ok := reborn.RootAt(held); ok {
		t.Error("the restored machine kept a root that it never had")
	}
}

// TestRightsPerEntryMax: an entry names as many changes as it may, and says of one
// more that it does not, which nothing is told through.
func TestRightsPerEntryMax(t *testing.T) {
	for _, unnamed := range []int{0, 1} {
		w := newWard(t)
		r := id[directory.RoleID](1)
		w.must(&fsm.CreateRole{Role: directory.Role{ID: r, Name: "r", Permissions: []directory.Permission{"read:a"}}})
		var envs []*fsm.Envelope
		for i := range directory.RightsPerEntryMax - 2 + unnamed { // and the permission, and the role itself
			u := user(i)
			envs = append(envs, &fsm.Envelope{Command: &fsm.CreateUser{User: u}},
				&fsm.Envelope{Command: &fsm.AssignRole{ID: id[directory.AssignmentID](i), Role: r, User: u.ID}})
		}
		w.send(envs...)
		held := w.index
		w.must(&fsm.DeleteRole{Role: r})
		told := w.last().Rights
		if n := len(told); n != directory.RightsPerEntryMax+unnamed || (told[n-1].Kind == directory.RightUnnamed) != (unnamed == 1) {
			t.Fatalf("%d changes are told, the last is %s", n, told[n-1])
		}
		past, err := w.view().PermissionsAt(user(0).ID, held)
		switch {
		case unnamed == 0 && (err != nil || !past.Has(user(0).ID, "read:a")):
			t.Errorf("at the bound: %v", err)
		case unnamed == 1 && directory.KindOf(err) != directory.KindPrecondition:
			t.Errorf("one past the bound: %v", err)
		}
	}
}

// TestPermissionsPerRightsMax: names of so many bytes are told, of one more they are
// counted, and only who has the role cannot be told of.
func TestPermissionsPerRightsMax(t *testing.T) {
	for _, more := range []int{0, 1} {
		w := newWard(t)
		u, other, r := user(0), user(1), id[directory.RoleID](1)
		w.must(&fsm.CreateUser{User: u})
		w.must(&fsm.CreateUser{User: other})
		w.must(&fsm.CreateRole{Role: directory.Role{ID: r, Name: "r"}})
		w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: r, User: u.ID})
		before := w.index
		var ps []directory.Permission
		for size := 0; size < directory.PermissionsPerRightsMax; size += 64 {
			ps = append(ps, directory.Permission(fmt.Sprintf("read:%059d", size)))
		}
		ps[0] += directory.Permission(strings.Repeat("x", more))
		w.must(&fsm.UpdateRole{Role: r, SetPermissions: true, Permissions: ps})
		if _, err := w.view().PermissionsAt(u.ID, before); (err != nil) != (more == 1) {
			t.Errorf("%d bytes too many: %v", more, err)
		}
		if _, err := w.view().PermissionsAt(other.ID, before); err != nil {
			t.Errorf("who does not have the role: %v", err)
		}
	}
}

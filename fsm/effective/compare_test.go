package effective

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
)

// everybody are all ids that the random histories know.
func everybody() (ids []directory.UserID) {
	for i := range nUsers {
		ids = append(ids, id[directory.UserID](i))
	}
	return ids
}

// TestComparisonEqualsItsRecomputation forks an index, changes the fork at random
// and compares every user's permissions one by one; and who is not touched does not
// differ.
func TestComparisonEqualsItsRecomputation(t *testing.T) {
	differed := 0
	for seed := int64(1); seed <= 30; seed++ {
		rng := rand.New(rand.NewSource(seed))
		e, w := New().Edit(), newTwin()
		for range 400 {
			step(rng, e, w)
		}
		for range 20 {
			before := e.Published()
			fork, forked := before.Edit(), w.clone()
			for range 1 + rng.Intn(6) {
				step(rng, fork, forked)
			}
			after := fork.Published()
			touched := Touched(before, after)
			all := Compare(before, after, slices.Values(everybody()), nUsers)
			some := Compare(before, after, slices.Values(touched), nUsers)
			compareComparisons(t, before, after, all, seed)
			if !equalComparisons(all, some) {
				t.Fatalf("seed %d: of everybody %+v, of %d touched %+v", seed, all, len(touched), some)
			}
			if part := Compare(before, after, slices.Values(touched), 1); len(part.Changes) != min(1, all.Users) || part.Users != all.Users || part.Gained != all.Gained {
				t.Fatalf("seed %d: with a limit %+v", seed, part)
			}
			differed += all.Users
			e, w = after.Edit(), forked
		}
	}
	if differed < 100 {
		t.Fatalf("only %d differences were compared", differed)
	}
}

func equalComparisons(a, b Comparison) bool {
	return a.Users == b.Users && a.Gained == b.Gained && a.Lost == b.Lost && slices.Equal(a.Permissions, b.Permissions) &&
		slices.EqualFunc(a.Changes, b.Changes, func(x, y UserChanges) bool {
			return x.User == y.User && slices.Equal(x.Gained, y.Gained) && slices.Equal(x.Lost, y.Lost)
		})
}

func compareComparisons(t *testing.T, before, after *Index, got Comparison, seed int64) {
	t.Helper()
	var want Comparison
	counts := map[directory.Permission]Moved{}
	for _, u := range everybody() {
		was, is := before.Permissions(u), after.Permissions(u)
		change := UserChanges{User: u}
		for _, p := range is {
			if !slices.Contains(was, p) {
				change.Gained = append(change.Gained, p)
				m := counts[p]
				counts[p] = Moved{p, m.Gained + 1, m.Lost}
			}
		}
		for _, p := range was {
			if !slices.Contains(is, p) {
				change.Lost = append(change.Lost, p)
				m := counts[p]
				counts[p] = Moved{p, m.Gained, m.Lost + 1}
			}
		}
		if n := len(change.Gained) + len(change.Lost); n > 0 {
			want.Users++
			want.Gained += len(change.Gained)
			want.Lost += len(change.Lost)
			want.Changes = append(want.Changes, change)
		}
	}
	for n := range nPerms {
		if m, ok := counts[perm(n)]; ok {
			want.Permissions = append(want.Permissions, m)
		}
	}
	slices.SortFunc(want.Permissions, func(a, b Moved) int {
		if a.Permission < b.Permission {
			return -1
		}
		return 1
	})
	if !equalComparisons(got, want) {
		t.Fatalf("seed %d: %+v, recomputed %+v", seed, got, want)
	}
}

// TestClosestGrantsAllow makes every grant that is proposed: it gives the
// permission and as many others as was said, and no cheaper one was left out.
func TestClosestGrantsAllow(t *testing.T) {
	proposed := 0
	for seed := int64(1); seed <= 30; seed++ {
		rng := rand.New(rand.NewSource(seed))
		e, w := New().Edit(), newTwin()
		for range 500 {
			step(rng, e, w)
		}
		x := e.Published()
		for _, u := range everybody() {
			for n := range nPerms {
				p := perm(n)
				closest, more := x.Closest(u, p, nGroups+nRoles)
				if x.Has(u, p) && closest != nil || more {
					t.Fatalf("seed %d: %v, more %v", seed, closest, more)
				}
				if x.user(u) == nil || !x.user(u).active || x.Has(u, p) {
					continue
				}
				proposed += len(closest)
				checkClosest(t, x, u, p, closest, seed)
			}
		}
	}
	if proposed < 100 {
		t.Fatalf("only %d proposals were tried", proposed)
	}
}

func checkClosest(t *testing.T, x *Index, u directory.UserID, p directory.Permission, closest []Possible, seed int64) {
	t.Helper()
	before := len(x.Permissions(u))
	allows := func(change func(*Editor)) (int, bool) {
		fork := x.Edit()
		change(fork)
		return len(fork.Permissions(u)) - before, fork.Has(u, p)
	}
	found := 0
	for i := range nGroups {
		g := id[directory.GroupID](i)
		gained, ok := allows(func(e *Editor) { e.AddMember(g, u) })
		if ok {
			found++
		}
		if slices.Contains(closest, Possible{Group: g, Gained: gained}) != ok {
			t.Fatalf("seed %d: joining group %d gains %d and allows: %v; proposed %+v", seed, i, gained, ok, closest)
		}
	}
	for i := range nRoles {
		r := id[directory.RoleID](i)
		gained, ok := allows(func(e *Editor) { e.AssignUser(r, u) })
		if ok {
			found++
		}
		if slices.Contains(closest, Possible{Role: r, Gained: gained}) != ok {
			t.Fatalf("seed %d: role %d gains %d and allows: %v; proposed %+v", seed, i, gained, ok, closest)
		}
	}
	if found != len(closest) || !slices.IsSortedFunc(closest, func(a, b Possible) int { return a.Gained - b.Gained }) {
		t.Fatalf("seed %d: %d ways, proposed in this order: %+v", seed, found, closest)
	}
}

package effective

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"

	"github.com/authfi/authfi/directory"
)

func TestReadersNeverSeeHalfOfAMove(t *testing.T) {
	e := New().Edit()
	u, a, b := id[directory.UserID](1), id[directory.GroupID](1), id[directory.GroupID](2)
	r := id[directory.RoleID](1)
	e.PutUser(u)
	e.SetActive(u, true)
	e.PutGroup(a)
	e.PutGroup(b)
	e.PutRole(r, []directory.Permission{"read:patients"})
	e.AssignGroup(r, a)
	e.AssignGroup(r, b)
	e.AddMember(a, u)
	var mu sync.RWMutex
	current := e.Published()
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				mu.RLock()
				x := current
				mu.RUnlock()
				if !x.Has(u, "read:patients") || len(x.Groups(u)) != 1 {
					t.Error("a reader saw the user between two groups")
					return
				}
			}
		})
	}
	for i := range 3000 {
		from, to := a, b
		if i%2 == 1 {
			from, to = b, a
		}
		e.RemoveMember(from, u)
		e.AddMember(to, u)
		x := e.Published()
		mu.Lock()
		current = x
		mu.Unlock()
	}
	close(done)
	readers.Wait()
}

func TestLimitsRefuseBeforeAnythingIsWritten(t *testing.T) {
	e := New().Edit()
	u := id[directory.UserID](0)
	e.PutUser(u)
	for i := range GroupsPerUserMax + 1 {
		g := id[directory.GroupID](i)
		e.PutGroup(g)
		changed, err := e.AddMember(g, u)
		if full := i == GroupsPerUserMax; full != (err != nil) || changed == full {
			t.Fatalf("group %d: changed %v, %v", i, changed, err)
		}
	}
	if n := len(e.Groups(u)); n != GroupsPerUserMax {
		t.Fatalf("user is in %d groups", n)
	}
}

func TestRolesOfOneHolderAreLimited(t *testing.T) {
	e := New().Edit()
	u, g := id[directory.UserID](0), id[directory.GroupID](0)
	e.PutUser(u)
	e.PutGroup(g)
	for i := range max(RolesPerUserMax, RolesPerGroupMax) + 1 {
		r := id[directory.RoleID](i)
		e.PutRole(r, nil)
		toUser, userErr := e.AssignUser(r, u)
		toGroup, groupErr := e.AssignGroup(r, g)
		if fits := i < RolesPerUserMax; toUser != fits || fits != (userErr == nil) {
			t.Fatalf("role %d of a user: changed %v, %v", i, toUser, userErr)
		}
		if fits := i < RolesPerGroupMax; toGroup != fits || fits != (groupErr == nil) {
			t.Fatalf("role %d of a group: changed %v, %v", i, toGroup, groupErr)
		}
	}
}

func TestMembersOfOneIdInTwoKindsStayApart(t *testing.T) {
	e := New().Edit()
	e.PutGroup(id[directory.GroupID](1))
	if _, err := e.AddMember(id[directory.GroupID](1), id[directory.UserID](1)); directory.KindOf(err) != directory.KindNotFound {
		t.Fatalf("a group was found by a user's id: %v", err)
	}
}

func TestNothingIsHeldInAnIndexOfNothing(t *testing.T) {
	u, g, r := id[directory.UserID](1), id[directory.GroupID](1), id[directory.RoleID](1)
	for _, x := range []*Index{nil, {}, New()} {
		users, total := x.Who("read:patients", directory.UserID{}, 10)
		members, _ := x.Members(g, directory.UserID{}, 10)
		if x.Has(u, "read:patients") || x.Why(u, "read:patients") != nil || x.List(u) != nil || x.Roles(u) != nil ||
			x.Permissions(u) != nil || total+len(users)+len(members)+x.MemberCount(g) != 0 || x.IsMember(g, u) ||
			x.RolePermissions(r) != nil {
			t.Fatal("an empty index holds something")
		}
		if err := x.Edit().PutUser(u); err != nil {
			t.Fatal(err)
		}
	}
}

// A node that reloads numbers its rows anew. If a limit counted what was ever
// made, it would accept a role that the other nodes refuse.
func TestRoleLimitCountsWhatExists(t *testing.T) {
	e := New().Edit()
	for i := range RolesMax {
		if err := e.PutRole(id[directory.RoleID](i), nil); err != nil {
			t.Fatal(err)
		}
	}
	last := id[directory.RoleID](RolesMax)
	if err := e.PutRole(last, nil); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("one role too many: %v", err)
	}
	if err := e.DeleteRole(id[directory.RoleID](7)); err != nil {
		t.Fatal(err)
	}
	if err := e.PutRole(last, []directory.Permission{"read:patients"}); err != nil {
		t.Fatalf("a role in the place of a deleted one: %v", err)
	}
	u := id[directory.UserID](1)
	e.PutUser(u)
	e.SetActive(u, true)
	e.AssignUser(id[directory.RoleID](RolesMax-1), u)
	if e.Has(u, "read:patients") {
		t.Fatal("a role of a high ordinal was taken for another")
	}
	if e.AssignUser(last, u); !e.Has(u, "read:patients") {
		t.Fatal("the role at the limit does not grant")
	}
}

func TestPermissionLimitRefusesBeforeAnythingIsWritten(t *testing.T) {
	e := New().Edit()
	name := func(i int) directory.Permission { return directory.Permission(fmt.Sprintf("read:p%d", i)) }
	for i := range PermissionsMax {
		if err := e.PutRole(id[directory.RoleID](i%100), append(e.RolePermissions(id[directory.RoleID](i%100)), name(i))); err != nil {
			t.Fatal(err)
		}
	}
	before := e.RolePermissions(id[directory.RoleID](0))
	if err := e.PutRole(id[directory.RoleID](0), []directory.Permission{"read:one-more"}); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("one permission too many: %v", err)
	}
	if !slices.Equal(e.RolePermissions(id[directory.RoleID](0)), before) {
		t.Fatal("a refused role was changed")
	}
	e.DeleteRole(id[directory.RoleID](0))
	if err := e.PutRole(id[directory.RoleID](0), []directory.Permission{"read:one-more"}); err != nil {
		t.Fatalf("permissions that no role grants still count: %v", err)
	}
}

// What-if questions fork the index that readers and the writer hold.
func TestForksOfOneIndexDoNotMeet(t *testing.T) {
	base := hospital(t, 2000)
	g := id[directory.GroupID](0)
	before := base.MemberCount(g)
	var forks sync.WaitGroup
	for n := range 4 {
		forks.Go(func() {
			e := base.Edit()
			for i := range 200 {
				u := id[directory.UserID](10_000*(n+1) + i)
				e.PutUser(u)
				if _, err := e.AddMember(g, u); err != nil {
					t.Error(err)
				}
				e.PutRole(id[directory.RoleID](600+n), []directory.Permission{perm(3000 + n)})
			}
			if got := e.Published().MemberCount(g); got != before+200 {
				t.Errorf("fork %d has %d members, want %d", n, got, before+200)
			}
		})
	}
	forks.Wait()
	if base.MemberCount(g) != before {
		t.Fatal("a fork wrote into its origin")
	}
}

func TestSetEqualsAMap(t *testing.T) {
	for seed := int64(1); seed <= 5; seed++ {
		rng := rand.New(rand.NewSource(seed))
		var s, frozen set
		want, kept := map[uint32]bool{}, []uint32{}
		for step := range 40_000 {
			if step%1000 == 0 {
				if got := members(&frozen); !slices.Equal(got, kept) {
					t.Fatalf("seed %d step %d: a kept set changed", seed, step)
				}
				frozen, kept = s, members(&s)
			}
			o, on := uint32(rng.Intn(5000)), rng.Intn(5) < 2+step/10_000%2*2
			s.put(o, on, uint64(step/1000+1))
			if want[o] = on; s.has(o) != on {
				t.Fatalf("seed %d step %d: has %d is not %v", seed, step, o, on)
			}
		}
		n := 0
		for o, on := range want {
			if on {
				n++
			}
			if s.has(o) != on {
				t.Fatalf("seed %d: has %d is not %v", seed, o, on)
			}
		}
		if got := members(&s); len(got) != n || s.len() != n || !slices.IsSorted(got) {
			t.Fatalf("seed %d: %d members walked, %d counted, want %d", seed, len(got), s.len(), n)
		}
	}
}

func members(s *set) []uint32 {
	all := []uint32{}
	s.each(func(o uint32) bool { all = append(all, o); return true })
	return all
}

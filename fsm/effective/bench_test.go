package effective

import (
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
)

// plain is a permission that is no wildcard.
func plain(n int) directory.Permission { return directory.Permission(fmt.Sprintf("do:thing-%d", n)) }

// hospitalRows is a directory of n users in 5 groups each, n/50 groups with 3
// of 500 roles, 10 of 2,000 permissions per role.
func hospitalRows(n int) Rows {
	rng := rand.New(rand.NewSource(42))
	rows := Rows{Roles: make([]RoleRow, 500), Groups: make([]GroupRow, n/50), Users: make([]UserRow, n)}
	for i := range rows.Roles {
		rows.Roles[i].ID = id[directory.RoleID](i)
		for range 10 {
			rows.Roles[i].Permissions = append(rows.Roles[i].Permissions, plain(rng.Intn(2000)))
		}
	}
	for i := range rows.Groups {
		rows.Groups[i].ID = id[directory.GroupID](i)
		for range 3 {
			rows.Groups[i].Roles = append(rows.Groups[i].Roles, id[directory.RoleID](rng.Intn(500)))
		}
	}
	for i := range rows.Users {
		rows.Users[i].ID, rows.Users[i].Active = id[directory.UserID](i), true
		for range 5 {
			rows.Users[i].Groups = append(rows.Users[i].Groups, id[directory.GroupID](rng.Intn(n/50)))
		}
	}
	return rows
}

func hospital(tb testing.TB, n int) *Index {
	tb.Helper()
	x, err := Build(hospitalRows(n))
	if err != nil {
		tb.Fatal(err)
	}
	return x
}

func TestCheckAllocatesNothing(t *testing.T) {
	x := hospital(t, 1000)
	u, p := id[directory.UserID](7), plain(7)
	if n := testing.AllocsPerRun(1000, func() { x.Has(u, p) }); n != 0 {
		t.Fatalf("a check makes %v allocations", n)
	}
}

func BenchmarkCheck100k(b *testing.B) {
	x := hospital(b, 100_000)
	rng := rand.New(rand.NewSource(7))
	type query struct {
		u directory.UserID
		p directory.Permission
	}
	queries := make([]query, 1<<15)
	for i := range queries {
		queries[i] = query{id[directory.UserID](rng.Intn(100_000)), plain(rng.Intn(2000))}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		q := &queries[i&(len(queries)-1)]
		x.Has(q.u, q.p)
	}
}

func BenchmarkList100k(b *testing.B) {
	x := hospital(b, 100_000)
	for i := 0; b.Loop(); i++ {
		x.Holdings(id[directory.UserID](i % 100_000))
	}
}

func BenchmarkWho100k(b *testing.B) {
	x := hospital(b, 100_000)
	for i := 0; b.Loop(); i++ {
		x.Who(plain(i%2000), directory.UserID{}, 100)
	}
}

// One change and one publication each time; the groups keep about 250 members.
func BenchmarkMemberChange100k(b *testing.B) {
	e := hospital(b, 100_000).Edit()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g, u := id[directory.GroupID](i*7919%2000), id[directory.UserID](i*104729%100_000)
		if changed, _ := e.AddMember(g, u); !changed {
			e.RemoveMember(g, u)
		}
		e.Published()
	}
}

func BenchmarkMemberChangeInGroupOf100k(b *testing.B) {
	e := hospital(b, 100_000).Edit()
	g := id[directory.GroupID](3)
	for i := range 100_000 {
		e.AddMember(g, id[directory.UserID](i))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		u := id[directory.UserID](i / 2 * 104729 % 100_000)
		if i%2 == 0 {
			e.RemoveMember(g, u)
		} else {
			e.AddMember(g, u)
		}
		e.Published()
	}
}

func BenchmarkBuild100k(b *testing.B) {
	rows := hospitalRows(100_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Build(rows); err != nil {
			b.Fatal(err)
		}
	}
}

// A role on a group of 5,000 members: what a what-if pays.
func BenchmarkCompare(b *testing.B) {
	x := hospital(b, 100_000)
	edit := x.Edit()
	g := id[directory.GroupID](0)
	for i := range 5_000 {
		edit.AddMember(g, id[directory.UserID](i))
	}
	before := edit.Published()
	for b.Loop() {
		fork := before.Edit()
		fork.AssignGroup(id[directory.RoleID](499), g)
		after := fork.Published()
		Compare(before, after, slices.Values(Touched(before, after)), 50)
	}
}

func BenchmarkClosest(b *testing.B) {
	x := hospital(b, 100_000)
	for i := 0; b.Loop(); i++ {
		x.Closest(id[directory.UserID](i%100_000), plain(i%2000), 5)
	}
}

// A role on the top of a tree of groups.
func BenchmarkRoleAboveGroups(b *testing.B) {
	for _, below := range []int{100, 1_000, NestingsMax} {
		b.Run(fmt.Sprint(below), func(b *testing.B) {
			e := New().Edit()
			r := id[directory.RoleID](0)
			e.PutRole(r, []directory.Permission{"read:patients"})
			for i := range below + 1 {
				e.PutGroup(id[directory.GroupID](i))
				if i > 0 {
					if _, err := e.Nest(id[directory.GroupID]((i-1)/8), id[directory.GroupID](i)); err != nil {
						b.Fatal(err)
					}
				}
			}
			for b.Loop() {
				e.AssignGroup(r, id[directory.GroupID](0))
				e.UnassignGroup(r, id[directory.GroupID](0))
				e.Published()
			}
		})
	}
}

func BenchmarkWhy100k(b *testing.B) {
	x := hospital(b, 100_000)
	rng := rand.New(rand.NewSource(7))
	b.ReportAllocs()
	for b.Loop() {
		x.Why(id[directory.UserID](rng.Intn(100_000)), plain(rng.Intn(2000)))
	}
}

package effective

import (
	"math/rand"
	"testing"

	"github.com/authfi/authfi/directory"
)

// hospitalRows is a directory of n users in 5 groups each, n/50 groups with 3
// of 500 roles, 10 of 2,000 permissions per role.
func hospitalRows(n int) Rows {
	rng := rand.New(rand.NewSource(42))
	rows := Rows{Roles: make([]RoleRow, 500), Groups: make([]GroupRow, n/50), Users: make([]UserRow, n)}
	for i := range rows.Roles {
		rows.Roles[i].ID = id[directory.RoleID](i)
		for range 10 {
			rows.Roles[i].Permissions = append(rows.Roles[i].Permissions, perm(rng.Intn(2000)))
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
	u, p := id[directory.UserID](7), perm(7)
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
		queries[i] = query{id[directory.UserID](rng.Intn(100_000)), perm(rng.Intn(2000))}
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
		x.List(id[directory.UserID](i % 100_000))
	}
}

func BenchmarkWho100k(b *testing.B) {
	x := hospital(b, 100_000)
	for i := 0; b.Loop(); i++ {
		x.Who(perm(i%2000), directory.UserID{}, 100)
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

package effective

import (
	"math/rand"
	"testing"

	"github.com/authfi/authfi/directory"
)

// hospital is a directory of n users in 5 groups each, n/50 groups with 3 of
// 500 roles, 10 of 2,000 permissions per role.
func hospital(n int) *Editor {
	rng := rand.New(rand.NewSource(42))
	e := New().Edit()
	for r := range 500 {
		var ps []directory.Permission
		for range 10 {
			ps = append(ps, perm(rng.Intn(2000)))
		}
		e.PutRole(id[directory.RoleID](r), ps)
	}
	for g := range n / 50 {
		e.PutGroup(id[directory.GroupID](g))
		for range 3 {
			e.AssignGroup(id[directory.RoleID](rng.Intn(500)), id[directory.GroupID](g))
		}
	}
	for u := range n {
		e.PutUser(id[directory.UserID](u))
		e.SetActive(id[directory.UserID](u), true)
		for range 5 {
			e.AddMember(id[directory.GroupID](rng.Intn(n/50)), id[directory.UserID](u))
		}
	}
	return e
}

func TestCheckAllocatesNothing(t *testing.T) {
	x := hospital(1000).Published()
	u, p := id[directory.UserID](7), perm(7)
	if n := testing.AllocsPerRun(1000, func() { x.Has(u, p) }); n != 0 {
		t.Fatalf("a check makes %v allocations", n)
	}
}

func BenchmarkCheck100k(b *testing.B) {
	x := hospital(100_000).Published()
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
	x := hospital(100_000).Published()
	for i := 0; b.Loop(); i++ {
		x.List(id[directory.UserID](i % 100_000))
	}
}

func BenchmarkMemberChange100k(b *testing.B) {
	e := hospital(100_000)
	g := id[directory.GroupID](3)
	for i := 0; b.Loop(); i++ {
		u := id[directory.UserID](i % 100_000)
		e.AddMember(g, u)
		e.Published()
	}
}

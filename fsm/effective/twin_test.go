package effective

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// twin is the slow, obvious index: assignments as they were made, and every
// answer recomputed from all of them.
type twin struct {
	active  map[directory.UserID]bool
	groups  map[directory.GroupID]bool
	roles   map[directory.RoleID][]directory.Permission
	members map[[2][16]byte]bool // group, user
	toUser  map[[2][16]byte]bool // role, user
	toGroup map[[2][16]byte]bool // role, group
	nested  map[[2][16]byte]bool // parent, child
}

func newTwin() *twin {
	return &twin{
		active: map[directory.UserID]bool{}, groups: map[directory.GroupID]bool{},
		roles:   map[directory.RoleID][]directory.Permission{},
		members: map[[2][16]byte]bool{}, toUser: map[[2][16]byte]bool{}, toGroup: map[[2][16]byte]bool{},
		nested: map[[2][16]byte]bool{},
	}
}

func compareGrants(a, b Grant) int {
	if c := strings.Compare(string(a.Permission), string(b.Permission)); c != 0 {
		return c
	}
	return compareSources(a.Source, b.Source)
}

// isIn reports whether a group is another or nested in it, however deep.
func (w *twin) isIn(child, parent directory.GroupID) bool {
	if child == parent {
		return true
	}
	for e := range w.nested {
		if e[1] == child && w.isIn(e[0], parent) {
			return true
		}
	}
	return false
}

// ways are the sources of a user without what their roles name.
func (w *twin) ways(u directory.UserID) (ways []Source) {
	for r := range w.roles {
		if w.toUser[[2][16]byte{r, u}] {
			ways = append(ways, Source{Role: r})
		}
		for g := range w.groups {
			for member := range w.groups {
				if w.toGroup[[2][16]byte{r, g}] && w.members[[2][16]byte{member, u}] && w.isIn(member, g) {
					ways = append(ways, Source{Role: r, Group: g, Member: member})
				}
			}
		}
	}
	return ways
}

// why recomputes the sources of one permission.
func (w *twin) why(u directory.UserID, p directory.Permission) (sources []Source) {
	if !w.active[u] {
		return nil
	}
	wildcard, _ := p.Wildcard()
	for _, way := range w.ways(u) {
		for _, named := range w.roles[way.Role] {
			if named == p || named == wildcard {
				way.Names = named
				sources = append(sources, way)
			}
		}
	}
	slices.SortFunc(sources, compareSources)
	return sources
}

func (w *twin) list(u directory.UserID) (grants []Grant) {
	if !w.active[u] {
		return nil
	}
	held := map[directory.Permission]bool{}
	for _, way := range w.ways(u) {
		for _, p := range w.roles[way.Role] {
			held[p] = true
		}
	}
	for p := range held {
		for _, source := range w.why(u, p) {
			grants = append(grants, Grant{p, source})
		}
	}
	slices.SortFunc(grants, compareGrants)
	return grants
}

// put makes a user known; one that is known stays as it is.
func (w *twin) put(u directory.UserID) {
	if _, known := w.active[u]; !known {
		w.active[u] = false
	}
}

func (w *twin) clone() *twin {
	c := newTwin()
	for k, v := range w.active {
		c.active[k] = v
	}
	for k, v := range w.groups {
		c.groups[k] = v
	}
	for k, v := range w.roles {
		c.roles[k] = v
	}
	for k := range w.members {
		c.members[k] = true
	}
	for k := range w.toUser {
		c.toUser[k] = true
	}
	for k := range w.toGroup {
		c.toGroup[k] = true
	}
	for k := range w.nested {
		c.nested[k] = true
	}
	return c
}

func id[ID ~[16]byte](n int) (id ID) {
	binary.BigEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

const (
	nUsers, nGroups, nRoles, nPerms = 24, 8, 7, 9
)

// perm is one of two wildcards or of what they cover.
func perm(n int) directory.Permission {
	verb := []string{"do", "see"}[n%2]
	if n < 2 {
		return directory.Permission(verb + ":*")
	}
	return directory.Permission(fmt.Sprintf("%s:thing-%d", verb, n))
}

// step makes one random change to both; refused changes must change neither.
func step(rng *rand.Rand, e *Editor, w *twin) {
	u, g, r := id[directory.UserID](rng.Intn(nUsers)), id[directory.GroupID](rng.Intn(nGroups)), id[directory.RoleID](rng.Intn(nRoles))
	_, hasUser := w.active[u]
	_, hasRole := w.roles[r]
	hasGroup := w.groups[g]
	switch rng.Intn(16) {
	case 0, 1:
		e.PutUser(u)
		w.put(u)
	case 2, 3:
		on := rng.Intn(3) > 0
		if e.SetActive(u, on) == nil {
			w.active[u] = on
		}
	case 4:
		e.PutGroup(g)
		w.groups[g] = true
	case 5:
		var ps []directory.Permission
		for range rng.Intn(4) {
			ps = append(ps, perm(rng.Intn(nPerms)))
		}
		e.PutRole(r, ps)
		slices.Sort(ps)
		w.roles[r] = slices.Compact(ps)
	case 6, 7, 8:
		e.AddMember(g, u)
		if hasUser && hasGroup {
			w.members[[2][16]byte{g, u}] = true
		}
	case 9:
		e.RemoveMember(g, u)
		delete(w.members, [2][16]byte{g, u})
	case 10:
		stepAssign(rng, e, w, u, g, r, hasUser, hasGroup, hasRole)
	case 11:
		stepUnassign(rng, e, w, u, g, r)
	case 12:
		stepDelete(rng, e, w, u, g, r)
	case 13, 14, 15:
		stepNest(rng, e, w, g, id[directory.GroupID](rng.Intn(nGroups)))
	}
}

func stepNest(rng *rand.Rand, e *Editor, w *twin, parent, child directory.GroupID) {
	edge := [2][16]byte{parent, child}
	if rng.Intn(3) == 0 {
		e.Unnest(parent, child)
		delete(w.nested, edge)
		return
	}
	changed, err := e.Nest(parent, child)
	possible := w.groups[parent] && w.groups[child] && (w.nested[edge] || !w.isIn(parent, child))
	if (err == nil) != possible || changed != (possible && !w.nested[edge]) {
		panic(fmt.Sprintf("nest %v: changed %v, %v", edge, changed, err))
	}
	if possible {
		w.nested[edge] = true
	}
}

func stepAssign(rng *rand.Rand, e *Editor, w *twin, u directory.UserID, g directory.GroupID, r directory.RoleID, hasUser, hasGroup, hasRole bool) {
	if rng.Intn(2) == 0 {
		e.AssignUser(r, u)
		if hasUser && hasRole {
			w.toUser[[2][16]byte{r, u}] = true
		}
		return
	}
	e.AssignGroup(r, g)
	if hasGroup && hasRole {
		w.toGroup[[2][16]byte{r, g}] = true
	}
}

func stepUnassign(rng *rand.Rand, e *Editor, w *twin, u directory.UserID, g directory.GroupID, r directory.RoleID) {
	if rng.Intn(2) == 0 {
		e.UnassignUser(r, u)
		delete(w.toUser, [2][16]byte{r, u})
		return
	}
	e.UnassignGroup(r, g)
	delete(w.toGroup, [2][16]byte{r, g})
}

func stepDelete(rng *rand.Rand, e *Editor, w *twin, u directory.UserID, g directory.GroupID, r directory.RoleID) {
	drop := func(edges map[[2][16]byte]bool, side int, gone [16]byte) {
		for k := range edges {
			if k[side] == gone {
				delete(edges, k)
			}
		}
	}
	switch rng.Intn(3) {
	case 0:
		e.DeleteUser(u)
		delete(w.active, u)
		drop(w.members, 1, u)
		drop(w.toUser, 1, u)
	case 1:
		e.DeleteGroup(g)
		delete(w.groups, g)
		drop(w.members, 0, g)
		drop(w.toGroup, 1, g)
		drop(w.nested, 0, g)
		drop(w.nested, 1, g)
	case 2:
		e.DeleteRole(r)
		delete(w.roles, r)
		drop(w.toUser, 0, r)
		drop(w.toGroup, 0, r)
	}
}

// The ids of users and groups in this test overlap, which is the point: a group
// must never be found by a user's id.
func compare(t *testing.T, x *Index, w *twin, seed int64, at int) {
	t.Helper()
	holders := map[directory.Permission][]directory.UserID{}
	for i := range nUsers {
		u := id[directory.UserID](i)
		want := w.list(u)
		if got := x.List(u); !slices.Equal(got, want) {
			t.Fatalf("seed %d step %d: user %d lists %v, recomputed %v", seed, at, i, got, want)
		}
		for n := range nPerms {
			p := perm(n)
			sources := w.why(u, p)
			if x.Has(u, p) != (len(sources) > 0) || !slices.Equal(x.Why(u, p), sources) {
				t.Fatalf("seed %d step %d: user %d and %s: has %v, why %v, recomputed %v", seed, at, i, p, x.Has(u, p), x.Why(u, p), sources)
			}
			var many [1]bool
			if x.HasMany(u, []directory.Permission{p}, many[:]); many[0] != x.Has(u, p) {
				t.Fatalf("seed %d step %d: HasMany of user %d and %s: %v", seed, at, i, p, many)
			}
			if len(sources) > 0 {
				holders[p] = append(holders[p], u)
			}
		}
	}
	compareHolders(t, x, w, seed, at)
	compareNesting(t, x, w, seed, at)
	for n := range nPerms {
		got, total := x.Who(perm(n), directory.UserID{}, -1)
		if !slices.Equal(got, holders[perm(n)]) || total != len(got) {
			t.Fatalf("seed %d step %d: who has %s: %v of %d, recomputed %v", seed, at, perm(n), got, total, holders[perm(n)])
		}
		if pages := allPages(x, perm(n)); !slices.Equal(pages, got) {
			t.Fatalf("seed %d step %d: who has %s in pages: %v, at once %v", seed, at, perm(n), pages, got)
		}
	}
}

func allPages(x *Index, p directory.Permission) (all []directory.UserID) {
	for after := (directory.UserID{}); ; after = all[len(all)-1] {
		page, _ := x.Who(p, after, 2)
		if all = append(all, page...); len(page) < 2 {
			return all
		}
	}
}

// compareHolders looks at the same edges from the side of groups and roles.
func compareHolders(t *testing.T, x *Index, w *twin, seed int64, at int) {
	t.Helper()
	for i := range nGroups {
		g := id[directory.GroupID](i)
		var want, walked []directory.UserID
		for n := range nUsers {
			if u := id[directory.UserID](n); w.members[[2][16]byte{g, u}] {
				want = append(want, u)
			}
		}
		x.EachMember(g, func(u directory.UserID) bool { walked = append(walked, u); return true })
		listed, total := x.Members(g, directory.UserID{}, -1)
		if !slices.Equal(walked, want) || !slices.Equal(listed, want) || x.MemberCount(g) != len(want) || total != len(want) {
			t.Fatalf("seed %d step %d: group %d walks %v, lists %v, counts %d, recomputed %v", seed, at, i, walked, listed, total, want)
		}
	}
	for i := range nRoles {
		r := id[directory.RoleID](i)
		var want, walked []directory.UserID
		for n := range nUsers {
			if u := id[directory.UserID](n); w.holdsRole(r, u) {
				want = append(want, u)
			}
		}
		x.EachRoleUser(r, func(u directory.UserID) bool { walked = append(walked, u); return true })
		if !slices.Equal(walked, want) || !slices.Equal(x.RolePermissions(r), w.roles[r]) {
			t.Fatalf("seed %d step %d: role %d is held by %v, recomputed %v, grants %v, was given %v", seed, at, i, walked, want, x.RolePermissions(r), w.roles[r])
		}
	}
}

// compareNesting looks at every pair of groups, and at what a group brings.
func compareNesting(t *testing.T, x *Index, w *twin, seed int64, at int) {
	t.Helper()
	for i := range nGroups {
		g := id[directory.GroupID](i)
		var below, children, parents []directory.GroupID
		roles := map[directory.RoleID]bool{}
		for n := range nGroups {
			other := id[directory.GroupID](n)
			if w.nested[[2][16]byte{g, other}] {
				children = append(children, other)
			}
			if w.nested[[2][16]byte{other, g}] {
				parents = append(parents, other)
			}
			if n != i && w.isIn(other, g) {
				below = append(below, other)
			}
			for r := range w.roles {
				if w.toGroup[[2][16]byte{r, other}] && w.isIn(g, other) && w.groups[g] {
					roles[r] = true
				}
			}
			path := x.Path(g, other)
			if reached := w.groups[g] && w.groups[other] && w.isIn(g, other); reached != (path != nil) {
				t.Fatalf("seed %d step %d: path from group %d to %d: %v", seed, at, i, n, path)
			}
			for k := 1; k < len(path); k++ {
				if !w.nested[[2][16]byte{path[k], path[k-1]}] || path[0] != g || path[len(path)-1] != other {
					t.Fatalf("seed %d step %d: path from group %d to %d: %v", seed, at, i, n, path)
				}
			}
		}
		if got := x.EffectiveGroupRoles(g); len(got) != len(roles) || slices.ContainsFunc(got, func(r directory.RoleID) bool { return !roles[r] }) {
			t.Fatalf("seed %d step %d: group %d has roles %v, recomputed %v", seed, at, i, got, roles)
		}
		if !slices.Equal(x.Children(g), children) || !slices.Equal(x.Parents(g), parents) || !slices.Equal(x.Descendants(g), below) {
			t.Fatalf("seed %d step %d: group %d: children %v, parents %v, below %v; recomputed %v, %v, %v", seed, at, i,
				x.Children(g), x.Parents(g), x.Descendants(g), children, parents, below)
		}
	}
	for i := range nRoles {
		r := id[directory.RoleID](i)
		var want []directory.GroupID
		for n := range nGroups {
			if g := id[directory.GroupID](n); w.toGroup[[2][16]byte{r, g}] {
				want = append(want, g)
			}
		}
		if groups, _ := x.RoleHolders(r); !slices.Equal(groups, want) {
			t.Fatalf("seed %d step %d: role %d is assigned to %v, recomputed %v", seed, at, i, groups, want)
		}
	}
}

func (w *twin) holdsRole(r directory.RoleID, u directory.UserID) bool {
	if w.toUser[[2][16]byte{r, u}] {
		return true
	}
	return slices.ContainsFunc(w.ways(u), func(way Source) bool { return way.Role == r })
}

// rows are the twin's assignments as storage would hand them to Build. The
// order of the maps is the point: it must decide nothing.
func (w *twin) rows() (rows Rows) {
	for r, ps := range w.roles {
		rows.Roles = append(rows.Roles, RoleRow{r, ps})
	}
	for g := range w.groups {
		row := GroupRow{ID: g}
		for e := range w.toGroup {
			if e[1] == g {
				row.Roles = append(row.Roles, e[0])
			}
		}
		for e := range w.nested {
			if e[1] == g {
				row.Parents = append(row.Parents, e[0])
			}
		}
		rows.Groups = append(rows.Groups, row)
	}
	for u, active := range w.active {
		row := UserRow{ID: u, Active: active}
		for e := range w.members {
			if e[1] == u {
				row.Groups = append(row.Groups, e[0])
			}
		}
		for e := range w.toUser {
			if e[1] == u {
				row.Roles = append(row.Roles, e[0])
			}
		}
		rows.Users = append(rows.Users, row)
	}
	return rows
}

func TestIndexEqualsItsRecomputationAfterRandomHistories(t *testing.T) {
	for seed := int64(1); seed <= 20; seed++ {
		rng := rand.New(rand.NewSource(seed))
		e, w := New().Edit(), newTwin()
		var old *Index
		var oldTwin *twin
		for at := range 600 {
			mark, before := e.Mark(), w.clone()
			for range 1 + rng.Intn(3) {
				step(rng, e, w)
			}
			if rng.Intn(5) == 0 { // a refused command leaves no trace
				e.Rollback(mark)
				w = before
			}
			if at%40 == 0 {
				if old != nil {
					compare(t, old, oldTwin, seed, at) // a published index never changes
				}
				old, oldTwin = e.Published(), w.clone()
				compare(t, old, w, seed, at)
				built, err := Build(w.rows())
				if err != nil {
					t.Fatalf("seed %d step %d: %v", seed, at, err)
				}
				compare(t, built, w, seed, at)
			}
		}
	}
}

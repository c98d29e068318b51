package effective

import (
	"iter"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Comparison is what users hold in one index and not in another. Permissions are
// compared by what roles name: a wildcard counts as one.
type Comparison struct {
	Users        int           // that differ
	Gained, Lost int           // pairs of user and permission
	Permissions  []Moved       // those that moved, in order
	Changes      []UserChanges // of the first users that differ, at most the limit
}

// Moved is a permission that users gained and lost.
type Moved struct {
	Permission   directory.Permission
	Gained, Lost int // users
}

// UserChanges is what one user gained and lost, each in order.
type UserChanges struct {
	User         directory.UserID
	Gained, Lost []directory.Permission
}

// Compare compares what the given users hold. It costs as much as the users'
// roles; who cannot differ should be left out, see Touched.
func Compare(before, after *Index, users iter.Seq[directory.UserID], limit int) (c Comparison) {
	names := permissionsOf(before, after)
	was, is := newView(before, names), newView(after, names)
	gained, lost := make([]int, len(names)), make([]int, len(names))
	for id := range users {
		was.fill(id)
		is.fill(id)
		if slices.Equal(was.held, is.held) {
			continue
		}
		c.Users++
		change := UserChanges{User: id}
		keep := len(c.Changes) < limit
		differ(is.held, was.held, func(n uint32) {
			gained[n]++
			if keep {
				change.Gained = append(change.Gained, names[n])
			}
		})
		differ(was.held, is.held, func(n uint32) {
			lost[n]++
			if keep {
				change.Lost = append(change.Lost, names[n])
			}
		})
		if keep {
			c.Changes = append(c.Changes, change)
		}
	}
	for n, name := range names {
		if gained[n]+lost[n] > 0 {
			c.Permissions = append(c.Permissions, Moved{name, gained[n], lost[n]})
			c.Gained += gained[n]
			c.Lost += lost[n]
		}
	}
	return c
}

// permissionsOf lists the permissions of two indexes in order. Ordinals are no names:
// one index may use again what was free in the other.
func permissionsOf(a, b *Index) (names []directory.Permission) {
	for _, x := range []*Index{a, b} {
		x.perms.each(func(p *permission) { names = append(names, p.name) })
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// view reads users' permissions as bits of a common list of names.
type view struct {
	index *Index
	place []uint32 // in the list, by the index's own ordinal
	held  bitSet
}

func newView(x *Index, names []directory.Permission) *view {
	v := &view{index: x, place: make([]uint32, x.perms.n), held: newBits(uint32(len(names)))}
	x.perms.each(func(p *permission) {
		n, _ := slices.BinarySearchFunc(names, p.name, func(a, b directory.Permission) int { return strings.Compare(string(a), string(b)) })
		v.place[p.ordinal] = uint32(n)
	})
	return v
}

func (v *view) fill(id directory.UserID) {
	clear(v.held)
	u := v.index.activeUser(id)
	if u == nil {
		return
	}
	v.index.effectiveRoles(u, func(r uint32) {
		for _, p := range v.index.roles.at(r).perms {
			v.held.add(v.place[p])
		}
	})
}

// differ yields what a has and b has not.
func differ(a, b bitSet, yield func(uint32)) {
	only := make(bitSet, len(a))
	for w := range a {
		only[w] = a[w] &^ b[w]
	}
	only.each(yield)
}

// Touched are the users whose permissions can differ between two indexes, in id
// order: those whose own row differs, and all who have a group or a role whose row
// differs in what it brings. Rows that both indexes share are passed over by
// pointer, so that a fork costs what was changed in it; of two indexes that share
// nothing it is everybody.
func Touched(before, after *Index) []directory.UserID {
	touched := map[directory.UserID]bool{}
	differing(&before.users, &after.users, func(u *user) { touched[u.id] = true })
	// The row of a group differs with each member; only its roles matter here, and
	// the member's own row has been seen.
	add := func(x *Index, members *set) {
		members.each(func(o uint32) bool { touched[x.users.at(o).id] = true; return true })
	}
	for _, pair := range [][2]*Index{{before, after}, {after, before}} {
		x, other := pair[0], pair[1]
		differing(&x.groups, &other.groups, func(g *group) {
			if x.groups.at(g.ordinal) != g {
				return // the other side's row
			}
			if o := other.groups.at(g.ordinal); o == nil || o.id != g.id || !slices.Equal(o.roles, g.roles) {
				add(x, &g.members)
			}
		})
		differing(&x.roles, &other.roles, func(r *role) {
			if x.roles.at(r.ordinal) != r {
				return
			}
			if o := other.roles.at(r.ordinal); o == nil || o.id != r.id || !slices.Equal(x.permNames(r), other.permNames(o)) {
				add(x, &r.users)
				r.groups.each(func(g uint32) bool { add(x, &x.groups.at(g).members); return true })
			}
		})
	}
	ids := make([]directory.UserID, 0, len(touched))
	for id := range touched { // order-free: sorted below
		ids = append(ids, id)
	}
	return sorted(ids)
}

func (x *Index) permNames(r *role) []directory.Permission {
	ps := make([]directory.Permission, len(r.perms))
	for i, p := range r.perms {
		ps[i] = x.perms.at(p).name
	}
	slices.Sort(ps)
	return ps
}

// differing yields every row that is in one of two vectors at a place where the
// other has another one.
func differing[T any](a, b *vector[T], yield func(*T)) {
	both := func(x, y *T) {
		if x == y {
			return
		}
		if x != nil {
			yield(x)
		}
		if y != nil {
			yield(y)
		}
	}
	for t := range max(len(a.top), len(b.top)) {
		left, right := branchAt(a, t), branchAt(b, t)
		if left == right {
			continue
		}
		for k := range fanout {
			x, y := leafAt(left, k), leafAt(right, k)
			if x == y {
				continue
			}
			for i := range fanout {
				both(rowAt(x, i), rowAt(y, i))
			}
		}
	}
}

func branchAt[T any](v *vector[T], t int) *branch[T] {
	if t >= len(v.top) {
		return nil
	}
	return v.top[t]
}

func leafAt[T any](b *branch[T], k int) *leaf[T] {
	if b == nil {
		return nil
	}
	return b.leaves[k]
}

func rowAt[T any](l *leaf[T], i int) *T {
	if l == nil {
		return nil
	}
	return l.rows[i]
}

package effective

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Source is one way in which a permission reaches a user: through a role, via a
// group unless Group is zero.
type Source struct {
	Role  directory.RoleID
	Group directory.GroupID
}

// Grant is one permission with one source.
type Grant struct {
	Permission directory.Permission
	Source
}

func compareSources(a, b Source) int {
	if c := bytes.Compare(a.Role[:], b.Role[:]); c != 0 {
		return c
	}
	return bytes.Compare(a.Group[:], b.Group[:])
}

// ways yields every (role, group) that an active user has.
func (x *Index) ways(u *user, yield func(r uint32, via directory.GroupID)) {
	if u == nil || !u.active {
		return
	}
	for _, r := range u.roles {
		yield(r, directory.GroupID{})
	}
	for _, o := range u.groups {
		g := x.groups.at(o)
		for _, r := range g.roles {
			yield(r, g.id)
		}
	}
}

// Why names every source of a permission; none if the user does not hold it.
func (x *Index) Why(id directory.UserID, p directory.Permission) (sources []Source) {
	granting := x.permission(p)
	if granting == nil {
		return nil
	}
	x.ways(x.user(id), func(r uint32, via directory.GroupID) {
		if granting.grantedBy(r) {
			sources = append(sources, Source{x.roles.at(r).id, via})
		}
	})
	slices.SortFunc(sources, compareSources)
	return sources
}

// List names every permission with every source, ordered by permission.
func (x *Index) List(id directory.UserID) (grants []Grant) {
	x.ways(x.user(id), func(r uint32, via directory.GroupID) {
		row := x.roles.at(r)
		for _, p := range row.perms {
			grants = append(grants, Grant{x.perms.at(p).name, Source{row.id, via}})
		}
	})
	slices.SortFunc(grants, func(a, b Grant) int {
		if c := strings.Compare(string(a.Permission), string(b.Permission)); c != 0 {
			return c
		}
		return compareSources(a.Source, b.Source)
	})
	return grants
}

// Roles are the effective roles of an active user.
func (x *Index) Roles(id directory.UserID) (ids []directory.RoleID) {
	x.ways(x.user(id), func(r uint32, _ directory.GroupID) { ids = append(ids, x.roles.at(r).id) })
	return slices.Compact(sorted(ids))
}

// Permissions are the effective permissions of an active user.
func (x *Index) Permissions(id directory.UserID) (ps []directory.Permission) {
	x.ways(x.user(id), func(r uint32, _ directory.GroupID) {
		for _, p := range x.roles.at(r).perms {
			ps = append(ps, x.perms.at(p).name)
		}
	})
	slices.Sort(ps)
	return slices.Compact(ps)
}

// Who lists the active users that hold a permission, in id order after the
// given id, and counts all of them.
func (x *Index) Who(p directory.Permission, after directory.UserID, limit int) (page []directory.UserID, total int) {
	granting := x.permission(p)
	if granting == nil {
		return nil, 0
	}
	holders := newBits(x.users.n)
	bitSet(granting.roles).each(func(r uint32) { x.addHolders(x.roles.at(r), holders) })
	return x.page(after, limit, func(yield func(*user)) {
		holders.each(func(o uint32) {
			if u := x.users.at(o); u.active {
				yield(u)
			}
		})
	})
}

func (x *Index) addHolders(r *role, holders bitSet) {
	r.users.each(func(u uint32) bool { holders.add(u); return true })
	r.groups.each(func(g uint32) bool {
		x.groups.at(g).members.each(func(u uint32) bool { holders.add(u); return true })
		return true
	})
}

// Members lists the members of a group in id order after the given id, and
// counts all of them.
func (x *Index) Members(g directory.GroupID, after directory.UserID, limit int) (page []directory.UserID, total int) {
	row := x.group(g)
	if row == nil {
		return nil, 0
	}
	return x.page(after, limit, func(yield func(*user)) {
		row.members.each(func(o uint32) bool { yield(x.users.at(o)); return true })
	})
}

// page orders by id, which every node agrees on, not by ordinal, which they
// need not. It keeps at most two pages of candidates and drops the larger half
// when they are full. A negative limit is none.
func (x *Index) page(after directory.UserID, limit int, each func(yield func(*user))) (page []directory.UserID, total int) {
	last := directory.UserID{} // of a full page: larger ids are not on it
	each(func(u *user) {
		total++
		if compareIDs(u.id, after) <= 0 || !last.IsZero() && compareIDs(u.id, last) > 0 {
			return
		}
		page = append(page, u.id)
		if limit > 0 && len(page) == 2*limit {
			page = sorted(page)[:limit]
			last = page[limit-1]
		}
	})
	page = sorted(page)
	if limit >= 0 && len(page) > limit {
		page = page[:limit]
	}
	return page, total
}

func sorted[ID ~[16]byte](ids []ID) []ID {
	slices.SortFunc(ids, compareIDs)
	return ids
}

func compareIDs[ID ~[16]byte](a, b ID) int {
	left, right := [16]byte(a), [16]byte(b)
	return bytes.Compare(left[:], right[:])
}

// bitSet is a dense set of ordinals: OR-ing postings into one beats merging
// lists several times over.
type bitSet []uint64

func newBits(n uint32) bitSet { return make(bitSet, (n+63)/64) }

func (b bitSet) add(o uint32) { b[o>>6] |= 1 << (o & 63) }

func (b bitSet) each(yield func(uint32)) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			yield(uint32(w*64 + bits.TrailingZeros64(word)))
		}
	}
}

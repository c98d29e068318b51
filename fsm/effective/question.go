package effective

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Source is one way in which a permission reaches a user: through a role that is
// assigned to the user, or to Group, which the user is in by way of the group
// Member: the same one, or one nested in it.
type Source struct {
	Role   directory.RoleID
	Group  directory.GroupID // zero: assigned to the user
	Member directory.GroupID
	Names  directory.Permission // what the role names: the permission, or the wildcard that covers it
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
	if c := bytes.Compare(a.Group[:], b.Group[:]); c != 0 {
		return c
	}
	if c := bytes.Compare(a.Member[:], b.Member[:]); c != 0 {
		return c
	}
	return strings.Compare(string(a.Names), string(b.Names))
}

// effectiveRoles yields every role that a user has, once for each of the user's
// groups that brings it, whether the user is active or not.
func (x *Index) effectiveRoles(u *user, yield func(r uint32)) {
	for _, r := range u.roles {
		yield(r)
	}
	for _, g := range u.groups {
		for _, r := range x.groups.at(g).roles {
			yield(r)
		}
	}
}

// ways yields every role that a user has, with the group that it is assigned to and
// the user's own group from which that one is reached; nil both for a role of the
// user's own.
func (x *Index) ways(u *user, yield func(r uint32, at, member *group)) {
	for _, r := range u.roles {
		yield(r, nil, nil)
	}
	for _, o := range u.groups {
		member := x.groups.at(o)
		x.upwards(member, func(g *group) bool {
			for _, r := range g.own {
				yield(r, g, member)
			}
			return true
		})
	}
}

// source is a way as it is told, but for what the role names.
func source(r *role, at, member *group) Source {
	if at == nil {
		return Source{Role: r.id}
	}
	return Source{Role: r.id, Group: at.id, Member: member.id}
}

// activeUser is nil for a user who holds nothing.
func (x *Index) activeUser(id directory.UserID) *user {
	if u := x.user(id); u != nil && u.active {
		return u
	}
	return nil
}

// Why names every source of a permission; none if the user does not hold it.
func (x *Index) Why(id directory.UserID, p directory.Permission) []Source {
	u := x.activeUser(id)
	if u == nil {
		return nil
	}
	return x.why(u, p)
}

// WhyIfActive is Why for a user as if they were active.
func (x *Index) WhyIfActive(id directory.UserID, p directory.Permission) []Source {
	u := x.user(id)
	if u == nil {
		return nil
	}
	return x.why(u, p)
}

func (x *Index) why(u *user, p directory.Permission) (sources []Source) {
	granting := x.granting(p)
	if !x.holdsAny(u, granting) { // which reads no roles
		return nil
	}
	x.ways(u, func(r uint32, at, member *group) {
		for _, row := range granting {
			if row != nil && row.grantedBy(r) {
				way := source(x.roles.at(r), at, member)
				way.Names = row.name
				sources = append(sources, way)
			}
		}
	})
	slices.SortFunc(sources, compareSources)
	return sources
}

// List names every permission that the user's roles name, each with every source,
// ordered by permission. A wildcard is listed as what it is, and besides as a
// source of the listed permissions that it covers.
func (x *Index) List(id directory.UserID) (grants []Grant) {
	h := x.Holdings(id)
	for _, g := range h.Grants {
		way := h.Ways[g.Way]
		way.Names = g.Names
		grants = append(grants, Grant{g.Permission, way})
	}
	return grants
}

// Holdings is what List says, told shorter: a role brings all of its permissions on the
// same ways, so a way is told once and each grant says which one it is.
type Holdings struct {
	Ways   []Source // in order; what they name is in the grants
	Grants []Holding
}

// Holding is one permission by one way.
type Holding struct {
	Permission directory.Permission
	Names      directory.Permission // as in Source
	Way        int                  // in Holdings.Ways
}

func compareHoldings(a, b Holding) int {
	if c := strings.Compare(string(a.Permission), string(b.Permission)); c != 0 {
		return c
	}
	if a.Way != b.Way {
		return a.Way - b.Way
	}
	return strings.Compare(string(a.Names), string(b.Names))
}

// Holdings lists what a user holds. Its grants are ordered by permission and way.
func (x *Index) Holdings(id directory.UserID) (h Holdings) {
	u := x.activeUser(id)
	if u == nil {
		return h
	}
	type reached struct {
		way  Source
		role *role
	}
	var all []reached
	n := 0
	x.ways(u, func(r uint32, at, member *group) {
		row := x.roles.at(r)
		all = append(all, reached{source(row, at, member), row})
		n += len(row.perms)
	})
	slices.SortFunc(all, func(a, b reached) int { return compareSources(a.way, b.way) })
	h.Ways, h.Grants = make([]Source, len(all)), make([]Holding, 0, n)
	for i, one := range all {
		h.Ways[i] = one.way
		for _, p := range one.role.perms {
			name := x.perms.at(p).name
			h.Grants = append(h.Grants, Holding{name, name, i})
		}
	}
	if x.wildByVerb.root != nil {
		h.Grants = covered(h.Grants)
	}
	slices.SortFunc(h.Grants, compareHoldings)
	return h
}

// covered adds the wildcards among the grants to what they cover.
func covered(grants []Holding) []Holding {
	named := map[string][]directory.Permission{} // by verb
	seen := map[directory.Permission]bool{}
	for _, g := range grants {
		if verb, wild := g.Permission.Verb(); !wild && !seen[g.Permission] {
			seen[g.Permission] = true
			named[verb] = append(named[verb], g.Permission)
		}
	}
	for _, g := range slices.Clone(grants) {
		if verb, wild := g.Permission.Verb(); wild {
			for _, p := range named[verb] {
				grants = append(grants, Holding{p, g.Names, g.Way})
			}
		}
	}
	return grants
}

// Roles are the effective roles of an active user.
func (x *Index) Roles(id directory.UserID) (ids []directory.RoleID) {
	u := x.activeUser(id)
	if u == nil {
		return nil
	}
	x.effectiveRoles(u, func(r uint32) { ids = append(ids, x.roles.at(r).id) })
	return slices.Compact(sorted(ids))
}

// Permissions are what the roles of an active user name.
func (x *Index) Permissions(id directory.UserID) (ps []directory.Permission) {
	u := x.activeUser(id)
	if u == nil {
		return nil
	}
	x.effectiveRoles(u, func(r uint32) {
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
	granting := x.granting(p)
	if granting == [2]*permission{} {
		return nil, 0
	}
	holders := newBits(x.users.n)
	for _, row := range granting {
		if row != nil {
			bitSet(row.roles).each(func(r uint32) { x.addHolders(x.roles.at(r), holders) })
		}
	}
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

func (b bitSet) has(o uint32) bool { return b[o>>6]>>(o&63)&1 != 0 }

func (b bitSet) each(yield func(uint32)) {
	for w, word := range b {
		for ; word != 0; word &= word - 1 {
			yield(uint32(w*64 + bits.TrailingZeros64(word)))
		}
	}
}

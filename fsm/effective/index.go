package effective

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// Index answers questions about one organization at one moment. The zero value
// and the nil pointer are empty.
type Index struct {
	users  vector[user]
	groups vector[group]
	roles  vector[role]
	perms  vector[permission]

	userByID   trie[idKey, *user]
	groupByID  trie[idKey, *group]
	roleByID   trie[idKey, *role]
	permByName trie[nameKey, *permission]
	wildByVerb trie[nameKey, *wildcard]

	nestings int // edges between groups
}

// Rows are immutable once published. Slices are sorted and without repeats.
type user struct {
	ordinal uint32
	id      directory.UserID
	active  bool
	groups  []uint32
	roles   []uint32 // direct
}

type group struct {
	roles    []uint32 // its own and those of every group above it: all that a check reads
	ordinal  uint32
	id       directory.GroupID
	own      []uint32 // roles assigned to the group itself; shares roles' memory without nesting
	members  set
	parents  []uint32
	children []uint32
}

type role struct {
	ordinal uint32
	id      directory.RoleID
	perms   []uint32
	groups  set // for which it is effective: the groups that have it and all below them
	users   set // direct
}

// permission exists as long as a role grants it.
type permission struct {
	ordinal uint32
	name    directory.Permission
	roles   []uint64 // bit set of role ordinals; its last word is not zero
}

func (u *user) key() idKey         { return idKey(u.id) }
func (g *group) key() idKey        { return idKey(g.id) }
func (r *role) key() idKey         { return idKey(r.id) }
func (p *permission) key() nameKey { return nameKey(p.name) }

// wildcard is the row of verb:*, found by its verb: a check then makes no string.
type wildcard permission

func (w *wildcard) key() nameKey {
	verb, _ := w.name.Verb()
	return nameKey(verb)
}

func (p *permission) grantedBy(r uint32) bool {
	w := r >> 6
	return int(w) < len(p.roles) && p.roles[w]>>(r&63)&1 != 0
}

// New is an index of nothing.
func New() *Index { return new(Index) }

func (x *Index) user(id directory.UserID) *user {
	if x == nil {
		return nil
	}
	return x.userByID.get(idKey(id))
}

func (x *Index) group(id directory.GroupID) *group {
	if x == nil {
		return nil
	}
	return x.groupByID.get(idKey(id))
}

func (x *Index) role(id directory.RoleID) *role {
	if x == nil {
		return nil
	}
	return x.roleByID.get(idKey(id))
}

func (x *Index) permission(p directory.Permission) *permission {
	if x == nil {
		return nil
	}
	return x.permByName.get(nameKey(p))
}

// granting are the rows whose roles grant p: its own and that of the wildcard
// that covers it, each nil when no role names it.
func (x *Index) granting(p directory.Permission) (rows [2]*permission) {
	if x == nil {
		return rows
	}
	rows[0] = x.permission(p)
	if x.wildByVerb.root == nil { // most organizations: a tenth of a check
		return rows
	}
	if verb, wild := p.Verb(); !wild {
		rows[1] = (*permission)(x.wildByVerb.get(nameKey(verb)))
	}
	return rows
}

// Has reports whether an active user holds a permission. It allocates nothing.
func (x *Index) Has(id directory.UserID, p directory.Permission) bool {
	u := x.user(id)
	if u == nil || !u.active {
		return false
	}
	return x.holdsAny(u, x.granting(p))
}

func (x *Index) holdsAny(u *user, granting [2]*permission) bool {
	return granting[0] != nil && x.holds(u, granting[0]) || granting[1] != nil && x.holds(u, granting[1])
}

// holds looks for a role that the user has and that grants the permission.
func (x *Index) holds(u *user, granting *permission) bool {
	for _, r := range u.roles {
		if granting.grantedBy(r) {
			return true
		}
	}
	for _, g := range u.groups {
		for _, r := range x.groups.at(g).roles {
			if granting.grantedBy(r) {
				return true
			}
		}
	}
	return false
}

// HasMany answers Has for each permission into the same place of out, which
// must be as long; all answers belong to one moment.
func (x *Index) HasMany(id directory.UserID, ps []directory.Permission, out []bool) {
	clear(out[:len(ps)])
	u := x.user(id)
	if u == nil || !u.active {
		return
	}
	for i, p := range ps {
		out[i] = x.holdsAny(u, x.granting(p))
	}
}

// Groups are the groups of a user, also of a deactivated one.
func (x *Index) Groups(id directory.UserID) []directory.GroupID {
	u := x.user(id)
	if u == nil {
		return nil
	}
	ids := make([]directory.GroupID, len(u.groups))
	for i, g := range u.groups {
		ids[i] = x.groups.at(g).id
	}
	return sorted(ids)
}

// DirectRoles are the roles assigned to the user and not through a group.
func (x *Index) DirectRoles(id directory.UserID) []directory.RoleID {
	u := x.user(id)
	if u == nil {
		return nil
	}
	return x.roleIDs(u.roles)
}

// GroupRoles are the roles assigned to a group itself.
func (x *Index) GroupRoles(id directory.GroupID) []directory.RoleID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.roleIDs(g.own)
}

func (x *Index) roleIDs(ordinals []uint32) []directory.RoleID {
	ids := make([]directory.RoleID, len(ordinals))
	for i, r := range ordinals {
		ids[i] = x.roles.at(r).id
	}
	return sorted(ids)
}

// IsMember reports whether the user is in the group.
func (x *Index) IsMember(g directory.GroupID, u directory.UserID) bool {
	row := x.group(g)
	member := x.user(u)
	return row != nil && member != nil && row.members.has(member.ordinal)
}

// MemberCount counts the members of a group, deactivated ones included.
func (x *Index) MemberCount(g directory.GroupID) int {
	row := x.group(g)
	if row == nil {
		return 0
	}
	return row.members.len()
}

// EachMember walks the members of a group in id order, so that what a caller
// derives from the walk is the same on every node. It collects them first: yield
// may change the group.
func (x *Index) EachMember(g directory.GroupID, yield func(directory.UserID) bool) {
	row := x.group(g)
	if row == nil {
		return
	}
	for _, u := range x.userIDs(&row.members) {
		if !yield(u) {
			return
		}
	}
}

// EachRoleUser walks the users that have a role, directly or through a group,
// deactivated ones included, each once and in id order.
func (x *Index) EachRoleUser(id directory.RoleID, yield func(directory.UserID) bool) {
	r := x.role(id)
	if r == nil {
		return
	}
	holders := newBits(x.users.n)
	x.addHolders(r, holders)
	var ids []directory.UserID
	holders.each(func(o uint32) { ids = append(ids, x.users.at(o).id) })
	for _, u := range sorted(ids) {
		if !yield(u) {
			return
		}
	}
}

// RolePermissions are the permissions of a role.
func (x *Index) RolePermissions(id directory.RoleID) []directory.Permission {
	r := x.role(id)
	if r == nil {
		return nil
	}
	ps := make([]directory.Permission, len(r.perms))
	for i, p := range r.perms {
		ps[i] = x.perms.at(p).name
	}
	slices.Sort(ps)
	return ps
}

// RoleHolders are the groups and the users that a role is assigned to.
func (x *Index) RoleHolders(id directory.RoleID) (groups []directory.GroupID, users []directory.UserID) {
	r := x.role(id)
	if r == nil {
		return nil, nil
	}
	r.groups.each(func(o uint32) bool {
		g := x.groups.at(o)
		if _, own := slices.BinarySearch(g.own, r.ordinal); own {
			groups = append(groups, g.id)
		}
		return true
	})
	return sorted(groups), x.userIDs(&r.users)
}

func (x *Index) userIDs(s *set) []directory.UserID {
	ids := make([]directory.UserID, 0, s.len())
	s.each(func(o uint32) bool { ids = append(ids, x.users.at(o).id); return true })
	return sorted(ids)
}

package effective

import (
	"github.com/authfi/authfi/directory"
	"github.com/tidwall/btree"
)

// Index answers questions about one organization at one moment. The zero value
// is not usable; New is empty.
type Index struct {
	users  vector[user]
	groups vector[group]
	roles  vector[role]
	perms  vector[permission]

	userByID  trie[user]
	groupByID trie[group]
	roleByID  trie[role]
	permNames *ordinals // permission names are chosen by people, so no hash trie
}

type (
	ordinals = btree.Map[string, uint32]
	set      = btree.Set[uint32]
)

// Rows are immutable once published. Slices are sorted and without repeats.
type user struct {
	ordinal uint32
	id      directory.UserID
	active  bool
	groups  []uint32
	roles   []uint32 // direct
}

type group struct {
	ordinal uint32
	id      directory.GroupID
	roles   []uint32
	members *set
}

type role struct {
	ordinal uint32
	id      directory.RoleID
	perms   []uint32
	groups  *set
	users   *set // direct
}

type permission struct {
	name  directory.Permission
	roles []uint64 // bit set of role ordinals
}

func (p *permission) grantedBy(r uint32) bool {
	w := r >> 6
	return int(w) < len(p.roles) && p.roles[w]>>(r&63)&1 != 0
}

// New is an index of nothing.
func New() *Index {
	return &Index{
		userByID:  trie[user]{id: func(u *user) *[16]byte { return (*[16]byte)(&u.id) }},
		groupByID: trie[group]{id: func(g *group) *[16]byte { return (*[16]byte)(&g.id) }},
		roleByID:  trie[role]{id: func(r *role) *[16]byte { return (*[16]byte)(&r.id) }},
		permNames: new(ordinals),
	}
}

func (x *Index) user(id directory.UserID) *user    { return x.userByID.get((*[16]byte)(&id)) }
func (x *Index) group(id directory.GroupID) *group { return x.groupByID.get((*[16]byte)(&id)) }
func (x *Index) role(id directory.RoleID) *role    { return x.roleByID.get((*[16]byte)(&id)) }

func (x *Index) permission(p directory.Permission) *permission {
	o, ok := x.permNames.Get(string(p))
	if !ok {
		return nil
	}
	return x.perms.at(o)
}

// Has reports whether an active user holds a permission. It allocates nothing.
func (x *Index) Has(id directory.UserID, p directory.Permission) bool {
	u := x.user(id)
	if u == nil || !u.active {
		return false
	}
	granting := x.permission(p)
	if granting == nil {
		return false
	}
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

// GroupRoles are the roles assigned to a group.
func (x *Index) GroupRoles(id directory.GroupID) []directory.RoleID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.roleIDs(g.roles)
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
	return row != nil && member != nil && row.members.Contains(member.ordinal)
}

// MemberCount counts the members of a group, deactivated ones included.
func (x *Index) MemberCount(g directory.GroupID) int {
	row := x.group(g)
	if row == nil {
		return 0
	}
	return row.members.Len()
}

// EachMember walks the members of a group in no order that a client may see.
func (x *Index) EachMember(g directory.GroupID, yield func(directory.UserID) bool) {
	row := x.group(g)
	if row == nil {
		return
	}
	row.members.Scan(func(o uint32) bool { return yield(x.users.at(o).id) })
}

// RoleHolders are the groups and the users that a role is assigned to.
func (x *Index) RoleHolders(id directory.RoleID) (groups []directory.GroupID, users []directory.UserID) {
	r := x.role(id)
	if r == nil {
		return nil, nil
	}
	r.groups.Scan(func(g uint32) bool { groups = append(groups, x.groups.at(g).id); return true })
	r.users.Scan(func(u uint32) bool { users = append(users, x.users.at(u).id); return true })
	return sorted(groups), sorted(users)
}

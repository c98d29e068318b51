package effective

import (
	"slices"
	"sync/atomic"

	"github.com/authfi/authfi/directory"
)

// Limits of one row, so that no row can make every check slow. A user of 5,000
// groups costs about 20 µs a check.
const (
	GroupsPerUserMax = 5_000
	RolesPerUserMax  = 1_000
	RolesPerGroupMax = 1_000
	RolesMax         = 65_536
)

// Editor is one writer's private copy. Its reads see its writes. Ids that it
// does not know are refused as not found.
type Editor struct {
	Index        // the working copy; its embedded reads are the editor's reads
	token uint64 // owns the nodes written since the last freeze
	mine  owned
}

// owned are the sets copied since the last freeze, which may be written in place.
type owned map[*set]bool

// Mark is a state to go back to.
type Mark struct{ index *Index }

// Edit starts from an index, which stays as it is.
func (x *Index) Edit() *Editor {
	e := new(Editor)
	e.thaw(x)
	return e
}

func (e *Editor) thaw(x *Index) {
	e.Index = *x
	e.permNames = x.permNames.Copy()
	e.next()
}

// tokens hands out edit tokens. No two edits of a process share one, so that an
// editor can never take another's node for its own; no row holds a token, so
// nodes need not agree on them.
var tokens atomic.Uint64

// next gives every node away: what is written from now on is copied first.
func (e *Editor) next() {
	e.token = tokens.Add(1)
	e.users.token, e.groups.token, e.roles.token, e.perms.token = 0, 0, 0, 0
	e.mine = owned{}
}

func (e *Editor) freeze() *Index {
	x := e.Index
	x.permNames = e.permNames.Copy()
	e.next()
	return &x
}

// Published is what has been written so far, for readers; the editor goes on.
func (e *Editor) Published() *Index { return e.freeze() }

// Mark remembers the state, Rollback returns to it. An ordinal handed out since
// is handed out again, to rows that no index can name.
func (e *Editor) Mark() Mark { return Mark{e.freeze()} }

// Rollback undoes everything since the mark.
func (e *Editor) Rollback(m Mark) { e.thaw(m.index) }

func (e *Editor) writable(s *set) *set {
	if e.mine[s] {
		return s
	}
	copied := s.Copy()
	e.mine[copied] = true
	return copied
}

func (e *Editor) fresh() *set {
	s := new(set)
	e.mine[s] = true
	return s
}

// PutUser makes sure that the user is known; new users are inactive.
func (e *Editor) PutUser(id directory.UserID) error {
	if e.user(id) == nil {
		e.setUser(&user{ordinal: e.users.next(), id: id})
	}
	return nil
}

// SetActive switches all of a user's permissions on or off; rows stay.
func (e *Editor) SetActive(id directory.UserID, active bool) error {
	u, err := e.findUser(id)
	if err != nil || u.active == active {
		return err
	}
	changed := *u
	changed.active = active
	e.setUser(&changed)
	return nil
}

// A row is written where its ordinal and where its id finds it.
func (e *Editor) setUser(u *user) {
	e.users.set(u.ordinal, u, e.token)
	e.userByID.put(u, e.token)
}

func (e *Editor) setGroup(g *group) {
	e.groups.set(g.ordinal, g, e.token)
	e.groupByID.put(g, e.token)
}

func (e *Editor) setRole(r *role) {
	e.roles.set(r.ordinal, r, e.token)
	e.roleByID.put(r, e.token)
}

func (e *Editor) findUser(id directory.UserID) (*user, error) {
	if u := e.user(id); u != nil {
		return u, nil
	}
	return nil, directory.NotFound("user")
}

func (e *Editor) findGroup(id directory.GroupID) (*group, error) {
	if g := e.group(id); g != nil {
		return g, nil
	}
	return nil, directory.NotFound("group")
}

func (e *Editor) findRole(id directory.RoleID) (*role, error) {
	if r := e.role(id); r != nil {
		return r, nil
	}
	return nil, directory.NotFound("role")
}

// DeleteUser forgets a user with all memberships and direct roles.
func (e *Editor) DeleteUser(id directory.UserID) error {
	u, err := e.findUser(id)
	if err != nil {
		return err
	}
	for _, g := range u.groups {
		e.setMember(g, u.ordinal, false)
	}
	for _, r := range u.roles {
		e.setRoleUser(r, u.ordinal, false)
	}
	e.users.set(u.ordinal, nil, e.token)
	e.userByID.drop((*[16]byte)(&id), e.token)
	return nil
}

// PutGroup makes sure that the group is known.
func (e *Editor) PutGroup(id directory.GroupID) error {
	if e.group(id) == nil {
		e.setGroup(&group{ordinal: e.groups.next(), id: id, members: e.fresh()})
	}
	return nil
}

// DeleteGroup forgets a group; it costs as much as it has members, because
// their rows name it.
func (e *Editor) DeleteGroup(id directory.GroupID) error {
	g, err := e.findGroup(id)
	if err != nil {
		return err
	}
	for _, r := range g.roles {
		e.setRoleGroup(r, g.ordinal, false)
	}
	g.members.Scan(func(u uint32) bool { e.setUserGroup(u, g.ordinal, false); return true })
	e.groups.set(g.ordinal, nil, e.token)
	e.groupByID.drop((*[16]byte)(&id), e.token)
	return nil
}

// PutRole creates a role or replaces its permissions.
func (e *Editor) PutRole(id directory.RoleID, ps []directory.Permission) error {
	r := e.role(id)
	if r == nil {
		if e.roles.n >= RolesMax {
			return directory.Exhausted("roles", "more than %d roles were made", RolesMax)
		}
		r = &role{ordinal: e.roles.next(), id: id, groups: e.fresh(), users: e.fresh()}
	}
	changed := *r
	changed.perms = nil
	for _, p := range ps {
		changed.perms = append(changed.perms, e.permOrdinal(p))
	}
	slices.Sort(changed.perms)
	changed.perms = slices.Compact(changed.perms)
	for _, p := range r.perms {
		e.setGrant(p, r.ordinal, false)
	}
	for _, p := range changed.perms {
		e.setGrant(p, r.ordinal, true)
	}
	e.setRole(&changed)
	return nil
}

func (e *Editor) permOrdinal(p directory.Permission) uint32 {
	o, ok := e.permNames.Get(string(p))
	if !ok {
		o = e.perms.next()
		e.perms.set(o, &permission{name: p}, e.token)
		e.permNames.Set(string(p), o)
	}
	return o
}

func (e *Editor) setGrant(p, r uint32, on bool) {
	changed := *e.perms.at(p)
	changed.roles = make([]uint64, max(len(changed.roles), int(r>>6)+1))
	copy(changed.roles, e.perms.at(p).roles)
	if on {
		changed.roles[r>>6] |= 1 << (r & 63)
	} else {
		changed.roles[r>>6] &^= 1 << (r & 63)
	}
	e.perms.set(p, &changed, e.token)
}

// DeleteRole takes a role from everybody and forgets it. Its grants go first,
// so that no half-done deletion leaves a permission.
func (e *Editor) DeleteRole(id directory.RoleID) error {
	r, err := e.findRole(id)
	if err != nil {
		return err
	}
	for _, p := range r.perms {
		e.setGrant(p, r.ordinal, false)
	}
	r.groups.Scan(func(g uint32) bool { e.setGroupRole(g, r.ordinal, false); return true })
	r.users.Scan(func(u uint32) bool { e.setUserRole(u, r.ordinal, false); return true })
	e.roles.set(r.ordinal, nil, e.token)
	e.roleByID.drop((*[16]byte)(&id), e.token)
	return nil
}

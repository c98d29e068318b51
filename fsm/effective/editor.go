package effective

import (
	"sync/atomic"

	"github.com/authfi/authfi/directory"
)

// Limits of one row, so that no row can make every check slow. A user of 5,000
// groups costs about 20 µs a check.
const (
	GroupsPerUserMax = 5_000
	RolesPerUserMax  = 1_000
	RolesPerGroupMax = 1_000 // its own and those that it inherits
	RolesMax         = 65_536
	PermissionsMax   = 16_384 // with RolesMax, 128 MB of bit sets at the very worst

	// NestingsMax bounds the edges between groups of one organization, and with
	// them what a change at the top of a tree rewrites: 20,000 groups take some
	// milliseconds. NestingDepthMax bounds the path that an answer shows; identity
	// providers nest a handful deep.
	NestingsMax     = 20_000
	NestingDepthMax = 32
)

// Editor is one writer's private copy. Its reads see its writes. Ids that it
// does not know are refused as not found.
type Editor struct {
	Index        // the working copy; its embedded reads are the editor's reads
	token uint64 // owns the nodes written since the last freeze
}

// Mark is a state to go back to.
type Mark struct{ index *Index }

// Edit starts from an index, which stays as it is; any number of editors may.
func (x *Index) Edit() *Editor {
	e := new(Editor)
	if x != nil {
		e.Index = *x
	}
	e.token = tokens.Add(1)
	return e
}

// tokens hands out edit tokens. No two edits of a process share one, so that an
// editor can never take another's node for its own. Tokens differ between nodes
// of the cluster, and no answer depends on them.
var tokens atomic.Uint64

// freeze gives every node away: what is written from now on is copied first.
func (e *Editor) freeze() *Index {
	x := e.Index
	e.token = tokens.Add(1)
	return &x
}

// Published is what has been written so far, for readers; the editor goes on.
func (e *Editor) Published() *Index { return e.freeze() }

// Mark remembers the state, Rollback returns to it. An ordinal handed out since
// is handed out again: the rows that it named are gone with the rest.
func (e *Editor) Mark() Mark { return Mark{e.freeze()} }

// Rollback undoes everything since the mark, which may be used again.
func (e *Editor) Rollback(m Mark) {
	e.Index = *m.index
	e.token = tokens.Add(1)
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
	e.users.drop(u.ordinal, e.token)
	e.userByID.drop(idKey(id), e.token)
	return nil
}

// PutGroup makes sure that the group is known.
func (e *Editor) PutGroup(id directory.GroupID) error {
	if e.group(id) == nil {
		e.setGroup(&group{ordinal: e.groups.next(), id: id})
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
	if err := e.isolate(g); err != nil {
		return err
	}
	g = e.groups.at(g.ordinal)
	for _, r := range g.roles {
		e.setRoleGroup(r, g.ordinal, false)
	}
	g.members.each(func(u uint32) bool { e.setUserGroup(u, g.ordinal, false); return true })
	e.groups.drop(g.ordinal, e.token)
	e.groupByID.drop(idKey(id), e.token)
	return nil
}

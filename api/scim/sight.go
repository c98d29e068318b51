package scim

import (
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// sight is what of an organization a connection sees: what it has sent itself, unless
// its switch says that it sees all. What it does not see is answered like what is not
// there. Who has sent a user or group never changes, so that what is decided here
// still holds when an entry that names it is applied. The zero sight sees nothing.
type sight struct {
	all bool
	own directory.ConnectionID
}

func sightOf(view *state.Org, caller access.Caller) sight {
	id := directory.ConnectionID(caller.Actor.ID)
	c, ok := view.Connection(id)
	return sight{all: ok && c.Switches.SeesAll, own: id}
}

func (s sight) user(u *directory.User) bool {
	return s.all || !s.own.IsZero() && u.Connection == s.own
}

func (s sight) group(g *directory.Group) bool {
	return s.all || !s.own.IsZero() && g.Connection == s.own
}

// everyone and everyGroup tell without a look at each that the connection sees all
// there are: most organizations have one connection, which has sent all.
func (s sight) everyone(view *state.Org) bool   { return s.all || s.users(view) == view.Users() }
func (s sight) everyGroup(view *state.Org) bool { return s.all || s.groups(view) == view.Groups() }

// users and groups count what is seen.
func (s sight) users(view *state.Org) int {
	if s.all {
		return view.Users()
	}
	return view.UsersOf(s.own)
}

func (s sight) groups(view *state.Org) int {
	if s.all {
		return view.Groups()
	}
	return view.GroupsOf(s.own)
}

func (s sight) userOf(view *state.Org, id directory.UserID) (*directory.User, bool) {
	u, ok := view.User(id)
	if !ok || !s.user(u) {
		return nil, false
	}
	return u, true
}

func (s sight) groupOf(view *state.Org, id directory.GroupID) (*directory.Group, bool) {
	g, ok := view.Group(id)
	if !ok || !s.group(g) {
		return nil, false
	}
	return g, true
}

// eachUser and eachGroup walk through what is seen, in the order of ids.
func (s sight) eachUser(view *state.Org, after directory.UserID, yield func(*directory.User) bool) {
	if s.everyone(view) {
		view.EachUser(after, yield)
	} else {
		view.EachUserOf(s.own, after, yield)
	}
}

func (s sight) eachGroup(view *state.Org, after directory.GroupID, yield func(*directory.Group) bool) {
	if s.everyGroup(view) {
		view.EachGroup(after, yield)
	} else {
		view.EachGroupOf(s.own, after, yield)
	}
}

// hasUser and hasGroup are for who only wants to know.
func (s sight) hasUser(view *state.Org, id directory.UserID) bool {
	if s.everyone(view) {
		return view.HasUser(id)
	}
	_, ok := s.userOf(view, id)
	return ok
}

func (s sight) hasGroup(view *state.Org, id directory.GroupID) bool {
	_, ok := s.groupOf(view, id)
	return ok
}

package effective

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// The methods of this file keep the two sides of every edge. Each reports
// whether anything changed.

// AddMember puts a user into a group.
func (e *Editor) AddMember(groupID directory.GroupID, userID directory.UserID) (bool, error) {
	g, u, err := e.memberEnds(groupID, userID)
	if err != nil || g.members.has(u.ordinal) {
		return false, err
	}
	if len(u.groups) >= GroupsPerUserMax {
		return false, tooManyGroups(userID)
	}
	e.setMember(g.ordinal, u.ordinal, true)
	e.setUserGroup(u.ordinal, g.ordinal, true)
	return true, nil
}

// RemoveMember takes a user out of a group; an unknown user is in none.
func (e *Editor) RemoveMember(groupID directory.GroupID, userID directory.UserID) (bool, error) {
	g, err := e.findGroup(groupID)
	if err != nil {
		return false, err
	}
	u := e.user(userID)
	if u == nil || !g.members.has(u.ordinal) {
		return false, nil
	}
	e.setMember(g.ordinal, u.ordinal, false)
	e.setUserGroup(u.ordinal, g.ordinal, false)
	return true, nil
}

func (e *Editor) memberEnds(groupID directory.GroupID, userID directory.UserID) (*group, *user, error) {
	g, err := e.findGroup(groupID)
	if err != nil {
		return nil, nil, err
	}
	u, err := e.findUser(userID)
	return g, u, err
}

// AssignUser gives a role to a user.
func (e *Editor) AssignUser(roleID directory.RoleID, userID directory.UserID) (bool, error) {
	r, u, err := e.userEnds(roleID, userID)
	if err != nil || r.users.has(u.ordinal) {
		return false, err
	}
	if len(u.roles) >= RolesPerUserMax {
		return false, tooManyUserRoles(userID)
	}
	e.setRoleUser(r.ordinal, u.ordinal, true)
	e.setUserRole(u.ordinal, r.ordinal, true)
	return true, nil
}

// UnassignUser takes a role from a user.
func (e *Editor) UnassignUser(roleID directory.RoleID, userID directory.UserID) (bool, error) {
	r, u, err := e.userEnds(roleID, userID)
	if err != nil || !r.users.has(u.ordinal) {
		return false, err
	}
	e.setRoleUser(r.ordinal, u.ordinal, false)
	e.setUserRole(u.ordinal, r.ordinal, false)
	return true, nil
}

func (e *Editor) userEnds(roleID directory.RoleID, userID directory.UserID) (*role, *user, error) {
	r, err := e.findRole(roleID)
	if err != nil {
		return nil, nil, err
	}
	u, err := e.findUser(userID)
	return r, u, err
}

func tooManyGroups(id directory.UserID) error {
	return directory.Exhausted("members", "user %s is in %d groups", id, GroupsPerUserMax)
}

func tooManyUserRoles(id directory.UserID) error {
	return directory.Exhausted("roles", "user %s has %d roles", id, RolesPerUserMax)
}

// AssignGroup gives a role to a group and so to all below it, whatever their
// size, by writing two rows for each.
func (e *Editor) AssignGroup(roleID directory.RoleID, groupID directory.GroupID) (bool, error) {
	r, g, err := e.groupEnds(roleID, groupID)
	if err != nil || hasOrdinal(g.own, r.ordinal) {
		return false, err
	}
	return done(e.rewrite(g, func(changed *group) { changed.own = with(changed.own, r.ordinal, true) }))
}

// UnassignGroup takes a role from a group.
func (e *Editor) UnassignGroup(roleID directory.RoleID, groupID directory.GroupID) (bool, error) {
	r, g, err := e.groupEnds(roleID, groupID)
	if err != nil || !hasOrdinal(g.own, r.ordinal) {
		return false, err
	}
	return done(e.rewrite(g, func(changed *group) { changed.own = with(changed.own, r.ordinal, false) }))
}

// done reports a change unless it was refused.
func done(err error) (bool, error) { return err == nil, err }

func hasOrdinal(list []uint32, o uint32) bool {
	_, has := slices.BinarySearch(list, o)
	return has
}

func (e *Editor) groupEnds(roleID directory.RoleID, groupID directory.GroupID) (*role, *group, error) {
	r, err := e.findRole(roleID)
	if err != nil {
		return nil, nil, err
	}
	g, err := e.findGroup(groupID)
	return r, g, err
}

func (e *Editor) setMember(g, u uint32, on bool) {
	changed := *e.groups.at(g)
	changed.members.put(u, on, e.token)
	e.setGroup(&changed)
}

func (e *Editor) setRoleUser(r, u uint32, on bool) {
	changed := *e.roles.at(r)
	changed.users.put(u, on, e.token)
	e.setRole(&changed)
}

func (e *Editor) setRoleGroup(r, g uint32, on bool) {
	changed := *e.roles.at(r)
	changed.groups.put(g, on, e.token)
	e.setRole(&changed)
}

func (e *Editor) setUserGroup(u, g uint32, on bool) {
	changed := *e.users.at(u)
	changed.groups = with(changed.groups, g, on)
	e.setUser(&changed)
}

func (e *Editor) setUserRole(u, r uint32, on bool) {
	changed := *e.users.at(u)
	changed.roles = with(changed.roles, r, on)
	e.setUser(&changed)
}

func (e *Editor) dropGroupRole(g, r uint32) {
	changed := *e.groups.at(g)
	changed.own, changed.roles = with(changed.own, r, false), with(changed.roles, r, false)
	e.setGroup(&changed)
}

// with returns a new sorted slice, since the old one may be published.
func with(list []uint32, o uint32, on bool) []uint32 {
	i, has := slices.BinarySearch(list, o)
	if has == on {
		return list
	}
	if on {
		return slices.Insert(slices.Clip(slices.Clone(list)), i, o)
	}
	return slices.Delete(slices.Clone(list), i, i+1)
}

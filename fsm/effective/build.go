package effective

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// Rows are all users, groups, roles and edges of one organization, as storage
// has them after a restart. The order of the rows decides ordinals and nothing
// that a reader can see; repeated edges count once.
type Rows struct {
	Roles  []RoleRow
	Groups []GroupRow
	Users  []UserRow
}

type RoleRow struct {
	ID          directory.RoleID
	Permissions []directory.Permission
}

type GroupRow struct {
	ID      directory.GroupID
	Roles   []directory.RoleID
	Parents []directory.GroupID
}

type UserRow struct {
	ID     directory.UserID
	Active bool
	Groups []directory.GroupID
	Roles  []directory.RoleID // direct
}

// Build makes the index of rows, with the limits and refusals of an Editor but
// writing each row once.
func Build(rows Rows) (*Index, error) {
	e := New().Edit()
	for _, r := range rows.Roles {
		if err := e.PutRole(r.ID, r.Permissions); err != nil {
			return nil, err
		}
	}
	for _, g := range rows.Groups {
		if err := e.PutGroup(g.ID); err != nil {
			return nil, err
		}
		for _, r := range g.Roles {
			if _, err := e.AssignGroup(r, g.ID); err != nil {
				return nil, err
			}
		}
	}
	for _, g := range rows.Groups {
		for _, parent := range g.Parents {
			if _, err := e.Nest(parent, g.ID); err != nil {
				return nil, err
			}
		}
	}
	for i := range rows.Users {
		if err := e.addUser(&rows.Users[i]); err != nil {
			return nil, err
		}
	}
	return e.Published(), nil
}

// addUser writes into the rows of groups and roles in place: nobody has read
// them yet.
func (e *Editor) addUser(row *UserRow) error {
	if e.user(row.ID) != nil {
		return directory.Conflict("users", "%s is there twice", row.ID)
	}
	u := &user{id: row.ID, active: row.Active}
	for _, id := range row.Groups {
		g, err := e.findGroup(id)
		if err != nil {
			return err
		}
		u.groups = append(u.groups, g.ordinal)
	}
	for _, id := range row.Roles {
		r, err := e.findRole(id)
		if err != nil {
			return err
		}
		u.roles = append(u.roles, r.ordinal)
	}
	u.groups, u.roles = unique(u.groups), unique(u.roles)
	if len(u.groups) > GroupsPerUserMax {
		return tooManyGroups(row.ID)
	}
	if len(u.roles) > RolesPerUserMax {
		return tooManyUserRoles(row.ID)
	}
	u.ordinal = e.users.next()
	for _, g := range u.groups {
		e.groups.at(g).members.put(u.ordinal, true, e.token)
	}
	for _, r := range u.roles {
		e.roles.at(r).users.put(u.ordinal, true, e.token)
	}
	e.setUser(u)
	return nil
}

func unique(ordinals []uint32) []uint32 {
	slices.Sort(ordinals)
	return slices.Clip(slices.Compact(ordinals))
}

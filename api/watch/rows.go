package watch

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// eachRow walks all that a follower may keep a copy of, at one index, until yield
// has enough. A row names its object and holds nothing else of it: what the
// follower may read of the object it asks for.
func eachRow(view *state.Org, yield func(*authfiv1.Event) bool) {
	more := true
	row := func(table, id, name string, version directory.Index) bool {
		m := mark(typeRow, view.Applied())
		m.Row, m.Object, m.Detail, m.Version = table, id, name, uint64(version)
		more = yield(m)
		return more
	}
	view.EachUser(directory.UserID{}, func(u *directory.User) bool {
		return row("user", u.ID.String(), u.UserName, u.Version)
	})
	if more {
		view.EachGroup(directory.GroupID{}, func(g *directory.Group) bool {
			return row("group", g.ID.String(), g.Name, g.Version)
		})
	}
	if more {
		view.EachRole(func(r *directory.Role) bool {
			return row("role", r.ID.String(), r.Name, r.Version)
		})
	}
	if more {
		view.EachAssignment(directory.AssignmentID{}, func(a *directory.Assignment) bool {
			return row("assignment", a.ID.String(), assignmentName(view, a), 0)
		})
	}
}

// assignmentName is what the event role.assigned says.
func assignmentName(view *state.Org, a *directory.Assignment) string {
	role, holder := "", ""
	if r, ok := view.Role(a.Role); ok {
		role = r.Name
	}
	if u, ok := view.User(a.User); ok {
		holder = u.UserName
	}
	if g, ok := view.Group(a.Group); ok {
		holder = g.Name
	}
	return role + " to " + holder
}

package effective

import "github.com/authfi/authfi/directory"

// INDEX: replace this file; these are the names and shapes that fsm/state and fsm call.

// Nest makes child a member of parent and reports whether it was not before.
func (e *Editor) Nest(parent, child directory.GroupID) (bool, error) {
	return false, directory.Unavailable("nesting")
}

// Unnest takes child out of parent and reports whether it was in it.
func (e *Editor) Unnest(parent, child directory.GroupID) (bool, error) { return false, nil }

// Parents are the groups that a group is directly in, in id order.
func (x *Index) Parents(id directory.GroupID) []directory.GroupID { return nil }

// Children are the groups directly in a group, in id order.
func (x *Index) Children(id directory.GroupID) []directory.GroupID { return nil }

// Descendants are all groups below a group, in id order.
func (x *Index) Descendants(id directory.GroupID) []directory.GroupID { return nil }

// EffectiveGroupRoles are a group's own roles and those of the groups above it, in id order.
func (x *Index) EffectiveGroupRoles(id directory.GroupID) []directory.RoleID { return x.GroupRoles(id) }

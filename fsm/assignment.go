package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// AssignRole gives a role to a user or to a group. Doing it twice is no change.
type AssignRole struct {
	ID    directory.AssignmentID `cbor:"1,keyasint"`
	Role  directory.RoleID       `cbor:"2,keyasint"`
	User  directory.UserID       `cbor:"3,keyasint,omitempty"`
	Group directory.GroupID      `cbor:"4,keyasint,omitempty"`
}

func (*AssignRole) Kind() Kind { return KindAssignRole }

func (c *AssignRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	r, holder, err := assignable(tx, c.Role, c.User, c.Group)
	if err != nil {
		return Outcome{}, err
	}
	if a, ok := tx.AssignmentOf(c.Role, c.User, c.Group); ok {
		return unchanged(a.ID)
	}
	if _, taken := tx.Assignment(c.ID); taken || c.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if err := mayGrant(tx, env, r); err != nil {
		return Outcome{}, err
	}
	a := &directory.Assignment{
		ID: c.ID, Role: c.Role, User: c.User, Group: c.Group, Created: env.Now, By: env.Actor,
	}
	if err := tx.PutAssignment(a); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleAssigned, r.ID, "%s to %s", r.Name, holder)
	assignmentRow(e, c.User, c.Group)
	return changed(c.ID)
}

// mayGrant: an administrator cannot give away what they do not hold.
func mayGrant(tx *state.OrgTx, env *Envelope, r *directory.Role) error {
	if env.Actor.Kind != directory.ActorUser {
		return nil
	}
	for _, p := range r.Permissions {
		if !tx.Edges().Has(directory.UserID(env.Actor.ID), p) {
			return directory.Denied("the role grants %s, which the caller does not hold", p)
		}
	}
	return nil
}

func assignable(tx *state.OrgTx, role directory.RoleID, user directory.UserID, group directory.GroupID) (*directory.Role, string, error) {
	r, ok := tx.Role(role)
	if !ok {
		return nil, "", directory.NotFound("role")
	}
	if user.IsZero() == group.IsZero() {
		return nil, "", directory.Invalid("user_id", "exactly one of user and group")
	}
	if u, ok := tx.User(user); ok {
		return r, u.UserName, nil
	}
	if g, ok := tx.Group(group); ok {
		return r, g.Name, nil
	}
	if group.IsZero() {
		return nil, "", directory.NotFound("user")
	}
	return nil, "", directory.NotFound("group")
}

func assignmentRow(e *effects, user directory.UserID, group directory.GroupID) {
	if group.IsZero() {
		e.row(directory.RowMember, user)
		return
	}
	e.row(directory.RowGroup, group)
}

// UnassignRole takes a role from a user or from a group.
type UnassignRole struct {
	Role  directory.RoleID  `cbor:"1,keyasint"`
	User  directory.UserID  `cbor:"2,keyasint,omitempty"`
	Group directory.GroupID `cbor:"3,keyasint,omitempty"`
}

func (*UnassignRole) Kind() Kind { return KindUnassignRole }

func (c *UnassignRole) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	r, holder, err := assignable(tx, c.Role, c.User, c.Group)
	if err != nil {
		return Outcome{}, err
	}
	a, ok := tx.AssignmentOf(c.Role, c.User, c.Group)
	if !ok {
		return Outcome{}, directory.NotFound("assignment")
	}
	if err := tx.DeleteAssignment(a); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleUnassigned, r.ID, "%s from %s", r.Name, holder)
	assignmentRow(e, c.User, c.Group)
	return changed(a.ID)
}

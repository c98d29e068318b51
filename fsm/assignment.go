package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// AssignRole gives a role to a user or to a group, until Expires when that is
// set. Doing it twice is no change; doing it with another end moves the end.
type AssignRole struct {
	ID      directory.AssignmentID `cbor:"1,keyasint"`
	Role    directory.RoleID       `cbor:"2,keyasint"`
	User    directory.UserID       `cbor:"3,keyasint,omitempty"`
	Group   directory.GroupID      `cbor:"4,keyasint,omitempty"`
	Expires directory.Time         `cbor:"5,keyasint,omitempty"`
}

func (*AssignRole) Kind() Kind { return KindAssignRole }

func (c *AssignRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	r, holder, err := assignable(tx, c.Role, c.User, c.Group)
	if err != nil {
		return Outcome{}, err
	}
	if c.Expires != 0 && c.Expires <= env.Now {
		return Outcome{}, directory.Invalid("expires", "is in the past")
	}
	if err := mayGiveRole(tx, env, r.ID); err != nil {
		return Outcome{}, err
	}
	if a, ok := tx.AssignmentOf(c.Role, c.User, c.Group); ok {
		if err := mayTouch(tx, env, c.User); err != nil { // an end takes away
			return Outcome{}, err
		}
		return c.extend(tx, e, a, r, holder)
	}
	if _, taken := tx.Assignment(c.ID); taken || c.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	a := &directory.Assignment{
		ID: c.ID, Role: c.Role, User: c.User, Group: c.Group, Created: env.Now, By: env.Actor,
		Expires: c.Expires,
	}
	if err := tx.PutAssignment(a); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleAssigned, r.ID, "%s to %s", r.Name, holder)
	assignmentRow(tx, e, c.User, c.Group)
	return changed(c.ID)
}

// extend moves the end of an assignment that is there.
func (c *AssignRole) extend(tx *state.OrgTx, e *effects, old *directory.Assignment, r *directory.Role, holder string) (Outcome, error) {
	if old.Expires == c.Expires {
		return unchanged(old.ID)
	}
	a := *old
	a.Expires = c.Expires
	tx.ReplaceAssignment(&a)
	e.event(directory.RoleAssigned, r.ID, "%s to %s, with another end", r.Name, holder)
	assignmentRow(tx, e, c.User, c.Group)
	return changed(a.ID)
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

func assignmentRow(tx *state.OrgTx, e *effects, user directory.UserID, group directory.GroupID) {
	if group.IsZero() {
		e.row(directory.RowMember, user)
		return
	}
	groupRows(tx, e, group)
}

// UnassignRole takes a role from a user or from a group.
type UnassignRole struct {
	Role  directory.RoleID  `cbor:"1,keyasint"`
	User  directory.UserID  `cbor:"2,keyasint,omitempty"`
	Group directory.GroupID `cbor:"3,keyasint,omitempty"`
}

func (*UnassignRole) Kind() Kind { return KindUnassignRole }

func (c *UnassignRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	r, holder, err := assignable(tx, c.Role, c.User, c.Group)
	if err != nil {
		return Outcome{}, err
	}
	if err := mayTakeRole(tx, env, r); err != nil {
		return Outcome{}, err
	}
	if err := mayTouch(tx, env, c.User); err != nil {
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
	assignmentRow(tx, e, c.User, c.Group)
	return changed(a.ID)
}

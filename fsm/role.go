package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateRole adds a role whose name is free.
type CreateRole struct {
	Role directory.Role `cbor:"1,keyasint"`
}

func (*CreateRole) Kind() Kind { return KindCreateRole }

func (c *CreateRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	r := c.Role
	if err := r.Check(); err != nil {
		return Outcome{}, err
	}
	if _, taken := tx.Role(r.ID); taken {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.RoleByName(r.Name); taken {
		return Outcome{}, directory.Conflict("name", "%q is taken", r.Name)
	}
	r.Created, r.Modified, r.Version = env.Now, env.Now, e.index
	if err := tx.PutRole(&r); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleCreated, r.ID, "%s", r.Name)
	e.row(directory.RowRole, r.ID)
	return changed(r.ID)
}

// UpdateRole changes the fields that are set.
type UpdateRole struct {
	Role           directory.RoleID       `cbor:"1,keyasint"`
	Name           *string                `cbor:"2,keyasint,omitempty"`
	Description    *string                `cbor:"3,keyasint,omitempty"`
	SetPermissions bool                   `cbor:"4,keyasint,omitempty"`
	Permissions    []directory.Permission `cbor:"5,keyasint,omitempty"`
	IfVersion      directory.Index        `cbor:"6,keyasint,omitempty"`
}

func (*UpdateRole) Kind() Kind { return KindUpdateRole }

func (c *UpdateRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Role(c.Role)
	if !ok {
		return Outcome{}, directory.NotFound("role")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the role has changed since it was read")
	}
	r := *old
	if c.Name != nil {
		r.Name = *c.Name
	}
	if c.Description != nil {
		r.Description = *c.Description
	}
	if c.SetPermissions {
		r.Permissions = c.Permissions
	}
	if err := r.Check(); err != nil {
		return Outcome{}, err
	}
	if other, taken := tx.RoleByName(r.Name); taken && other.ID != r.ID {
		return Outcome{}, directory.Conflict("name", "%q is taken", r.Name)
	}
	if r.Name == old.Name && r.Description == old.Description && slices.Equal(r.Permissions, old.Permissions) {
		return unchanged(r.ID)
	}
	r.Modified, r.Version = env.Now, e.index
	if err := tx.PutRole(&r); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleUpdated, r.ID, "%s", r.Name)
	e.row(directory.RowRole, r.ID)
	return changed(r.ID)
}

// DeleteRole removes a role and takes it from everybody.
type DeleteRole struct {
	Role      directory.RoleID `cbor:"1,keyasint"`
	IfVersion directory.Index  `cbor:"2,keyasint,omitempty"`
}

func (*DeleteRole) Kind() Kind { return KindDeleteRole }

func (c *DeleteRole) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	r, ok := tx.Role(c.Role)
	if !ok {
		return Outcome{}, directory.NotFound("role")
	}
	if c.IfVersion != 0 && c.IfVersion != r.Version {
		return Outcome{}, directory.Precondition("version", "the role has changed since it was read")
	}
	groups, users := tx.Edges().RoleHolders(r.ID)
	if err := tx.DeleteRole(r); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleDeleted, r.ID, "%s", r.Name)
	e.row(directory.RowRole, r.ID)
	for _, g := range groups {
		e.row(directory.RowGroup, g)
	}
	for _, u := range users {
		e.row(directory.RowMember, u)
	}
	return changed(r.ID)
}

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
	if err := mayGive(tx, env, r.Permissions); err != nil {
		return Outcome{}, err
	}
	if err := mayName(tx, env, r.Name); err != nil {
		return Outcome{}, err
	}
	r.Builtin = false
	r.Created, r.Modified, r.Version = env.Now, env.Now, e.index
	if err := tx.PutRole(&r); err != nil {
		return Outcome{}, err
	}
	e.event(directory.RoleCreated, r.ID, "%s", r.Name)
	e.row(directory.RowRole, r.ID)
	return changed(r.ID)
}

// UpdateRole changes the fields that are set. Remove and Add are deltas against
// the role at apply: two changes that were made at the same time both count.
type UpdateRole struct {
	Role           directory.RoleID       `cbor:"1,keyasint"`
	Name           *string                `cbor:"2,keyasint,omitempty"`
	Description    *string                `cbor:"3,keyasint,omitempty"`
	SetPermissions bool                   `cbor:"4,keyasint,omitempty"`
	Permissions    []directory.Permission `cbor:"5,keyasint,omitempty"`
	IfVersion      directory.Index        `cbor:"6,keyasint,omitempty"`
	Remove         []directory.Permission `cbor:"7,keyasint,omitempty"`
	Add            []directory.Permission `cbor:"8,keyasint,omitempty"`
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
	if old.Builtin {
		return Outcome{}, directory.Denied("%s is a built-in role", old.Name)
	}
	r := *old
	c.fields(&r)
	if err := r.Check(); err != nil {
		return Outcome{}, err
	}
	if err := mayGive(tx, env, added(old.Permissions, r.Permissions)); err != nil {
		return Outcome{}, err
	}
	if err := mayTakeRole(tx, env, old); err != nil {
		return Outcome{}, err
	}
	if other, taken := tx.RoleByName(r.Name); taken && other.ID != r.ID {
		return Outcome{}, directory.Conflict("name", "%q is taken", r.Name)
	}
	if r.Name != old.Name {
		if err := mayName(tx, env, r.Name); err != nil {
			return Outcome{}, err
		}
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

func (c *UpdateRole) fields(r *directory.Role) {
	if c.Name != nil {
		r.Name = *c.Name
	}
	if c.Description != nil {
		r.Description = *c.Description
	}
	if c.SetPermissions {
		r.Permissions = c.Permissions
	}
	if len(c.Remove)+len(c.Add) > 0 {
		kept := slices.DeleteFunc(slices.Clone(r.Permissions), func(p directory.Permission) bool {
			return slices.Contains(c.Remove, p)
		})
		r.Permissions = append(kept, c.Add...)
	}
}

// added are the permissions of now, which is sorted, that before lacks.
func added(before, now []directory.Permission) (ps []directory.Permission) {
	for _, p := range now {
		if _, had := slices.BinarySearch(before, p); !had {
			ps = append(ps, p)
		}
	}
	return ps
}

// DeleteRole removes a role and takes it from everybody.
type DeleteRole struct {
	Role      directory.RoleID `cbor:"1,keyasint"`
	IfVersion directory.Index  `cbor:"2,keyasint,omitempty"`
}

func (*DeleteRole) Kind() Kind { return KindDeleteRole }

func (c *DeleteRole) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	r, ok := tx.Role(c.Role)
	if !ok {
		return Outcome{}, directory.NotFound("role")
	}
	if c.IfVersion != 0 && c.IfVersion != r.Version {
		return Outcome{}, directory.Precondition("version", "the role has changed since it was read")
	}
	if r.Builtin {
		return Outcome{}, directory.Denied("%s is a built-in role", r.Name)
	}
	if err := mayTakeRole(tx, env, r); err != nil {
		return Outcome{}, err
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

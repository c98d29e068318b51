package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// PutSchema replaces the organization's own attributes. Values that users have
// of an attribute that is no longer there, or is of another type now, stay as
// they are until the user is next changed.
type PutSchema struct {
	Schema    directory.Schema `cbor:"1,keyasint"`
	IfVersion directory.Index  `cbor:"2,keyasint,omitempty"`
}

func (*PutSchema) Kind() Kind { return KindPutSchema }

func (c *PutSchema) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s := c.Schema
	if err := s.Check(); err != nil {
		return Outcome{}, err
	}
	if old := tx.Schema(); c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the schema has changed since it was read")
	}
	s.Modified, s.Version = env.Now, e.index
	tx.PutSchema(&s)
	id := tx.Record().ID
	e.event(directory.SchemaUpdated, id, "%d attributes", len(s.Attributes))
	e.row(directory.RowSchema, id)
	return changed(id)
}

// DescribePermission says what a permission is for; an empty text says nothing
// any more. A permission exists by being granted, described or not.
type DescribePermission struct {
	Permission  directory.Permission `cbor:"1,keyasint"`
	Description string               `cbor:"2,keyasint,omitempty"`
}

func (*DescribePermission) Kind() Kind { return KindDescribePermission }

// PermissionDescriptionsMax bounds the described permissions of one
// organization, as the permission index bounds the granted ones.
const PermissionDescriptionsMax = 16_384

func (c *DescribePermission) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	if err := c.Permission.Check(); err != nil {
		return Outcome{}, err
	}
	if err := directory.CheckText("description", c.Description, directory.DescriptionMax, false); err != nil {
		return Outcome{}, err
	}
	old, known := tx.PermissionText(c.Permission)
	if known && old.Description == c.Description || !known && c.Description == "" {
		return Outcome{}, nil
	}
	if !known && tx.PermissionTexts() >= PermissionDescriptionsMax {
		return Outcome{}, directory.Exhausted("permission", "the organization describes %d permissions", PermissionDescriptionsMax)
	}
	if c.Description == "" {
		tx.DeletePermissionText(c.Permission)
	} else {
		tx.PutPermissionText(&directory.PermissionText{
			Permission: c.Permission, Description: c.Description, Modified: env.Now, Version: e.index,
		})
	}
	id := tx.Record().ID
	e.event(directory.PermissionDescribed, id, "%s", c.Permission)
	e.row(directory.RowPermission, id)
	return Outcome{Changed: true}, nil
}

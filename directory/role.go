package directory

import "slices"

// PermissionsPerRoleMax bounds one role; the largest catalogue that facts were
// measured with has 2,000 permissions.
const PermissionsPerRoleMax = 2000

// Role is a named set of permissions, sorted and without repeats.
type Role struct {
	ID          RoleID       `cbor:"1,keyasint"`
	Name        string       `cbor:"2,keyasint"` // unique in the organization, compared folded
	Description string       `cbor:"3,keyasint,omitempty"`
	Permissions []Permission `cbor:"4,keyasint"`
	Created     Time         `cbor:"5,keyasint"`
	Modified    Time         `cbor:"6,keyasint"`
	Version     Index        `cbor:"7,keyasint"`
	Builtin     bool         `cbor:"8,keyasint,omitempty"` // the product's own: cannot be changed or deleted
}

// Check holds what is true of a role alone, and puts the permissions in order.
func (r *Role) Check() error {
	if r.ID.IsZero() {
		return Invalid("id", "missing")
	}
	if err := CheckText("name", r.Name, NameMax, true); err != nil {
		return err
	}
	if err := CheckText("description", r.Description, DescriptionMax, false); err != nil {
		return err
	}
	if len(r.Permissions) > PermissionsPerRoleMax {
		return Invalid("permissions", "more than %d", PermissionsPerRoleMax)
	}
	for _, p := range r.Permissions {
		if err := p.Check(); err != nil {
			return err
		}
	}
	r.Permissions = slices.Clone(r.Permissions)
	slices.Sort(r.Permissions)
	r.Permissions = slices.Compact(r.Permissions)
	return nil
}

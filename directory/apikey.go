package directory

import "slices"

// Bounds of API keys.
const (
	APIKeysPerUserMax       = 50
	PermissionsPerAPIKeyMax = 200
)

// APIKey is a bearer credential of a user or of a service account. It may do
// what its permissions name and its owner still holds, and ends with its owner.
// The key itself is kept as SHA-256 only.
type APIKey struct {
	ID          APIKeyID     `cbor:"1,keyasint"`
	Name        string       `cbor:"2,keyasint"`
	Owner       UserID       `cbor:"3,keyasint"`
	Permissions []Permission `cbor:"4,keyasint"` // sorted, without repeats
	Token       [32]byte     `cbor:"5,keyasint"`
	Created     Time         `cbor:"6,keyasint"`
	Expires     Time         `cbor:"7,keyasint,omitempty"` // zero: with its owner
	By          Actor        `cbor:"8,keyasint"`
	Version     Index        `cbor:"9,keyasint"`
}

// Check holds what is true of a key alone, and puts the permissions in order.
func (k *APIKey) Check() error {
	if k.ID.IsZero() {
		return Invalid("id", "missing")
	}
	if err := CheckText("name", k.Name, NameMax, true); err != nil {
		return err
	}
	if len(k.Permissions) == 0 || len(k.Permissions) > PermissionsPerAPIKeyMax {
		return Invalid("permissions", "must be 1 to %d", PermissionsPerAPIKeyMax)
	}
	for _, p := range k.Permissions {
		if err := p.Check(); err != nil {
			return err
		}
	}
	k.Permissions = slices.Clone(k.Permissions)
	slices.Sort(k.Permissions)
	k.Permissions = slices.Compact(k.Permissions)
	return nil
}

// Live reports whether the key may be used at now.
func (k *APIKey) Live(now Time) bool { return k.Expires == 0 || now < k.Expires }

// Covers reports whether the key was given the permission, by name or by the
// wildcard of its verb.
func (k *APIKey) Covers(p Permission) bool { return covers(k.Permissions, p) }

package state

import (
	"encoding/binary"

	"github.com/authfi/authfi/directory"
)

// APIKey returns the record; callers must not modify it.
func (r *rows) APIKey(id directory.APIKeyID) (*directory.APIKey, bool) {
	return get[directory.APIKey](r, idKey(tableAPIKey, id))
}

// EachAPIKey walks in id order, which is the order of creation; after is
// exclusive and may be zero.
func (r *rows) EachAPIKey(after directory.APIKeyID, yield func(*directory.APIKey) bool) {
	each(r, tableAPIKey, idKey(tableAPIKey, after), yield)
}

// APIKeys counts rows.
func (r *rows) APIKeys() int { return r.counts[tableAPIKey] }

// EachUserAPIKey walks the keys of one user.
func (r *rows) EachUserAPIKey(user directory.UserID, yield func(*directory.APIKey) bool) {
	r.scan(idKey(derivedUserAPIKey, user), "", func(key string, _ any) bool {
		k, ok := r.APIKey(idAtEnd[directory.APIKeyID](key))
		return !ok || yield(k)
	})
}

// EachOwned walks the service accounts of one user.
func (r *rows) EachOwned(owner directory.UserID, yield func(*directory.User) bool) {
	r.scan(idKey(derivedOwned, owner), "", func(key string, _ any) bool {
		u, ok := r.User(idAtEnd[directory.UserID](key))
		return !ok || yield(u)
	})
}

// EachAssignment walks in id order, which is the order of creation; after is
// exclusive and may be zero.
func (r *rows) EachAssignment(after directory.AssignmentID, yield func(*directory.Assignment) bool) {
	each(r, tableAssignment, idKey(tableAssignment, after), yield)
}

// Assignments counts rows.
func (r *rows) Assignments() int { return r.counts[tableAssignment] }

// EachRoleAssignment walks the assignments of one role in the order of their
// holders, behind the one to user or group; with neither, from the start.
func (r *rows) EachRoleAssignment(role directory.RoleID, user directory.UserID, group directory.GroupID, yield func(*directory.Assignment) bool) {
	prefix, after := idKey(derivedAssignment, role), ""
	if !user.IsZero() || !group.IsZero() {
		after = holderKey(&directory.Assignment{Role: role, User: user, Group: group})
	}
	r.scan(prefix, after, func(key string, v any) bool {
		a, ok := r.Assignment(v.(directory.AssignmentID))
		return key == after || !ok || yield(a)
	})
}

// The kinds of grant that can expire, in derivedExpiry.
const (
	expiryAssignment = 'a'
	expiryAPIKey     = 'y'
)

func expiryKey(at directory.Time, kind byte, id [16]byte) string {
	var k [10]byte
	k[0] = derivedExpiry
	binary.BigEndian.PutUint64(k[1:], uint64(at))
	k[9] = kind
	return string(k[:]) + string(id[:])
}

// Expired are the first limit assignments and API keys that end at now or have
// ended before.
func (r *rows) Expired(now directory.Time, limit int) (assignments []directory.AssignmentID, keys []directory.APIKeyID) {
	end := expiryKey(now+1, 0, [16]byte{})
	r.scan(string(rune(derivedExpiry)), "", func(key string, _ any) bool {
		if key >= end || len(assignments)+len(keys) == limit {
			return false
		}
		if key[9] == expiryAssignment {
			assignments = append(assignments, idAtEnd[directory.AssignmentID](key))
		} else {
			keys = append(keys, idAtEnd[directory.APIKeyID](key))
		}
		return true
	})
	return assignments, keys
}

func (tx *OrgTx) deriveExpiry(at directory.Time, kind byte, id [16]byte) {
	if at != 0 {
		tx.derive(expiryKey(at, kind, id), nil)
	}
}

// PutAPIKey adds a key that does not exist yet.
func (tx *OrgTx) PutAPIKey(k *directory.APIKey) {
	tx.put(idKey(tableAPIKey, k.ID), k)
	tx.deriveAPIKey(k)
}

func (tx *OrgTx) deriveAPIKey(k *directory.APIKey) {
	tx.derive(pairKey(derivedUserAPIKey, k.Owner, k.ID), nil)
	tx.deriveExpiry(k.Expires, expiryAPIKey, k.ID)
}

// DeleteAPIKey removes a key.
func (tx *OrgTx) DeleteAPIKey(k *directory.APIKey) {
	tx.underive(pairKey(derivedUserAPIKey, k.Owner, k.ID))
	tx.underive(expiryKey(k.Expires, expiryAPIKey, k.ID))
	tx.remove(idKey(tableAPIKey, k.ID))
}

// Schema is the organization's own attributes; empty when it has none.
func (r *rows) Schema() *directory.Schema {
	if s, ok := get[directory.Schema](r, string(rune(tableSchema))); ok {
		return s
	}
	return new(directory.Schema)
}

// PutSchema replaces the organization's own attributes.
func (tx *OrgTx) PutSchema(s *directory.Schema) { tx.put(string(rune(tableSchema)), s) }

// PermissionText is what a permission is for.
func (r *rows) PermissionText(p directory.Permission) (*directory.PermissionText, bool) {
	return get[directory.PermissionText](r, textKey(tablePermission, string(p)))
}

// EachPermissionText walks in the order of the permissions.
func (r *rows) EachPermissionText(yield func(*directory.PermissionText) bool) {
	each(r, tablePermission, "", yield)
}

// PermissionTexts counts rows.
func (r *rows) PermissionTexts() int { return r.counts[tablePermission] }

// PutPermissionText creates or replaces a description.
func (tx *OrgTx) PutPermissionText(p *directory.PermissionText) {
	tx.put(textKey(tablePermission, string(p.Permission)), p)
}

// DeletePermissionText removes a description.
func (tx *OrgTx) DeletePermissionText(p directory.Permission) {
	tx.remove(textKey(tablePermission, string(p)))
}

// Nest reports whether the child was not in the parent before.
func (tx *OrgTx) Nest(parent, child directory.GroupID) (bool, error) {
	changed, err := tx.editor.Nest(parent, child)
	if changed {
		tx.edge(pairKey(tableNesting, parent, child), true)
	}
	return changed, err
}

// Unnest reports whether the child was in the parent before.
func (tx *OrgTx) Unnest(parent, child directory.GroupID) (bool, error) {
	changed, err := tx.editor.Unnest(parent, child)
	if changed {
		tx.edge(pairKey(tableNesting, parent, child), false)
	}
	return changed, err
}

package admin

import (
	"bytes"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// roleListing is what roles can be asked for.
func roleListing(org *state.Org) *listing[*directory.Role] {
	return &listing[*directory.Role]{
		noun: "role", total: org.Roles(),
		each: func(after [16]byte, yield func(*directory.Role) bool) {
			org.EachRole(func(r *directory.Role) bool { return bytes.Compare(r.ID[:], after[:]) <= 0 || yield(r) })
		},
		id:      func(r *directory.Role) [16]byte { return r.ID },
		find:    finder(org.FindRoles),
		kept:    map[string]orderedWalk[*directory.Role]{"name": org.EachRoleByName},
		columns: roleColumns(),
		sorts: map[string]func(*directory.Role) string{
			"name":     func(r *directory.Role) string { return directory.Fold(r.Name) },
			"created":  func(r *directory.Role) string { return timeKey(r.Created) },
			"modified": func(r *directory.Role) string { return timeKey(r.Modified) },
		},
		exact: map[string]lookup[*directory.Role]{
			"id":   one(directory.ParseRoleID, org.Role),
			"name": one(asText, org.RoleByName),
		},
	}
}

func roleColumns() map[string]column[*directory.Role] {
	type (
		text = textColumn[*directory.Role]
		when = timeColumn[*directory.Role]
	)
	return map[string]column[*directory.Role]{
		"id": idColumn[*directory.Role, directory.RoleID]{
			func(r *directory.Role) directory.RoleID { return r.ID }, directory.ParseRoleID,
		},
		"name":        text(func(r *directory.Role) string { return r.Name }),
		"description": text(func(r *directory.Role) string { return r.Description }),
		"permissions": listColumn[*directory.Role](func(r *directory.Role) []string { return permissionTexts(r.Permissions) }),
		"created":     when(func(r *directory.Role) directory.Time { return r.Created }),
		"modified":    when(func(r *directory.Role) directory.Time { return r.Modified }),
		"version":     numberColumn[*directory.Role](func(r *directory.Role) float64 { return float64(r.Version) }),
		"builtin":     flagColumn[*directory.Role](func(r *directory.Role) bool { return r.Builtin }),
	}
}

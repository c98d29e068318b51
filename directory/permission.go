package directory

import (
	"slices"
	"strings"
)

// Permission is one thing that may be done, verb:noun as in read:patients.
type Permission string

// PermissionMax keeps a role of many permissions inside a token; in bytes.
const PermissionMax = 128

// Permissions that the product itself asks for.
const (
	ManageUsers    Permission = "manage:users"
	ManageGroups   Permission = "manage:groups"
	ManageRoles    Permission = "manage:roles"
	ManageSettings Permission = "manage:settings"
	ManageSessions Permission = "manage:sessions"
	ReadDirectory  Permission = "read:directory"
	ReadAuditLogs  Permission = "read:audit-logs"

	// ManageOrganization makes an owner: it may grant what it does not hold.
	ManageOrganization Permission = "manage:organization"
)

// BuiltinRole is a role that every organization has from its first moment.
type BuiltinRole struct {
	Name, Description string
	Permissions       []Permission
}

// BuiltinRoles, owner first. Their permissions are sorted.
func BuiltinRoles() []BuiltinRole {
	return []BuiltinRole{
		{"owner", "Owns the organization: may do and grant everything in it", []Permission{
			ManageGroups, ManageOrganization, ManageRoles, ManageSessions, ManageSettings, ManageUsers,
			ReadAuditLogs, ReadDirectory,
		}},
		{"directory-admin", "Manages users and groups", []Permission{ManageGroups, ManageUsers, ReadDirectory}},
		{"auditor", "Reads the directory and its logs", []Permission{ReadAuditLogs, ReadDirectory}},
	}
}

// Builtin reports whether the product itself asks for the permission: the owners
// hold all of these.
func (p Permission) Builtin() bool { return slices.Contains(BuiltinRoles()[0].Permissions, p) }

// Check demands verb:noun of lower-case letters, digits, hyphens, underscores
// and dots, or verb:* for every noun of that verb.
func (p Permission) Check() error {
	verb, noun, ok := strings.Cut(string(p), ":")
	if !ok || len(p) > PermissionMax || !isWord(verb) || !isWord(noun) && noun != anyNoun {
		return Invalid("permission", "%q is not of the form verb:noun in lower case", string(p))
	}
	return nil
}

const anyNoun = "*"

// A wildcard verb:* grants every permission of that verb, also those that nothing
// else names; only verb:* itself grants verb:*. There is no other wildcard.

// Verb is the part before the colon, and whether p is that verb's wildcard.
func (p Permission) Verb() (verb string, wild bool) {
	verb, noun, _ := strings.Cut(string(p), ":")
	return verb, noun == anyNoun
}

// Wildcard is the permission verb:* that covers p; false when p is one itself.
func (p Permission) Wildcard() (Permission, bool) {
	verb, noun, ok := strings.Cut(string(p), ":")
	if !ok || noun == anyNoun {
		return "", false
	}
	return Permission(verb + ":" + anyNoun), true
}

func isWord(s string) bool {
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}

// PermissionText says what a permission is for.
type PermissionText struct {
	Permission  Permission `cbor:"1,keyasint"`
	Description string     `cbor:"2,keyasint"`
	Modified    Time       `cbor:"3,keyasint"`
	Version     Index      `cbor:"4,keyasint"`
}

package directory

import "strings"

// Permission is one thing that may be done, verb:noun as in read:patients.
type Permission string

const permissionMax = 128 // bytes; keeps a role of many permissions inside a token

// Permissions that the product itself asks for.
const (
	ManageUsers    Permission = "manage:users"
	ManageGroups   Permission = "manage:groups"
	ManageRoles    Permission = "manage:roles"
	ManageSettings Permission = "manage:settings"
	ManageSessions Permission = "manage:sessions"
	ReadDirectory  Permission = "read:directory"
	ReadAuditLogs  Permission = "read:audit-logs"
)

// Check demands verb:noun of lower-case letters, digits, hyphens, underscores
// and dots.
func (p Permission) Check() error {
	verb, noun, ok := strings.Cut(string(p), ":")
	if !ok || len(p) > permissionMax || !isWord(verb) || !isWord(noun) {
		return Invalid("permission", "%q is not of the form verb:noun in lower case", string(p))
	}
	return nil
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

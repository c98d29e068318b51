package authfi

import (
	"net/http"
	"strings"
)

// pathPermissions is below the issuer, where a token's user's rights are told that the
// token does not hold itself. No token names another address that is asked.
const pathPermissions = "/oauth2/permissions"

// readRights takes what the user may do, in whichever form the token says it: listed,
// grouped by noun, or by reference. A claim that is not there is none of them.
func (u *User) readRights(o object, issuer string) (ok bool) {
	if u.Roles, ok = texts(o["roles"]); !ok {
		return false
	}
	if u.Groups, ok = texts(o["groups"]); !ok {
		return false
	}
	if u.Permissions, ok = readPermissions(o["permissions"]); !ok {
		return false
	}
	return u.readReferences(o, issuer+pathPermissions)
}

func readPermissions(value any) (Permissions, bool) {
	if grouped, ok := value.(object); ok {
		return ungroup(grouped)
	}
	listed, ok := texts(value)
	return permissionsOf(listed), ok
}

func permissionsOf(listed []string) Permissions {
	held := make(Permissions, len(listed))
	for _, p := range listed {
		held[p] = struct{}{}
	}
	return held
}

// ungroup reads the verbs of each noun, with one space between.
func ungroup(nouns object) (Permissions, bool) {
	held := Permissions{}
	for noun, value := range nouns {
		verbs, ok := text(value)
		if !ok {
			return nil, false
		}
		for verb := range strings.SplitSeq(verbs, " ") {
			p := verb + ":" + noun
			if _, _, ok := splitPermission(p); !ok {
				return nil, false
			}
			held[p] = struct{}{}
		}
	}
	return held, true
}

// readReferences: what is referred to is not held, roles and groups are so only
// together and beside the permissions, and all are at one address.
func (u *User) readReferences(o object, address string) bool {
	there := map[string]bool{}
	for _, name := range []string{"permissions", "roles", "groups"} {
		if value, referred := o[name+"_ref"]; referred {
			if value != address {
				return false
			}
			there[name] = true
		}
	}
	u.referred = there["permissions"]
	if there["roles"] != there["groups"] || !u.referred && len(there) > 0 {
		return false
	}
	return !u.referred || len(u.Permissions) == 0 && (!there["roles"] || len(u.Roles)+len(u.Groups) == 0)
}

// told is what a node says of a user's rights, and the index of the state it says it of.
type told struct {
	permissions   Permissions
	roles, groups []string
	index         uint64
}

func readTold(body []byte) (t told, ok bool) {
	o, err := parseObject(body)
	if err != nil {
		return t, false
	}
	listed, okPermissions := texts(o["permissions"])
	t.permissions = permissionsOf(listed)
	var okRoles, okGroups, okIndex bool
	t.roles, okRoles = texts(o["roles"])
	t.groups, okGroups = texts(o["groups"])
	t.index, okIndex = indexOf(o["index"])
	return t, okPermissions && okRoles && okGroups && okIndex
}

// replyOf reads a node's answer to who asked with the user's token.
func replyOf(u *User, status int, body []byte) (reply, told) {
	if status == http.StatusUnauthorized {
		return replyRevoked, told{}
	}
	t, ok := readTold(body)
	if status != http.StatusOK || !ok {
		return replyFailed, told{}
	}
	if !u.referred && !u.Permissions.equal(t.permissions) {
		return replyStale, t
	}
	return replyLive, t
}

func (held Permissions) equal(other Permissions) bool {
	for p := range other {
		if _, there := held[p]; !there {
			return false
		}
	}
	return len(other) == len(held)
}

// with is the user of a token by reference, who holds what was told. The index of that
// takes the place of the token's.
func (u *User) with(t told) *User {
	now := *u
	now.Roles, now.Groups, now.Permissions = t.roles, t.groups, t.permissions
	now.index, now.told = t.index, true
	return &now
}

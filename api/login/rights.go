package login

import (
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// scopes are those of OpenID Connect that are offered, sorted. All others name
// permissions.
var scopes = []string{"email", "openid", "profile"}

// wish is what a client asked for and may have.
type wish struct {
	scope       []string // of OpenID Connect, sorted
	bounded     bool
	permissions []directory.Permission // sorted
}

// wished reads the scope parameter of a client. Without a permission in it the
// client gets all that it may have. What it may not have is an error; words that are
// neither scopes of ours nor permissions are left out (OpenID Connect Core, section
// 3.1.2.1).
func wished(client *directory.Client, scope string) (wish, error) {
	w := wish{bounded: !client.Unbounded, permissions: client.Permissions}
	var named []directory.Permission
	for word := range strings.FieldsSeq(scope) {
		p := directory.Permission(word)
		switch {
		case slices.Contains(scopes, word):
			w.scope = append(w.scope, word)
		case p.Check() != nil:
		case !client.Covers(p):
			return wish{}, failed(400, "invalid_scope", "the client may not ask for one of these permissions")
		default:
			named = append(named, p)
		}
	}
	if len(named) > directory.PermissionsPerClientMax {
		return wish{}, failed(400, "invalid_scope", "too many permissions")
	}
	if len(named) > 0 {
		w.bounded, w.permissions = true, named
	}
	slices.Sort(w.scope)
	w.scope = slices.Compact(w.scope)
	w.permissions = slices.Clone(w.permissions)
	slices.Sort(w.permissions)
	w.permissions = slices.Compact(w.permissions)
	return w, nil
}

// scopeText is what was granted, as the scope parameter says it. An unbounded client
// has more than the text could name.
func scopeText(session *directory.Session) string {
	words := slices.Clone(session.Scope)
	for _, p := range session.Permissions {
		words = append(words, string(p))
	}
	return strings.Join(words, " ")
}

// rightsOf are the claims on what a session's user may do. Roles and groups would
// bring to a bounded token more than it was given, wherever they are asked for.
func rightsOf(org *state.Org, session *directory.Session) map[string][]string {
	if session.Bounded {
		return map[string][]string{claimRoles: {}, claimGroups: {}, claimPermissions: carried(org, session)}
	}
	return map[string][]string{
		claimRoles: roleNames(org, session.User), claimGroups: groupNames(org, session.User),
		claimPermissions: permissionNames(org, session.User),
	}
}

// carried are the permissions that the user holds, the session was given and its
// client may still have. Where one side has a wildcard, the other's names count.
func carried(org *state.Org, session *directory.Session) []string {
	client, ok := org.Client(session.Client)
	if !ok {
		return []string{}
	}
	names := []string{}
	for _, p := range org.Permissions().Permissions(session.User) {
		if session.Covers(p) && client.Covers(p) {
			names = append(names, string(p))
		}
	}
	for _, p := range session.Permissions {
		if client.Covers(p) && org.Permissions().Has(session.User, p) {
			names = append(names, string(p))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// methods are how the user proved who they are; a claim that is empty is not absent.
func methods(session *directory.Session) []string {
	if session.Methods == nil {
		return []string{}
	}
	return session.Methods
}

// The name lists are never nil: a claim that is empty is not absent.
func roleNames(org *state.Org, user directory.UserID) []string {
	names := []string{}
	for _, id := range org.Permissions().Roles(user) {
		if r, ok := org.Role(id); ok {
			names = append(names, r.Name)
		}
	}
	return names
}

func groupNames(org *state.Org, user directory.UserID) []string {
	names := []string{}
	for _, id := range org.Permissions().Groups(user) {
		if g, ok := org.Group(id); ok {
			names = append(names, g.Name)
		}
	}
	return names
}

func permissionNames(org *state.Org, user directory.UserID) []string {
	names := []string{}
	for _, p := range org.Permissions().Permissions(user) {
		names = append(names, string(p))
	}
	return names
}

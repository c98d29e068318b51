package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// The rules of delegation. A delegated administrator, which is a user or an API
// key, cannot give what they do not hold, whichever command would give it: an
// assignment, a permission in a role, a member of a group, a nested group, a
// session, an account that comes back. What they hold is asked before the command
// changes anything, since it could change that, too. They cannot touch an owner
// (see owner.go). An owner may give everything in the organization; operators and
// the node's timers are not delegated, and neither is a connection, which only an
// owner or an operator makes.

// delegate is the user behind a delegated administrator.
func delegate(tx *state.OrgTx, env *Envelope) (directory.UserID, bool) {
	switch env.Actor.Kind {
	case directory.ActorUser:
		return directory.UserID(env.Actor.ID), true
	case directory.ActorAPIKey:
		k, ok := tx.APIKey(directory.APIKeyID(env.Actor.ID))
		if !ok {
			return directory.UserID{}, true // holds nothing
		}
		return k.Owner, true
	}
	return directory.UserID{}, false
}

// holds reports whether the delegate holds a permission in this request: an API
// key only what it names.
func holds(tx *state.OrgTx, env *Envelope, user directory.UserID, p directory.Permission) bool {
	if env.Actor.Kind == directory.ActorAPIKey {
		if k, ok := tx.APIKey(directory.APIKeyID(env.Actor.ID)); !ok || !k.Covers(p) {
			return false
		}
	}
	return tx.Edges().Has(user, p)
}

// mayGive refuses to hand out permissions that the delegate lacks.
func mayGive(tx *state.OrgTx, env *Envelope, permissions []directory.Permission) error {
	user, delegated := delegate(tx, env)
	if !delegated || holds(tx, env, user, directory.ManageOrganization) {
		return nil
	}
	for _, p := range permissions {
		if !holds(tx, env, user, p) {
			return directory.Denied("this would grant %s, which the caller does not hold", p)
		}
	}
	return nil
}

// mayGiveRole is mayGive for a role, which may open routes by its name as well.
func mayGiveRole(tx *state.OrgTx, env *Envelope, role directory.RoleID) error {
	r, ok := tx.Role(role)
	if !ok {
		return directory.NotFound("role")
	}
	if err := mayGive(tx, env, r.Permissions); err != nil {
		return err
	}
	user, delegated := delegate(tx, env)
	if delegated && env.Actor.Kind == directory.ActorUser && slices.Contains(tx.Edges().Roles(user), role) {
		return nil
	}
	return mayName(tx, env, r.Name)
}

// mayName refuses to a delegate a role's name that a route policy asks for: to have
// a role of that name is a right. Who may write the policies may give it.
func mayName(tx *state.OrgTx, env *Envelope, name string) error {
	user, delegated := delegate(tx, env)
	if !delegated || !tx.AskedByPolicy(name) || holds(tx, env, user, directory.ManageSettings) ||
		holds(tx, env, user, directory.ManageOrganization) {
		return nil
	}
	return directory.Denied("route policies let in who has a role of the name %q, which the caller does not have", name)
}

// mayGiveGroup refuses to let somebody into a group whose roles, own and inherited,
// give what the delegate lacks. A connection cannot make an owner.
func mayGiveGroup(tx *state.OrgTx, env *Envelope, group directory.GroupID) error {
	if env.Actor.Kind == directory.ActorConnection && groupConfers(tx, group) {
		return directory.Denied("an identity provider cannot make anybody an owner")
	}
	if _, delegated := delegate(tx, env); !delegated {
		return nil
	}
	for _, r := range tx.Edges().EffectiveGroupRoles(group) {
		if err := mayGiveRole(tx, env, r); err != nil {
			return err
		}
	}
	return nil
}

// administrative are the permissions that change an organization. Who has an
// account of somebody who holds one, has it, too.
var administrative = []directory.Permission{
	directory.ManageUsers, directory.ManageGroups, directory.ManageRoles,
	directory.ManageSettings, directory.ManageSessions, directory.ManageOrganization,
}

// mayAdminister refuses to change who an administrator is, or to let one come back,
// to a delegate who administers less. An identity provider lets no owner come back.
func mayAdminister(tx *state.OrgTx, env *Envelope, user directory.UserID) error {
	actor, delegated := delegate(tx, env)
	if !delegated && env.Actor.Kind != directory.ActorConnection {
		return nil
	}
	if !delegated {
		if owns(tx, user) {
			return directory.Denied("an identity provider cannot make anybody an owner")
		}
		return nil
	}
	for _, p := range administrative {
		if len(tx.Edges().WhyIfActive(user, p)) > 0 && !holds(tx, env, actor, p) {
			return directory.Denied("the user administers more than the caller: %s", p)
		}
	}
	return nil
}

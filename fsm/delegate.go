package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// The rules of delegation. A delegated administrator, which is a user or an API
// key, cannot give what they do not hold, whichever command would give it: an
// assignment, a permission in a role, a member of a group, a nested group, a
// session. They cannot touch an owner. An owner may give everything in the
// organization; operators, connections and the node's timers are not delegated.

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

// mayGiveGroup refuses to let somebody into a group whose roles, own and
// inherited, grant what the delegate lacks.
func mayGiveGroup(tx *state.OrgTx, env *Envelope, group directory.GroupID) error {
	if _, delegated := delegate(tx, env); !delegated {
		return nil
	}
	for _, r := range tx.Edges().EffectiveGroupRoles(group) {
		if err := mayGive(tx, env, tx.Edges().RolePermissions(r)); err != nil {
			return err
		}
	}
	return nil
}

// mayTouch refuses a delegate who is no owner to change an owner.
func mayTouch(tx *state.OrgTx, env *Envelope, user directory.UserID) error {
	actor, delegated := delegate(tx, env)
	if !delegated || actor == user || !tx.Edges().Has(user, directory.ManageOrganization) ||
		holds(tx, env, actor, directory.ManageOrganization) {
		return nil
	}
	return directory.Denied("an owner can be changed by an owner only")
}

// mayTouchRole refuses a delegate who is no owner to take ownership away.
func mayTouchRole(tx *state.OrgTx, env *Envelope, r *directory.Role) error {
	actor, delegated := delegate(tx, env)
	if !delegated || !slices.Contains(r.Permissions, directory.ManageOrganization) ||
		holds(tx, env, actor, directory.ManageOrganization) {
		return nil
	}
	return directory.Denied("ownership can be taken by an owner only")
}

// owners counts the active users who own the organization.
func owners(tx *state.OrgTx) int {
	_, total := tx.Edges().Who(directory.ManageOrganization, directory.UserID{}, 0)
	return total
}

// keepsOwner runs a command of a delegate and refuses it when it would leave an
// organization that has owners without one. An identity provider's word counts
// even then, and the operator can appoint another owner.
func keepsOwner(tx *state.OrgTx, env *Envelope, apply func() (Outcome, error)) (Outcome, error) {
	if _, delegated := delegate(tx, env); !delegated || !mayUnseat(env.Command.Kind()) || owners(tx) == 0 {
		return apply()
	}
	out, err := apply()
	if err == nil && owners(tx) == 0 {
		return Outcome{}, directory.Precondition("owner", "the organization would have no owner left")
	}
	return out, err
}

// mayUnseat names the commands that can take a permission from a user.
func mayUnseat(kind Kind) bool {
	switch kind {
	case KindUpdateUser, KindSetUserActive, KindDeleteUser, KindChangeGroup, KindDeleteGroup,
		KindUpdateRole, KindDeleteRole, KindUnassignRole, KindUnnestGroup:
		return true
	}
	return false
}

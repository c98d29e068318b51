package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
)

// The rules that keep ownership where owners and operators have put it. Whoever
// holds manage:organization, by whatever role and wildcard, owns; so does a
// deactivated user who would, since an account that was changed while it was off
// must not come back as an owner's.

// owns reports whether a user owns the organization or would if they were active.
func owns(tx *state.OrgTx, user directory.UserID) bool {
	return len(tx.Edges().WhyIfActive(user, directory.ManageOrganization)) > 0
}

// confers reports whether permissions make an owner.
func confers(permissions []directory.Permission) bool {
	wildcard, _ := directory.ManageOrganization.Wildcard()
	return slices.Contains(permissions, directory.ManageOrganization) || slices.Contains(permissions, wildcard)
}

// groupConfers reports whether a group's roles, own and inherited, make its members
// owners.
func groupConfers(tx *state.OrgTx, group directory.GroupID) bool {
	return slices.ContainsFunc(tx.Edges().EffectiveGroupRoles(group), func(r directory.RoleID) bool {
		return confers(tx.Edges().RolePermissions(r))
	})
}

// mayOwn reports whether the actor may do to owners and ownership what it likes. An
// identity provider and a delegate who is no owner may not.
func mayOwn(tx *state.OrgTx, env *Envelope) bool {
	if env.Actor.Kind == directory.ActorConnection {
		return false
	}
	actor, delegated := delegate(tx, env)
	return !delegated || holds(tx, env, actor, directory.ManageOrganization)
}

// mayTouch refuses to change an owner to whoever is none. A connection may change
// the owners that it has itself provisioned: who they are and that they are gone is
// its word.
func mayTouch(tx *state.OrgTx, env *Envelope, user directory.UserID) error {
	if mayOwn(tx, env) || !owns(tx, user) {
		return nil
	}
	if u, ok := tx.User(user); ok && env.Actor.Kind == directory.ActorConnection && u.Connection == directory.ConnectionID(env.Actor.ID) {
		return nil
	}
	return directory.Denied("an owner can be changed by an owner only")
}

// mayTouchAccount is mayTouch for a service account that ends with its owner. An
// identity provider that takes a person away takes all that is theirs.
func mayTouchAccount(tx *state.OrgTx, env *Envelope, account directory.UserID) error {
	if env.Actor.Kind == directory.ActorConnection {
		return nil
	}
	return mayTouch(tx, env, account)
}

// mayTakeRole refuses to take ownership away, from whomever.
func mayTakeRole(tx *state.OrgTx, env *Envelope, r *directory.Role) error {
	if mayOwn(tx, env) || !confers(r.Permissions) {
		return nil
	}
	return directory.Denied("ownership can be taken by an owner only")
}

// mayTakeGroup is mayTakeRole for what a group brings, to its members and to those
// of all groups in it.
func mayTakeGroup(tx *state.OrgTx, env *Envelope, group directory.GroupID) error {
	if mayOwn(tx, env) || !groupConfers(tx, group) {
		return nil
	}
	return directory.Denied("ownership can be taken by an owner only")
}

// ownership says who owns an organization, the better the higher.
type ownership uint8

const (
	ownedByNobody  ownership = iota
	ownedForNow              // by service accounts, or until an assignment ends
	ownedLastingly           // by a person, until somebody decides otherwise
)

// ownershipOf looks at the active owners until it finds a lasting one.
func ownershipOf(tx *state.OrgTx) (found ownership) {
	const some = 50
	for after := (directory.UserID{}); ; {
		page, _ := tx.Edges().Who(directory.ManageOrganization, after, some)
		for _, user := range page {
			if lasting(tx, user) {
				return ownedLastingly
			}
			found, after = ownedForNow, user
		}
		if len(page) < some {
			return found
		}
	}
}

func lasting(tx *state.OrgTx, user directory.UserID) bool {
	if u, ok := tx.User(user); !ok || u.Service {
		return false
	}
	return slices.ContainsFunc(tx.Edges().Why(user, directory.ManageOrganization), func(s effective.Source) bool {
		holder := user
		if !s.Group.IsZero() {
			holder = directory.UserID{}
		}
		a, ok := tx.AssignmentOf(s.Role, holder, s.Group)
		return ok && a.Expires == 0
	})
}

// keepsOwner runs a command of a delegate and refuses it when the organization
// would be owned less than before: by nobody, or only until an assignment ends,
// which no entry could refuse then. So an end that comes never takes the last
// owner, unless an operator has made it the last. An identity provider's word
// counts even then, and an operator can appoint another owner.
func keepsOwner(tx *state.OrgTx, env *Envelope, apply func() (Outcome, error)) (Outcome, error) {
	if _, delegated := delegate(tx, env); !delegated || !mayUnseat(env.Command.Kind()) {
		return apply()
	}
	before := ownershipOf(tx)
	out, err := apply()
	if err == nil && ownershipOf(tx) < before {
		return Outcome{}, directory.Precondition("owner", "the organization would have no lasting owner left")
	}
	return out, err
}

// mayUnseat names the commands that can take a permission from a user, or give it
// an end.
func mayUnseat(kind Kind) bool {
	switch kind {
	case KindUpdateUser, KindSetUserActive, KindDeleteUser, KindChangeGroup, KindDeleteGroup,
		KindUpdateRole, KindDeleteRole, KindAssignRole, KindUnassignRole, KindUnnestGroup:
		return true
	}
	return false
}

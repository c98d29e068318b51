package fsm

import (
	"bytes"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateUser adds a user whose user name is free, compared without case.
type CreateUser struct {
	User directory.User `cbor:"1,keyasint"`
}

func (*CreateUser) Kind() Kind { return KindCreateUser }

func (c *CreateUser) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	u := c.User
	if err := u.Check(); err != nil {
		return Outcome{}, err
	}
	if _, taken := tx.User(u.ID); taken {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.UserByName(u.UserName); taken {
		return Outcome{}, directory.Conflict("user_name", "%q is taken", u.UserName)
	}
	if quota := int(tx.Record().UserQuota); tx.Users() >= quota {
		return Outcome{}, directory.Exhausted("users", "the organization's quota of %d users is reached", quota)
	}
	u.Created, u.Modified, u.Version = env.Now, env.Now, e.index
	if err := tx.PutUser(&u); err != nil {
		return Outcome{}, err
	}
	e.event(directory.UserCreated, u.ID, "%s", u.UserName)
	e.row(directory.RowUser, u.ID)
	return changed(u.ID)
}

// UpdateUser replaces what a caller may write of a user: everything but id,
// source, owner and times. IfVersion guards a read-modify-write; zero skips it.
type UpdateUser struct {
	User      directory.User  `cbor:"1,keyasint"`
	IfVersion directory.Index `cbor:"2,keyasint,omitempty"`
}

func (*UpdateUser) Kind() Kind { return KindUpdateUser }

func (c *UpdateUser) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.User(c.User.ID)
	if !ok {
		return Outcome{}, directory.NotFound("user")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the user has changed since it was read")
	}
	u := c.User
	u.Source, u.Connection, u.Created = old.Source, old.Connection, old.Created
	u.Modified, u.Version = old.Modified, old.Version
	if sameUser(&u, old) {
		return unchanged(u.ID)
	}
	if err := u.Check(); err != nil {
		return Outcome{}, err
	}
	if other, taken := tx.UserByName(u.UserName); taken && other.ID != u.ID {
		return Outcome{}, directory.Conflict("user_name", "%q is taken", u.UserName)
	}
	return replaceUser(tx, env, e, old, &u)
}

func sameUser(a, b *directory.User) bool {
	return a.UserName == b.UserName && a.ExternalID == b.ExternalID && a.Email == b.Email &&
		a.DisplayName == b.DisplayName && a.GivenName == b.GivenName && a.FamilyName == b.FamilyName &&
		a.Active == b.Active && bytes.Equal(a.Attributes, b.Attributes)
}

// replaceUser stores u in place of old and reports what that means: a user who
// loses the active flag loses every session in the same entry.
func replaceUser(tx *state.OrgTx, env *Envelope, e *effects, old, u *directory.User) (Outcome, error) {
	u.Modified, u.Version = env.Now, e.index
	if err := tx.PutUser(u); err != nil {
		return Outcome{}, err
	}
	e.row(directory.RowUser, u.ID)
	switch {
	case old.Active && !u.Active:
		e.event(directory.UserDeactivated, u.ID, "%s", u.UserName)
		endUserSessions(tx, env, e, u.ID, "user deactivated")
	case !old.Active && u.Active:
		e.event(directory.UserActivated, u.ID, "%s", u.UserName)
	default:
		e.event(directory.UserUpdated, u.ID, "%s", u.UserName)
	}
	return changed(u.ID)
}

// SetUserActive deactivates or reactivates a user. Reactivation gives back the
// roles, never the sessions.
type SetUserActive struct {
	User   directory.UserID `cbor:"1,keyasint"`
	Active bool             `cbor:"2,keyasint"`
}

func (*SetUserActive) Kind() Kind { return KindSetUserActive }

func (c *SetUserActive) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.User(c.User)
	if !ok {
		return Outcome{}, directory.NotFound("user")
	}
	if old.Active == c.Active {
		return unchanged(c.User)
	}
	u := *old
	u.Active = c.Active
	return replaceUser(tx, env, e, old, &u)
}

// DeleteUser removes a user and everything that was theirs. The id is never
// used again.
type DeleteUser struct {
	User      directory.UserID `cbor:"1,keyasint"`
	IfVersion directory.Index  `cbor:"2,keyasint,omitempty"`
}

func (*DeleteUser) Kind() Kind { return KindDeleteUser }

func (c *DeleteUser) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	u, ok := tx.User(c.User)
	if !ok {
		return Outcome{}, directory.NotFound("user")
	}
	if c.IfVersion != 0 && c.IfVersion != u.Version {
		return Outcome{}, directory.Precondition("version", "the user has changed since it was read")
	}
	endUserSessions(tx, env, e, u.ID, "user deleted")
	if err := tx.DeleteUser(u); err != nil {
		return Outcome{}, err
	}
	e.event(directory.UserDeleted, u.ID, "%s", u.UserName)
	e.row(directory.RowUser, u.ID)
	return changed(u.ID)
}

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
	if tx.HasUser(u.ID) {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.UserByName(u.UserName); taken {
		return Outcome{}, directory.Conflict("user_name", "%q is taken", u.UserName)
	}
	if quota := int(tx.Record().UserQuota); tx.Users() >= quota {
		return Outcome{}, directory.Exhausted("users", "the organization's quota of %d users is reached", quota)
	}
	if err := related(tx, new(directory.User), &u); err != nil {
		return Outcome{}, err
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
	u.Source, u.Connection, u.Created, u.Service = old.Source, old.Connection, old.Created, old.Service
	u.Modified, u.Version = old.Modified, old.Version
	if sameUser(&u, old) {
		return unchanged(u.ID)
	}
	if err := u.Check(); err != nil {
		return Outcome{}, err
	}
	if err := mayTouch(tx, env, u.ID); err != nil {
		return Outcome{}, err
	}
	if err := related(tx, old, &u); err != nil {
		return Outcome{}, err
	}
	if err := mayWrite(tx, env, old, &u); err != nil {
		return Outcome{}, err
	}
	if err := mayBecome(tx, env, old, &u); err != nil {
		return Outcome{}, err
	}
	if other, taken := tx.UserByName(u.UserName); taken && other.ID != u.ID {
		return Outcome{}, directory.Conflict("user_name", "%q is taken", u.UserName)
	}
	return replaceUser(tx, env, e, old, &u)
}

// mayEnd: service accounts end with their owner.
func mayEnd(tx *state.OrgTx, env *Envelope, owner directory.UserID) error {
	for _, account := range ownedBy(tx, owner) {
		if err := mayTouchAccount(tx, env, account.ID); err != nil {
			return err
		}
	}
	return nil
}

// mayBecome looks at what decides whose an account is: whether it may be used at
// all, and what people are known by where they sign in. A connection says by what
// those that it provisioned are known.
func mayBecome(tx *state.OrgTx, env *Envelope, old, u *directory.User) error {
	known := u.UserName == old.UserName && u.Email == old.Email && u.ExternalID == old.ExternalID && u.Owner == old.Owner
	activated := u.Active && !old.Active
	if old.Active && !u.Active {
		if err := mayEnd(tx, env, u.ID); err != nil {
			return err
		}
	}
	if activated || !known && env.Actor.Kind != directory.ActorConnection {
		return mayAdminister(tx, env, u.ID)
	}
	return nil
}

func sameUser(a, b *directory.User) bool {
	return a.UserName == b.UserName && a.ExternalID == b.ExternalID && a.Email == b.Email &&
		a.DisplayName == b.DisplayName && a.GivenName == b.GivenName && a.FamilyName == b.FamilyName &&
		a.Active == b.Active && bytes.Equal(a.Attributes, b.Attributes) && a.Phone == b.Phone && a.Title == b.Title &&
		a.Department == b.Department && a.Manager == b.Manager && bytes.Equal(a.Custom, b.Custom) && a.Owner == b.Owner
}

// related checks what a user says about the rest of the organization, and puts
// its own attributes into their canonical form. A manager who has been deleted
// since they were named does not keep anybody from changing the user.
func related(tx *state.OrgTx, old, u *directory.User) (err error) {
	if u.Custom, err = tx.Schema().Canonical(u.Custom); err != nil {
		return err
	}
	if known := tx.HasUser(u.Manager); u.Manager != old.Manager && (!known && !u.Manager.IsZero() || u.Manager == u.ID) {
		return directory.Invalid("manager_id", "is not another user of the organization")
	}
	owner, ok := tx.User(u.Owner)
	if u.Service && (!ok || owner.Service) {
		return directory.Invalid("owner_id", "is not a person of the organization")
	}
	return mayBeActive(tx, u)
}

// provided are the fields of a user that an identity provider sends, by their
// names in the API.
var provided = []struct {
	name string
	same func(a, b *directory.User) bool
}{
	{"user_name", func(a, b *directory.User) bool { return a.UserName == b.UserName }},
	{"email", func(a, b *directory.User) bool { return a.Email == b.Email }},
	{"display_name", func(a, b *directory.User) bool { return a.DisplayName == b.DisplayName }},
	{"given_name", func(a, b *directory.User) bool { return a.GivenName == b.GivenName }},
	{"family_name", func(a, b *directory.User) bool { return a.FamilyName == b.FamilyName }},
	{"external_id", func(a, b *directory.User) bool { return a.ExternalID == b.ExternalID }},
	{"attributes", func(a, b *directory.User) bool { return bytes.Equal(a.Attributes, b.Attributes) }},
	{"phone", func(a, b *directory.User) bool { return a.Phone == b.Phone }},
	{"title", func(a, b *directory.User) bool { return a.Title == b.Title }},
	{"department", func(a, b *directory.User) bool { return a.Department == b.Department }},
	{"manager_id", func(a, b *directory.User) bool { return a.Manager == b.Manager }},
}

// connections is an organization, in a transaction or at an index.
type connections interface {
	Connection(directory.ConnectionID) (*directory.Connection, bool)
}

// owned reports whether a connection has a claim to what it has sent: as long as
// it is there.
func owned(in connections, by directory.ConnectionID) bool {
	_, ok := in.Connection(by)
	return ok
}

// claimed reports whether somebody else than the actor has that claim: another
// connection has none.
func claimed(tx *state.OrgTx, env *Envelope, by directory.ConnectionID) bool {
	return !sentBy(env, by) && owned(tx, by)
}

// OwnedFields are the fields of a user that only the connection may change, by
// their names in the API.
func OwnedFields(in connections, u *directory.User) (names []string) {
	if !owned(in, u.Connection) {
		return nil
	}
	for _, field := range provided {
		names = append(names, field.name)
	}
	return names
}

// mayWrite: what an identity provider sends is the provider's. Others may
// switch such a user off and on, since that must never have to wait for the
// provider, and may set what the provider does not send: the organization's own
// attributes. When the connection is gone, so is its claim.
func mayWrite(tx *state.OrgTx, env *Envelope, old, u *directory.User) error {
	if !claimed(tx, env, old.Connection) {
		return nil
	}
	for _, field := range provided {
		if !field.same(old, u) {
			return directory.Conflict(field.name, "is owned by %s; change it there", old.Connection)
		}
	}
	return nil
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
		revokeOf(tx, e, u.ID, "user deactivated")
		if err := deactivateOwned(tx, env, e, u.ID); err != nil {
			return Outcome{}, err
		}
	case !old.Active && u.Active:
		e.event(directory.UserActivated, u.ID, "%s", u.UserName)
	default:
		e.event(directory.UserUpdated, u.ID, "%s", u.UserName)
	}
	return changed(u.ID)
}

// ownedBy are the service accounts of a user.
func ownedBy(tx *state.OrgTx, owner directory.UserID) (accounts []*directory.User) {
	tx.EachOwned(owner, func(u *directory.User) bool { accounts = append(accounts, u); return true })
	return accounts
}

// deactivateOwned: a service account does not outlive its owner's access. It
// stays off when the owner comes back, until somebody decides otherwise.
func deactivateOwned(tx *state.OrgTx, env *Envelope, e *effects, owner directory.UserID) error {
	for _, old := range ownedBy(tx, owner) {
		if !old.Active {
			continue
		}
		u := *old
		u.Active = false
		if _, err := replaceUser(tx, env, e, old, &u); err != nil {
			return err
		}
	}
	return nil
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
	if err := mayTouch(tx, env, c.User); err != nil {
		return Outcome{}, err
	}
	u := *old
	u.Active = c.Active
	if err := mayBeActive(tx, &u); err != nil {
		return Outcome{}, err
	}
	if err := mayBecome(tx, env, old, &u); err != nil {
		return Outcome{}, err
	}
	return replaceUser(tx, env, e, old, &u)
}

// mayBeActive: a service account acts for its owner, so it is not on while the owner
// is off.
func mayBeActive(tx *state.OrgTx, u *directory.User) error {
	if owner, ok := tx.User(u.Owner); u.Active && u.Service && (!ok || !owner.Active) {
		return directory.Precondition("owner_id", "the owner of the service account is deactivated")
	}
	return nil
}

// DeleteUser removes a user and everything that was theirs: sessions, API keys
// and service accounts. The id is never used again.
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
	if err := mayTouch(tx, env, u.ID); err != nil {
		return Outcome{}, err
	}
	if err := mayEnd(tx, env, u.ID); err != nil {
		return Outcome{}, err
	}
	for _, account := range append(ownedBy(tx, u.ID), u) {
		if err := deleteUser(tx, env, e, account); err != nil {
			return Outcome{}, err
		}
	}
	return changed(u.ID)
}

func deleteUser(tx *state.OrgTx, env *Envelope, e *effects, u *directory.User) error {
	endUserSessions(tx, env, e, u.ID, "user deleted")
	revokeOf(tx, e, u.ID, "user deleted")
	if u.Service {
		deleteClientsOf(tx, env, e, u.ID)
	}
	if err := tx.DeleteUser(u); err != nil {
		return err
	}
	e.event(directory.UserDeleted, u.ID, "%s", u.UserName)
	e.row(directory.RowUser, u.ID)
	return nil
}

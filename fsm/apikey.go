package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// CreateAPIKey gives an active user or service account a key. Nobody can put
// into a key what its owner does not hold, and no key makes another, which would
// live on when the first is revoked.
type CreateAPIKey struct {
	Key directory.APIKey `cbor:"1,keyasint"`
}

func (*CreateAPIKey) Kind() Kind { return KindCreateAPIKey }

// concerns implements selfCommand.
func (c *CreateAPIKey) concerns(*state.OrgTx) directory.UserID { return c.Key.Owner }

func (c *CreateAPIKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k := c.Key
	if env.Actor.Kind == directory.ActorAPIKey {
		return Outcome{}, directory.Denied("an API key makes no further keys")
	}
	if err := k.Check(); err != nil {
		return Outcome{}, err
	}
	owner, ok := tx.User(k.Owner)
	if !ok {
		return Outcome{}, directory.NotFound("user")
	}
	if !owner.Active {
		return Outcome{}, directory.Precondition("user_id", "the user is deactivated")
	}
	if _, taken := tx.APIKey(k.ID); taken {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if k.Expires != 0 && k.Expires <= env.Now {
		return Outcome{}, directory.Invalid("expires", "is in the past")
	}
	for _, p := range k.Permissions {
		if !tx.Edges().Has(k.Owner, p) {
			return Outcome{}, directory.Invalid("permissions", "the owner does not hold %s", p)
		}
	}
	if err := mayTouch(tx, env, k.Owner); err != nil {
		return Outcome{}, err
	}
	if err := mayGive(tx, env, k.Permissions); err != nil {
		return Outcome{}, err
	}
	var keys int
	tx.EachUserAPIKey(k.Owner, func(*directory.APIKey) bool { keys++; return true })
	if keys >= directory.APIKeysPerUserMax {
		return Outcome{}, directory.Exhausted("api_keys", "the user has %d", keys)
	}
	k.Created, k.By, k.Version = env.Now, env.Actor, e.index
	tx.PutAPIKey(&k)
	e.event(directory.APIKeyCreated, k.ID, "%s of %s", k.Name, owner.UserName)
	e.row(directory.RowAPIKey, k.ID)
	return changed(k.ID)
}

// RevokeAPIKey ends a key.
type RevokeAPIKey struct {
	ID directory.APIKeyID `cbor:"1,keyasint"`
}

func (*RevokeAPIKey) Kind() Kind { return KindRevokeAPIKey }

// concerns implements selfCommand.
func (c *RevokeAPIKey) concerns(tx *state.OrgTx) (owner directory.UserID) {
	if k, ok := tx.APIKey(c.ID); ok {
		owner = k.Owner
	}
	return owner
}

func (c *RevokeAPIKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k, ok := tx.APIKey(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("API key")
	}
	if err := mayTouch(tx, env, k.Owner); err != nil {
		return Outcome{}, err
	}
	revoke(tx, e, k, directory.APIKeyRevoked, "revoked")
	return changed(k.ID)
}

func revoke(tx *state.OrgTx, e *effects, k *directory.APIKey, typ directory.EventType, why string) {
	tx.DeleteAPIKey(k)
	e.event(typ, k.ID, "%s: %s", k.Name, why)
	e.row(directory.RowAPIKey, k.ID)
}

// revokeOf ends all keys of a user.
func revokeOf(tx *state.OrgTx, e *effects, user directory.UserID, why string) {
	var keys []*directory.APIKey
	tx.EachUserAPIKey(user, func(k *directory.APIKey) bool { keys = append(keys, k); return true })
	for _, k := range keys {
		revoke(tx, e, k, directory.APIKeyRevoked, why)
	}
}

// ExpireGrants ends assignments and API keys whose time has come. The leader's
// timer proposes it with the ids it found; the machine looks again.
type ExpireGrants struct {
	Assignments []directory.AssignmentID `cbor:"1,keyasint,omitempty"`
	APIKeys     []directory.APIKeyID     `cbor:"2,keyasint,omitempty"`
}

func (*ExpireGrants) Kind() Kind { return KindExpireGrants }

func (c *ExpireGrants) apply(tx *state.OrgTx, env *Envelope, e *effects) (out Outcome, err error) {
	for _, id := range c.Assignments {
		a, ok := tx.Assignment(id)
		if !ok || a.Expires == 0 || env.Now < a.Expires {
			continue
		}
		r, holder, err := assignable(tx, a.Role, a.User, a.Group)
		if err != nil {
			return Outcome{}, err
		}
		if err := tx.DeleteAssignment(a); err != nil {
			return Outcome{}, err
		}
		e.event(directory.AssignmentExpired, r.ID, "%s from %s", r.Name, holder)
		assignmentRow(tx, e, a.User, a.Group)
		out.Changed = true
	}
	for _, id := range c.APIKeys {
		if k, ok := tx.APIKey(id); ok && !k.Live(env.Now) {
			revoke(tx, e, k, directory.APIKeyExpired, "expired")
			out.Changed = true
		}
	}
	return out, nil
}

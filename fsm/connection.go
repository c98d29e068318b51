package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// ConnectionsMax bounds the connections of one organization.
const ConnectionsMax = 32

// CreateConnection gives an identity provider the right to provision. It can then
// put anybody into any group that makes no owners, whatever roles the group has, so
// among delegates only an owner makes one.
type CreateConnection struct {
	Connection directory.Connection `cbor:"1,keyasint"`
}

func (*CreateConnection) Kind() Kind { return KindCreateConnection }

func (c *CreateConnection) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	con := c.Connection
	if err := con.Check(); err != nil {
		return Outcome{}, err
	}
	if !mayOwn(tx, env) {
		return Outcome{}, directory.Denied("a connection can be made by an owner only: it may put people into any group")
	}
	if _, taken := tx.Connection(con.ID); taken || con.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if tx.Connections() >= ConnectionsMax {
		return Outcome{}, directory.Exhausted("connections", "the organization has %d connections", ConnectionsMax)
	}
	con.Created, con.Version, con.Mappings = env.Now, e.index, nil
	con.Tokens = slices.Clone(con.Tokens)
	for i := range con.Tokens {
		con.Tokens[i].Created = env.Now
	}
	tx.PutConnection(&con)
	e.event(directory.ConnectionCreated, con.ID, "%s", con.Provider)
	e.row(directory.RowConnection, con.ID)
	return changed(con.ID)
}

// DeleteConnection ends a connection at once; what it provisioned stays.
type DeleteConnection struct {
	ID directory.ConnectionID `cbor:"1,keyasint"`
}

func (*DeleteConnection) Kind() Kind { return KindDeleteConnection }

func (c *DeleteConnection) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	con, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	tx.DeleteConnection(con)
	e.event(directory.ConnectionDeleted, con.ID, "%s", con.Provider)
	e.row(directory.RowConnection, con.ID)
	return changed(con.ID)
}

// UpdateConnection changes the fields that are not nil. What widens or restores
// what a provider can do is an owner's to decide, as making a connection is; to
// name a connection and to switch it off is not.
type UpdateConnection struct {
	ID               directory.ConnectionID `cbor:"1,keyasint"`
	Name             *string                `cbor:"2,keyasint,omitempty"`
	Disabled         *bool                  `cbor:"3,keyasint,omitempty"`
	NoTarget         *bool                  `cbor:"4,keyasint,omitempty"`
	RejectMembers    *bool                  `cbor:"5,keyasint,omitempty"`
	RejectAttributes *bool                  `cbor:"6,keyasint,omitempty"`
	IfVersion        directory.Index        `cbor:"7,keyasint,omitempty"`
	Issuer           *string                `cbor:"8,keyasint,omitempty"` // these three are of the trust
	Audience         *string                `cbor:"9,keyasint,omitempty"`
	Application      *string                `cbor:"10,keyasint,omitempty"`
	SeesAll          *bool                  `cbor:"11,keyasint,omitempty"`
	SharesNames      *bool                  `cbor:"12,keyasint,omitempty"`
}

func (*UpdateConnection) Kind() Kind { return KindUpdateConnection }

func (c *UpdateConnection) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the connection has changed since it was read")
	}
	con := *old
	set(&con.Name, c.Name)
	set(&con.Disabled, c.Disabled)
	set(&con.Switches.NoTarget, c.NoTarget)
	set(&con.Switches.RejectMembers, c.RejectMembers)
	set(&con.Switches.RejectAttributes, c.RejectAttributes)
	set(&con.Trust.Issuer, c.Issuer)
	set(&con.Trust.Audience, c.Audience)
	set(&con.Trust.Application, c.Application)
	set(&con.Switches.SeesAll, c.SeesAll)
	set(&con.Switches.SharesNames, c.SharesNames)
	if con.Name == old.Name && con.Disabled == old.Disabled && con.Switches == old.Switches && con.Trust == old.Trust {
		return unchanged(con.ID)
	}
	if err := con.Check(); err != nil {
		return Outcome{}, err
	}
	trusts := con.Trust != old.Trust && con.Trust != (directory.Trust{})
	if (old.Disabled && !con.Disabled || con.Switches != old.Switches || trusts) && !mayOwn(tx, env) {
		return Outcome{}, directory.Denied("a connection can be enabled, switched and made to trust an issuer by an owner only: it may put people into any group")
	}
	if trusts && trustedElsewhere(tx, &con) {
		return Outcome{}, directory.Conflict("application", "another connection of the organization trusts this issuer for the same audience and application")
	}
	return replaceConnection(tx, e, &con, "settings")
}

// trustedElsewhere: a token must not be that of two connections.
func trustedElsewhere(tx *state.OrgTx, con *directory.Connection) (found bool) {
	tx.EachConnection(func(other *directory.Connection) bool {
		found = other.ID != con.ID && other.Trust == con.Trust
		return !found
	})
	return found
}

// set replaces a value if there is another.
func set[T any](value, other *T) {
	if other != nil {
		*value = *other
	}
}

func replaceConnection(tx *state.OrgTx, e *effects, con *directory.Connection, what string) (Outcome, error) {
	con.Version = e.index
	tx.PutConnection(con)
	e.event(directory.ConnectionUpdated, con.ID, "%s: %s", con.Provider, what)
	e.row(directory.RowConnection, con.ID)
	return changed(con.ID)
}

// RotateConnectionToken gives a connection a second token; the first stays good
// until it is revoked, so that the provider never meets a refusal. Who has a token
// is the connection, so it takes what making one takes.
type RotateConnectionToken struct {
	ID    directory.ConnectionID    `cbor:"1,keyasint"`
	Token directory.ConnectionToken `cbor:"2,keyasint"`
}

func (*RotateConnectionToken) Kind() Kind { return KindRotateConnectionToken }

func (c *RotateConnectionToken) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	if !mayOwn(tx, env) {
		return Outcome{}, directory.Denied("a token of a connection can be made by an owner only: it may put people into any group")
	}
	if err := c.Token.Check(); err != nil {
		return Outcome{}, err
	}
	if len(old.Valid()) >= directory.ConnectionTokensMax {
		return Outcome{}, directory.Exhausted("tokens", "the connection has %d valid tokens; revoke the one that the provider does not use any more", directory.ConnectionTokensMax)
	}
	con, token := *old, c.Token
	token.Created = env.Now
	con.Tokens = append(slices.Clone(old.Tokens), token)
	return replaceConnection(tx, e, &con, "token "+token.Name().String()+" made")
}

// RevokeConnectionToken ends one token at once, the last one, too.
type RevokeConnectionToken struct {
	ID    directory.ConnectionID `cbor:"1,keyasint"`
	Token directory.TokenName    `cbor:"2,keyasint"`
}

func (*RevokeConnectionToken) Kind() Kind { return KindRevokeConnectionToken }

func (c *RevokeConnectionToken) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	con := *old
	// The first token is of the old form or of the new one, and leaves as such.
	if first := (directory.ConnectionToken{Hash: old.Token}); old.Token != ([32]byte{}) && first.Name() == c.Token {
		con.Token = [32]byte{}
	}
	con.Tokens = slices.DeleteFunc(slices.Clone(old.Tokens), func(t directory.ConnectionToken) bool { return t.Name() == c.Token })
	if len(con.Valid()) == len(old.Valid()) {
		return Outcome{}, directory.NotFound("token")
	}
	return replaceConnection(tx, e, &con, "token "+c.Token.String()+" revoked")
}

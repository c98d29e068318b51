package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// single reports whether the session is one of client credentials or of an exchange: it
// has no refresh token and no person to sign in again.
func (c *StartSession) single() bool { return !c.Client.IsZero() && c.Code == nil }

// mayBeForClient looks at a session for a client: what a node has verified counts
// only while the client is what it was then.
func (c *StartSession) mayBeForClient(tx *state.OrgTx, env *Envelope, user *directory.User) error {
	if c.Standing && (!c.single() || !c.Origin.IsZero() || c.Until != 0 || c.Token != directory.AccessToken{} || c.Key != [32]byte{}) {
		return directory.Invalid("standing", "is a session of client credentials, and has no token, no key and no end of its own")
	}
	if env.Actor.Kind != directory.ActorNode {
		if !c.Client.IsZero() || c.Code != nil || c.Bounded || len(c.Scope)+len(c.Permissions) > 0 || !c.Origin.IsZero() || c.Key != [32]byte{} {
			return directory.Denied("a session for a client is started at the issuer only")
		}
		return nil
	}
	client, ok := tx.Client(c.Client)
	if !ok {
		return directory.Unauthenticated("the client is not known")
	}
	if !c.Bounded && !client.Unbounded || c.Bounded && !coversAll(client, c.Permissions) {
		return directory.Denied("the client may not have these permissions")
	}
	if client.Binds && c.Code == nil && c.Key == ([32]byte{}) {
		return directory.Denied("the client gets bound tokens only")
	}
	if !c.Origin.IsZero() {
		return c.mayBeExchanged(tx, env, client)
	}
	if c.single() {
		if !client.Allows(directory.GrantClientCredentials) || client.Account != user.ID || !user.Service || c.Refresh != ([32]byte{}) {
			return directory.Denied("the client has no credentials of this account")
		}
		return nil
	}
	return c.mayCarryCode(env, client, user)
}

// mayBeExchanged: a token of a user becomes one of the same user for another client,
// good for no more and no longer.
func (c *StartSession) mayBeExchanged(tx *state.OrgTx, env *Envelope, client *directory.Client) error {
	origin, ok := tx.Session(c.Origin)
	switch {
	case !client.Allows(directory.GrantTokenExchange) || c.Code != nil || c.Refresh != [32]byte{}:
		return directory.Denied("the client may not exchange tokens")
	case !ok || origin.User != c.User || !origin.Live(env.Now, tx.Record().SignIn):
		return directory.Unauthenticated("the session of the token has ended")
	case !origin.Origin.IsZero() || origin.Bound():
		return directory.Denied("the token is not one to exchange")
	case c.Until == 0 || !slices.Equal(c.Methods, origin.Methods):
		return directory.Invalid("origin", "a session that comes of another is like it")
	case !c.Bounded && origin.Bounded:
		return directory.Denied("the token may do less")
	}
	for _, p := range c.Permissions {
		if !origin.Covers(p) {
			return directory.Denied("the token may do less")
		}
	}
	return nil
}

func (c *StartSession) mayCarryCode(env *Envelope, client *directory.Client, user *directory.User) error {
	code := c.Code
	grant, life := directory.GrantAuthorizationCode, directory.CodeLife
	if code.Device {
		grant, life = directory.GrantDevice, directory.DeviceLife
	}
	switch {
	case !client.Allows(grant):
		return directory.Denied("the client may not use codes")
	case user.Service:
		return directory.Denied("a service account does not sign in")
	case c.Refresh != ([32]byte{}) || len(c.Successor) > 0 || code.Used != 0 || code.Hash == ([32]byte{}):
		return directory.Invalid("code", "is not a new one")
	case code.Device && (code.Redirect != "" || code.Challenge != [32]byte{}):
		return directory.Invalid("code", "of a device goes through no browser")
	case !code.Device && !client.AllowsRedirect(code.Redirect):
		return directory.Invalid("redirect_uri", "is not one of the client's")
	case code.Expires <= env.Now || code.Expires > env.Now.Add(life):
		return directory.Invalid("code", "does not expire within %s", life)
	case len(code.Nonce) > directory.NonceMax:
		return directory.Invalid("nonce", "more than %d bytes", directory.NonceMax)
	}
	return nil
}

func coversAll(client *directory.Client, permissions []directory.Permission) bool {
	for _, p := range permissions {
		if !client.Covers(p) {
			return false
		}
	}
	return true
}

// RedeemCode gives the session its tokens for its authorization code. The code is
// good once; whoever comes with it again is a thief or was robbed, and the session
// ends (RFC 6749, section 4.1.2). Who is not the code's client cannot end it.
type RedeemCode struct {
	ID        directory.SessionID   `cbor:"1,keyasint"`
	Presented [32]byte              `cbor:"2,keyasint"` // SHA-256 of the code that was sent
	Client    directory.ClientID    `cbor:"3,keyasint"` // who has proved to be this client
	Redirect  string                `cbor:"4,keyasint"`
	Verifier  [32]byte              `cbor:"5,keyasint"`          // SHA-256 of the verifier that was sent
	Refresh   [32]byte              `cbor:"6,keyasint,omitzero"` // zero: the session gets no refresh token
	Successor []byte                `cbor:"7,keyasint,omitempty"`
	Token     directory.AccessToken `cbor:"8,keyasint"`
	Key       [32]byte              `cbor:"20,keyasint,omitzero"` // that the client has proved to have: the session's tokens are bound to it
}

func (*RedeemCode) Kind() Kind { return KindRedeemCode }

func errCode() error { return directory.Unauthenticated("the code is not valid") }

func (c *RedeemCode) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Session(c.ID)
	if !ok || old.Code == nil || !old.Live(env.Now, tx.Record().SignIn) || !same(c.Presented, old.Code.Hash) || old.Client != c.Client {
		return Outcome{}, errCode()
	}
	if u, ok := tx.User(old.User); !ok || !u.Active || !tx.Record().Active() {
		return Outcome{}, errCode()
	}
	if old.Code.Used != 0 {
		endSession(tx, env, e, old, "code was used again")
		return Outcome{Object: old.ID, Changed: true}, nil
	}
	client, ok := tx.Client(c.Client)
	if !ok || !c.fits(old.Code, client) {
		return Outcome{}, errCode()
	}
	if c.Refresh != ([32]byte{}) && !client.Allows(directory.GrantRefreshToken) {
		return Outcome{}, errCode()
	}
	if old.Code.Key != ([32]byte{}) && old.Code.Key != c.Key || client.Binds && c.Key == ([32]byte{}) {
		return Outcome{}, errCode()
	}
	s := *old
	s.Code = &directory.Code{Hash: old.Code.Hash, Expires: old.Code.Expires, Used: max(env.Now, 1), Device: old.Code.Device}
	s.Refresh, s.Successor, s.Refreshed, s.Version = c.Refresh, c.Successor, env.Now, e.index
	s.Single, s.Key = c.Refresh == [32]byte{}, c.Key
	s.Tokens = []directory.AccessToken{c.Token}
	tx.PutSession(&s)
	e.event(directory.SessionRefreshed, s.ID, "code redeemed by %s", client.Name)
	e.row(directory.RowSession, s.ID)
	return changed(s.ID)
}

// fits reports whether a code comes back the way that it was meant to.
func (c *RedeemCode) fits(code *directory.Code, client *directory.Client) bool {
	if code.Device {
		return client.Allows(directory.GrantDevice) && c.Redirect == "" && c.Verifier == [32]byte{}
	}
	return client.Allows(directory.GrantAuthorizationCode) && client.AllowsRedirect(c.Redirect) &&
		c.Redirect == code.Redirect && same(c.Verifier, code.Challenge)
}

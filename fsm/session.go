package fsm

import (
	"crypto/subtle"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// StartSession opens a session with its first access token.
type StartSession struct {
	ID        directory.SessionID   `cbor:"1,keyasint"`
	User      directory.UserID      `cbor:"2,keyasint"`
	Methods   []string              `cbor:"3,keyasint,omitempty"`
	Refresh   [32]byte              `cbor:"4,keyasint"`
	Successor []byte                `cbor:"5,keyasint,omitempty"`
	Token     directory.AccessToken `cbor:"6,keyasint"`

	// Of a session for a client, which only a node starts.
	Client      directory.ClientID     `cbor:"7,keyasint,omitzero"`
	Scope       []string               `cbor:"8,keyasint,omitempty"`
	Bounded     bool                   `cbor:"9,keyasint,omitempty"`
	Permissions []directory.Permission `cbor:"10,keyasint,omitempty"`
	Code        *directory.Code        `cbor:"11,keyasint,omitempty"` // nil: client credentials

	Address string `cbor:"20,keyasint,omitempty"`
	Device  string `cbor:"21,keyasint,omitempty"`

	Origin directory.SessionID `cbor:"22,keyasint,omitzero"` // the session that it came of by token exchange
	Until  directory.Time      `cbor:"23,keyasint,omitempty"`
	Key    [32]byte            `cbor:"24,keyasint,omitzero"` // that its tokens are bound to

	// Standing is of client credentials whose tokens are minted without an entry.
	Standing bool `cbor:"25,keyasint,omitempty" level:"2"`
}

func (*StartSession) Kind() Kind { return KindStartSession }

func (c *StartSession) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	if !tx.Record().Active() { // an operator may ask for it
		return Outcome{}, directory.Precondition("org_id", "the organization is suspended")
	}
	u, ok := tx.User(c.User)
	if !ok {
		return Outcome{}, directory.NotFound("user")
	}
	if !u.Active {
		return Outcome{}, directory.Precondition("user_id", "the user is deactivated")
	}
	for _, r := range tx.Edges().Roles(u.ID) {
		if err := mayGiveRole(tx, env, r); err != nil {
			return Outcome{}, err
		}
	}
	if err := c.mayBeForClient(tx, env, u); err != nil {
		return Outcome{}, err
	}
	if settings := tx.Record().SignIn; settings.MFA && !c.single() && !(&directory.Session{Methods: c.Methods}).MFA() {
		return Outcome{}, directory.Precondition("amr", "the organization asks for more than one factor")
	}
	if len(c.Methods) > directory.SessionMethodsMax {
		return Outcome{}, directory.Invalid("amr", "more than %d methods", directory.SessionMethodsMax)
	}
	if len(c.Address) > directory.OriginMax || len(c.Device) > directory.SessionDeviceMax {
		return Outcome{}, directory.Invalid("device", "address and device have at most %d and %d bytes", directory.OriginMax, directory.SessionDeviceMax)
	}
	if _, taken := tx.Session(c.ID); taken || c.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if err := makeRoom(tx, env, u.ID, c); err != nil {
		return Outcome{}, err
	}
	s := &directory.Session{
		ID: c.ID, User: c.User, Methods: c.Methods, Refresh: c.Refresh, Successor: c.Successor,
		Refreshed: env.Now, Created: env.Now, Tokens: []directory.AccessToken{c.Token}, Version: e.index,
		Client: c.Client, Scope: c.Scope, Bounded: c.Bounded, Permissions: c.Permissions, Code: c.Code, Single: c.single(),
		Address: c.Address, Device: c.Device, Origin: c.Origin, Until: c.Until, Key: c.Key,
	}
	if c.Code != nil {
		s.Tokens = nil // they come when the code is redeemed
	}
	if c.Standing {
		s.Tokens, s.Single, s.Until = nil, false, env.Now.Add(directory.ClientSessionLife)
	}
	tx.PutSession(s)
	e.event(directory.SessionStarted, s.ID, "%s", u.UserName)
	e.row(directory.RowSession, s.ID)
	return changed(s.ID)
}

// makeRoom forgets the user's dead sessions whose tokens have run out, and
// refuses one more above the limit of live ones.
func makeRoom(tx *state.OrgTx, env *Envelope, user directory.UserID, c *StartSession) error {
	most := directory.SessionsPerUser
	if c.single() {
		most = directory.ClientSessionsMax
	}
	var live int
	var dead []*directory.Session
	in := tx.Record().SignIn
	tx.EachUserSession(user, func(s *directory.Session) bool {
		if Forgettable(s, env.Now, in) {
			dead = append(dead, s)
		} else if s.Live(env.Now, in) && s.Origin.IsZero() == c.Origin.IsZero() {
			live++ // what services exchange costs nobody a sign-in
		}
		return true
	})
	for _, s := range dead {
		tx.DeleteSession(s)
	}
	if live >= most {
		return directory.Exhausted("sessions", "the user has %d live sessions", live)
	}
	return nil
}

// Forgettable: nothing can be proved or abused with the session any more.
func Forgettable(s *directory.Session, now directory.Time, in directory.SignIn) bool {
	if s.Live(now, in) || s.Untold && now < s.Ended.Add(directory.LogoutWait) {
		return false
	}
	for _, t := range s.Tokens {
		if now < t.Expires {
			return false
		}
	}
	return true
}

// RefreshSession rotates the refresh token. Presenting the previous token again
// within the grace answers with the successor (the outcome is unchanged and the
// session holds the successor sealed); later it is theft, and the session ends.
type RefreshSession struct {
	ID        directory.SessionID   `cbor:"1,keyasint"`
	Presented [32]byte              `cbor:"2,keyasint"` // SHA-256 of what the client sent
	Refresh   [32]byte              `cbor:"3,keyasint"` // SHA-256 of the next one
	Successor []byte                `cbor:"4,keyasint,omitempty"`
	Token     directory.AccessToken `cbor:"5,keyasint"`
	Key       [32]byte              `cbor:"20,keyasint,omitzero"` // that the client has proved to have
}

func (*RefreshSession) Kind() Kind { return KindRefreshSession }

func (c *RefreshSession) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Session(c.ID)
	if !ok || !old.Live(env.Now, tx.Record().SignIn) || old.Key != c.Key {
		return Outcome{}, directory.Unauthenticated("refresh token is not valid")
	}
	if u, ok := tx.User(old.User); !ok || !u.Active || tx.Record().Status != directory.OrganizationActive {
		return Outcome{}, directory.Unauthenticated("refresh token is not valid")
	}
	if client, ok := tx.Client(old.Client); !old.Client.IsZero() && (!ok || !client.Allows(directory.GrantRefreshToken)) {
		return Outcome{}, directory.Unauthenticated("refresh token is not valid")
	}
	s := *old
	s.Version = e.index
	s.Tokens = append(liveTokens(old, env.Now), c.Token)
	switch {
	case !old.Client.IsZero() && old.Refresh == [32]byte{}: // a session without one, or whose code nobody has redeemed
	case same(c.Presented, old.Refresh):
		s.Previous, s.Refresh, s.Successor, s.Refreshed = old.Refresh, c.Refresh, c.Successor, env.Now
		tx.PutSession(&s)
		e.event(directory.SessionRefreshed, s.ID, "refresh token rotated")
		e.row(directory.RowSession, s.ID)
		return changed(s.ID)
	case same(c.Presented, old.Previous) && env.Now < old.Refreshed.Add(directory.RefreshGrace):
		tx.PutSession(&s)
		e.row(directory.RowSession, s.ID)
		return unchanged(s.ID)
	case same(c.Presented, old.Previous):
		endSession(tx, env, e, old, "refresh token was used again")
		return Outcome{Object: s.ID, Changed: true}, nil
	}
	return Outcome{}, directory.Unauthenticated("refresh token is not valid")
}

func same(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// liveTokens keeps the newest tokens that have not expired. The bound drops the
// oldest first, and a dropped token is unknown to the enforcer: it is refused.
func liveTokens(s *directory.Session, now directory.Time) []directory.AccessToken {
	var live []directory.AccessToken
	for _, t := range s.Tokens {
		if now < t.Expires {
			live = append(live, t)
		}
	}
	if spare := len(live) + 1 - directory.AccessTokensMax; spare > 0 {
		live = live[spare:]
	}
	return live
}

// EndSession ends one session; ending it twice is no change.
type EndSession struct {
	ID     directory.SessionID `cbor:"1,keyasint"`
	Reason string              `cbor:"2,keyasint,omitempty"`
}

func (*EndSession) Kind() Kind { return KindEndSession }

func (c *EndSession) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s, ok := tx.Session(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("session")
	}
	if s.Ended != 0 {
		return unchanged(s.ID)
	}
	if err := mayTouch(tx, env, s.User); err != nil {
		return Outcome{}, err
	}
	endSession(tx, env, e, s, c.Reason)
	return changed(s.ID)
}

func endSession(tx *state.OrgTx, env *Envelope, e *effects, old *directory.Session, reason string) {
	s := *old
	s.Ended, s.Reason, s.Version, s.Successor = max(env.Now, 1), reason, e.index, nil
	s.Untold = mustTell(tx, old)
	tx.PutSession(&s)
	e.event(directory.SessionEnded, s.ID, "%s", reason)
	e.row(directory.RowSession, s.ID)
	endExchanged(tx, env, e, &s)
}

// endExchanged ends what came of a session. Nothing comes of such a one, so this goes
// no deeper.
func endExchanged(tx *state.OrgTx, env *Envelope, e *effects, origin *directory.Session) {
	if !origin.Origin.IsZero() {
		return
	}
	var open []*directory.Session
	tx.EachUserSession(origin.User, func(s *directory.Session) bool {
		if s.Origin == origin.ID && s.Ended == 0 {
			open = append(open, s)
		}
		return true
	})
	for _, s := range open {
		endSession(tx, env, e, s, "the session that it came of has ended")
	}
}

func endUserSessions(tx *state.OrgTx, env *Envelope, e *effects, user directory.UserID, reason string) (n int) {
	var open []*directory.Session
	tx.EachUserSession(user, func(s *directory.Session) bool {
		if s.Ended == 0 {
			open = append(open, s)
		}
		return true
	})
	return endAll(tx, env, e, open, reason)
}

// endAll ends sessions that were open a moment ago: with one end those that came of it.
func endAll(tx *state.OrgTx, env *Envelope, e *effects, open []*directory.Session, reason string) int {
	for _, s := range open {
		if now, ok := tx.Session(s.ID); ok && now.Ended == 0 {
			endSession(tx, env, e, now, reason)
		}
	}
	return len(open)
}

// EndUserSessions ends all sessions of one user.
type EndUserSessions struct {
	User   directory.UserID `cbor:"1,keyasint"`
	Reason string           `cbor:"2,keyasint,omitempty"`
}

func (*EndUserSessions) Kind() Kind { return KindEndUserSessions }

func (c *EndUserSessions) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	if !tx.HasUser(c.User) {
		return Outcome{}, directory.NotFound("user")
	}
	if err := mayTouch(tx, env, c.User); err != nil {
		return Outcome{}, err
	}
	if endUserSessions(tx, env, e, c.User, c.Reason) == 0 {
		return unchanged(c.User)
	}
	return changed(c.User)
}

// EndOrganizationSessions ends all sessions of an organization, the owners' too, so
// it takes an owner.
type EndOrganizationSessions struct {
	Reason string `cbor:"1,keyasint,omitempty"`
}

func (*EndOrganizationSessions) Kind() Kind { return KindEndOrganizationSessions }

func (c *EndOrganizationSessions) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	if !mayOwn(tx, env) {
		return Outcome{}, directory.Denied("only an owner may end the sessions of everybody")
	}
	if endSessions(tx, env, e, c.Reason, func(*directory.Session) bool { return true }) == 0 {
		return unchanged(tx.Record().ID)
	}
	return changed(tx.Record().ID)
}

// ExpireSessions forgets dead sessions. The leader's timer proposes it with the
// ids it found; the machine looks again.
type ExpireSessions struct {
	IDs []directory.SessionID `cbor:"1,keyasint"`
}

func (*ExpireSessions) Kind() Kind { return KindExpireSessions }

func (c *ExpireSessions) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	var out Outcome
	for _, id := range c.IDs {
		if s, ok := tx.Session(id); ok && Forgettable(s, env.Now, tx.Record().SignIn) {
			tx.DeleteSession(s)
			e.row(directory.RowSession, id)
			out.Changed = true
		}
	}
	return out, nil
}

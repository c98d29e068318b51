package login

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
)

// Grant is what a sign-in or a refresh hands to the client. The tokens exist
// nowhere else.
type Grant struct {
	Session      directory.SessionID
	AccessToken  string
	ExpiresIn    time.Duration // of the access token
	RefreshToken string
	Index        directory.Index // of the entry that recorded the access token
}

// Sessions opens, refreshes and ends sessions.
type Sessions struct {
	gate   *access.Gate
	tokens *Tokens
	ring   *keyring.Keyring
	// enforced waits, for a bounded time, until the nodes that are alive
	// enforce an index, so that a fresh token is not refused as unknown.
	enforced func(ctx context.Context, index directory.Index)
	polls    polls
	standing standing
}

// NewSessions wires the sessions of a node.
func NewSessions(gate *access.Gate, tokens *Tokens, ring *keyring.Keyring, enforced func(context.Context, directory.Index)) *Sessions {
	return &Sessions{gate: gate, tokens: tokens, ring: ring, enforced: enforced}
}

// Start opens a session for a user who has proved who they are to the caller,
// by the methods named (amr values of RFC 8176) with a device.
func (s *Sessions) Start(ctx context.Context, pass *access.Pass, userID directory.UserID, methods []string, device Device) (Grant, error) {
	org := pass.View()
	user, ok := org.User(userID)
	if !ok {
		return Grant{}, directory.NotFound("user")
	}
	if !user.Active {
		return Grant{}, directory.Precondition("user_id", "the user is deactivated")
	}
	if err := checkMethods(methods); err != nil {
		return Grant{}, err
	}
	if err := device.check(); err != nil {
		return Grant{}, err
	}
	id := access.NewID[directory.SessionID](pass.Now())
	refresh, err := s.nextRefresh(org.ID(), id)
	if err != nil {
		return Grant{}, err
	}
	now := directory.TimeOf(pass.Now())
	minted, err := s.mint(org, user, &directory.Session{ID: id, User: userID, Methods: methods, Created: now, Refreshed: now})
	if err != nil {
		return Grant{}, err
	}
	result, err := pass.Propose(ctx, &fsm.StartSession{
		ID: id, User: userID, Methods: methods,
		Refresh: refresh.hash, Successor: refresh.sealed, Token: minted.Entry,
		Address: device.Address, Device: device.Name,
	}, access.IdempotencyKey{})
	if err != nil {
		return Grant{}, err
	}
	s.enforced(ctx, result.Index)
	return Grant{
		Session: id, AccessToken: minted.Token, ExpiresIn: minted.Life, RefreshToken: refresh.token, Index: result.Index,
	}, nil
}

// Device is what a user signs in with, as far as whoever sees it can tell.
type Device struct {
	Address string
	Name    string // as it names itself, the User-Agent of a browser
}

func (d Device) check() error {
	if err := directory.CheckText("address", d.Address, directory.OriginMax, false); err != nil {
		return err
	}
	return directory.CheckText("device", d.Name, directory.SessionDeviceMax, false)
}

func checkMethods(methods []string) error {
	if len(methods) > directory.SessionMethodsMax {
		return directory.Invalid("amr", "more than %d methods", directory.SessionMethodsMax)
	}
	for _, m := range methods {
		if err := directory.CheckText("amr", m, 32, true); err != nil {
			return err
		}
	}
	return nil
}

func (s *Sessions) mint(org *state.Org, user *directory.User, session *directory.Session) (Minted, error) {
	secret, err := OpenSecret(s.ring, s.gate.Root().System())
	if err != nil {
		return Minted{}, err
	}
	return s.tokens.Mint(org, secret, user, session)
}

type refreshToken struct {
	token  string
	hash   [32]byte
	sealed []byte
}

// nextRefresh makes a refresh token. The session keeps it sealed for as long
// as it is the newest, to answer a repeat whose first answer was lost.
func (s *Sessions) nextRefresh(org directory.OrgID, id directory.SessionID) (refreshToken, error) {
	token, hash := access.NewRefreshToken(org, id)
	sealed, err := s.ring.Seal(refreshPurpose(id), []byte(token))
	return refreshToken{token, hash, sealed}, err
}

func refreshPurpose(id directory.SessionID) string { return "refresh-token " + id.String() }

// errRefresh is the one answer to every refresh token that is not valid.
func errRefresh() error { return directory.Unauthenticated("the refresh token is not valid") }

// Refresh rotates a refresh token in one entry, for the client that the token was
// issued to; zero when it was issued to none. The same token again within the grace
// answers with the same successor; later, it ends the session.
func (s *Sessions) Refresh(ctx context.Context, presented string, client directory.ClientID) (Grant, error) {
	return s.refresh(ctx, presented, client, holder{})
}

// refresh is Refresh by whoever has shown a key: a session stays with the one that its
// tokens are bound to.
func (s *Sessions) refresh(ctx context.Context, presented string, client directory.ClientID, with holder) (Grant, error) {
	orgID, id, ok := access.ParseRefreshToken(presented)
	if !ok {
		return Grant{}, errRefresh()
	}
	org, session, err := s.find(ctx, orgID, id)
	if err != nil || session.Client != client || session.Key != with.key {
		return Grant{}, cmp.Or(err, errRefresh())
	}
	user, ok := org.User(session.User)
	if !ok || !user.Active {
		return Grant{}, errRefresh()
	}
	next, err := s.nextRefresh(orgID, id)
	if err != nil {
		return Grant{}, err
	}
	refreshed := *session
	refreshed.Refreshed = directory.TimeOf(s.tokens.now())
	minted, err := s.mint(org, user, &refreshed)
	if err != nil {
		return Grant{}, err
	}
	result, err := s.gate.ProposeAsNode(ctx, orgID, &fsm.RefreshSession{
		ID: id, Presented: access.Hash(presented),
		Refresh: next.hash, Successor: next.sealed, Token: minted.Entry, Key: with.key,
	})
	if err != nil {
		return Grant{}, err
	}
	return s.refreshed(ctx, orgID, id, next, minted, result)
}

// find looks once more in the newest state for a session that this node does not know:
// another node may have opened it a moment ago, and a client that hears no throws its
// token away.
func (s *Sessions) find(ctx context.Context, orgID directory.OrgID, id directory.SessionID) (*state.Org, *directory.Session, error) {
	for fresh := false; ; fresh = true {
		org, ok := s.gate.Root().Org(orgID)
		if !ok {
			return nil, nil, errRefresh()
		}
		if session, ok := org.Session(id); ok {
			return org, session, nil
		}
		if fresh {
			return nil, nil, errRefresh()
		}
		if err := s.gate.Fresh(ctx); err != nil {
			return nil, nil, err
		}
	}
}

func (s *Sessions) refreshed(ctx context.Context, orgID directory.OrgID, id directory.SessionID, next refreshToken, minted Minted, result fsm.Result) (Grant, error) {
	org, ok := s.gate.Root().Org(orgID)
	if !ok {
		return Grant{}, errRefresh()
	}
	session, ok := org.Session(id)
	if !ok || session.Ended != 0 {
		return Grant{}, errRefresh()
	}
	grant := Grant{
		Session: id, AccessToken: minted.Token, ExpiresIn: minted.Life, RefreshToken: next.token, Index: result.Index,
	}
	if !result.Outcome.Changed { // a repeat within the grace
		plain, err := s.ring.Open(refreshPurpose(id), session.Successor)
		if err != nil {
			return Grant{}, errors.Join(errRefresh(), err)
		}
		grant.RefreshToken = string(plain)
	}
	s.enforced(ctx, result.Index)
	return grant, nil
}

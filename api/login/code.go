package login

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// StartForClient gives a token of client credentials, in a standing session where it can:
// what ends that one ends every token of it, so none of them needs an entry.
func (s *Sessions) StartForClient(ctx context.Context, org *state.Org, client *directory.Client, w wish, with holder) (Grant, string, error) {
	account, ok := org.User(client.Account)
	if !ok || !account.Active {
		return Grant{}, "", failed(400, "unauthorized_client", "the service account of the client is deactivated")
	}
	if !s.mayStand(org, with) {
		return s.startSingle(ctx, org, client, account, w, with)
	}
	org, session, err := s.stands(ctx, org, &wanted{client, w, s.tokens.now()})
	if err != nil {
		return Grant{}, "", err
	}
	if account, ok = org.User(session.User); !ok { // the session would have gone with it
		return Grant{}, "", errClient()
	}
	signed, err := s.tokens.sign(org, account, session)
	if err != nil {
		return Grant{}, "", err
	}
	return Grant{Session: session.ID, AccessToken: signed.token, ExpiresIn: signed.life(), Index: session.Version}, scopeText(session), nil
}

// mayStand reports whether tokens may be minted of which the log knows nothing. Where
// something enforces it must: the kernel knows tokens by what the log has of them, and
// lets no other through. One that is bound to a key has cost an entry already, for its
// proof, and keys that live as short as a function would each keep a session for an hour.
func (s *Sessions) mayStand(org *state.Org, with holder) bool {
	return org.Services() == 0 && !with.shown() && s.gate.Root().System().Level() >= standingLevel
}

// startSingle opens the short session of one token, which ends with it.
func (s *Sessions) startSingle(ctx context.Context, org *state.Org, client *directory.Client, account *directory.User, w wish, with holder) (Grant, string, error) {
	now := directory.TimeOf(s.tokens.now())
	session := &directory.Session{
		ID: access.NewID[directory.SessionID](s.tokens.now()), User: account.ID, Client: client.ID,
		Bounded: w.bounded, Permissions: w.permissions, Created: now, Refreshed: now, Single: true, Key: with.key,
	}
	minted, err := s.mint(org, account, session)
	if err != nil {
		return Grant{}, "", err
	}
	result, err := s.gate.ProposeAsNode(ctx, org.ID(), &fsm.StartSession{
		ID: session.ID, User: account.ID, Token: minted.Entry,
		Client: client.ID, Bounded: session.Bounded, Permissions: session.Permissions, Key: session.Key,
	})
	if err != nil {
		return Grant{}, "", err
	}
	s.enforced(ctx, result.Index)
	return Grant{Session: session.ID, AccessToken: minted.Token, ExpiresIn: minted.Life, Index: result.Index}, scopeText(session), nil
}

// signedIn is a person who has proved who they are, for a client.
type signedIn struct {
	user    directory.UserID
	methods []string
	device  Device
}

// StartWithCode opens the session of a person who signs in for a client, and gives
// the code by which the client gets its tokens.
func (s *Sessions) StartWithCode(ctx context.Context, a *authorization, who signedIn) (code string, err error) {
	now := s.tokens.now()
	id := access.NewID[directory.SessionID](now)
	code, hash := access.NewCode(a.org.ID(), id)
	_, err = s.gate.ProposeAsNode(ctx, a.org.ID(), &fsm.StartSession{
		ID: id, User: who.user, Methods: who.methods, Client: a.client.ID,
		Scope: a.wish.scope, Bounded: a.wish.bounded, Permissions: a.wish.permissions,
		Code: &directory.Code{
			Hash: hash, Redirect: a.redirect, Challenge: a.challenge, Nonce: a.nonce,
			Expires: directory.TimeOf(now).Add(directory.CodeLife), Key: a.key,
		},
		Address: who.device.Address, Device: who.device.Name,
	})
	return code, err
}

// Redeemed is what a code becomes.
type Redeemed struct {
	Grant
	Scope   string
	IDToken string // empty unless the client asked who the person is
}

// verifierMin and verifierMax are RFC 7636's, section 4.1.
const verifierMin, verifierMax = 43, 128

func errCode() error { return failed(400, "invalid_grant", "the code is not valid") }

// Redeem takes a code for the tokens of its session, in one entry on whichever node:
// of two at the same time one is the first, and the other ends the session.
func (s *Sessions) Redeem(ctx context.Context, org *state.Org, client *directory.Client, code, redirect, verifier string, with holder) (Redeemed, error) {
	owner, id, ok := access.ParseCode(code)
	if !ok || owner != org.ID() || len(verifier) < verifierMin || len(verifier) > verifierMax {
		return Redeemed{}, errCode()
	}
	return s.redeem(ctx, org, client, id, &fsm.RedeemCode{
		Presented: access.Hash(code), Redirect: redirect, Verifier: sha256.Sum256([]byte(verifier)),
	}, with)
}

// redeem fills in what every redemption has.
func (s *Sessions) redeem(ctx context.Context, org *state.Org, client *directory.Client, id directory.SessionID, c *fsm.RedeemCode, with holder) (Redeemed, error) {
	session, ok := org.Session(id)
	if !ok || session.Code == nil || session.Client != client.ID {
		return Redeemed{}, errCode()
	}
	user, ok := org.User(session.User)
	if !ok || !user.Active {
		return Redeemed{}, errCode()
	}
	var next refreshToken
	var err error
	if client.Allows(directory.GrantRefreshToken) {
		if next, err = s.nextRefresh(org.ID(), id); err != nil {
			return Redeemed{}, err
		}
	}
	after := *session
	after.Code, after.Key = nil, with.key
	after.Refreshed, after.Single = directory.TimeOf(s.tokens.now()), next.token == ""
	minted, err := s.mint(org, user, &after)
	if err != nil {
		return Redeemed{}, err
	}
	c.ID, c.Client, c.Refresh, c.Successor, c.Token, c.Key = id, client.ID, next.hash, next.sealed, minted.Entry, with.key
	result, err := s.gate.ProposeAsNode(ctx, org.ID(), c)
	if err != nil {
		return Redeemed{}, err
	}
	return s.redeemed(ctx, session, next, minted, result)
}

func (s *Sessions) redeemed(ctx context.Context, before *directory.Session, next refreshToken, minted Minted, result fsm.Result) (Redeemed, error) {
	org, ok := s.gate.Root().Org(result.Delta.Org)
	if !ok {
		return Redeemed{}, errCode()
	}
	session, ok := org.Session(before.ID)
	if !ok || session.Ended != 0 { // the code was used before, or the session has ended since
		return Redeemed{}, errCode()
	}
	s.enforced(ctx, result.Index)
	out := Redeemed{Scope: scopeText(session), Grant: Grant{
		Session: session.ID, AccessToken: minted.Token, ExpiresIn: minted.Life, RefreshToken: next.token, Index: result.Index,
	}}
	if !slices.Contains(session.Scope, "openid") {
		return out, nil
	}
	var err error
	out.IDToken, err = s.tokens.MintID(org, session, before.Code.Nonce, minted.Token)
	return out, err
}

// MintID signs an ID token (OpenID Connect Core, section 2) for the client of a
// session. It says who signed in, when and how, and belongs to one access token.
func (t *Tokens) MintID(org *state.Org, session *directory.Session, nonce, accessToken string) (string, error) {
	key, err := t.signer(org, session)
	if err != nil {
		return "", err
	}
	now := t.now().Truncate(time.Second)
	half := sha256.Sum256([]byte(accessToken))
	builder := jwt.NewBuilder().
		Issuer(t.Issuer(org.Record().Slug)).
		Subject(session.User.String()).
		Audience([]string{session.Client.String()}).
		IssuedAt(now).
		Expiration(now.Add(directory.AccessTokenLife)).
		Claim("auth_time", session.Created.Std().Unix()).
		Claim("at_hash", base64.RawURLEncoding.EncodeToString(half[:len(half)/2])).
		Claim(claimMethods, methods(session)).
		Claim(claimSession, session.ID.String()).
		Claim(claimOrg, org.ID().String())
	if nonce != "" {
		builder = builder.Claim("nonce", nonce)
	}
	token, err := builder.Build()
	if err != nil {
		return "", fmt.Errorf("mint ID token: %w", err)
	}
	signed, err := sign(token, key, typeID)
	if err != nil {
		return "", fmt.Errorf("mint ID token: %w", err)
	}
	return signed, nil
}

// challengeOf reads a code challenge of the method S256: the SHA-256 of the verifier
// in base64url without padding.
func challengeOf(text string) (sum [32]byte, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(sum) {
		return sum, false
	}
	return [32]byte(b), true
}

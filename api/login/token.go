package login

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// Claims of an access token beyond RFC 7519, fixed by the contract.
const (
	claimSession     = "sid"
	claimOrg         = "org_id"
	claimRoles       = "roles"
	claimGroups      = "groups"
	claimPermissions = "permissions"
	claimMethods     = "amr"
	claimIndex       = "ri" // applied index at mint
	claimClient      = "client_id"
	claimScope       = "scope"
	typeAccess       = "at+jwt"
	typeID           = "JWT"
)

// skew is how far the clocks of two nodes may be apart.
const skew = 5 * time.Second

// Tokens mints and verifies access tokens.
type Tokens struct {
	ring   *keyring.Keyring
	issuer string // https://HOST, without the organization's path
	now    func() time.Time

	signers signers
}

// NewTokens takes the base of the issuer URL from configuration, never from a
// request.
func NewTokens(ring *keyring.Keyring, issuer string, now func() time.Time) *Tokens {
	return &Tokens{ring: ring, issuer: strings.TrimRight(issuer, "/"), now: now}
}

// Issuer is the OIDC issuer of an organization.
func (t *Tokens) Issuer(slug string) string { return t.issuer + "/o/" + slug }

// Minted is a signed token and what the log remembers of it.
type Minted struct {
	Token string
	Life  time.Duration
	Entry directory.AccessToken
}

// signedToken is a token and when it is good.
type signedToken struct {
	token       string
	now, expire time.Time
	kid         string
}

func (s *signedToken) life() time.Duration { return s.expire.Sub(s.now) }

// sign signs an access token for a session of a user, from one root. It does not outlive
// the session.
func (t *Tokens) sign(org *state.Org, user *directory.User, session *directory.Session) (*signedToken, error) {
	now := t.now().Truncate(time.Second)
	expires := now.Add(directory.AccessTokenLife)
	if end := session.Expires(org.Record().SignIn).Std().Truncate(time.Second); end.Before(expires) {
		expires = end
	}
	key, err := t.signer(org, session)
	if err != nil {
		return nil, err
	}
	payload, err := t.fit(t.claims(org, user, session, now, expires), org, session, key)
	if err != nil {
		return nil, fmt.Errorf("mint access token: %w", err)
	}
	token, err := key.compact(typeAccess, payload)
	if err != nil {
		return nil, fmt.Errorf("mint access token: %w", err)
	}
	return &signedToken{token, now, expires, key.kid}, nil
}

// Mint signs an access token of which the log is to know.
func (t *Tokens) Mint(org *state.Org, secret *Secret, user *directory.User, session *directory.Session) (Minted, error) {
	signed, err := t.sign(org, user, session)
	if err != nil {
		return Minted{}, err
	}
	return Minted{Token: signed.token, Life: signed.life(), Entry: directory.AccessToken{
		Key:       secret.Key(signed.token),
		Length:    uint32(len(signed.token)),
		NotBefore: directory.TimeOf(signed.now.Add(-skew)),
		Expires:   directory.TimeOf(signed.expire),
		Signer:    directory.SignerOf(signed.kid),
	}}, nil
}

// signer opens the key for the tokens of a session: its client may ask for another
// than the organization's first.
func (t *Tokens) signer(org *state.Org, session *directory.Session) (*signer, error) {
	var by directory.KeyAlgorithm
	if client, ok := org.Client(session.Client); ok {
		by = client.Algorithm
	}
	return t.signers.of(t.ring, org, by)
}

// accessClaims are what an access token says, in the order in which it is written.
type accessClaims struct {
	Issuer   string            `json:"iss"`
	Audience []string          `json:"aud"`
	Subject  string            `json:"sub"`
	Issued   int64             `json:"iat"`
	Expires  int64             `json:"exp"`
	ID       string            `json:"jti"`
	Session  string            `json:"sid"`
	Org      string            `json:"org_id"`
	Methods  []string          `json:"amr"`
	Index    uint64            `json:"ri"`
	Binding  map[string]string `json:"cnf,omitempty"`
	Client   string            `json:"client_id,omitempty"`
	Scope    *string           `json:"scope,omitempty"` // of a client's token it is there though it is empty

	// The rights, in one of the wordings.
	Roles          []string `json:"roles"`
	Groups         []string `json:"groups"`
	Permissions    any      `json:"permissions"`
	RolesRef       string   `json:"roles_ref,omitempty"`
	GroupsRef      string   `json:"groups_ref,omitempty"`
	PermissionsRef string   `json:"permissions_ref,omitempty"`
}

// claims are all but the rights.
func (t *Tokens) claims(org *state.Org, user *directory.User, session *directory.Session, now, expires time.Time) *accessClaims {
	issuer := t.Issuer(org.Record().Slug)
	c := &accessClaims{
		Issuer: issuer, Audience: []string{issuer}, Subject: user.ID.String(), Issued: now.Unix(), Expires: expires.Unix(),
		ID:      directory.RequestIDText(access.NewID[directory.RequestID](now)),
		Session: session.ID.String(), Org: org.ID().String(), Methods: methods(session), Index: uint64(org.Applied()),
	}
	if session.Bound() {
		c.Binding = binding(session.Key)
	}
	return c
}

var _ access.Verifier = (*Tokens)(nil)

// Verify implements access.Verifier: signature by a key of the organization
// that the token names, type, issuer, audience and times, and then what no
// signature can tell: the session lives and the user is active.
func (t *Tokens) Verify(root *state.Root, token string) (access.Session, error) {
	s, err := t.verify(root, token)
	if err != nil {
		return access.Session{}, directory.Unauthenticated("the access token is not valid")
	}
	return s, nil
}

func (t *Tokens) verify(root *state.Root, token string) (s access.Session, err error) {
	if err := checkSpelling(token); err != nil {
		return s, err
	}
	unverified, err := jwt.ParseInsecure([]byte(token))
	if err != nil {
		return s, err
	}
	if s.Org, err = claimID(unverified, claimOrg, directory.ParseOrgID); err != nil {
		return s, err
	}
	org, ok := root.Org(s.Org)
	if !ok {
		return s, directory.NotFound("organization")
	}
	s, _, err = t.readSpelt(org, token)
	if err != nil {
		return s, err
	}
	if err := t.live(org, s); err != nil {
		return s, err
	}
	session, _ := org.Session(s.ID) // is there, or the token would not live
	s.Client = session.Client
	return s, nil
}

// read says which session of an organization a token names. The signature and the
// times are good; whether the session lives is not asked.
func (t *Tokens) read(org *state.Org, token string) (s access.Session, verified jwt.Token, err error) {
	if err := checkSpelling(token); err != nil {
		return s, nil, err
	}
	return t.readSpelt(org, token)
}

// readSpelt is read of a token whose spelling was looked at.
func (t *Tokens) readSpelt(org *state.Org, token string) (s access.Session, verified jwt.Token, err error) {
	s.Org = org.ID()
	verified, s.Key, err = t.check(org, token)
	if err != nil {
		return s, nil, err
	}
	subject, _ := verified.Subject()
	if s.User, err = directory.ParseUserID(subject); err != nil {
		return s, nil, err
	}
	if s.ID, err = claimID(verified, claimSession, directory.ParseSessionID); err != nil {
		return s, nil, err
	}
	named, err := claimID(verified, claimOrg, directory.ParseOrgID)
	if err != nil || named != s.Org {
		return s, nil, fmt.Errorf("token is of another organization")
	}
	expires, _ := verified.Expiration() // required by check
	s.Expires = directory.TimeOf(expires)
	return s, verified, nil
}

// Live implements access.Verifier. A key that is there is the one that was: its
// name is made of it.
func (t *Tokens) Live(root *state.Root, verified access.Session) error {
	org, ok := root.Org(verified.Org)
	if ok {
		_, ok = org.Key(verified.Key)
	}
	if !ok || !t.now().Before(verified.Expires.Std().Add(skew)) || t.live(org, verified) != nil {
		return directory.Unauthenticated("the access token is not valid any more")
	}
	return nil
}

func claimID[ID any](token jwt.Token, name string, parse func(string) (ID, error)) (id ID, err error) {
	var text string
	if err := token.Get(name, &text); err != nil {
		return id, err
	}
	return parse(text)
}

var errKeyUnknown = errors.New("token names an unknown key")

// check verifies with the organization's published keys only: the algorithm
// comes from the key, never from the header, and embedded keys are not read.
func (t *Tokens) check(org *state.Org, token string) (verified jwt.Token, kid string, err error) {
	by, key, kid, err := keyOf(org, token, typeAccess)
	if err != nil {
		return nil, "", err
	}
	issuer := t.Issuer(org.Record().Slug)
	verified, err = jwt.Parse([]byte(token),
		jwt.WithKey(by, key),
		jwt.WithValidate(true),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(issuer),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithAcceptableSkew(skew),
		jwt.WithClock(jwt.ClockFunc(t.now)),
	)
	return verified, kid, err
}

// idToken verifies an ID token but for its times.
func (t *Tokens) idToken(org *state.Org, token string) (jwt.Token, error) {
	by, key, _, err := keyOf(org, token, typeID)
	if err != nil {
		return nil, err
	}
	verified, err := jwt.Parse([]byte(token), jwt.WithKey(by, key), jwt.WithValidate(false))
	if err != nil {
		return nil, err
	}
	if issuer, _ := verified.Issuer(); issuer != t.Issuer(org.Record().Slug) {
		return nil, fmt.Errorf("token of another issuer")
	}
	return verified, nil
}

// keyOf finds the organization's key that a token of a type names.
func keyOf(org *state.Org, token, wanted string) (by jwa.SignatureAlgorithm, key jwk.Key, kid string, err error) {
	message, err := jws.Parse([]byte(token))
	if err != nil {
		return by, nil, "", err
	}
	if len(message.Signatures()) != 1 {
		return by, nil, "", fmt.Errorf("token has %d signatures", len(message.Signatures()))
	}
	header := message.Signatures()[0].ProtectedHeaders()
	if typ, _ := header.Type(); typ != wanted {
		return by, nil, "", fmt.Errorf("token has type %q", typ)
	}
	kid, _ = header.KeyID()
	stored, ok := org.Key(kid)
	if !ok {
		return by, nil, "", errKeyUnknown
	}
	key, err = verifying(stored)
	return jwaOf(stored.Signs()), key, kid, err
}

func (t *Tokens) live(org *state.Org, s access.Session) error {
	session, ok := org.Session(s.ID)
	if !ok || session.User != s.User || !session.Live(directory.TimeOf(t.now()), org.Record().SignIn) {
		return directory.Unauthenticated("the session has ended")
	}
	if origin, ok := org.Session(session.Origin); !session.Origin.IsZero() && (!ok || !origin.Live(directory.TimeOf(t.now()), org.Record().SignIn)) {
		return directory.Unauthenticated("the session that this one came of has ended")
	}
	if _, ok := org.Client(session.Client); !ok && !session.Client.IsZero() {
		return directory.Unauthenticated("the client is gone")
	}
	if !org.Record().Active() {
		return directory.Unauthenticated("the organization is suspended")
	}
	if u, ok := org.User(s.User); !ok || !u.Active {
		return directory.Unauthenticated("the user is deactivated")
	}
	return nil
}

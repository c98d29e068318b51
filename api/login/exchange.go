package login

import (
	"context"
	"net/http"
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// accessTokenType is the one type of token that is exchanged, for another of its kind
// (RFC 8693, section 3).
const accessTokenType = "urn:ietf:params:oauth:token-type:access_token"

// exchange is the grant of RFC 8693, narrowly: a client that was shown a user's access
// token gets one of the same user for itself, which is good for no more and no longer.
// Nobody acts for somebody else, and nothing leaves the organization.
func (h *handler) exchange(ctx context.Context, t *tokenRequest) (map[string]any, error) {
	if !t.presented {
		return nil, errClient()
	}
	org, client, err := h.client(ctx, t.slug, t.proof, t.holder)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(client, directory.GrantTokenExchange, t.holder); err != nil {
		return nil, err
	}
	if err := checkExchange(t, h.tokens.Issuer(t.slug)); err != nil {
		return nil, err
	}
	subject, verified, err := h.tokens.read(org, t.fields.Get("subject_token"))
	if err != nil || h.tokens.live(org, subject) != nil {
		return nil, errSubject()
	}
	origin, _ := org.Session(subject.ID) // is there, or the token would not live
	if !origin.Origin.IsZero() || origin.Bound() {
		return nil, errSubject() // what was exchanged once is not again, and a bound token is its holder's
	}
	wish, err := narrowed(client.Client, origin, t.fields.Get("scope"))
	if err != nil {
		return nil, err
	}
	expires, _ := verified.Expiration()
	grant, scope, err := h.sessions.StartExchanged(ctx, org, client.Client, origin, directory.TimeOf(expires), wish, t.holder)
	if err != nil {
		return nil, err
	}
	body := tokenBody(grant, t.holder)
	body["scope"], body["issued_token_type"] = scope, accessTokenType
	return body, nil
}

func errSubject() error {
	return failed(http.StatusBadRequest, "invalid_request", "the subject_token is not one to exchange") // RFC 8693, section 2.2.2
}

// checkExchange refuses what this exchange does not do.
func checkExchange(t *tokenRequest, issuer string) error {
	invalid := func(detail string) error { return failed(http.StatusBadRequest, "invalid_request", detail) }
	wanted := t.fields.Get("requested_token_type")
	switch {
	case t.fields.Get("subject_token") == "" || t.fields.Get("subject_token_type") != accessTokenType:
		return invalid("a subject_token of the type access_token is required")
	case t.fields.Get("actor_token") != "" || t.fields.Get("actor_token_type") != "": // one without a value is not there (RFC 6749, section 3.2)
		return invalid("nobody acts for somebody else here")
	case wanted != "" && wanted != accessTokenType:
		return invalid("only access tokens are given")
	}
	for _, name := range []string{"audience", "resource"} {
		if target := t.fields.Get(name); target != "" && target != issuer {
			return failed(http.StatusBadRequest, "invalid_target", "tokens are for the services of this issuer")
		}
	}
	return nil
}

// narrowed is what a client may have of what a session has. What the client names and
// the session does not have is an error.
func narrowed(client *directory.Client, origin *directory.Session, scope string) (wish, error) {
	w, err := wished(client, scope)
	if err != nil {
		return wish{}, err
	}
	beyond := failed(http.StatusBadRequest, "invalid_scope", "the subject_token may do less")
	named := scope != "" && (w.bounded && len(w.permissions) > 0) && !slices.Equal(w.permissions, client.Permissions)
	if slices.ContainsFunc(w.scope, func(s string) bool { return !slices.Contains(origin.Scope, s) }) {
		return wish{}, beyond
	}
	if !origin.Bounded {
		return w, nil
	}
	var both []directory.Permission
	for _, p := range w.permissions {
		if origin.Covers(p) {
			both = append(both, p)
		} else if named {
			return wish{}, beyond
		}
	}
	for _, p := range origin.Permissions { // where the client has a wildcard, the session's names count
		if client.Covers(p) && (!w.bounded || slices.ContainsFunc(w.permissions, func(q directory.Permission) bool { return covered(q, p) })) {
			both = append(both, p)
		}
	}
	slices.Sort(both)
	w.bounded, w.permissions = true, slices.Compact(both)
	return w, nil
}

// covered reports whether one permission is another, or its wildcard.
func covered(by, p directory.Permission) bool {
	wildcard, ok := p.Wildcard()
	return by == p || ok && by == wildcard
}

// StartExchanged opens the session that comes of another for a client. It has one
// access token and ends with it, with the other session, and with the token that was
// exchanged.
func (s *Sessions) StartExchanged(ctx context.Context, org *state.Org, client *directory.Client, origin *directory.Session, until directory.Time, w wish, with holder) (Grant, string, error) {
	user, ok := org.User(origin.User)
	if !ok {
		return Grant{}, "", errSubject()
	}
	now := directory.TimeOf(s.tokens.now())
	session := &directory.Session{
		ID: access.NewID[directory.SessionID](s.tokens.now()), User: user.ID, Methods: origin.Methods, Client: client.ID, Scope: w.scope,
		Bounded: w.bounded, Permissions: w.permissions, Created: now, Refreshed: now, Single: true,
		Origin: origin.ID, Until: until, Key: with.key,
	}
	minted, err := s.mint(org, user, session)
	if err != nil {
		return Grant{}, "", err
	}
	result, err := s.gate.ProposeAsNode(ctx, org.ID(), &fsm.StartSession{
		ID: session.ID, User: user.ID, Methods: session.Methods, Token: minted.Entry, Client: client.ID, Scope: session.Scope,
		Bounded: session.Bounded, Permissions: session.Permissions, Origin: origin.ID, Until: until, Key: with.key,
	})
	if err != nil {
		return Grant{}, "", err
	}
	s.enforced(ctx, result.Index)
	return Grant{Session: session.ID, AccessToken: minted.Token, ExpiresIn: minted.Life, Index: result.Index}, scopeText(session), nil
}

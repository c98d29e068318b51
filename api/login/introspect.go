package login

import (
	"context"
	"net/http"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// introspect is RFC 7662. It answers from a state that misses no acknowledged write:
// who asks instead of verifying by itself wants to know what is true now, and
// without a quorum nobody knows.
func (h *handler) introspect(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := form(w, r)
	if !ok {
		return
	}
	org, client, err := h.introspector(r, name)
	if err != nil {
		refuseIntrospector(w, err)
		return
	}
	if fields.Get("token") == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "token is missing")
		return
	}
	// The hint could only save a look: the two forms cannot be mistaken.
	told := h.tokens.describe(org, client, fields.Get("token"))
	if told == nil {
		told = map[string]any{"active": false}
	}
	answer(w, http.StatusOK, "no-store", told)
}

// introspector is who asks: a client that can prove itself, as the services have
// that people's tokens are shown to, or a bearer of a credential that may read the
// directory.
func (h *handler) introspector(r *http.Request, slug string) (*state.Org, directory.ClientID, error) {
	if bearer := access.Bearer(r.Header); bearer != "" {
		org, err := h.reader(r.Context(), slug, bearer)
		return org, directory.ClientID{}, err
	}
	proof, presented, err := proofOf(r, r.PostForm)
	if err != nil || !presented {
		return nil, directory.ClientID{}, errClient()
	}
	org, client, err := h.client(r.Context(), slug, proof, holder{})
	if err != nil {
		return nil, directory.ClientID{}, err
	}
	if client.Public { // anybody can say its name
		return nil, directory.ClientID{}, errClient()
	}
	return org, client.ID, nil
}

func (h *handler) reader(ctx context.Context, slug, bearer string) (*state.Org, error) {
	caller, err := h.gate.AuthenticateFresh(ctx, bearer)
	if err != nil {
		return nil, err
	}
	org, exists := h.organization(slug)
	if !exists {
		return nil, directory.NotFound("organization")
	}
	pass, err := h.gate.Admit(ctx, caller, org.ID(), "tokens.introspect", access.Freshness{Linearizable: true})
	if err != nil {
		return nil, err
	}
	return pass.View(), nil
}

func refuseIntrospector(w http.ResponseWriter, err error) {
	switch directory.KindOf(err) {
	case directory.KindDenied:
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope"`)
		refuse(w, http.StatusForbidden, "insufficient_scope", "permission "+string(directory.ReadDirectory)+" is required")
	case directory.KindUnauthenticated, directory.KindNotFound: // an organization that is not the caller's is not there
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		refuse(w, http.StatusUnauthorized, "invalid_token", "a valid credential is required")
	default:
		fail(w, err)
	}
}

// describe tells what a token is that may be used now; nil for every other text. The
// permissions are those of now, whatever the token itself says. A refresh token is told
// to no client but its own: nobody shows it to a service.
func (t *Tokens) describe(org *state.Org, asker directory.ClientID, token string) map[string]any {
	if session, ok := t.refreshSession(org, token); ok {
		mine := asker.IsZero() || asker == session.Client
		if user, ok := org.User(session.User); ok && mine && access.Matches(token, session.Refresh) {
			told := t.about(org, user, session)
			told["exp"] = session.Expires(org.Record().SignIn).Std().Unix()
			return told
		}
		return nil
	}
	s, verified, err := t.read(org, token)
	if err != nil || t.live(org, s) != nil {
		return nil
	}
	user, _ := org.User(s.User) // is there, or the token would not live
	session, _ := org.Session(s.ID)
	told := t.about(org, user, session)
	told["token_type"] = "Bearer"
	if session.Bound() {
		told["token_type"] = "DPoP"
	}
	told["exp"] = s.Expires.Std().Unix()
	issued, _ := verified.IssuedAt()
	told["iat"] = issued.Unix()
	told["jti"], _ = verified.JwtID()
	return told
}

// about is what an access token and a refresh token of a session have in common.
func (t *Tokens) about(org *state.Org, user *directory.User, session *directory.Session) map[string]any {
	issuer := t.Issuer(org.Record().Slug)
	told := map[string]any{
		"active": true, "iss": issuer, "aud": []string{issuer}, "sub": user.ID.String(), "username": user.UserName,
		claimSession: session.ID.String(), claimOrg: org.ID().String(),
		claimMethods: methods(session), claimIndex: uint64(org.Applied()),
	}
	for name, list := range rightsOf(org, session) {
		told[name] = list
	}
	if session.Bound() {
		told[claimBinding] = binding(session.Key)
	}
	if !session.Client.IsZero() {
		told[claimClient], told[claimScope] = session.Client.String(), scopeText(session)
	}
	return told
}

// refreshSession is the session that a refresh token names, if it is one of the
// organization and lives; whether its secret is right is not asked.
func (t *Tokens) refreshSession(org *state.Org, token string) (*directory.Session, bool) {
	owner, id, ok := access.ParseRefreshToken(token)
	if !ok || owner != org.ID() {
		return nil, false
	}
	session, ok := org.Session(id)
	if !ok || t.live(org, access.Session{Org: owner, User: session.User, ID: id}) != nil {
		return nil, false
	}
	return session, true
}

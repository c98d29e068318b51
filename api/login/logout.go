package login

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// logout is RP-initiated logout of OpenID Connect: whoever shows an ID token ends its
// session, whether the token has expired or not, and is sent to where the client has
// registered. Without an ID token nobody is signed out: there is no session of a
// browser here that could be meant, and anybody can send a browser anywhere.
func (h *handler) logout(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := pageFields(w, r)
	if !ok {
		return
	}
	to, err := h.signedOut(r.Context(), name, fields)
	switch {
	case err != nil:
		h.turnAway(w, r, name, nil, err)
	case to == "":
		show(w, http.StatusOK, signedOutPage, nil)
	default:
		secure(w)
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusSeeOther)
	}
}

// signedOut ends the session and says where to go; nowhere when that is empty. The end
// stands in the log before anybody hears of it.
func (h *handler) signedOut(ctx context.Context, slug string, fields url.Values) (string, error) {
	unknown := &errPage{"You cannot be signed out: the application has not shown who is signed in (id_token_hint)."}
	org, ok, err := h.newest(ctx, slug)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", unknown
	}
	session, client, ok := h.tokens.hinted(org, fields.Get("id_token_hint"))
	if !ok || fields.Get("client_id") != "" && fields.Get("client_id") != client.ID.String() {
		return "", unknown
	}
	to := fields.Get("post_logout_redirect_uri")
	if to != "" && !slices.Contains(client.PostLogout, to) {
		return "", &errPage{"The application is set up wrongly: the address to go to after signing out (post_logout_redirect_uri) is not one that it has registered."}
	}
	_, err = h.gate.ProposeAsNode(ctx, org.ID(), &fsm.EndSession{ID: session, Reason: "signed out"})
	if err != nil && directory.KindOf(err) != directory.KindNotFound { // forgotten since
		return "", err
	}
	if state := fields.Get("state"); to != "" && state != "" {
		separator := "?"
		if strings.Contains(to, "?") {
			separator = "&"
		}
		to += separator + url.Values{"state": {state}}.Encode()
	}
	return to, nil
}

// hinted reads an ID token of ours without regard to when it was good: its key must
// still verify.
func (t *Tokens) hinted(org *state.Org, hint string) (id directory.SessionID, client *directory.Client, ok bool) {
	if len(hint) > access.CredentialMax || checkSpelling(hint) != nil {
		return id, nil, false
	}
	unverified, err := jwt.ParseInsecure([]byte(hint))
	if err != nil {
		return id, nil, false
	}
	audience, _ := unverified.Audience()
	if len(audience) != 1 {
		return id, nil, false
	}
	named, err := directory.ParseClientID(audience[0])
	if err != nil {
		return id, nil, false
	}
	if client, ok = org.Client(named); !ok {
		return id, nil, false
	}
	token, err := t.idToken(org, hint)
	if err != nil {
		return id, nil, false
	}
	id, err = claimID(token, claimSession, directory.ParseSessionID)
	return id, client, err == nil
}

// Logout is one session of which its client is to be told.
type Logout struct {
	URL   string
	Token string
}

// LogoutOf signs the token by which a client is told of the end of a session (OpenID
// Connect Back-Channel Logout, section 2.4); false when nobody is to be told any more.
func (t *Tokens) LogoutOf(org *state.Org, session *directory.Session) (Logout, bool, error) {
	client, ok := org.Client(session.Client)
	if !ok || client.Logout == "" {
		return Logout{}, false, nil
	}
	key, err := t.signer(org, session)
	if err != nil {
		return Logout{}, false, err
	}
	now := t.now().Truncate(time.Second)
	token, err := jwt.NewBuilder().
		Issuer(t.Issuer(org.Record().Slug)).
		Subject(session.User.String()).
		Audience([]string{client.ID.String()}).
		IssuedAt(now).
		Expiration(now.Add(logoutTokenLife)).
		JwtID(session.ID.String()). // the same for every try
		Claim(claimSession, session.ID.String()).
		Claim("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}).
		Build()
	if err != nil {
		return Logout{}, false, fmt.Errorf("sign logout token: %w", err)
	}
	signed, err := sign(token, key, "logout+jwt")
	if err != nil {
		return Logout{}, false, fmt.Errorf("sign logout token: %w", err)
	}
	return Logout{URL: client.Logout, Token: signed}, true, nil
}

// logoutTokenLife is what the specification recommends at most.
const logoutTokenLife = 2 * time.Minute

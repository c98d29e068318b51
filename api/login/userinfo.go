package login

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// shown is a session of which an access token was shown that lives.
type shown struct {
	org     *state.Org
	user    *directory.User
	session *directory.Session
}

// shown reads the access token in the header of a request (RFC 6750, RFC 9449) and
// answers when there is none that lives in a state that misses no acknowledged write.
func (h *handler) shown(w http.ResponseWriter, r *http.Request) (s shown, ok bool) {
	name, ok := slug(w, r)
	if !ok {
		return s, false
	}
	token, with, err := h.presented(w, r, name)
	if err != nil {
		challengeBound(w, err)
		return s, false
	}
	org, exists := h.organization(name)
	if token == "" || len(token) > access.CredentialMax || !exists || !h.tokens.couldBe(org, token) {
		challenge(w, token)
		return s, false
	}
	org, exists, err = h.newest(r.Context(), name)
	if err != nil {
		fail(w, err)
		return s, false
	}
	if s.org = org; !exists || !s.of(h.tokens, token) {
		challenge(w, token)
		return s, false
	}
	if s.session.Key != with.key { // stolen, or its proof was
		challengeBound(w, errDPoP("the token is bound to another key"))
		return s, false
	}
	if err := h.spend(r.Context(), org, with.proofs()...); err != nil {
		if directory.KindOf(err) == directory.KindUnauthenticated {
			err = errDPoP("the proof was used before")
		}
		challengeBound(w, err)
		return s, false
	}
	return s, true
}

// of finds whose token it is, if it lives.
func (s *shown) of(t *Tokens, token string) bool {
	named, _, err := t.read(s.org, token)
	if err != nil || t.live(s.org, named) != nil {
		return false
	}
	s.user, _ = s.org.User(named.User) // is there, or the token would not live
	s.session, _ = s.org.Session(named.ID)
	return true
}

// presented is the token of a request, and who has shown a key with it: a scheme of its
// own says that there is one.
func (h *handler) presented(w http.ResponseWriter, r *http.Request, slug string) (string, holder, error) {
	if token := access.Authorization(r.Header, headerDPoP); token != "" {
		with, err := h.held(w, r, h.tokens.Issuer(slug)+strings.TrimPrefix(r.URL.Path, "/o/"+slug), token)
		if err == nil && !with.shown() {
			err = errDPoP("the proof is missing")
		}
		return token, with, err
	}
	return access.Bearer(r.Header), holder{}, nil
}

// challengeBound refuses a token with its proof (RFC 9449, section 7.1).
func challengeBound(w http.ResponseWriter, err error) {
	told := new(failure)
	if !errors.As(err, &told) {
		fail(w, err)
		return
	}
	code := "invalid_token"
	if told.code == "use_dpop_nonce" {
		code = told.code
	}
	w.Header().Set("WWW-Authenticate", `DPoP error="`+code+`", algs="`+strings.Join(assertionAlgorithms, " ")+`"`)
	refuse(w, http.StatusUnauthorized, code, told.detail)
}

// userinfo is section 5.3 of OpenID Connect Core.
func (h *handler) userinfo(w http.ResponseWriter, r *http.Request) {
	s, ok := h.shown(w, r)
	if !ok {
		return
	}
	if !s.session.Client.IsZero() && !slices.Contains(s.session.Scope, "openid") {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="openid"`)
		refuse(w, http.StatusForbidden, "insufficient_scope", "the token was not granted the scope openid")
		return
	}
	answer(w, http.StatusOK, "no-store", userClaims(s.org, s.user, s.session))
}

// challenge refuses a bearer token; one that is missing is no error (RFC 6750,
// section 3.1).
func challenge(w http.ResponseWriter, token string) {
	if token == "" {
		w.Header().Set("WWW-Authenticate", "Bearer")
	} else {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	}
	refuse(w, http.StatusUnauthorized, "invalid_token", "a valid access token is required")
}

// userClaims are the standard claims of OpenID Connect Core, section 5.1, that the
// directory knows and the client was granted. What it does not know is left out.
func userClaims(org *state.Org, user *directory.User, session *directory.Session) map[string]any {
	claims := map[string]any{"sub": user.ID.String()}
	all := session.Client.IsZero() // the user's own backend
	if all || slices.Contains(session.Scope, "profile") {
		profileClaims(claims, user)
	}
	if all || slices.Contains(session.Scope, "email") {
		emailClaims(claims, org, user)
	}
	return claims
}

func profileClaims(claims map[string]any, user *directory.User) {
	for name, text := range map[string]string{
		"name": user.DisplayName, "given_name": user.GivenName, "family_name": user.FamilyName,
		"preferred_username": user.UserName,
	} {
		if text != "" {
			claims[name] = text
		}
	}
	claims["updated_at"] = user.Modified.Std().Unix()
}

// emailClaims say that an address is verified when its domain is one that the
// organization has proved: then its word is that of who owns the mailbox.
func emailClaims(claims map[string]any, org *state.Org, user *directory.User) {
	if user.Email == "" {
		return
	}
	claims["email"] = user.Email
	_, domain, _ := strings.Cut(user.Email, "@")
	claims["email_verified"] = org.Record().Proved(directory.Fold(domain))
}

package login

import (
	"context"
	"errors"
	"net/http"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// revoke is RFC 7009. Every token belongs to a session, and the session ends with
// the first of them: an access token alone would come back with the next refresh. The
// answer is 200 only when the end stands in the log, or there is nothing to end in a
// state that misses no acknowledged write.
func (h *handler) revoke(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := form(w, r)
	if !ok {
		return
	}
	if fields.Get("token") == "" {
		refuse(w, http.StatusBadRequest, "invalid_request", "token is missing")
		return
	}
	if err := h.end(r, name, fields.Get("token")); err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
}

// revokedReason is what the logs show of a session that its holder ended.
const revokedReason = "token revoked"

// end ends the session of a token for the client that it was issued to; one that was
// issued to no client is ended for whoever holds it. A text that is no token of the
// organization costs nothing, whoever sends it.
func (h *handler) end(r *http.Request, slug, token string) error {
	proof, presented, err := proofOf(r, r.PostForm)
	if err != nil {
		return err
	}
	var client directory.ClientID
	if presented {
		_, proved, err := h.client(r.Context(), slug, proof, holder{})
		if err != nil {
			return err
		}
		client = proved.ID
	}
	org, ok := h.organization(slug)
	if !ok || !h.tokens.couldBe(org, token) {
		return nil
	}
	return h.endFor(r.Context(), slug, token, client)
}

func (h *handler) endFor(ctx context.Context, slug, token string, client directory.ClientID) error {
	org, ok, err := h.newest(ctx, slug)
	if err != nil || !ok {
		return err
	}
	session, ok := h.tokens.held(org, token)
	if !ok {
		return nil
	}
	switch {
	case session.Client == client:
	case client.IsZero():
		return errClient()
	default:
		return failed(http.StatusBadRequest, "unauthorized_client", "the token was issued to another client")
	}
	_, err = h.gate.ProposeAsNode(ctx, org.ID(), &fsm.EndSession{ID: session.ID, Reason: revokedReason})
	if directory.KindOf(err) == directory.KindNotFound {
		return nil // forgotten since
	}
	return err
}

// couldBe reports whether a text may be a token of the organization that this node
// has not heard of yet.
func (t *Tokens) couldBe(org *state.Org, token string) bool {
	if owner, _, ok := access.ParseRefreshToken(token); ok {
		return owner == org.ID()
	}
	_, _, err := t.read(org, token)
	return err == nil || errors.Is(err, errKeyUnknown) // another node may sign by a newer key
}

// held is the session that a token of the organization proves to hold. A refresh
// token that was replaced proves it, too: who took it must not keep what it became.
func (t *Tokens) held(org *state.Org, token string) (*directory.Session, bool) {
	if _, id, ok := access.ParseRefreshToken(token); ok {
		session, ok := org.Session(id)
		return session, ok && (access.Matches(token, session.Refresh) || access.Matches(token, session.Previous))
	}
	s, _, err := t.read(org, token)
	if err != nil {
		return nil, false
	}
	return org.Session(s.ID)
}

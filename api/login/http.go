package login

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// jwksCache: any node serves the keys, also without a quorum; whoever has them
// may go on for a day when no node answers.
const jwksCache = "public, max-age=300, stale-while-revalidate=60, stale-if-error=86400"

// Handler serves an organization's OIDC issuer under /o/{slug}. These paths are open
// to everybody, so a slug that nobody has is answered like one that somebody has:
// what no token was ever issued for has a key that signs none, and grants nothing.
func Handler(gate *access.Gate, tokens *Tokens, sessions *Sessions) http.Handler {
	h := &handler{gate, tokens, sessions}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /o/{slug}/.well-known/openid-configuration", h.discovery)
	mux.HandleFunc("GET /o/{slug}/.well-known/jwks.json", h.jwks)
	mux.HandleFunc("POST /o/{slug}/oauth2/token", h.token)
	mux.HandleFunc("POST /o/{slug}/oauth2/introspect", h.introspect)
	mux.HandleFunc("POST /o/{slug}/oauth2/revoke", h.revoke)
	mux.HandleFunc("GET /o/{slug}/oauth2/userinfo", h.userinfo)
	mux.HandleFunc("POST /o/{slug}/oauth2/userinfo", h.userinfo)
	return mux
}

type handler struct {
	gate     *access.Gate
	tokens   *Tokens
	sessions *Sessions
}

// slug is the organization's name in the path; one that no organization can have is
// not found, whoever asks.
func slug(w http.ResponseWriter, r *http.Request) (string, bool) {
	name := r.PathValue("slug")
	if directory.CheckSlug(name) != nil {
		http.NotFound(w, r)
		return "", false
	}
	return name, true
}

func (h *handler) organization(slug string) (*state.Org, bool) {
	root := h.gate.Root()
	id, ok := root.System().OrganizationBySlug(slug)
	if !ok {
		return nil, false
	}
	return root.Org(id)
}

// discovery lists what is served and nothing that is planned.
func (h *handler) discovery(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	issuer := h.tokens.Issuer(name)
	answer(w, http.StatusOK, jwksCache, map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              issuer + "/.well-known/jwks.json",
		"token_endpoint":                        issuer + "/oauth2/token",
		"introspection_endpoint":                issuer + "/oauth2/introspect",
		"revocation_endpoint":                   issuer + "/oauth2/revoke",
		"userinfo_endpoint":                     issuer + "/oauth2/userinfo",
		"grant_types_supported":                 []string{"refresh_token"},
		"response_types_supported":              []string{},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"ES256"},
	})
}

// keys are those of the organization, or the decoy of one that is not there. The
// decoy is made in any case, so that the time does not tell either.
func (h *handler) keys(slug string) (jwk.Set, error) {
	decoy, err := decoyKey(h.tokens.ring, slug)
	if err != nil {
		return nil, err
	}
	if org, ok := h.organization(slug); ok {
		return KeySet(org)
	}
	return keySet([]*directory.SigningKey{decoy})
}

func (h *handler) jwks(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	set, err := h.keys(name)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	body, err := json.Marshal(set)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	sum := sha256.Sum256(body)
	etag := `"` + hex.EncodeToString(sum[:16]) + `"`
	w.Header().Set("ETag", etag)
	w.Header().Set("Cache-Control", jwksCache)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Write(body)
}

// token is the refresh grant of RFC 6749 §6. The refresh token is bound to its
// organization; under another one's issuer it does not exist.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	org, exists := h.organization(name)
	fields, ok := form(w, r)
	if !ok {
		return
	}
	if fields.Get("grant_type") != "refresh_token" {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "only refresh_token is offered")
		return
	}
	presented := fields.Get("refresh_token")
	if owner, _, ok := access.ParseRefreshToken(presented); !ok || !exists || owner != org.ID() {
		refuse(w, http.StatusBadRequest, "invalid_grant", "the refresh token is not valid")
		return
	}
	grant, err := h.sessions.Refresh(r.Context(), presented)
	if err != nil {
		refuseError(w, err)
		return
	}
	answer(w, http.StatusOK, "no-store", map[string]any{
		"access_token":  grant.AccessToken,
		"refresh_token": grant.RefreshToken,
		"token_type":    "Bearer",
		"expires_in":    int(grant.ExpiresIn.Seconds()),
	})
}

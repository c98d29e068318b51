package login

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"slices"

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
func Handler(gate *access.Gate, tokens *Tokens, sessions *Sessions, signIn SignIn) http.Handler {
	h := &handler{gate, tokens, sessions, signIn}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /o/{slug}/.well-known/openid-configuration", h.discovery)
	mux.HandleFunc("GET /o/{slug}/.well-known/jwks.json", h.jwks)
	mux.HandleFunc("POST /o/{slug}/oauth2/token", h.token)
	mux.HandleFunc("POST /o/{slug}/oauth2/par", h.push)
	mux.HandleFunc("POST /o/{slug}/oauth2/device_authorization", h.askDevice)
	mux.HandleFunc("GET /o/{slug}/oauth2/device", h.decide)
	mux.HandleFunc("POST /o/{slug}/oauth2/device", h.decide)
	mux.HandleFunc("GET /o/{slug}/oauth2/logout", h.logout)
	mux.HandleFunc("POST /o/{slug}/oauth2/logout", h.logout)
	mux.HandleFunc("POST /o/{slug}/oauth2/introspect", h.introspect)
	mux.HandleFunc("POST /o/{slug}/oauth2/revoke", h.revoke)
	mux.HandleFunc("GET /o/{slug}/oauth2/userinfo", h.userinfo)
	mux.HandleFunc("POST /o/{slug}/oauth2/userinfo", h.userinfo)
	mux.HandleFunc("GET /o/{slug}/oauth2/permissions", h.permissions)
	mux.HandleFunc("GET /o/{slug}/oauth2/authorize", h.authorize)
	mux.HandleFunc("POST /o/{slug}/oauth2/authorize", h.authorize)
	return mux
}

type handler struct {
	gate     *access.Gate
	tokens   *Tokens
	sessions *Sessions
	signIn   SignIn
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

// discovery lists what is served and nothing that is planned. Without a way to sign
// in there is nothing that begins with one.
func (h *handler) discovery(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	issuer := h.tokens.Issuer(name)
	offered := GrantTypes()
	document := map[string]any{
		"issuer":                                                   issuer,
		"jwks_uri":                                                 issuer + "/.well-known/jwks.json",
		"token_endpoint":                                           issuer + "/oauth2/token",
		"introspection_endpoint":                                   issuer + "/oauth2/introspect",
		"revocation_endpoint":                                      issuer + "/oauth2/revoke",
		"userinfo_endpoint":                                        issuer + "/oauth2/userinfo",
		"end_session_endpoint":                                     issuer + "/oauth2/logout",
		"backchannel_logout_supported":                             true,
		"backchannel_logout_session_supported":                     true,
		"response_types_supported":                                 []string{},
		"subject_types_supported":                                  []string{"public"},
		"id_token_signing_alg_values_supported":                    h.signs(name),
		"scopes_supported":                                         scopes,
		"claims_supported":                                         claimsOffered,
		"claims_parameter_supported":                               false,
		"request_parameter_supported":                              false,
		"request_uri_parameter_supported":                          false,
		"token_endpoint_auth_methods_supported":                    authMethods,
		"token_endpoint_auth_signing_alg_values_supported":         assertionAlgorithms,
		"introspection_endpoint_auth_methods_supported":            authMethods[:3],
		"introspection_endpoint_auth_signing_alg_values_supported": assertionAlgorithms,
		"revocation_endpoint_auth_methods_supported":               authMethods,
		"revocation_endpoint_auth_signing_alg_values_supported":    assertionAlgorithms,
		"dpop_signing_alg_values_supported":                        assertionAlgorithms,
	}
	if h.signIn == NoSignIn {
		offered = slices.DeleteFunc(offered, func(g directory.GrantType) bool {
			return g == directory.GrantAuthorizationCode || g == directory.GrantDevice
		})
	} else {
		document["authorization_endpoint"] = issuer + "/oauth2/authorize"
		document["pushed_authorization_request_endpoint"] = issuer + "/oauth2/par"
		document["require_pushed_authorization_requests"] = false
		document["device_authorization_endpoint"] = issuer + "/oauth2/device_authorization"
		document["response_types_supported"] = []string{"code"}
		document["response_modes_supported"] = []string{"query"}
		document["code_challenge_methods_supported"] = []string{"S256"}
		document["authorization_response_iss_parameter_supported"] = true
	}
	document["grant_types_supported"] = offered
	answer(w, http.StatusOK, jwksCache, document)
}

// signs are the algorithms that tokens of an organization may have, its first one
// first. What is announced and does not sign yet is none of them.
func (h *handler) signs(slug string) (offered []directory.KeyAlgorithm) {
	org, ok := h.organization(slug)
	if !ok {
		return new(directory.KeyPolicy).Signs()
	}
	for _, by := range org.Record().Keys.Signs() {
		if k := active(org, by); k != nil && k.Signs() == by {
			offered = append(offered, by)
		}
	}
	return offered
}

// claimsOffered are those of ID tokens and of userinfo.
var claimsOffered = []string{
	"sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "amr", "sid", "org_id",
	"name", "given_name", "family_name", "preferred_username", "updated_at", "email", "email_verified",
}

// keys are those of the organization, or the decoy of one that is not there. The
// decoy is made in any case, so that the time does not tell either.
func (h *handler) keys(slug string) (jwk.Set, error) {
	decoys, err := decoyKeys(h.tokens.ring, slug, h.tokens.now())
	if err != nil {
		return nil, err
	}
	if org, ok := h.organization(slug); ok {
		return KeySet(org)
	}
	return keySet(decoys)
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

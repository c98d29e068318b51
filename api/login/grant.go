package login

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
)

// grants are the ways to get tokens. What is not here is not offered, and the test
// of grants and states wants rows for each.
var grants = map[directory.GrantType]func(*handler, context.Context, *tokenRequest) (map[string]any, error){
	directory.GrantAuthorizationCode: (*handler).redeem,
	directory.GrantClientCredentials: (*handler).credentials,
	directory.GrantRefreshToken:      (*handler).refresh,
	directory.GrantDevice:            (*handler).device,
	directory.GrantTokenExchange:     (*handler).exchange,
}

// GrantTypes names all of them, sorted.
func GrantTypes() []directory.GrantType { return slices.Sorted(maps.Keys(grants)) }

// tokenRequest is a request to the token endpoint.
type tokenRequest struct {
	slug      string
	fields    url.Values
	proof     proof
	presented bool // the client presents itself
	holder    holder
}

// token is the token endpoint of RFC 6749, section 3.2.
func (h *handler) token(w http.ResponseWriter, r *http.Request) {
	name, ok := slug(w, r)
	if !ok {
		return
	}
	fields, ok := form(w, r)
	if !ok {
		return
	}
	grant, ok := grants[directory.GrantType(fields.Get("grant_type"))]
	if !ok {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "the grant type is not offered")
		return
	}
	request := &tokenRequest{slug: name, fields: fields}
	var err error
	var body map[string]any
	if request.proof, request.presented, err = proofOf(r, fields); err == nil {
		request.holder, err = h.held(w, r, h.tokens.Issuer(name)+"/oauth2/token", "")
	}
	if err == nil {
		body, err = grant(h, r.Context(), request)
	}
	if err != nil {
		fail(w, err)
		return
	}
	answer(w, http.StatusOK, "no-store", body)
}

// mayGrant holds what every grant asks of its client.
func mayGrant(client prover, grant directory.GrantType, with holder) error {
	if !client.Allows(grant) {
		return failed(http.StatusBadRequest, "unauthorized_client", "the client may not use this grant")
	}
	if client.Binds && !with.shown() {
		return errDPoP("the client gets bound tokens only")
	}
	return nil
}

func tokenBody(grant Grant, with holder) map[string]any {
	body := map[string]any{
		"access_token": grant.AccessToken,
		"token_type":   "Bearer",
		"expires_in":   int(grant.ExpiresIn.Seconds()),
	}
	if with.shown() {
		body["token_type"] = "DPoP"
	}
	if grant.RefreshToken != "" {
		body["refresh_token"] = grant.RefreshToken
	}
	return body
}

// refresh is the grant of RFC 6749, section 6. The refresh token is bound to its
// organization, and to its client if it has one; to everybody else it does not exist.
func (h *handler) refresh(ctx context.Context, t *tokenRequest) (map[string]any, error) {
	var client directory.ClientID
	if t.presented {
		_, proved, err := h.client(ctx, t.slug, t.proof, t.holder)
		if err != nil {
			return nil, err
		}
		client = proved.ID
	} else if t.holder.shown() {
		return nil, errDPoP("only a client's tokens are bound")
	}
	org, exists := h.organization(t.slug)
	presented := t.fields.Get("refresh_token")
	owner, id, ok := access.ParseRefreshToken(presented)
	if !ok || !exists || owner != org.ID() {
		return nil, errRefresh()
	}
	grant, err := h.sessions.refresh(ctx, presented, client, t.holder)
	if err != nil {
		return nil, err
	}
	body := tokenBody(grant, t.holder)
	if org, exists = h.organization(t.slug); exists && !client.IsZero() {
		if session, ok := org.Session(id); ok {
			body["scope"] = scopeText(session)
		}
	}
	return body, nil
}

// credentials is the grant of RFC 6749, section 4.4: the token is one of the service
// account that the client acts as.
func (h *handler) credentials(ctx context.Context, t *tokenRequest) (map[string]any, error) {
	if !t.presented {
		return nil, errClient()
	}
	org, client, err := h.client(ctx, t.slug, t.proof, t.holder)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(client, directory.GrantClientCredentials, t.holder); err != nil {
		return nil, err
	}
	wish, err := wished(client.Client, t.fields.Get("scope"))
	if err != nil {
		return nil, err
	}
	if len(wish.scope) > 0 {
		return nil, failed(http.StatusBadRequest, "invalid_scope", "there is no person whose identity could be told")
	}
	grant, scope, err := h.sessions.StartForClient(ctx, org, client.Client, wish, t.holder)
	if err != nil {
		return nil, err
	}
	body := tokenBody(grant, t.holder)
	body["scope"] = scope
	return body, nil
}

// redeem is the grant of RFC 6749, section 4.1.3, with the verifier of RFC 7636.
func (h *handler) redeem(ctx context.Context, t *tokenRequest) (map[string]any, error) {
	if !t.presented {
		return nil, errClient()
	}
	code, verifier := t.fields.Get("code"), t.fields.Get("code_verifier")
	if code == "" || verifier == "" || t.fields.Get("redirect_uri") == "" {
		return nil, failed(http.StatusBadRequest, "invalid_request", "code, code_verifier and redirect_uri are required")
	}
	org, client, err := h.client(ctx, t.slug, t.proof, t.holder)
	if err != nil {
		return nil, err
	}
	if err := mayGrant(client, directory.GrantAuthorizationCode, t.holder); err != nil {
		return nil, err
	}
	redeemed, err := h.sessions.Redeem(ctx, org, client.Client, code, t.fields.Get("redirect_uri"), verifier, t.holder)
	if err != nil {
		return nil, err
	}
	return redeemedBody(redeemed, t.holder), nil
}

func redeemedBody(redeemed Redeemed, with holder) map[string]any {
	body := tokenBody(redeemed.Grant, with)
	body["scope"] = redeemed.Scope
	if redeemed.IDToken != "" {
		body["id_token"] = redeemed.IDToken
	}
	return body
}

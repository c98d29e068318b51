package login

import (
	"context"
	"net/http"
	"net/url"

	"github.com/authfi/authfi/fsm/state"
)

// formBodyMax bounds a request to the endpoints of an issuer: a few form fields, of
// which an access token or a client's assertion is the longest.
const formBodyMax = 16 << 10

// form reads the fields of a request. Each may be there once (RFC 6749, section
// 3.2), so that nobody in between reads another one than we do.
func form(w http.ResponseWriter, r *http.Request) (url.Values, bool) {
	r.Body = http.MaxBytesReader(w, r.Body, formBodyMax)
	if err := r.ParseForm(); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", "the body is not a form or is too large")
		return nil, false
	}
	if name, twice := repeated(r.PostForm); twice {
		refuse(w, http.StatusBadRequest, "invalid_request", name+" is there more than once")
		return nil, false
	}
	return r.PostForm, true
}

// repeated names a field that is there more than once, if it is one of ours: what a
// stranger writes is not repeated to anybody.
func repeated(fields url.Values) (string, bool) {
	for name, values := range fields {
		if len(values) > 1 {
			if !known[name] {
				name = "a parameter"
			}
			return name, true
		}
	}
	return "", false
}

// known are the parameters whose names an error may tell.
var known = map[string]bool{
	"client_assertion": true, "client_assertion_type": true, "client_id": true, "client_secret": true,
	"code": true, "code_challenge": true, "code_challenge_method": true, "code_verifier": true,
	"grant_type": true, "max_age": true, "nonce": true, "prompt": true, "redirect_uri": true,
	"refresh_token": true, "response_mode": true, "response_type": true, "scope": true, "state": true,
	"token": true, "token_type_hint": true, "dpop_jkt": true, "device_code": true, "user_code": true,
	"id_token_hint": true, "post_logout_redirect_uri": true, "logout_hint": true, "request_uri": true,
	"subject_token": true, "subject_token_type": true, "requested_token_type": true, "audience": true, "resource": true,
}

// newest is the organization in a state that misses no acknowledged write. There is
// none when there is no quorum.
func (h *handler) newest(ctx context.Context, slug string) (*state.Org, bool, error) {
	if err := h.gate.Fresh(ctx); err != nil {
		return nil, false, err
	}
	org, ok := h.organization(slug)
	return org, ok, nil
}

package authfi

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// Code names a refusal. The text is the "code" of the answer.
type Code string

// Refusals, and there are no others.
const (
	Unauthenticated        Code = "unauthenticated"
	InvalidRequest         Code = "invalid_request"
	InvalidToken           Code = "invalid_token"
	TokenRevoked           Code = "token_revoked"
	TokenStale             Code = "token_stale" // refresh once and try again
	InsufficientPermission Code = "insufficient_permission"
	AuthUnavailable        Code = "auth_unavailable"
	PermissionsUnavailable Code = "permissions_unavailable" // of a token that does not hold them
)

// Refusal is why a request is not served.
type Refusal struct {
	Code     Code
	Required []string // of InsufficientPermission
	Missing  []string
}

func (r *Refusal) Error() string { return "authfi: " + string(r.Code) }

// AsRefusal is the Refusal in an error. Whatever else went wrong is not the
// caller's fault.
func AsRefusal(err error) *Refusal {
	if refusal := new(Refusal); errors.As(err, &refusal) {
		return refusal
	}
	return &Refusal{Code: AuthUnavailable}
}

// Status of a refusal.
func (r *Refusal) Status() int {
	switch r.Code {
	case InvalidRequest:
		return http.StatusBadRequest
	case InsufficientPermission:
		return http.StatusForbidden
	case AuthUnavailable, PermissionsUnavailable:
		return http.StatusServiceUnavailable
	default:
		return http.StatusUnauthorized
	}
}

// details say no more than the code: what exactly was wrong helps forgers.
var details = map[Code]string{
	Unauthenticated:        "an access token is needed",
	InvalidRequest:         "the Authorization header is malformed",
	InvalidToken:           "the access token is not valid",
	TokenRevoked:           "the session has ended",
	TokenStale:             "permissions have changed; refresh the access token",
	InsufficientPermission: "a permission is missing",
	AuthUnavailable:        "who is asking cannot be told now; try again",
	PermissionsUnavailable: "what the access token permits cannot be told now; try again",
}

// Detail is for people.
func (r *Refusal) Detail() string { return details[r.Code] }

// Challenge is WWW-Authenticate, RFC 6750 §3; empty where there is none.
func (r *Refusal) Challenge() string {
	const realm = `Bearer realm="authfi"`
	switch r.Code {
	case Unauthenticated:
		return realm
	case InvalidRequest:
		return realm + `, error="invalid_request"`
	case TokenRevoked:
		return realm + `, error="invalid_token", error_description="revoked"`
	case TokenStale:
		return realm + `, error="invalid_token", error_description="stale"`
	case InsufficientPermission:
		return realm + `, error="insufficient_scope", scope="` + strings.Join(r.Required, " ") + `"`
	case AuthUnavailable, PermissionsUnavailable:
		return ""
	default:
		return realm + `, error="invalid_token"`
	}
}

const retrySeconds = "5"

// ServeHTTP answers with the refusal, as RFC 9457 writes it.
func (r *Refusal) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	if challenge := r.Challenge(); challenge != "" {
		header.Set("WWW-Authenticate", challenge)
	} else {
		header.Set("Retry-After", retrySeconds)
	}
	w.WriteHeader(r.Status())
	json.NewEncoder(w).Encode(struct {
		Title    string   `json:"title"`
		Status   int      `json:"status"`
		Code     Code     `json:"code"`
		Detail   string   `json:"detail"`
		Required []string `json:"required,omitempty"`
		Missing  []string `json:"missing,omitempty"`
	}{http.StatusText(r.Status()), r.Status(), r.Code, r.Detail(), r.Required, r.Missing})
}

// bearer reads the one token of a request's Authorization headers.
func bearer(headers []string) (token string, refusal *Refusal) {
	if len(headers) > 1 {
		return "", &Refusal{Code: InvalidRequest}
	}
	if len(headers) == 0 {
		return "", &Refusal{Code: Unauthenticated}
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &Refusal{Code: Unauthenticated}
	}
	if token == "" || strings.ContainsFunc(token, func(c rune) bool { return !isTokenByte(c) }) {
		return "", &Refusal{Code: InvalidRequest}
	}
	return token, nil
}

// isTokenByte: b64token of RFC 6750 §2.1.
func isTokenByte(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~+/=", c)
}

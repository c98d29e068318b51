package login

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/authfi/authfi/directory"
)

// failure is an error of OAuth: what the client reads, in the words of RFC 6749,
// section 5.2, and its siblings. It never holds internal text.
type failure struct {
	status       int
	code, detail string
}

func (f *failure) Error() string { return f.code + ": " + f.detail }

func failed(status int, code, detail string) *failure { return &failure{status, code, detail} }

// errClient is the one answer to everybody who does not prove to be a client.
func errClient() error {
	return failed(http.StatusUnauthorized, "invalid_client", "client authentication failed")
}

// fail keeps "cannot tell now" apart from "no": a client that hears invalid_grant
// throws its token away.
func fail(w http.ResponseWriter, err error) {
	f := new(failure)
	if !errors.As(err, &f) {
		switch directory.KindOf(err) {
		case directory.KindUnauthenticated, directory.KindNotFound, directory.KindPrecondition, directory.KindDenied, directory.KindInvalid:
			f = failed(http.StatusBadRequest, "invalid_grant", "the grant is not valid")
		case directory.KindUnavailable, directory.KindUnknownOutcome, directory.KindExhausted:
			w.Header().Set("Retry-After", "1")
			f = failed(http.StatusServiceUnavailable, "temporarily_unavailable", "try again")
		default:
			f = failed(http.StatusInternalServerError, "server_error", "internal error")
		}
	}
	if f.code == "invalid_client" {
		w.Header().Set("WWW-Authenticate", "Basic") // RFC 6749, section 5.2
	}
	refuse(w, f.status, f.code, f.detail)
}

func refuse(w http.ResponseWriter, status int, code, detail string) {
	answer(w, status, "no-store", map[string]any{"error": code, "error_description": detail})
}

func answer(w http.ResponseWriter, status int, cache string, body map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", cache)
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(body)
}

package admin

import (
	"net/http"

	"github.com/authfi/authfi/api/rest"
)

// NewWithoutShortcuts is New as it would be without shortcuts. Their answers are
// never compressed, whichever way they go.
func NewWithoutShortcuts(config Config) (http.Handler, error) {
	a := &api{Config: config}
	handler, err := rest.New(a.services())
	return a.authenticated(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Accept-Encoding")
		handler.ServeHTTP(w, r)
	})), err
}

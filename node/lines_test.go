package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/authfi/authfi/api"
)

// TestLinesOfARequest: what a request makes a node say names the request as the answer
// does, so that a client's complaint is found in the log.
func TestLinesOfARequest(t *testing.T) {
	var out bytes.Buffer
	log, book := bookOf(slog.New(slog.NewJSONHandler(&out, nil)))
	failing := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.With("part", "handler").WarnContext(r.Context(), "about to fail")
		panic(errors.New("a mistake"))
	})
	h := api.New(api.Handlers{SCIM: failing, REST: failing, OIDC: failing, Events: failing, Polls: failing, AuthZEN: failing, Metrics: failing}, log)
	for _, path := range []string{"/api/v1/users", "/authfi.v1.UserService/ListUsers", "/scim/v2/clinic/Users", "/o/clinic/token", "/access/v1/evaluation", "/api/v1/events"} {
		out.Reset()
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		id, lines := answer.Header().Get("X-Request-Id"), bytes.Split(bytes.TrimSpace(out.Bytes()), []byte("\n"))
		if answer.Code != http.StatusInternalServerError || len(id) != 32 || len(lines) != 2 {
			t.Fatalf("%s: %d, id %q, %d lines", path, answer.Code, id, len(lines))
		}
		for _, line := range lines {
			var said struct{ Request string }
			if err := json.Unmarshal(line, &said); err != nil || said.Request != id {
				t.Errorf("%s: the answer names %s, and the line is %s", path, id, line)
			}
		}
	}
	if notable, _, _ := book.Lines(); len(notable) != 12 {
		t.Errorf("%d lines are kept", len(notable))
	}
}

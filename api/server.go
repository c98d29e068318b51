package api

import (
	"log/slog"
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/authfi/authfi/api/authzen"
	"github.com/authfi/authfi/api/eventstream"
	"github.com/authfi/authfi/api/openapi"
)

// Bounds of every connection and request, before anything is parsed. SCIM and
// bulk bodies have their own, larger limits in their handlers.
const (
	headerBytesMax    = 32 << 10
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second // the identity providers' own limit
	idleTimeout       = 120 * time.Second
	urlMax            = 16 << 10
)

// Handlers are the dialects of a node.
type Handlers struct {
	SCIM    http.Handler // /scim/v2/
	REST    http.Handler // /api/v1/ and the Connect procedures
	OIDC    http.Handler // /o/
	Events  http.Handler // /api/v1/events
	Polls   http.Handler // /o/{slug}/events/poll
	AuthZEN http.Handler // /access/v1/, the same under /o/{slug}, and its metadata
	Health  Health
	Metrics http.Handler // /metrics
}

// Health answers for the process and for its readiness.
type Health struct {
	// Ready is nil when the node may serve, otherwise one line why not.
	Ready func() error
	// Leads reports whether this node leads; never a matter of health.
	Leads func() bool
	// Leaving is true while this node still answers and clients should go elsewhere.
	Leaving func() bool
}

// New routes requests to the dialects. There is no route that none of them
// answers for.
func New(h Handlers, log *slog.Logger) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/scim/v2/", h.SCIM)
	mux.Handle("/o/", h.OIDC)
	for _, path := range []string{authzen.Path, authzen.OrganizationPath, authzen.MetadataPath, authzen.MetadataPath + "/"} {
		mux.Handle(path, h.AuthZEN)
	}
	mux.Handle("GET /api/v1/events", h.Events)
	mux.Handle(eventstream.PollPath, h.Polls)
	mux.Handle("GET "+openapi.Path, openapi.Handler())
	mux.Handle("/api/v1/", h.REST)
	mux.Handle("GET /metrics", h.Metrics)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", h.Health.readyz)
	mux.HandleFunc("GET /leaderz", h.Health.leaderz)
	return guard(h.Health.parting(mux), h.Health.parting(h.REST), log)
}

// parting ends connections with an answer while the node is leaving. A connection that
// ended between two requests could meet the next one of its client, which then does not
// know whether it was heard.
func (h Health) parting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h.Leaving != nil && h.Leaving() {
			w.Header().Set("Connection", "close") // of HTTP/2 the server makes a GOAWAY
		}
		next.ServeHTTP(w, r)
	})
}

func (h Health) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := h.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}

func (h Health) leaderz(w http.ResponseWriter, _ *http.Request) {
	if !h.Leads() {
		http.Error(w, "another node leads", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n"))
}

// guard is around every request: it bounds the URL, sets what every answer
// carries, sends Connect procedures (whose first segment is a service name) to
// their handler, and turns a panic into a 500 instead of a lost process. State
// is never touched by a request's goroutine, so a panic here broke nothing.
func guard(mux, connect http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil && p != http.ErrAbortHandler {
				log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "panic", p)
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		header := w.Header()
		header["X-Content-Type-Options"], header["Strict-Transport-Security"], header["Cache-Control"] = noSniff, onlyTLS, noStore
		r = originated(w, r)
		if len(r.RequestURI) > urlMax {
			http.Error(w, "the URL is too long", http.StatusRequestURITooLong)
			return
		}
		if !utf8.ValidString(r.URL.Path) {
			http.Error(w, "the path is not valid UTF-8", http.StatusBadRequest)
			return
		}
		if isProcedure(r.URL.Path) {
			connect.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// What every answer carries. All answers share the lists: whoever sets another value
// puts a list of its own in their place.
var (
	noSniff = []string{"nosniff"}
	onlyTLS = []string{"max-age=31536000"}
	noStore = []string{"no-store"}
)

const procedurePrefix = "/authfi.v1."

func isProcedure(path string) bool {
	return len(path) > len(procedurePrefix) && path[:len(procedurePrefix)] == procedurePrefix
}

// NewHTTPServer is a server with the limits set; TLS is the caller's.
func NewHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ConnContext:       connected,
		MaxHeaderBytes:    headerBytesMax,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		IdleTimeout:       idleTimeout,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

package authzen

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
)

const (
	headerRequestID = "X-Request-Id"
	headerIndex     = "X-Authfi-Index"

	// freshMax bounds how long a request waits for this node to catch up.
	freshMax = 5 * time.Second
)

// Paths that the handler serves. A policy decision point is an organization,
// https://HOST/o/SLUG; for callers who belong to one, https://HOST is that one.
const (
	Path             = "/access/v1/"
	OrganizationPath = "/o/{slug}" + Path
	MetadataPath     = "/.well-known/authzen-configuration"
	organizationMeta = MetadataPath + "/o/{slug}"
)

// Config is what the handler needs of a node.
type Config struct {
	Gate   *access.Gate
	Ring   *keyring.Keyring
	Issuer string // https://HOST as clients know the cluster
	Log    *slog.Logger
}

type handler struct{ Config }

// New serves the API under Path, OrganizationPath and MetadataPath.
func New(config Config) http.Handler {
	config.Issuer = strings.TrimRight(config.Issuer, "/")
	h := &handler{config}
	mux := http.NewServeMux()
	for endpoint, serve := range map[string]func(*asked) (any, error){
		"evaluation":      evaluation,
		"evaluations":     evaluations,
		"search/subject":  searchSubject,
		"search/resource": searchResource,
		"search/action":   searchAction,
	} {
		mux.Handle("POST "+Path+endpoint, h.question(endpoint, serve))
		mux.Handle("POST "+OrganizationPath+endpoint, h.question(endpoint, serve))
	}
	mux.HandleFunc("GET "+MetadataPath, h.metadata)
	mux.HandleFunc("GET "+organizationMeta, h.metadata)
	return mux
}

// asked is one request on its way to its answer.
type asked struct {
	h        *handler
	ctx      context.Context
	endpoint string
	caller   access.Caller
	org      directory.OrgID
	fresh    access.Freshness
	body     object
}

// question admits nobody: each endpoint does, by its own row of the table.
func (h *handler) question(endpoint string, serve func(*asked) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if id := r.Header.Get(headerRequestID); id != "" {
			w.Header().Set(headerRequestID, id) // the specification gives the name to the client
		}
		a, err := h.read(w, r, endpoint)
		if err == nil {
			var answer any
			if answer, err = serve(a); err == nil {
				write(w, answer)
				return
			}
		}
		h.refuse(r.Context(), w, endpoint, err)
	})
}

// read finds out who asks, about which organization and what, in this order: to
// somebody without a credential all organizations look the same.
func (h *handler) read(w http.ResponseWriter, r *http.Request, endpoint string) (*asked, error) {
	caller, err := h.Gate.AuthenticateFresh(r.Context(), access.Bearer(r.Header))
	if err != nil {
		return nil, err
	}
	a := &asked{h: h, ctx: r.Context(), endpoint: endpoint, caller: caller}
	if a.org, err = a.organization(r.PathValue("slug")); err != nil {
		return nil, err
	}
	if text := r.Header.Get(headerIndex); text != "" {
		index, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, directory.Invalid(headerIndex, "must be an index")
		}
		a.fresh.AtLeast = directory.Index(index)
	}
	a.body, err = readBody(w, r)
	return a, err
}

// organization is the one of the path, or the caller's own. A slug that is not
// the caller's is not found, whether or not somebody else has it.
func (a *asked) organization(slug string) (directory.OrgID, error) {
	operator := a.caller.Actor.Kind == directory.ActorOperator
	if slug == "" {
		if operator {
			return directory.OrgID{}, directory.Invalid("", "an operator belongs to no organization: ask under /o/SLUG%s", Path)
		}
		return a.caller.Org, nil
	}
	id, ok := a.h.Gate.Root().System().OrganizationBySlug(slug)
	if !ok && operator { // it may have been made on another node a moment ago
		if err := a.catchUp(); err != nil {
			return directory.OrgID{}, err
		}
		id, ok = a.h.Gate.Root().System().OrganizationBySlug(slug)
	}
	if !ok || !operator && id != a.caller.Org {
		return directory.OrgID{}, directory.NotFound("organization")
	}
	return id, nil
}

func (a *asked) catchUp() error {
	ctx, cancel := context.WithTimeout(a.ctx, freshMax)
	defer cancel()
	_, err := a.h.Gate.AdmitSystem(ctx, a.caller, "organizations.list", access.Freshness{Linearizable: true})
	return err
}

// admit asks the table for the operation that the endpoint is.
func (a *asked) admit(op access.Operation, fresh access.Freshness) (*access.Pass, error) {
	ctx, cancel := context.WithTimeout(a.ctx, freshMax)
	defer cancel()
	return a.h.Gate.Admit(ctx, a.caller, a.org, op, fresh)
}

func write(w http.ResponseWriter, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		panic("authzen: an answer cannot be written: " + err.Error()) // texts, numbers and truths
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(body)
}

// refuse answers with the message alone, as the specification has it.
func (h *handler) refuse(ctx context.Context, w http.ResponseWriter, endpoint string, err error) {
	status, message := failure(err)
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusInternalServerError:
		h.Log.ErrorContext(ctx, "request failed", "authzen", endpoint, "named", w.Header().Get(headerRequestID), "error", err)
	}
	http.Error(w, message, status)
}

// failure is the status and the text of an error. What is not the caller's keeps
// its text to itself.
func failure(err error) (status int, message string) {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return http.StatusServiceUnavailable, "this node could not answer in time"
	}
	var own *directory.Error
	if !errors.As(err, &own) {
		return http.StatusInternalServerError, "internal error"
	}
	switch own.Kind {
	case directory.KindInvalid, directory.KindPrecondition, directory.KindConflict:
		status = http.StatusBadRequest
	case directory.KindUnauthenticated:
		status = http.StatusUnauthorized
	case directory.KindDenied:
		status = http.StatusForbidden
	case directory.KindNotFound:
		status = http.StatusNotFound
	case directory.KindExhausted:
		status = http.StatusTooManyRequests
	case directory.KindUnavailable, directory.KindUnknownOutcome:
		status = http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError, "internal error"
	}
	return status, own.Error()
}

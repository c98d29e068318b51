package scim

import (
	"context"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
)

// Prefix is where the organizations' base URLs begin.
const Prefix = "/scim/v2/"

// requestTimeout is half of the 60 s after which Entra and Okta give up, so
// that they read our answer and not a broken connection.
const requestTimeout = 30 * time.Second

const mediaType = "application/scim+json"

type server struct {
	gate *access.Gate
	base func(*http.Request) string
	log  *slog.Logger
}

// New serves every organization. base gives scheme and host, without a slash
// at the end, as clients reach this server; locations are made from it.
func New(gate *access.Gate, base func(*http.Request) string, log *slog.Logger) http.Handler {
	return &server{gate: gate, base: base, log: log}
}

// request is one request on its way: who asks, for what, of which organization.
type request struct {
	*http.Request
	w      http.ResponseWriter
	server *server
	caller access.Caller
	org    directory.OrgID
	root   string // the organization's base URL
	kind   string // the first segment below it
	id     string
	fields projection
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	w.Header().Set("Content-Type", mediaType)
	req := &request{Request: r.WithContext(ctx), w: w, server: s}
	if access.OriginOf(ctx) == nil {
		req.Request = r.WithContext(access.WithOrigin(ctx, access.NewOrigin("", time.Now())))
	}
	if err := s.serve(req); err != nil {
		req.fail(err)
	}
}

func (s *server) serve(r *request) error {
	slug, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	kind, id, _ := strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	r.kind, r.id, r.root = kind, id, s.base(r.Request)+Prefix+slug
	if kind == "ServiceProviderConfig" && id == "" && r.Method == http.MethodGet {
		return r.write(http.StatusOK, r.providerConfig()) // says nothing of an organization
	}
	if err := r.authenticate(slug); err != nil {
		return err
	}
	handle, err := route(kind, id, r.Method)
	if err != nil {
		return err
	}
	if err := r.checkContentType(); err != nil {
		return err
	}
	if r.fields, err = parseProjection(r.URL.RawQuery); err != nil {
		return err
	}
	return handle(r)
}

type handler func(*request) error

// methods of a path, by method.
type methods map[string]handler

func route(kind, id, method string) (handler, error) {
	table := routes(kind, id != "")
	if table == nil || strings.Contains(id, "/") {
		return nil, &failure{status: http.StatusNotFound, detail: "no such endpoint"}
	}
	if handle, ok := table[method]; ok {
		return handle, nil
	}
	var allow []string
	for m := range table {
		allow = append(allow, m)
	}
	slices.Sort(allow)
	return nil, &failure{
		status: http.StatusMethodNotAllowed, detail: "this endpoint does not take " + method,
		allow: strings.Join(allow, ", "),
	}
}

func routes(kind string, one bool) methods {
	switch {
	case kind == "Users" && one:
		return methods{"GET": getUser, "PUT": putUser, "PATCH": patchUser, "DELETE": deleteUser}
	case kind == "Users":
		return methods{"GET": listUsers, "POST": postUser}
	case kind == "Groups" && one:
		return methods{"GET": getGroup, "PUT": putGroup, "PATCH": patchGroup, "DELETE": deleteGroup}
	case kind == "Groups":
		return methods{"GET": listGroups, "POST": postGroup}
	case kind == "Schemas":
		return methods{"GET": getSchemas}
	case kind == "ResourceTypes":
		return methods{"GET": getResourceTypes}
	case kind == "ServiceProviderConfig" && !one:
		return methods{"GET": func(r *request) error { return r.write(http.StatusOK, r.providerConfig()) }}
	}
	return nil
}

// authenticate binds the request to the caller's organization. The slug of
// another organization is answered like one that nobody has.
func (r *request) authenticate(slug string) (err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return directory.Unauthenticated("a bearer token is required")
	}
	if r.caller, err = r.server.gate.AuthenticateFresh(r.Context(), strings.TrimSpace(token)); err != nil {
		return err
	}
	org, ok := r.server.gate.Root().System().OrganizationBySlug(slug)
	if !ok || org != r.caller.Org {
		return directory.NotFound("organization")
	}
	r.org = org
	return nil
}

// admit gives a pass at a state that holds every acknowledged write: providers
// query for what they have just created, on whatever node answers.
func (r *request) admit(op access.Operation) (*access.Pass, error) {
	return r.server.gate.Admit(r.Context(), r.caller, r.org, op, access.Freshness{Linearizable: true})
}

func (r *request) checkContentType() error {
	text := r.Header.Get("Content-Type")
	if text == "" || r.Method == http.MethodGet || r.Method == http.MethodDelete {
		return nil
	}
	media, _, err := mime.ParseMediaType(text)
	if err != nil || media != mediaType && media != "application/json" {
		return &failure{status: http.StatusUnsupportedMediaType, detail: "send " + mediaType}
	}
	return nil
}

// body reads no more than limit bytes, before anything looks at them.
func (r *request) body(limit int64) ([]byte, error) {
	b, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, limit))
	if err != nil {
		return nil, &unread{err}
	}
	if !utf8.Valid(b) {
		return nil, &patch.Error{ScimType: patch.InvalidSyntax, Detail: "the body is not UTF-8"}
	}
	return b, nil
}

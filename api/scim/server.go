package scim

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/keyring"
)

// Prefix is where the organizations' base URLs begin.
const Prefix = "/scim/v2/"

// requestTimeout is half of the 60 s after which Entra and Okta give up, so
// that they read our answer and not a broken connection.
const requestTimeout = 30 * time.Second

const mediaType = "application/scim+json"

// Config is what the service needs.
type Config struct {
	Gate *access.Gate
	Ring *keyring.Keyring // seals cursors
	// Base gives scheme and host, without a slash at the end, as clients reach this
	// server; locations are made from it.
	Base    func(*http.Request) string
	Journal *journal.Journal // is told of every request of a connection
	Log     *slog.Logger
}

type server struct {
	Config
	limits limits
}

// New serves every organization.
func New(c Config) http.Handler { return &server{Config: c} }

// request is one request on its way: who asks, for what, of which organization.
type request struct {
	*http.Request
	w      http.ResponseWriter
	server *server
	caller access.Caller
	claim  access.Claim // of an issued token, be it good or not
	org    directory.OrgID
	root   string // the organization's base URL
	kind   string // the first segment below it
	id     string
	fields projection
	sees   sight // since it was last admitted
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), requestTimeout)
	defer cancel()
	w.Header().Set("Content-Type", mediaType)
	if access.OriginOf(ctx) == nil {
		ctx = access.WithOrigin(ctx, access.NewOrigin("", time.Now()))
	}
	seen := &observed{ResponseWriter: w}
	req := &request{Request: r.WithContext(ctx), w: seen, server: s}
	req.Body = bodyOf{r.Body, &seen.body}
	defer req.note(seen)
	if err := s.serve(req); err != nil {
		req.fail(err)
	}
}

func (s *server) serve(r *request) error {
	slug, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	r.kind, r.id, _ = strings.Cut(strings.TrimSuffix(rest, "/"), "/")
	r.root = s.Base(r.Request) + Prefix + slug
	if !r.open() {
		if err := r.authenticate(slug); err != nil {
			return err
		}
		if err := r.limit(1); err != nil {
			return err
		}
	}
	return r.handle()
}

// open tells whether the request reads, without a token, what says nothing of an
// organization. A token that is shown must be good.
func (r *request) open() bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	switch r.kind {
	case "ServiceProviderConfig":
		return true
	case "Schemas", "ResourceTypes":
		return r.Header.Get("Authorization") == ""
	}
	return false
}

// handle answers a request whose caller is known, be it one of its own or an
// operation of a bulk request.
func (r *request) handle() (err error) {
	handle, err := route(r.kind, r.id, r.Method)
	if err != nil {
		return err
	}
	if err := r.checkMedia(); err != nil {
		return err
	}
	if r.fields, err = parseProjection(r.URL.RawQuery); err != nil {
		return err
	}
	return handle(r)
}

// searchSegment stands where an id could: a search is a POST, for its query may be
// longer than an address (RFC 7644 section 3.4.3).
const searchSegment = ".search"

type handler func(*request) error

// methods of a path, by method.
type methods map[string]handler

// anyMethod stands for each method that has no handler of its own.
const anyMethod = "*"

func route(kind, id, method string) (handler, error) {
	table := routes(kind, id)
	if table == nil {
		return nil, &failure{status: http.StatusNotFound, detail: "no such endpoint"}
	}
	if method == http.MethodHead {
		method = http.MethodGet // the answer's body is not sent
	}
	if handle, ok := table[method]; ok {
		return handle, nil
	}
	if handle, ok := table[anyMethod]; ok {
		return handle, nil
	}
	allow := slices.Collect(maps.Keys(table))
	if table["GET"] != nil {
		allow = append(allow, http.MethodHead)
	}
	slices.Sort(allow)
	list := strings.Join(allow, ", ")
	return nil, &failure{
		status: http.StatusMethodNotAllowed, detail: "this endpoint does not take " + method + "; it takes " + list, allow: list,
	}
}

func routes(kind, id string) methods {
	if strings.Contains(id, "/") {
		return nil
	}
	switch kind {
	case "Users":
		return collection(id, methods{"GET": listUsers, "POST": postUser}, searchUsers,
			methods{"GET": getUser, "PUT": putUser, "PATCH": patchUser, "DELETE": deleteUser})
	case "Groups":
		return collection(id, methods{"GET": listGroups, "POST": postGroup}, searchGroups,
			methods{"GET": getGroup, "PUT": putGroup, "PATCH": patchGroup, "DELETE": deleteGroup})
	case "Schemas":
		return methods{"GET": getSchemas}
	case "ResourceTypes":
		return methods{"GET": getResourceTypes}
	case "Me":
		return methods{anyMethod: me}
	}
	if id != "" {
		return nil
	}
	switch kind {
	case "":
		return methods{"GET": listAll}
	case searchSegment:
		return methods{"POST": searchAll}
	case "Bulk":
		return methods{"POST": bulk}
	case "ServiceProviderConfig":
		return methods{"GET": getProviderConfig}
	}
	return nil
}

func collection(id string, all methods, search handler, one methods) methods {
	switch id {
	case "":
		return all
	case searchSegment:
		return methods{"POST": search}
	}
	return one
}

// me is RFC 7644 section 3.11 for a caller who is a connection, which no resource
// stands for.
func me(*request) error {
	return &failure{status: http.StatusNotImplemented, detail: "a connection has no resource of its own; name the user"}
}

// authenticate binds the request to the caller's organization. The slug of
// another organization is answered like one that nobody has.
func (r *request) authenticate(slug string) (err error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return directory.Unauthenticated("a bearer token is required")
	}
	token = strings.TrimSpace(token)
	r.caller, err = r.server.Gate.AuthenticateFresh(r.Context(), token)
	if directory.KindOf(err) == directory.KindUnauthenticated {
		r.caller, r.claim, err = r.server.Gate.AuthenticateIssued(r.Context(), slug, token)
	}
	if err != nil {
		return err
	}
	org, ok := r.server.Gate.Root().System().OrganizationBySlug(slug)
	if !ok || org != r.caller.Org {
		return directory.NotFound("organization")
	}
	r.org = org
	return nil
}

// admit gives a pass at a state that holds every acknowledged write: providers
// query for what they have just created, on whatever node answers.
func (r *request) admit(op access.Operation) (*access.Pass, error) {
	pass, err := r.server.Gate.Admit(r.Context(), r.caller, r.org, op, access.Freshness{Linearizable: true})
	if err == nil {
		r.sees = sightOf(pass.View(), r.caller)
	}
	return pass, err
}

// checkMedia refuses a body that is not JSON, and a client that takes no JSON (RFC
// 7644 section 3.8). A header that is absent or cannot be read says nothing.
func (r *request) checkMedia() error {
	if !acceptsJSON(r.Header.Values("Accept")) {
		return &failure{status: http.StatusNotAcceptable, detail: "answers are " + mediaType + "; accept that"}
	}
	text := r.Header.Get("Content-Type")
	if text == "" || r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodDelete {
		return nil
	}
	media, parameters, err := mime.ParseMediaType(text)
	if err != nil || media != mediaType && media != "application/json" {
		return &failure{status: http.StatusUnsupportedMediaType, detail: "send " + mediaType}
	}
	switch charset := strings.ToLower(parameters["charset"]); charset {
	case "", "utf-8", "us-ascii":
		return nil
	default: // to read it as UTF-8 would make other names of the names
		return &failure{status: http.StatusUnsupportedMediaType, detail: "send " + mediaType + " in UTF-8"}
	}
}

func acceptsJSON(header []string) bool {
	readable := false
	for element := range strings.SplitSeq(strings.Join(header, ","), ",") {
		media, parameters, err := mime.ParseMediaType(element)
		if err != nil {
			continue
		}
		readable = true
		weight, err := strconv.ParseFloat(parameters["q"], 64)
		refused := err == nil && weight == 0
		switch media {
		case mediaType, "application/json", "application/*", "*/*":
			if !refused {
				return true
			}
		}
	}
	return !readable
}

// byteOrderMark stands before what some frameworks write as UTF-8; a parser may pass over
// it (RFC 8259 section 8.1).
const byteOrderMark = "\ufeff"

// body reads no more than limit bytes, before anything looks at them.
func (r *request) body(limit int64) ([]byte, error) {
	w := r.w
	if o, ok := w.(*observed); ok {
		w = o.ResponseWriter // the server's own is closed to a client that sends too much
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if err != nil {
		return nil, &unread{err}
	}
	b = bytes.TrimPrefix(b, []byte(byteOrderMark))
	if !utf8.Valid(b) {
		return nil, &patch.Error{ScimType: patch.InvalidSyntax, Detail: "the body is not UTF-8"}
	}
	return b, nil
}

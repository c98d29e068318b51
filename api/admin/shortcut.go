package admin

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

// Paths of what is asked all the time.
const (
	checkPath      = "/api/v1/check"
	checkProcedure = authfiv1connect.PermissionServiceCheckProcedure
	listProcedure  = authfiv1connect.PermissionServiceListPermissionsProcedure
	listPrefix     = "/api/v1/users/"
	listSuffix     = "/permissions"
)

// shortcuts answers plain requests for a check, or for the permissions of a user,
// without transcoder and Connect handler; next answers everything else, and these
// too when there is anything to say about their form. What they cost was, per
// check, one part of the handlers, four of the transcoder and six of a connection
// over TLS, and per list one part of the handlers and forty of writing 160 sources
// by reflection and packing them.
//
// Neither way compresses these answers: that took longer than all the rest.
func (a *api) shortcuts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case r.Method == http.MethodPost && (path == checkPath || path == checkProcedure):
			r.Header.Del("Accept-Encoding")
			request := &authfiv1.CheckRequest{}
			if plain, ok := rest.ReadPlain(r, request, func(body []byte) bool { return readCheck(body, request) }); ok {
				a.shortCheck(plain, w, r, request)
				return
			}
		case r.Method == http.MethodGet && strings.HasPrefix(path, listPrefix) && strings.HasSuffix(path, listSuffix):
			r.Header.Del("Accept-Encoding")
			user := strings.TrimSuffix(path[len(listPrefix):], listSuffix)
			if _, err := directory.ParseUserID(user); err != nil {
				break
			}
			if plain, ok := rest.ReadPlainPath(r); ok {
				a.shortList(plain, w, r, user)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func (a *api) shortCheck(plain rest.Plain, w http.ResponseWriter, r *http.Request, request *authfiv1.CheckRequest) {
	ctx := short(w, r, checkProcedure)
	if plain.IsJSON() {
		a.send(plain, w, r, checkProcedure, func(b []byte) ([]byte, error) { return a.appendCheck(ctx, b, request) })
		return
	}
	answer, err := a.Check(ctx, request)
	if err == nil {
		err = plain.Write(w, answer)
	}
	if err != nil {
		plain.WriteError(w, r, a.refused(r.Context(), checkProcedure, err))
	}
}

func (a *api) shortList(plain rest.Plain, w http.ResponseWriter, r *http.Request, user string) {
	ctx := short(w, r, listProcedure)
	a.send(plain, w, r, listProcedure, func(b []byte) ([]byte, error) { return a.appendPermissions(ctx, b, user) })
}

// send answers with what is appended to a buffer.
func (a *api) send(plain rest.Plain, w http.ResponseWriter, r *http.Request, procedure string, answer func([]byte) ([]byte, error)) {
	buffer := answers.Get().(*[]byte)
	body, err := answer((*buffer)[:0])
	if err != nil {
		plain.WriteError(w, r, a.refused(r.Context(), procedure, err))
		return
	}
	plain.WriteBody(w, body)
	if cap(body) <= answerKept {
		*buffer = body
		answers.Put(buffer)
	}
}

// answers are buffers of those that were sent. To grow one anew for each answer was
// half the work of a list.
var answers = sync.Pool{New: func() any { return new([]byte) }}

// answerKept bounds a buffer that is kept: a list of some 600 sources.
const answerKept = 256 << 10

// short is the context of a handler that is called without its procedure's server.
func short(w http.ResponseWriter, r *http.Request, procedure string) context.Context {
	return withPart(r.Context(), exchange{procedure: procedure, request: r.Header, response: w.Header()})
}

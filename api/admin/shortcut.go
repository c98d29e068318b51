package admin

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/authfi/authfi/api/rest"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
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
			if plain, ok := rest.ReadPlain(r, request); ok {
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
	answer, err := a.Check(short(w, r, checkProcedure), request)
	if err == nil {
		err = plain.Write(w, answer)
	}
	if err != nil {
		plain.WriteError(w, r, a.refused(r.Context(), checkProcedure, err))
	}
}

func (a *api) shortList(plain rest.Plain, w http.ResponseWriter, r *http.Request, user string) {
	buffer := lists.Get().(*[]byte)
	body, err := a.appendPermissions(short(w, r, listProcedure), (*buffer)[:0], user)
	if err != nil {
		plain.WriteError(w, r, a.refused(r.Context(), listProcedure, err))
		return
	}
	plain.WriteBody(w, body)
	if cap(body) <= listKept {
		*buffer = body
		lists.Put(buffer)
	}
}

// lists are buffers of answers that were sent. To grow one anew for each answer
// was half the work of a list.
var lists = sync.Pool{New: func() any { return new([]byte) }}

// listKept bounds a buffer that is kept: some 600 sources.
const listKept = 256 << 10

// short is the context of a handler that is called without its procedure's server.
func short(w http.ResponseWriter, r *http.Request, procedure string) context.Context {
	return withPart(r.Context(), exchange{procedure: procedure, request: r.Header, response: w.Header()})
}

// appendPermissions is ListPermissions with its answer as JSON.
func (a *api) appendPermissions(ctx context.Context, b []byte, user string) ([]byte, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", user)
	if err != nil {
		return nil, err
	}
	if err := pass.About(id); err != nil {
		return nil, err
	}
	org := pass.View()
	grants := org.Held().List(id) // in order of permissions
	b = append(b, `{"effective":[`...)
	for i, grant := range grants {
		if first(grants, i) {
			b = rest.AppendString(separated(b, i), string(grant.Permission))
		}
	}
	b = append(b, `],"source":{`...)
	if b, err = (waysJSON{sources{org: org, user: id}, map[effective.Source]span{}}).appendAll(b, grants); err != nil {
		return nil, err
	}
	b = append(b, `},"index":`...)
	return append(strconv.AppendUint(b, uint64(org.Applied()), 10), '}'), nil
}

// first says that a grant is the first one of its permission.
func first(grants []effective.Grant, i int) bool {
	return i == 0 || grants[i].Permission != grants[i-1].Permission
}

func separated(b []byte, i int) []byte {
	if i == 0 {
		return b
	}
	return append(b, ',')
}

// waysJSON writes the sources of grants. A role brings all of its permissions on
// the same ways, so each way is encoded once, up to the permission, which is the
// last field, and copied from there on.
type waysJSON struct {
	sources
	written map[effective.Source]span // of the answer, without the permission
}

type span struct{ from, to int }

// emptyPermission is how a source ends that names none.
const emptyPermission = `""}`

var errSourceEnds = errors.New("a source does not end with its permission")

// appendAll appends the members of an object: the sources by permission.
func (w waysJSON) appendAll(b []byte, grants []effective.Grant) (_ []byte, err error) {
	for i, grant := range grants {
		if first(grants, i) {
			if i > 0 {
				b = append(b, "],"...)
			}
			b = append(rest.AppendString(b, string(grant.Permission)), ":["...)
		} else {
			b = append(b, ',')
		}
		if b, err = w.appendWay(b, grant.Source); err != nil {
			return nil, err
		}
		b = append(rest.AppendString(b, string(grant.Names)), '}')
	}
	if len(grants) > 0 {
		b = append(b, ']')
	}
	return b, nil
}

func (w waysJSON) appendWay(b []byte, s effective.Source) ([]byte, error) {
	s.Names = ""
	if text, ok := w.written[s]; ok {
		return append(b, b[text.from:text.to]...), nil
	}
	from := len(b)
	b, err := rest.AppendJSON(b, w.source(s))
	if err != nil {
		return nil, err
	}
	b, ok := bytes.CutSuffix(b, []byte(emptyPermission))
	if !ok {
		return nil, errSourceEnds
	}
	w.written[s] = span{from, len(b)}
	return b, nil
}

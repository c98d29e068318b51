package scim

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

const errorURN = "urn:ietf:params:scim:api:messages:2.0:Error"

// retryAfter is in seconds: longer than an election takes.
const retryAfter = "2"

// failure is an answer that is not a success.
type failure struct {
	status   int
	scimType string
	detail   string
	allow    string // the Allow header of a 405
}

func (f *failure) Error() string { return f.detail }

// body is RFC 7644 section 3.12.
func (f *failure) body() map[string]any {
	body := map[string]any{
		"schemas": []string{errorURN},
		"status":  strconv.Itoa(f.status), // a string
		"detail":  f.detail,
	}
	if f.scimType != "" {
		body["scimType"] = f.scimType
	}
	return body
}

// unread is a body that could not be read to its end.
type unread struct{ err error }

func (e *unread) Error() string { return e.err.Error() }
func (e *unread) Unwrap() error { return e.err }

func failureOf(err error) *failure {
	var own *failure
	var body *patch.Error
	var expr *filter.Error
	var large *http.MaxBytesError
	var cut *unread
	var dir *directory.Error
	switch {
	case errors.As(err, &own):
		return own
	case errors.As(err, &body):
		return &failure{status: http.StatusBadRequest, scimType: body.ScimType, detail: body.Detail}
	case errors.As(err, &expr):
		return &failure{status: http.StatusBadRequest, scimType: "invalidFilter", detail: expr.Error()}
	case errors.As(err, &large):
		return &failure{status: http.StatusRequestEntityTooLarge, detail: "the body is larger than " + strconv.FormatInt(large.Limit, 10) + " bytes"}
	case errors.As(err, &cut):
		return &failure{status: http.StatusBadRequest, scimType: patch.InvalidSyntax, detail: "the body ended early"}
	case errors.As(err, &dir):
		return directoryFailure(dir)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &failure{status: http.StatusServiceUnavailable, detail: "no answer in time; try again"}
	}
	return &failure{status: http.StatusInternalServerError, detail: "internal error"}
}

func directoryFailure(err *directory.Error) *failure {
	f := &failure{detail: err.Error()}
	switch err.Kind {
	case directory.KindInvalid:
		f.status, f.scimType = http.StatusBadRequest, patch.InvalidValue
	case directory.KindNotFound:
		f.status = http.StatusNotFound
	case directory.KindConflict:
		f.status, f.scimType = http.StatusConflict, "uniqueness"
	case directory.KindDenied, directory.KindExhausted:
		f.status = http.StatusForbidden
	case directory.KindPrecondition:
		f.status = http.StatusPreconditionFailed
	case directory.KindUnauthenticated:
		f.status = http.StatusUnauthorized
	case directory.KindUnavailable:
		f.status = http.StatusServiceUnavailable
	case directory.KindUnknownOutcome: // SCIM has no idempotency key: providers query, then repeat
		f.status, f.detail = http.StatusServiceUnavailable, "the change may or may not have happened; read before repeating it"
	default:
		f.status, f.detail = http.StatusInternalServerError, "internal error"
	}
	return f
}

func (r *request) fail(err error) {
	f := failureOf(err)
	r.record(f)
	if o, ok := r.w.(*observed); ok {
		o.scimType = f.scimType
	}
	switch f.status {
	case http.StatusInternalServerError:
		r.server.Log.ErrorContext(r.Context(), "scim request failed", "method", r.Method, "error", err)
	case http.StatusServiceUnavailable:
		r.w.Header().Set("Retry-After", retryAfter)
	case http.StatusUnauthorized:
		r.w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusMethodNotAllowed:
		r.w.Header().Set("Allow", f.allow)
	}
	if err := r.write(f.status, f.body()); err != nil {
		r.server.Log.ErrorContext(r.Context(), "scim answer failed", "error", err)
	}
}

// write sends a JSON body. What it is given always encodes; a client that is
// gone is nobody's failure.
func (r *request) write(status int, body any) error {
	b, err := json.Marshal(body)
	if err != nil {
		return err
	}
	r.w.WriteHeader(status)
	_, _ = r.w.Write(b)
	return nil
}

// record puts a write that was refused here into the organization's log, so that
// whoever looks after the connection sees it. What the machine has refused stands
// there already, and a caller who is nobody leaves nothing.
func (r *request) record(f *failure) {
	op, writes := refusedOperation(r.kind, r.Method)
	if !writes || r.id == searchSegment || r.org.IsZero() || f.status/100 != 4 {
		return
	}
	class := r.kind
	if r.id != "" {
		class += "/{id}"
	}
	r.server.Gate.RecordRefusal(r.Context(), r.caller, op, &fsm.RecordRefusal{
		Method: r.Method, Class: class, Status: uint16(f.status), Detail: strconv.Itoa(f.status) + ": " + f.detail,
	})
}

// refusedOperation names what a write would have been.
func refusedOperation(kind, method string) (op access.Operation, writes bool) {
	verb, ok := map[string]string{
		http.MethodPost: "create", http.MethodPut: "update", http.MethodPatch: "update", http.MethodDelete: "delete",
	}[method]
	switch {
	case !ok:
		return "", false
	case kind == "Users":
		return access.Operation("scim.users." + verb), true
	case kind == "Groups":
		return access.Operation("scim.groups." + verb), true
	}
	return "", false
}

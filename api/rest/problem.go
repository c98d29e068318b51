package rest

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"

	"connectrpc.com/connect"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
)

const (
	problemType = "application/problem+json"
	// statusName is the message in which the transcoder carries an error.
	statusName protoreflect.FullName = "google.rpc.Status"
	// internalDetail is all that a client learns of a failure that is ours.
	internalDetail = "the request could not be completed"
)

// problem is the body of every REST answer that is not a success.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field"`
}

func newProblem(status int, code, detail string) problem {
	return problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

// problemOf reads a google.rpc.Status.
func problemOf(status protoreflect.Message) problem {
	fields := status.Descriptor().Fields()
	code := connect.Code(status.Get(fields.ByName("code")).Int())
	message := status.Get(fields.ByName("message")).String()
	if p, ok := misread(message); ok {
		return p
	}
	p := failure(code, message)
	details := status.Get(fields.ByName("details")).List()
	for i := range details.Len() {
		if packed, ok := details.Get(i).Message().Interface().(*anypb.Any); ok {
			if detail, err := packed.UnmarshalNew(); err == nil {
				p.refine(detail)
			}
		}
	}
	return p
}

// How Vanguard v0.4.0 says that it cannot read a query or that there is a body
// where none belongs. It has no other way, and some of it looks like a failure
// of ours; a test notices when a new version says it otherwise.
var (
	unknownParameter = regexp.MustCompile(`in field path "([^"]*)"`)
	badParameter     = regexp.MustCompile(`^invalid parameter "([^"]*)"`)
)

const unexpectedBody = "request should have no body"

// misread is the problem of a request that reached no handler.
func misread(message string) (p problem, ok bool) {
	p = newProblem(http.StatusBadRequest, connect.CodeInvalidArgument.String(), "")
	if m := unknownParameter.FindStringSubmatch(message); m != nil {
		p.Field, p.Detail = m[1], "there is no such parameter"
	} else if m := badParameter.FindStringSubmatch(message); m != nil {
		p.Field, p.Detail = m[1], "not a valid value"
	} else if strings.HasPrefix(message, unexpectedBody) {
		p.Detail = "this request takes no body"
	}
	return p, p.Detail != ""
}

// failure keeps the text of what is not the caller's fault to itself.
func failure(code connect.Code, detail string) problem {
	status := statusOf(code)
	if status == http.StatusInternalServerError {
		return newProblem(status, "internal", internalDetail)
	}
	return newProblem(status, code.String(), detail)
}

// refine takes over what a handler attached.
func (p *problem) refine(detail proto.Message) {
	attached, ok := detail.(*authfiv1.Problem)
	if !ok {
		return
	}
	p.Field = attached.GetField()
	if attached.GetCode() != "" {
		p.Code = attached.GetCode()
	}
}

// problemIn reads the error of a handler.
func problemIn(err *connect.Error) problem {
	p := failure(err.Code(), err.Message())
	for _, detail := range err.Details() {
		if value, valueErr := detail.Value(); valueErr == nil {
			p.refine(value)
		}
	}
	return p
}

// ErrorJSON is the body with which REST answers an error, for a stream that can
// no longer answer with a status.
func ErrorJSON(err *connect.Error) []byte { return problemIn(err).json() }

func (p problem) json() []byte {
	body, err := json.Marshal(p)
	if err != nil {
		panic("rest: a problem cannot be written: " + err.Error()) // strings and one number
	}
	return body
}

func (p problem) write(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", problemType)
	header.Del("Content-Encoding")
	header.Del("Content-Length")
	header.Del("Accept-Encoding") // what the transcoder would take, not the client
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", "Bearer")
	}
	w.WriteHeader(p.Status)
	w.Write(p.json())
}

// statusClientClosed is what a log shows for a request whose client left.
const statusClientClosed = 499

// statusOf is the HTTP status of each code. A failed precondition is 412, since
// If-Match is how REST states one.
func statusOf(code connect.Code) int {
	switch code {
	case connect.CodeInvalidArgument, connect.CodeOutOfRange:
		return http.StatusBadRequest
	case connect.CodeUnauthenticated:
		return http.StatusUnauthorized
	case connect.CodePermissionDenied:
		return http.StatusForbidden
	case connect.CodeNotFound:
		return http.StatusNotFound
	case connect.CodeAlreadyExists, connect.CodeAborted:
		return http.StatusConflict
	case connect.CodeFailedPrecondition:
		return http.StatusPreconditionFailed
	case connect.CodeResourceExhausted:
		return http.StatusTooManyRequests
	case connect.CodeUnavailable:
		return http.StatusServiceUnavailable
	case connect.CodeDeadlineExceeded:
		return http.StatusGatewayTimeout
	case connect.CodeCanceled:
		return statusClientClosed
	case connect.CodeUnimplemented:
		return http.StatusNotImplemented
	case connect.CodeUnknown, connect.CodeInternal, connect.CodeDataLoss:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// codeOf names a status that was decided before any handler.
func codeOf(status int) string {
	switch status {
	case http.StatusNotFound:
		return "not_found"
	case http.StatusMethodNotAllowed:
		return "method_not_allowed"
	case http.StatusRequestEntityTooLarge:
		return "too_large"
	case http.StatusUnsupportedMediaType:
		return "unsupported_media_type"
	}
	if status < http.StatusInternalServerError {
		return "invalid_argument"
	}
	return "internal"
}

package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// Kinds of failure that programs act on, for errors.Is.
var (
	ErrNotFound    = errors.New("not found")
	ErrConflict    = errors.New("conflict")           // with what is there
	ErrCondition   = errors.New("a condition failed") // of the change, or of where it was to begin
	ErrChanged     = errors.New("has changed")        // since the version of IfVersion
	ErrDenied      = errors.New("denied")             // to this caller
	ErrUnavailable = errors.New("cannot be now")      // within the patience
)

// Problem is what a node answers when it does not do what it was asked.
type Problem struct {
	Status    int    `json:"status"`
	Code      string `json:"code"` // a stable word for programs
	Title     string `json:"title"`
	Detail    string `json:"detail"` // one sentence for people
	Field     string `json:"field"`  // of the request, which is at fault; empty when no single one is
	RequestID string `json:"-"`      // names the request in the node's logs
	Operation string `json:"-"`
}

func (p *Problem) Error() string {
	text := fmt.Sprintf("authfi: %s: %d %s", p.Operation, p.Status, p.Code)
	if p.Field != "" {
		text += ": " + p.Field
	}
	if p.Detail != "" {
		text += ": " + p.Detail
	}
	return text
}

// fieldVersion is what a node says is at fault when If-Match names another version.
const fieldVersion = "version"

// Is compares with the kinds of failure.
func (p *Problem) Is(target error) bool {
	switch target {
	case ErrNotFound:
		return p.Status == http.StatusNotFound
	case ErrConflict:
		return p.Status == http.StatusConflict
	case ErrCondition:
		return p.Status == http.StatusPreconditionFailed
	case ErrChanged:
		return p.Status == http.StatusPreconditionFailed && p.Field == fieldVersion
	case ErrDenied:
		return p.Status == http.StatusForbidden
	case ErrUnavailable:
		return again(p.Status)
	}
	return false
}

// again reports whether a status says that the same request may be answered otherwise
// soon.
func again(status int) bool {
	return status == http.StatusBadGateway || status == http.StatusServiceUnavailable || status == http.StatusGatewayTimeout
}

// problemOf reads an answer that is no success. What stands between may answer in a form
// of its own: then the status is all that is known.
func problemOf(o *Operation, res *http.Response, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil {
		p = &Problem{}
	}
	p.Status, p.RequestID, p.Operation = res.StatusCode, res.Header.Get("X-Request-Id"), o.Name
	return p
}

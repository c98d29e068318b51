package rest

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
)

// answer passes successes on and holds back the body of a failure, which it
// sends as a problem when the handler is done.
type answer struct {
	http.ResponseWriter
	status int // of a failure; zero before and for a success
	body   bytes.Buffer
	limit  *limitedBody
	direct []byte // what to send instead of what the transcoder writes; see direct
	packed bool   // the client takes gzip
}

// failureMax bounds what is kept of a failure's body: a problem is small.
const failureMax = 64 << 10

func (a *answer) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		a.status = status
		return
	}
	if a.direct != nil {
		a.pack()
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	switch {
	case a.status == 0 && a.direct != nil:
		return len(b), nil
	case a.status == 0:
		return a.ResponseWriter.Write(b)
	}
	if room := failureMax - a.body.Len(); room > 0 {
		a.body.Write(b[:min(room, len(b))])
	}
	return len(b), nil
}

// Flush sends nothing yet: an answer is one message, and what is left of it goes
// out with it when the handler is done.
func (a *answer) Flush() {}

// finish sends what was held back: a failure, or a success as it was given.
func (a *answer) finish() {
	if a.status == 0 {
		if a.direct != nil {
			a.ResponseWriter.Write(a.direct)
		}
		return
	}
	if a.limit.exceeded {
		tooLarge(a.limit.limit).write(a.ResponseWriter)
		return
	}
	var p problem
	if err := json.Unmarshal(a.body.Bytes(), &p); err != nil || p.Code == "" || p.Status == 0 {
		p = newProblem(a.status, codeOf(a.status), routingDetail(a.status))
	}
	p.write(a.ResponseWriter)
}

// routingDetail says what happened when no handler was reached.
func routingDetail(status int) string {
	switch status {
	case http.StatusNotFound:
		return "no such resource"
	case http.StatusMethodNotAllowed:
		return "the resource does not allow this method"
	case http.StatusUnsupportedMediaType:
		return "the body must be application/json"
	}
	if status < http.StatusInternalServerError {
		return "the request is malformed"
	}
	return internalDetail
}

// limitedBody remembers that a body was longer than allowed.
type limitedBody struct {
	io.ReadCloser
	limit    int64
	exceeded bool
}

func (l *limitedBody) Read(b []byte) (int, error) {
	n, err := l.ReadCloser.Read(b)
	if _, tooLarge := err.(*http.MaxBytesError); tooLarge {
		l.exceeded = true
	}
	return n, err
}

package eventstream

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/authfi/authfi/directory"
)

// Bounds of a poll.
const (
	// requestMax is a window of ids, each with an error and its description.
	requestMax = 256 << 10
	// eventsDefault is for receivers that say nothing.
	eventsDefault = 100
	// batchBytes bounds the tokens of an answer, but for the first.
	batchBytes = 1 << 20
)

// request is a poll as RFC 8936, section 2.2, has it. What else it holds is ignored.
type request struct {
	MaxEvents         *int                `json:"maxEvents"`
	ReturnImmediately bool                `json:"returnImmediately"`
	Ack               []string            `json:"ack"`
	SetErrs           map[string]setError `json:"setErrs"`
}

// setError is why a receiver could not use a token (RFC 8935, section 2.4).
type setError struct {
	Err         string `json:"err"`
	Description string `json:"description"`
}

// answer is section 2.3.
type answer struct {
	Sets          map[string]string `json:"sets"`
	MoreAvailable bool              `json:"moreAvailable"`
}

func readRequest(w http.ResponseWriter, r *http.Request) (q request, err error) {
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/json" {
		return q, directory.Invalid("", "send application/json")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, requestMax))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return q, directory.Invalid("", "the request is longer than %d bytes", requestMax)
	} else if err != nil {
		return q, directory.Invalid("", "the request could not be read")
	}
	if err := json.Unmarshal(body, &q); err != nil {
		return q, directory.Invalid("", "the request is not the JSON object of RFC 8936, section 2.2")
	}
	if q.MaxEvents != nil && *q.MaxEvents < 0 {
		return q, directory.Invalid("", "maxEvents must not be negative")
	}
	return q, nil
}

// limit is how many tokens the receiver wants at most.
func (q *request) limit() int {
	if q.MaxEvents == nil {
		return eventsDefault
	}
	return min(*q.MaxEvents, directory.StreamWindow)
}

package journal

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/api/scim/redact"
)

// Request is one that was answered, without the people in it.
type Request struct {
	Time     time.Time // of its first byte
	Node     string
	Number   uint64 // of the node's, in the order of the answers
	Method   string
	Path     string
	Query    string
	Status   int
	Latency  time.Duration // to the whole answer
	ScimType string
	Body     string // JSON; empty: none, or not kept
	Answer   string
	// BodyOmitted and AnswerOmitted are the bytes of what was too large to be kept.
	BodyOmitted   int
	AnswerOmitted int
}

// requestSize is about what a request takes besides its texts.
const requestSize = 400

func (q *Request) size() int {
	return requestSize + len(q.Method) + len(q.Path) + len(q.Query) + len(q.ScimType) + len(q.Body) + len(q.Answer)
}

// textMax bounds path and query in bytes; longer ones are refused by the server.
const textMax = 16 << 10

// redacted takes the people out.
func (s *Seen) redacted(r *redact.Redactor) Request {
	q := Request{
		Time: s.Received, Method: r.Method(s.Method), Status: s.Status, Latency: s.Answered.Sub(s.Received), ScimType: s.ScimType,
		Path: r.Path(clipped(s.Path)), Query: r.Query(clipped(s.Query)),
	}
	q.Body, q.BodyOmitted = s.Body.redacted(r)
	if !s.discovers() {
		q.Answer, q.AnswerOmitted = s.Answer.redacted(r)
	} else {
		q.AnswerOmitted = s.Answer.Size
	}
	return q
}

func (c *Content) redacted(r *redact.Redactor) (text string, omitted int) {
	if !c.whole() {
		return "", c.Size
	}
	text = r.Body(c.Bytes)
	if len(text) > 2*BodyMax { // of many short values
		return "", c.Size
	}
	return text, 0
}

// discovers is true of what asks for documents that everybody may read.
func (s *Seen) discovers() bool {
	kind, _ := s.segments()
	return s.Status < 400 && (kind == "Schemas" || kind == "ResourceTypes" || kind == "ServiceProviderConfig")
}

func clipped(s string) string { return s[:min(len(s), textMax)] }

// Place is where in the requests of all nodes one stands. Zero is after the newest.
type Place struct {
	Time   int64 // nanoseconds since 1970
	Node   string
	Number uint64
}

// Place is the request's.
func (q *Request) Place() Place { return Place{q.Time.UnixNano(), q.Node, q.Number} }

// compare orders the newest first.
func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(o.Time, p.Time), strings.Compare(o.Node, p.Node), cmp.Compare(o.Number, p.Number))
}

// before lists requests from a place on, newest first.
func (c *connection) before(place Place, limit int) []Request {
	var found []Request
	for _, k := range c.kept {
		if place == (Place{}) || place.compare(k.Place()) < 0 {
			found = append(found, k.Request)
		}
	}
	return newest(found, limit)
}

func newest(requests []Request, limit int) []Request {
	slices.SortFunc(requests, func(a, b Request) int { return a.Place().compare(b.Place()) })
	return requests[:min(len(requests), limit)]
}

// MergeRequests takes the newest of what several nodes remember. Each must have been
// asked for as many.
func MergeRequests(answers []Answer, limit int) []Request {
	var all []Request
	for _, a := range answers {
		all = append(all, a.Requests...)
	}
	return newest(all, limit)
}

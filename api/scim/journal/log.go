package journal

import "github.com/authfi/authfi/api/scim/redact"

// log is a request as it is kept: as it came, until somebody asks, or redacted at
// once where it may hold a secret. To redact every request cost 7 % of both CPUs at a
// thousand requests a second, and almost none is ever read.
type log struct {
	seen   Seen
	node   string
	number uint64
	// secret is the request without its secrets; nil: it has none.
	secret *Request
}

// logged takes a request in. Nothing of a secret is kept.
func logged(s *Seen, r *redact.Redactor) log {
	l := log{seen: *s}
	l.seen.Path, l.seen.Query = clipped(s.Path), clipped(s.Query)
	if l.seen.discovers() {
		l.seen.Answer.Bytes = nil
	}
	if redact.MayHoldSecret(s.Query) || redact.MayHoldSecret(s.Body.Bytes) || redact.MayHoldSecret(l.seen.Answer.Bytes) {
		made := l.seen.redacted(r)
		l.secret = &made
		l.seen = Seen{Received: s.Received}
	}
	return l
}

// request takes the people out.
func (l log) request(r *redact.Redactor) Request {
	made := l.secret
	if made == nil {
		redacted := l.seen.redacted(r)
		made = &redacted
	}
	q := *made
	q.Node, q.Number = l.node, l.number
	return q
}

// Place is the request's.
func (l log) Place() Place { return Place{l.seen.Received.UnixNano(), l.node, l.number} }

// logSize is about what a request takes besides its texts.
const logSize = 600

func (l log) size() int {
	size := logSize + len(l.seen.Method) + len(l.seen.Path) + len(l.seen.Query) + len(l.seen.ScimType) + cap(l.seen.Body.Bytes) + cap(l.seen.Answer.Bytes)
	if q := l.secret; q != nil {
		size += len(q.Method) + len(q.Path) + len(q.Query) + len(q.ScimType) + len(q.Body) + len(q.Answer)
	}
	return size
}

// redacted is the request without the people in it.
func (s *Seen) redacted(r *redact.Redactor) Request {
	q := Request{
		Time: s.Received, Method: r.Method(s.Method), Status: s.Status, Latency: s.Answered.Sub(s.Received), ScimType: s.ScimType,
		Path: r.Path(s.Path), Query: r.Query(s.Query),
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

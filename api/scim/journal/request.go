package journal

import (
	"cmp"
	"slices"
	"strings"
	"time"
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

// textMax bounds path and query in bytes; longer ones are refused by the server.
const textMax = 16 << 10

func clipped(s string) string { return s[:min(len(s), textMax)] }

// Place is where in the requests of all nodes one stands. Zero is after the newest.
type Place struct {
	Time   int64 // nanoseconds since 1970
	Node   string
	Number uint64
}

// Place is the request's.
func (q Request) Place() Place { return Place{q.Time.UnixNano(), q.Node, q.Number} }

// compare orders the newest first.
func (p Place) compare(o Place) int {
	return cmp.Or(cmp.Compare(o.Time, p.Time), strings.Compare(o.Node, p.Node), cmp.Compare(o.Number, p.Number))
}

// before lists requests from a place on, newest first.
func (c *connection) before(place Place, limit int) []log {
	var found []log
	for _, k := range c.kept {
		if place == (Place{}) || place.compare(k.log.Place()) < 0 {
			found = append(found, k.log)
		}
	}
	return newest(found, limit, log.Place)
}

func newest[T any](all []T, limit int, place func(T) Place) []T {
	slices.SortFunc(all, func(a, b T) int { return place(a).compare(place(b)) })
	return all[:min(len(all), limit)]
}

// MergeRequests takes the newest of what several nodes remember. Each must have been
// asked for as many.
func MergeRequests(answers []Answer, limit int) []Request {
	var all []Request
	for _, a := range answers {
		all = append(all, a.Requests...)
	}
	return newest(all, limit, Request.Place)
}

package scim

import (
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/directory"
)

// observed stands between a request and its client and keeps what the journal is
// told of both.
type observed struct {
	http.ResponseWriter
	status   int
	scimType string
	body     journal.Content
	answer   journal.Content
	// operations are those of a bulk request.
	operations []journal.Seen
}

func (o *observed) WriteHeader(status int) {
	if o.status == 0 {
		o.status = status
	}
	o.ResponseWriter.WriteHeader(status)
}

func (o *observed) Write(b []byte) (int, error) {
	if o.status == 0 {
		o.status = http.StatusOK
	}
	o.answer.Add(b)
	return o.ResponseWriter.Write(b)
}

// bodyOf keeps what is read of a body.
type bodyOf struct {
	io.ReadCloser
	kept *journal.Content
}

func (b bodyOf) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.kept.Add(p[:n])
	return n, err
}

// note tells the journal of a request that was answered, or whose handler has
// panicked. One without a valid token is nobody's: only that it claimed to be a
// connection's is noted.
func (r *request) note(o *observed) {
	now, journals := time.Now(), r.server.Journal
	if r.caller.Actor.Kind != directory.ActorConnection {
		if o.status != http.StatusUnauthorized {
			return
		}
		if r.claim == (access.Claim{}) {
			r.claim = r.server.Gate.Claimed(access.Bearer(r.Header))
		}
		if r.claim != (access.Claim{}) {
			journals.Refused(r.claim.Org, r.claim.Connection, now)
		}
		return
	}
	_, path, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	if o.status == 0 {
		o.status = http.StatusInternalServerError
	}
	journals.Record(&journal.Seen{
		Org: r.caller.Org, Connection: directory.ConnectionID(r.caller.Actor.ID), Token: r.caller.Token,
		Received: access.OriginOf(r.Context()).Received, Answered: now,
		Method: r.Method, Path: "/" + path, Query: r.URL.RawQuery, Status: o.status, ScimType: o.scimType,
		Body: o.body, Answer: o.answer, Operations: o.operations,
	})
}

package journal

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/api/scim/redact"
	"github.com/authfi/authfi/directory"
)

// Seen is a request of a connection as it came and was answered.
type Seen struct {
	Org        directory.OrgID
	Connection directory.ConnectionID
	Token      directory.TokenName // zero: the token was that of an issuer whom the connection trusts
	Received   time.Time
	Answered   time.Time
	Method     string
	Path       string // below the base URL, with a slash in front
	Query      string
	Status     int
	ScimType   string
	Body       Content
	Answer     Content
	// Operations are those of a bulk request, in their order, with method, path, status
	// and body. They are counted in its place.
	Operations []Seen
}

// Content is a body as far as it is kept: all of it, or nothing but its size.
type Content struct {
	Bytes []byte
	Size  int
}

// Add takes the next bytes.
func (c *Content) Add(b []byte) {
	if c.Size += len(b); c.Size > BodyMax {
		c.Bytes = nil
		return
	}
	c.Bytes = append(c.Bytes, b...)
}

// whole tells whether all of it is there.
func (c *Content) whole() bool { return c.Size <= BodyMax }

// segments are the kind and the id of the path.
func (s *Seen) segments() (kind, id string) {
	kind, id, _ = strings.Cut(strings.Trim(s.Path, "/"), "/")
	return kind, id
}

// writes is true of what asks for a change.
func (s *Seen) writes() bool {
	switch s.Method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	case http.MethodPost:
		kind, id := s.segments()
		return kind != ".search" && id != ".search"
	}
	return false
}

// oktaProbe is the count of Okta's test query, which has no filter.
const oktaProbe = "2"

// probes is true of the query with which a provider tests a connection. Entra asks
// for a GUID that nobody has, as the value of the attribute by which it matches;
// Okta for the first two users.
func (s *Seen) probes() bool {
	kind, id := s.segments()
	if s.Method != http.MethodGet || kind != "Users" && kind != "Groups" || id != "" {
		return false
	}
	query, err := url.ParseQuery(s.Query)
	if err != nil {
		return false
	}
	if !query.Has("filter") {
		return kind == "Users" && query.Get("count") == oktaProbe && query.Get("startIndex") == "1"
	}
	e, err := filter.Parse(query.Get("filter"))
	if err != nil {
		return false
	}
	_, value, ok := filter.Equality(e)
	if !ok || !redact.IsGUID(value) {
		return false
	}
	if s.Status != http.StatusOK {
		return true
	}
	var answer struct{ TotalResults *int }
	return json.Unmarshal(s.Answer.Bytes, &answer) == nil && answer.TotalResults != nil && *answer.TotalResults == 0
}

// reference is true of a change of members or managers alone.
func (s *Seen) reference() bool {
	if s.Method != http.MethodPatch {
		return false
	}
	var body struct{ Operations []struct{ Path string } }
	if json.Unmarshal(s.Body.Bytes, &body) != nil || len(body.Operations) == 0 {
		return false
	}
	for _, op := range body.Operations {
		if !isReference(op.Path) {
			return false
		}
	}
	return true
}

func isReference(path string) bool {
	p, err := filter.ParsePath(path)
	return err == nil && (strings.EqualFold(p.Attr, "members") || strings.EqualFold(p.Attr, "manager"))
}

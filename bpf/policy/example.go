package policy

import (
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Example is a request that is tried on a service without a gate.
type Example struct {
	Method string
	Target string // of the request line: a path, and a query if there is one
	Body   bool   // a body is announced
	// Upgrade asks for another protocol, as a WebSocket does.
	Upgrade  bool
	Token    bool // there is a valid token; the fields below are its user's
	Other    bool // of another organization
	Inactive bool // deactivated
	Methods  []string
	// What the user has. A permission may be a wildcard, as in a role.
	Roles       []string
	Permissions []directory.Permission
}

// The one token of an example, and the times around it.
const (
	exampleToken   = "example"
	exampleOrg     = 1
	exampleNowNs   = 1
	exampleUntilNs = 2
)

// Try gives the decision of the gates on an example: the request is written out and
// read by the same machine.
func (s *Service) Try(e Example) (Decision, error) {
	numbers := NewNumbering(s.Routes)
	program, err := s.Compile(exampleOrg, numbers)
	if err != nil {
		return Decision{}, err
	}
	refused := Decision{Reason: ReasonMalformed, Route: NoRoute, Version: program.Version(), DryRun: program.DryRun()}
	if strings.ContainsAny(e.Method+e.Target, "\r\n") { // another request than the example says
		return refused, nil
	}
	m := NewMachine()
	m.Begin(program, 0, 0)
	_, complete, refusal := m.Feed(e.text())
	if !complete { // there may be no path and no method to go by
		if refusal != ReasonAllowed {
			refused.Reason = refusal
		}
		return refused, nil
	}
	return Decide(program, m.Flow(), e.rows(numbers), exampleNowNs, exampleUntilNs), nil
}

func (e *Example) text() []byte {
	text := e.Method + " " + e.Target + " HTTP/1.1\r\nHost: example\r\n"
	if e.Token {
		text += "Authorization: Bearer " + exampleToken + "\r\n"
	}
	if e.Upgrade {
		text += "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	}
	if e.Body {
		text += "Content-Length: 1\r\n"
	}
	return []byte(text + "\r\n")
}

// exampleRows hold one token and its user.
type exampleRows struct {
	token   TokenEntry
	subject SubjectEntry
}

func (r exampleRows) Token(TokenKey) (TokenEntry, bool)    { return r.token, true }
func (r exampleRows) Subject(Subject) (SubjectEntry, bool) { return r.subject, true }

func (e *Example) rows(numbers *Numbering) exampleRows {
	r := exampleRows{TokenEntry{ExpiresNs: exampleUntilNs, Org: exampleOrg, Length: uint32(len(exampleToken))}, SubjectEntry{Org: exampleOrg}}
	if e.Other {
		r.token.Org, r.subject.Org = exampleOrg+1, exampleOrg+1
	}
	if e.Inactive {
		r.subject.Disabled = 1
	}
	if (&directory.Session{Methods: e.Methods}).MFA() {
		r.token.MFA = 1
	}
	held := directory.Session{Bounded: true, Permissions: slices.Sorted(slices.Values(e.Permissions))}
	r.subject.Rights = numbers.Rights(e.Roles, held.Covers)
	return r
}

package cli

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/authfi/authfi/archive"
)

// Exit codes of every command. What went wrong in detail is the code of the
// problem, which -o json prints.
const (
	exitFailed = 1
	exitUsage  = 2
)

// ErrUsage marks errors of the command line itself.
var ErrUsage = errors.New("usage")

// errQuiet ends a command as failed when everything has been said.
var errQuiet = errors.New("")

// Problem is a refusal of the API, as application/problem+json has it.
type Problem struct {
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field"`

	word     string            // of the command line, that the field was given by
	hint     string            // what to do
	findings *archive.Findings // of a file
}

func (p *Problem) Error() string {
	where := p.word
	switch {
	case where == "":
		where = p.Field
	case strings.ContainsAny(p.Field, ".["): // a part of what the word holds
		where += " (" + p.Field + ")"
	}
	if where == "" {
		return p.Code + ": " + p.Detail
	}
	return p.Code + ": " + where + ": " + strings.TrimPrefix(p.Detail, p.Field+": ")
}

// inFlag names the flag whose value a problem is about.
func inFlag(name string, err error) error {
	var p *Problem
	if !errors.As(err, &p) {
		return err
	}
	found := *p
	found.word = "--" + name
	return &found
}

// problemOf reads the body of an answer that is not a success.
func problemOf(status int, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		return &Problem{Status: status, Code: "http", Detail: fmt.Sprintf("%d %s", status, http.StatusText(status)),
			hint: "this is no answer of a node: see AUTHFI_URL or --url"}
	}
	p.Status = status
	return p
}

// hints say what to do about a problem, by its code and a part of what it says.
var hints = []struct{ code, says, do string }{
	{"unauthenticated", "bearer", "AUTHFI_TOKEN or --token must hold the token of an operator, an API key or a session that lives"},
	{"permission_denied", "is required", "somebody who may must do it, or give you a role that holds it; authfi explain shows which"},
	{"failed_precondition", "since it was read", "read it again; with --if-match the change goes through only while the version is still the same"},
	{"failed_precondition", "must be suspended", "authfi organizations limits set ORG --status suspended"},
	{"unavailable", "", "try again, or at another node with --url"},
	{"unknown_outcome", "", "look whether it happened before you repeat it; with --idempotency-key a repeat is always safe"},
}

func hintFor(p *Problem) string {
	for _, h := range hints {
		if h.code == p.Code && strings.Contains(p.Detail, h.says) {
			return h.do
		}
	}
	return ""
}

// asProblem puts every failure into the one shape that programs read.
func asProblem(err error) *Problem {
	var p *Problem
	var transport *url.Error
	switch {
	case errors.As(err, &p):
		if p.hint == "" {
			known := *p
			known.hint = hintFor(p)
			return &known
		}
		return p
	case errors.Is(err, ErrUsage):
		return &Problem{Code: "usage", Detail: strings.TrimPrefix(err.Error(), "usage: ")}
	case errors.Is(err, context.Canceled):
		return &Problem{Code: "canceled", Detail: "interrupted"}
	case errors.As(err, &transport):
		return unreachable(transport)
	}
	return &Problem{Code: "failed", Detail: err.Error()}
}

// unreachable: no answer came.
func unreachable(err *url.Error) *Problem {
	p := &Problem{Code: "unreachable", Detail: err.Err.Error(), hint: "is the node up, and AUTHFI_URL or --url its address?"}
	if at, parseErr := url.Parse(err.URL); parseErr == nil {
		p.Detail = at.Host + ": " + p.Detail
	}
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.As(err, &unknown):
		p.hint = "AUTHFI_CACERT or --cacert must name the file of the CA that signed the node's certificate"
	case errors.Is(err, context.DeadlineExceeded):
		p.hint = "--timeout waits longer"
	}
	return p
}

// MarshalJSON writes the problem with what to do about it.
func (p *Problem) MarshalJSON() ([]byte, error) {
	type plain Problem
	out := struct {
		*plain
		Hint     string            `json:"hint,omitempty"`
		Findings []archive.Finding `json:"findings,omitempty"`
	}{plain: (*plain)(p), Hint: p.hint}
	if p.findings != nil {
		out.Findings = p.findings.List
	}
	return json.Marshal(out)
}

// Report says on w why a command failed, in one line, then its findings and what
// to do or, where the output is JSON or YAML, as a problem, and returns the exit code.
func Report(w io.Writer, format string, err error) int {
	if err == nil {
		return 0
	}
	code := exitFailed
	if errors.Is(err, ErrUsage) {
		code = exitUsage
	}
	if errors.Is(err, errQuiet) {
		return code
	}
	p := asProblem(err)
	switch format {
	case formatJSON, formatJSONLines, formatYAML:
		body, err := json.Marshal(p)
		if err != nil {
			panic("cli: a problem cannot be written: " + err.Error()) // strings and one number
		}
		fmt.Fprintf(w, "%s\n", body)
		return code
	}
	fmt.Fprintln(w, "authfi:", printable(p.Error()))
	if p.findings != nil {
		for _, finding := range p.findings.List {
			fmt.Fprintln(w, " ", printable(finding.String()))
		}
		if p.findings.More > 0 {
			fmt.Fprintf(w, "  and %d more\n", p.findings.More)
		}
	}
	if p.hint != "" {
		fmt.Fprintln(w, " ", printable(p.hint))
	}
	return code
}

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

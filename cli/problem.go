package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
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
}

func (p *Problem) Error() string {
	if p.Field == "" {
		return p.Code + ": " + p.Detail
	}
	return p.Code + ": " + p.Field + ": " + strings.TrimPrefix(p.Detail, p.Field+": ")
}

// problemOf reads the body of an answer that is not a success.
func problemOf(status int, body []byte) *Problem {
	p := &Problem{}
	if json.Unmarshal(body, p) != nil || p.Code == "" {
		return &Problem{Status: status, Code: "http", Detail: fmt.Sprintf("%d %s", status, http.StatusText(status))}
	}
	p.Status = status
	return p
}

// asProblem puts every failure into the one shape that programs read.
func asProblem(err error) *Problem {
	var p *Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, ErrUsage):
		return &Problem{Code: "usage", Detail: strings.TrimPrefix(err.Error(), "usage: ")}
	case errors.Is(err, context.Canceled):
		return &Problem{Code: "canceled", Detail: "interrupted"}
	}
	return &Problem{Code: "failed", Detail: err.Error()}
}

// Report says on w why a command failed, in one line or, where the output is
// JSON or YAML, as a problem, and returns the exit code.
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
	if format == "" || format == formatTable {
		fmt.Fprintln(w, "authfi:", printable(p.Error()))
		return code
	}
	body, jsonErr := json.Marshal(p)
	if jsonErr != nil {
		panic("cli: a problem cannot be written: " + jsonErr.Error()) // strings and one number
	}
	fmt.Fprintf(w, "%s\n", body)
	return code
}

func usage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUsage, fmt.Sprintf(format, args...))
}

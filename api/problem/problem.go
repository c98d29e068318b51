// Package problem is what a client sees of an error: a code, a text for people
// and, attached, the word and the field for programs (authfi.v1.Problem). All
// handlers of the API share it, so that the same mistake looks the same wherever
// it is made; package rest writes it as application/problem+json.
package problem

import (
	"context"
	"errors"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Of shows the text of a directory.Error alone; what went wrong with us is for
// the log.
func Of(err error) *connect.Error {
	if own, ok := errors.AsType[*directory.Error](err); ok {
		if code, word := codeOf(own.Kind); code != connect.CodeInternal {
			return New(code, word, own.Field, own.Message)
		}
	}
	switch {
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the request was cancelled"))
	case errors.Is(err, context.DeadlineExceeded):
		return New(connect.CodeUnavailable, "", "", "this node could not answer in time")
	}
	return connect.NewError(connect.CodeInternal, errors.New("internal error"))
}

// New attaches the word for programs, which is the code's name when it is empty.
func New(code connect.Code, word, field, message string) *connect.Error {
	refused := connect.NewError(code, errors.New(message))
	if word == "" {
		word = code.String()
	}
	detail, err := connect.NewErrorDetail(&authfiv1.Problem{Code: word, Field: field})
	if err != nil {
		panic("problem: cannot be packed: " + err.Error()) // a message of two strings
	}
	refused.AddDetail(detail)
	return refused
}

// codeOf maps the kinds of failure; word is the one for programs where it is not
// that of the code.
func codeOf(kind directory.Kind) (code connect.Code, word string) {
	switch kind {
	case directory.KindInvalid:
		return connect.CodeInvalidArgument, ""
	case directory.KindNotFound:
		return connect.CodeNotFound, ""
	case directory.KindConflict:
		return connect.CodeAlreadyExists, "conflict"
	case directory.KindDenied:
		return connect.CodePermissionDenied, ""
	case directory.KindPrecondition:
		return connect.CodeFailedPrecondition, ""
	case directory.KindExhausted:
		return connect.CodeResourceExhausted, ""
	case directory.KindUnavailable:
		return connect.CodeUnavailable, ""
	case directory.KindUnauthenticated:
		return connect.CodeUnauthenticated, ""
	case directory.KindUnknownOutcome:
		return connect.CodeUnavailable, "unknown_outcome"
	case directory.KindInternal:
		return connect.CodeInternal, ""
	}
	return connect.CodeInternal, ""
}

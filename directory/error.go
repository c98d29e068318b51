package directory

import (
	"errors"
	"fmt"
)

// Kind classifies what the caller did wrong or may not do. Each dialect maps
// kinds to its codes in one total switch. Append-only: the numbers are in the
// remembered results of the log.
type Kind uint8

const (
	KindInternal        Kind = iota // ours; never sent with its text
	KindInvalid                     // a field is malformed or out of range
	KindNotFound                    // no such object in this organization
	KindConflict                    // a unique name is taken, or a duplicate
	KindDenied                      // the caller may not do this
	KindPrecondition                // If-Match or a state requirement does not hold
	KindExhausted                   // a limit or quota is reached
	KindUnavailable                 // cannot be decided now; try again
	KindUnauthenticated             // no valid credential
	KindUnknownOutcome              // proposed, and its fate is not known
)

// Error is a failure that belongs to the caller. Message is fit for a human
// and never holds internal text or a secret.
type Error struct {
	Kind    Kind   `cbor:"1,keyasint"`
	Field   string `cbor:"2,keyasint,omitempty"`
	Message string `cbor:"3,keyasint,omitempty"`
}

func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

func newError(kind Kind, field, format string, args []any) *Error {
	return &Error{Kind: kind, Field: field, Message: fmt.Sprintf(format, args...)}
}

// Invalid and its siblings make an Error; field is the name the API uses.
func Invalid(field, format string, args ...any) *Error {
	return newError(KindInvalid, field, format, args)
}
func NotFound(noun string) *Error { return newError(KindNotFound, "", "no such %s", []any{noun}) }
func Conflict(field, format string, args ...any) *Error {
	return newError(KindConflict, field, format, args)
}
func Denied(format string, args ...any) *Error { return newError(KindDenied, "", format, args) }
func Precondition(field, format string, args ...any) *Error {
	return newError(KindPrecondition, field, format, args)
}
func Exhausted(field, format string, args ...any) *Error {
	return newError(KindExhausted, field, format, args)
}
func Unavailable(format string, args ...any) *Error {
	return newError(KindUnavailable, "", format, args)
}
func Unauthenticated(format string, args ...any) *Error {
	return newError(KindUnauthenticated, "", format, args)
}

// UnknownOutcome is the honest answer when a proposal may or may not commit.
func UnknownOutcome() *Error {
	return &Error{Kind: KindUnknownOutcome, Message: "the change may or may not have happened; repeat it with the same Idempotency-Key"}
}

// KindOf is KindInternal for every error that is not a caller's.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return KindInternal
}

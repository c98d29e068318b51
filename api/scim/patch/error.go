package patch

import (
	"errors"
	"fmt"

	"github.com/authfi/authfi/api/scim/filter"
)

// The scimType values of RFC 7644 table 9 that this package reports.
const (
	InvalidPath   = "invalidPath"
	InvalidValue  = "invalidValue"
	InvalidSyntax = "invalidSyntax"
	NoTarget      = "noTarget"
	Mutability    = "mutability"
	TooMany       = "tooMany"
)

// Error is a fault of the client. Detail is fit for the detail of a SCIM error.
type Error struct {
	ScimType string
	Detail   string
}

func (e *Error) Error() string { return e.ScimType + ": " + e.Detail }

func fault(scimType, format string, args ...any) error {
	return &Error{scimType, fmt.Sprintf(format, args...)}
}

// pathFault reports a path that cannot be read.
func pathFault(text string, err error) error {
	if position := new(filter.Error); errors.As(err, &position) {
		return fault(InvalidPath, "path %.100q: %v", text, position)
	}
	return fault(InvalidPath, "path %.100q", text)
}

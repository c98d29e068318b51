package directory

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of text fields, in bytes.
const (
	NameMax        = 256  // display names, group and role names
	IdentifierMax  = 320  // user names and e-mail addresses: 64 + "@" + 255
	ExternalIDMax  = 512  // opaque ids of identity providers
	DescriptionMax = 2048 // free text of roles and groups
	AttributesMax  = 64 << 10
	CustomMax      = 16 << 10 // JSON of an organization's own attributes of one user
	PhoneMax       = 64
)

// CheckText refuses text that is too long, not UTF-8 or holds control
// characters; required text must not be blank.
func CheckText(field, s string, max int, required bool) error {
	switch {
	case required && strings.TrimSpace(s) == "":
		return Invalid(field, "must not be empty")
	case len(s) > max:
		return Invalid(field, "longer than %d bytes", max)
	case !utf8.ValidString(s):
		return Invalid(field, "not valid UTF-8")
	case strings.IndexFunc(s, unicode.IsControl) >= 0:
		return Invalid(field, "must not contain control characters")
	}
	return nil
}

// Fold is the form in which case-insensitive names are compared: lower-cased
// rune by rune by Unicode simple mapping, which does not depend on a locale.
func Fold(s string) string { return strings.Map(unicode.ToLower, s) }

// Package filter parses and evaluates SCIM filters (RFC 7644 section 3.4.2.2)
// and the attribute paths of PATCH (section 3.5.2).
//
// It accepts the whole grammar and the two forms that identity providers send
// beyond it: attribute names and operators in any case, and a comparison on a
// value path, as in emails[type eq "work"].value eq "x".
//
// The package is pure and its cost is bounded by constants: size is checked
// before the first byte is read, nesting and the number of comparisons while
// parsing. It knows no schema; what it must know of one it asks through Types.
package filter

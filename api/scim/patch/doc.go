// Package patch turns what identity providers send in SCIM bodies into one
// canonical form, and computes what a PATCH changes.
//
// Entra ID (in its older and its current dialect) and Okta spell the same
// change differently: booleans as text, paths as keys, roles as JSON inside a
// string, a manager as string, object or list. Every connection accepts the
// union of them, and this package is the only one that knows: behind it there
// are canonical attribute names, typed values and one operation per attribute.
//
// A user is changed as a whole by ApplyUser. A group is never read to be
// changed: GroupDelta gives the members to add and to remove, which the state
// machine applies to whatever the group holds by then.
//
// The package is pure, bounds every input before decoding it, and never alters
// what it is given.
package patch

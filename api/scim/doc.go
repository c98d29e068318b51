// Package scim serves SCIM 2.0 (RFC 7643, RFC 7644) to identity providers, one
// base URL for each organization: /scim/v2/{slug}/.
//
// Package filter reads filters and package patch reads bodies in every dialect
// that providers send; this package knows HTTP, the directory and how the one
// becomes the other. It keeps nothing but how fast each organization sends: a
// user's resource is stored with the user, a group's members are edges, a list is
// walked anew for each page, and every change is one proposal. An operation of a
// bulk request goes through the handler of a single one.
package scim

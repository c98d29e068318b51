// Package redact takes the people out of SCIM requests and answers and leaves
// everything by which a request can be understood and repeated: the structure, the
// names of attributes, operations, schemas, types, booleans and the counts of a
// list. Each other value is replaced by a pseudonym that is the same wherever the
// value stands, in a path, a filter or a body, so that a redacted conversation can
// be replayed and is answered as it was.
//
// What is kept is a list; what is not on it is replaced. A pseudonym is made with a
// key and cannot be turned back without it. Passwords and texts of errors are not
// even pseudonymous: they become one fixed word.
//
// The package is pure. It must never know a connection, a node or where what it
// gives is kept.
package redact

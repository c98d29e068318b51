// Package access decides who may call. rules.go is the one table: operation →
// scope, permission, kinds of caller; what has no row is refused. A Gate admits
// a credential to one operation and gives a Pass; handlers hold nothing else.
// The Pass stamps actor and required permission into the envelope, and the
// machine asks again at apply.
//
// The package must never know SCIM or Connect syntax, or the Raft library.
package access

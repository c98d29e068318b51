// Package policy compiles route policies to the tables that both gates follow:
// a byte automaton over decoded paths, a rule per method at its accepting
// states, and numbers for the roles and permissions that the routes name. Its
// Verdict is the oracle for the kernel's, its Machine reads requests for the
// user-space gate as strictly as the kernel's does.
//
// The package is pure: times and token keys come in as values. It knows no
// kernel, no map and no file descriptor.
package policy

// Package bpf is the kernel gate: it loads, attaches, fills and takes away the
// programs that refuse a request before the application wakes. It is told what
// the tables hold and never why; DESIGN.md has the invariants.
//
// The package must never know tokens, SCIM, the log, or how a permission came
// about.
package bpf

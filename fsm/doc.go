// Package fsm is the deterministic machine: an entry goes in; a result, events
// and a delta come out. Given the same entries, machines on all nodes end in
// the same rows. The package reads no clock, no randomness and no network and
// starts no goroutine; whatever a command needs to know of the world was
// decided before the proposal and stands in the entry.
//
// DESIGN.md holds the invariants and what was rejected.
package fsm

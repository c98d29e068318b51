// Package enforce keeps the enforcement tables of a node equal to the state:
// it turns deltas into rows of tokens, subjects and services, hands them to the
// kernel gate or to the user-space gate, and extends the lease while it can
// prove that the tables are current. It follows the log and never slows it.
//
// The invariant: at the enforced index the tables hold what the state at that
// index says; whoever cannot prove it lets the lease run out, and the gates
// refuse.
package enforce

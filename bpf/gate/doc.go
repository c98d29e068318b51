// Package gate decides requests in user space, for machines whose kernel cannot.
// It accepts the connections of one service, holds every header block until the
// caller has decided it, and relays what was allowed, unchanged, to the service.
// A byte of a refused block never leaves the gate.
//
// The service must listen where only the gate can reach it: unlike the kernel,
// the gate guards its own address and no other.
package gate

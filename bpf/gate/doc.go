// Package gate decides requests in user space: for what the kernel cannot see into
// (TLS, HTTP/2, upgrades) and for machines whose kernel cannot decide. It accepts the
// connections of one service and holds every request until the caller has decided
// it; a byte of a refused one never leaves the gate. What is let through is passed
// on without buffering, and without what a client says about itself.
//
// A verdict holds for as long as what it rests on: the gate knows what is under way,
// a tunnel or a stream as well as a request, and asks anew when it is told that
// something has changed.
//
// HTTP/1.1 is relayed as bytes, which a strict machine reads on the way (conn.go).
// HTTP/2 is net/http's, and each of its requests is rendered as a block of HTTP/1.1
// that the same machine reads (front.go).
//
// The service must listen where only the gate can reach it: unlike the kernel, the
// gate guards its own address and no other.
package gate

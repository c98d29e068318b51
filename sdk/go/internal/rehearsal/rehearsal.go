// Package rehearsal is how the SDK knows its own test issuer: whoever has a transport
// of this kind has it from package authfitest. Nothing outside of the SDK can make one,
// so that a service never trusts what a test has signed.
package rehearsal

import (
	"net/http"
	"time"
)

// Host is that of the test issuer. It can be nobody's: .test is reserved, RFC 6761.
const Host = "authfi.test"

// Mark has a name here alone.
type Mark struct{}

// Transport answers in process, and its clock is the one that counts.
type Transport interface {
	http.RoundTripper
	Now() time.Time
	Rehearse(Mark)
	// Serve is told of every service that trusts it.
	Serve(Service)
}

// Service is what the test issuer waits for.
type Service interface {
	Heard(index uint64) bool
	Knows(kid string) bool
	Follows() bool
}

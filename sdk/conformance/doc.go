// Package conformance holds what every SDK and the node's own verifier must agree
// on, as JSON: tokens, permissions, what nodes tell of rights, the life of keys, the
// feed and its heartbeats, postures and HTTP answers. The tokens are signed for real,
// by an issuer whose keys are derived from names and sign deterministically: the files
// are the same bytes whenever they are made, by `go test ./sdk/conformance -update`.
//
// The package must never be imported by anything but tests.
package conformance

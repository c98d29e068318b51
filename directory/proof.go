package directory

import "time"

// Bounds of proofs.
const (
	// ProofLifeMax is how long a proof may be good: as long as it is remembered.
	ProofLifeMax = 6 * time.Minute
	// ProofsMax are the proofs of one organization that are remembered: 160 a second
	// for the whole life of each.
	ProofsMax = 50_000
	// ProofsAtOnce are those of one request: a client's assertion and that of its key.
	ProofsAtOnce = 2
)

// Proof is a signed text that is good once, as long as it is good at all: what a client
// proves itself with, or that it has a key.
type Proof struct {
	Hash    [32]byte `cbor:"1,keyasint"` // of what makes it unique
	Expires Time     `cbor:"2,keyasint"`
}

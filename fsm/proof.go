package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// SpendProofs remembers proofs that a node has verified, and refuses all of them when
// one was used before, on whichever node. It forgets some that nobody could use any
// more; that is how the memory of them stays small.
type SpendProofs struct {
	Proofs []directory.Proof `cbor:"1,keyasint"`
}

func (*SpendProofs) Kind() Kind { return KindSpendProofs }

func (c *SpendProofs) apply(tx *state.OrgTx, env *Envelope, _ *effects) (Outcome, error) {
	if len(c.Proofs) == 0 || len(c.Proofs) > directory.ProofsAtOnce {
		return Outcome{}, directory.Invalid("proofs", "must be 1 to %d", directory.ProofsAtOnce)
	}
	tx.ForgetProofs(env.Now, 2*len(c.Proofs))
	for i := range c.Proofs {
		p := &c.Proofs[i]
		switch {
		case p.Expires <= env.Now || p.Expires > env.Now.Add(directory.ProofLifeMax):
			return Outcome{}, directory.Unauthenticated("the proof is not good now")
		case tx.HasProof(p):
			return Outcome{}, directory.Unauthenticated("the proof was used before")
		case tx.Proofs() >= directory.ProofsMax:
			return Outcome{}, directory.Exhausted("proofs", "the organization has %d proofs to remember", directory.ProofsMax)
		}
		tx.PutProof(p)
	}
	return Outcome{Changed: true}, nil
}

package login

import (
	"context"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// spend uses up proofs, which count once on whichever node they come to. It costs an
// entry of the log; whoever shows nothing that counts once costs none.
func (h *handler) spend(ctx context.Context, org *state.Org, proofs ...directory.Proof) error {
	if len(proofs) == 0 {
		return nil
	}
	_, err := h.gate.ProposeAsNode(ctx, org.ID(), &fsm.SpendProofs{Proofs: proofs})
	return err
}

// client is the organization in its newest state, and the client of it that asks. Its
// assertion is spent, and the proof of its key with it.
func (h *handler) client(ctx context.Context, slug string, p proof, with holder) (*state.Org, prover, error) {
	org, _, err := h.newest(ctx, slug)
	if err != nil {
		return nil, prover{}, err
	}
	client, err := h.tokens.prove(org, p)
	if err != nil {
		return nil, prover{}, err
	}
	proofs := with.proofs()
	refused := errDPoP("the proof was used before")
	if client.once != (directory.Proof{}) {
		proofs, refused = append(proofs, client.once), errClient()
	}
	err = h.spend(ctx, org, proofs...)
	if directory.KindOf(err) == directory.KindUnauthenticated {
		err = refused
	}
	return org, client, err
}

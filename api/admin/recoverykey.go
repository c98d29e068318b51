package admin

import (
	"context"
	"encoding/hex"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// GetRecoveryKey implements RecoveryKeyService.
func (a *api) GetRecoveryKey(ctx context.Context, _ *authfiv1.GetRecoveryKeyRequest) (*authfiv1.GetRecoveryKeyResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	k, ok := pass.View().RecoveryKey()
	if !ok {
		return &authfiv1.GetRecoveryKeyResponse{}, nil
	}
	return &authfiv1.GetRecoveryKeyResponse{RecoveryKey: recoveryKey(k)}, nil
}

// SetRecoveryKey implements RecoveryKeyService. The proof's secret leaves this
// function only sealed.
func (a *api) SetRecoveryKey(ctx context.Context, r *authfiv1.SetRecoveryKeyRequest) (*authfiv1.SetRecoveryKeyResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.instance()
	if err != nil {
		return nil, err
	}
	proof, err := hex.DecodeString(r.GetProof())
	if err != nil {
		return nil, directory.Invalid("proof", "must be hexadecimal")
	}
	public := backup.Public{Recipient: r.GetRecipient(), Proof: proof}
	if err := public.Check(); err != nil {
		return nil, directory.Invalid("recipient", "%v", err)
	}
	sealed, err := a.Ring.Seal(backup.ProofPurpose, public.Proof)
	if err != nil {
		return nil, err
	}
	if _, err := c.proposeSystem(pass, &fsm.SetRecoveryKey{
		Key: directory.RecoveryKey{Name: public.Name(), Recipient: public.Recipient, Proof: sealed},
	}, r); err != nil {
		return nil, err
	}
	set, ok := pass.RecoveryKey()
	if !ok {
		return nil, directory.NotFound("recovery key")
	}
	return &authfiv1.SetRecoveryKeyResponse{RecoveryKey: recoveryKey(set)}, nil
}

func recoveryKey(k *directory.RecoveryKey) *authfiv1.RecoveryKey {
	return &authfiv1.RecoveryKey{Name: k.Name, Created: timestamp(k.Created)}
}

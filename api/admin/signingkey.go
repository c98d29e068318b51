package admin

import (
	"context"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// signingKeys admits a call to the keys of the organization that it names.
func (a *api) signingKeys(ctx context.Context, org string) (*call, *access.Pass, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	pass, err := c.named(org)
	return c, pass, err
}

// ListSigningKeys implements SigningKeyService.
func (a *api) ListSigningKeys(ctx context.Context, r *authfiv1.ListSigningKeysRequest) (*authfiv1.ListSigningKeysResponse, error) {
	_, pass, err := a.signingKeys(ctx, r.GetOrgId())
	if err != nil {
		return nil, err
	}
	answer := &authfiv1.ListSigningKeysResponse{}
	pass.View().EachKey(func(k *directory.SigningKey) bool {
		answer.SigningKeys = append(answer.SigningKeys, signingKey(k))
		return true
	})
	return answer, nil
}

// RotateSigningKey implements SigningKeyService.
func (a *api) RotateSigningKey(ctx context.Context, r *authfiv1.RotateSigningKeyRequest) (*authfiv1.SigningKey, error) {
	c, pass, err := a.signingKeys(ctx, r.GetOrgId())
	if err != nil {
		return nil, err
	}
	key, err := a.Sessions.NewKey(pass.View(), directory.KeyAlgorithm(r.GetAlgorithm()))
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.AnnounceKey{Key: key}, r); err != nil {
		return nil, err
	}
	made, ok := pass.View().Key(key.ID)
	if !ok {
		return nil, directory.Conflict("Idempotency-Key", "was used before: the key of that request is in the list")
	}
	return signingKey(made), nil
}

// RevokeSigningKey implements SigningKeyService. The key that could take the place of
// the revoked one is made before anybody knows whether it is needed.
func (a *api) RevokeSigningKey(ctx context.Context, r *authfiv1.RevokeSigningKeyRequest) (*authfiv1.RevokeSigningKeyResponse, error) {
	c, pass, err := a.signingKeys(ctx, r.GetOrgId())
	if err != nil {
		return nil, err
	}
	revoked, ok := pass.View().Key(r.GetKid())
	if !ok {
		return nil, directory.NotFound("signing key")
	}
	next, err := a.Sessions.NewKey(pass.View(), revoked.Signs())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.RevokeKey{ID: revoked.ID, Next: next}, r)
	return &authfiv1.RevokeSigningKeyResponse{}, err
}

// GetSigningKeyPolicy implements SigningKeyService.
func (a *api) GetSigningKeyPolicy(ctx context.Context, r *authfiv1.GetSigningKeyPolicyRequest) (*authfiv1.SigningKeyPolicy, error) {
	_, pass, err := a.signingKeys(ctx, r.GetOrgId())
	if err != nil {
		return nil, err
	}
	return keyPolicy(pass), nil
}

// secondsMax keeps a number of seconds a duration.
const secondsMax = 1 << 32

// SetSigningKeyPolicy implements SigningKeyService.
func (a *api) SetSigningKeyPolicy(ctx context.Context, r *authfiv1.SetSigningKeyPolicyRequest) (*authfiv1.SigningKeyPolicy, error) {
	c, pass, err := a.signingKeys(ctx, r.GetOrgId())
	if err != nil {
		return nil, err
	}
	var policy directory.KeyPolicy
	for _, text := range r.GetAlgorithms() {
		policy.Algorithms = append(policy.Algorithms, directory.KeyAlgorithm(text))
	}
	for _, one := range []struct {
		field   string
		seconds int64
		into    *time.Duration
	}{
		{"life_seconds", r.GetLifeSeconds(), &policy.Life},
		{"announce_seconds", r.GetAnnounceSeconds(), &policy.Announce},
		{"retire_seconds", r.GetRetireSeconds(), &policy.Retire},
	} {
		if one.seconds < 0 || one.seconds > secondsMax {
			return nil, directory.Invalid(one.field, "is no number of seconds that a key could have")
		}
		*one.into = time.Duration(one.seconds) * time.Second
	}
	if _, err := c.propose(pass, &fsm.SetKeyPolicy{Policy: policy}, r); err != nil {
		return nil, err
	}
	return keyPolicy(pass), nil
}

func keyPolicy(pass *access.Pass) *authfiv1.SigningKeyPolicy {
	policy := pass.View().Record().Keys
	life, announce, retire := policy.Times()
	told := &authfiv1.SigningKeyPolicy{
		LifeSeconds: int64(life.Seconds()), AnnounceSeconds: int64(announce.Seconds()), RetireSeconds: int64(retire.Seconds()),
	}
	for _, by := range policy.Signs() {
		told.Algorithms = append(told.Algorithms, string(by))
	}
	return told
}

func signingKey(k *directory.SigningKey) *authfiv1.SigningKey {
	return &authfiv1.SigningKey{
		Kid: k.ID, Algorithm: string(k.Signs()), State: k.State.String(), Created: timestamp(k.Created), Since: timestamp(k.Since()),
	}
}

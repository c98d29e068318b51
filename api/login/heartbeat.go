package login

import (
	"fmt"
	"time"

	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

// heartbeatLife is how long a verifier may rely on what it has heard: three heartbeats.
const heartbeatLife = 15 * time.Second

// Heartbeat signs that everything of an organization up to the index of a state has
// been told. It is good for a few seconds, so that nobody in between can keep a
// verifier in the past by telling it old ones.
func (t *Tokens) Heartbeat(org *state.Org) (string, error) {
	key, err := t.signers.of(t.ring, org, "")
	if err != nil {
		return "", err
	}
	now := t.now().Truncate(time.Second)
	token, err := jwt.NewBuilder().
		Issuer(t.Issuer(org.Record().Slug)).
		IssuedAt(now).
		Expiration(now.Add(heartbeatLife)).
		Claim(claimOrg, org.ID().String()).
		Claim("index", uint64(org.Applied())).
		Build()
	if err != nil {
		return "", fmt.Errorf("sign heartbeat: %w", err)
	}
	signed, err := sign(token, key, "heartbeat+jwt")
	if err != nil {
		return "", fmt.Errorf("sign heartbeat: %w", err)
	}
	return signed, nil
}

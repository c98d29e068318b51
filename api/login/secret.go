package login

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
)

const secretPurpose = "token-secret"

// Secret is the cluster's key of the token-key function. Whoever has it could
// make two tokens with one key, so it is guarded like a signing key.
type Secret struct{ K0, K1 uint64 }

// NewSecret makes the sealed secret of a new cluster.
func NewSecret(ring *keyring.Keyring) (directory.TokenSecret, error) {
	var raw [16]byte
	if _, err := rand.Read(raw[:]); err != nil {
		return directory.TokenSecret{}, fmt.Errorf("generate token secret: %w", err)
	}
	sealed, err := ring.Seal(secretPurpose, raw[:])
	return directory.TokenSecret{Sealed: sealed}, err
}

// OpenSecret reads the secret from a root.
func OpenSecret(ring *keyring.Keyring, system *state.System) (*Secret, error) {
	stored, ok := system.TokenSecret()
	if !ok {
		return nil, fmt.Errorf("the cluster has no token secret yet")
	}
	raw, err := ring.Open(secretPurpose, stored.Sealed)
	if err != nil {
		return nil, fmt.Errorf("token secret: %w", err)
	}
	return &Secret{K0: binary.LittleEndian.Uint64(raw), K1: binary.LittleEndian.Uint64(raw[8:])}, nil
}

// Key is the token's key: the low word first.
func (s *Secret) Key(token string) (key [16]byte) {
	h := policy.SipHash128(s.K0, s.K1, []byte(token))
	binary.LittleEndian.PutUint64(key[:], h.H0)
	binary.LittleEndian.PutUint64(key[8:], h.H1)
	return key
}

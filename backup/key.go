package backup

import (
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"filippo.io/age"
)

// Key is a recovery key: whoever holds it can open every backup that was made
// while it was the instance's. It is shown once and kept off the machines.
//
// It is age's hybrid of X25519 and ML-KEM-768: backups lie for years in places that
// others can copy, and what they hold must not open when X25519 falls.
type Key struct{ identity *age.HybridIdentity }

// ProofSize is the length of the secret that shows where a backup comes from.
const ProofSize = 32

// RecipientMax bounds the text of a public half, which has some 1,960 bytes.
const RecipientMax = 4 << 10

// ProofPurpose is what a cluster seals the proof's secret for.
const ProofPurpose = "backup-proof"

// proofPurpose keeps the second secret apart from any other use of the key.
const proofPurpose = "authfi backup proof"

// ErrKeyText means that a text is no recovery key.
var ErrKeyText = errors.New("not a recovery key: it begins with AGE-SECRET-KEY-PQ-1 and is on one line")

// nameBytes of a digest tell a handful of keys apart.
const nameBytes = 8

// Public is what a cluster must know to make backups for the holder of a key. It
// opens none.
type Public struct {
	Recipient string // whom to encrypt to
	Proof     []byte // the secret under which a file is proved
}

// NewKey makes a recovery key.
func NewKey() (Key, error) {
	identity, err := age.GenerateHybridIdentity()
	if err != nil {
		return Key{}, fmt.Errorf("generate recovery key: %w", err)
	}
	return Key{identity}, nil
}

// ParseKey reads what String wrote, in either case and with space around it.
func ParseKey(text string) (Key, error) {
	identity, err := age.ParseHybridIdentity(strings.ToUpper(strings.TrimSpace(text)))
	if err != nil {
		return Key{}, ErrKeyText
	}
	return Key{identity}, nil
}

// String is the secret itself.
func (k Key) String() string { return k.identity.String() }

// Public is the half that a cluster is told.
func (k Key) Public() Public {
	return Public{Recipient: k.identity.Recipient().String(), Proof: k.proof()}
}

func (k Key) proof() []byte {
	derived, err := hkdf.Key(sha256.New, []byte(k.identity.String()), nil, proofPurpose, ProofSize)
	if err != nil {
		panic("backup: " + err.Error()) // 32 bytes are far below what the function can give
	}
	return derived
}

// Name tells keys apart: the beginning of the SHA-256 of the public half. It is no
// secret.
func (p Public) Name() string {
	sum := sha256.Sum256([]byte(p.Recipient))
	return hex.EncodeToString(sum[:nameBytes])
}

// Check refuses a public half that no backup could be made for.
func (p Public) Check() error {
	if len(p.Recipient) > RecipientMax {
		return fmt.Errorf("recipient has more than %d bytes", RecipientMax)
	}
	if _, err := age.ParseHybridRecipient(p.Recipient); err != nil {
		return errors.New("recipient is not the public half of a recovery key")
	}
	if len(p.Proof) != ProofSize {
		return fmt.Errorf("proof has %d bytes instead of %d", len(p.Proof), ProofSize)
	}
	return nil
}

package directory

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"
)

// KeyState of a signing key: announced in the JWKS, active for signing,
// retiring (verifies only), gone.
type KeyState uint8

const (
	KeyAnnounced KeyState = iota + 1
	KeyActive
	KeyRetiring
)

func (s KeyState) String() string {
	switch s {
	case KeyAnnounced:
		return "announced"
	case KeyActive:
		return "active"
	case KeyRetiring:
		return "retiring"
	}
	return "gone"
}

// KeyAlgorithm is how a key signs, as JWA names it.
type KeyAlgorithm string

const (
	ES256 KeyAlgorithm = "ES256" // everybody verifies it, and signing is cheap
	EdDSA KeyAlgorithm = "EdDSA" // Ed25519
	RS256 KeyAlgorithm = "RS256" // for those who verify nothing else: signing costs 25 times as much
)

// KeyAlgorithms are all that there are.
func KeyAlgorithms() []KeyAlgorithm { return []KeyAlgorithm{ES256, EdDSA, RS256} }

// Bounds of signing keys.
const (
	// KeysMax is room for each algorithm's key with those before and after it, and for
	// emergencies.
	KeysMax       = 16
	KeyBytesMax   = 4 << 10 // of either half: RSA of 2,048 bits takes 1,250
	KeyIDMax      = 64
	KeyLife       = 90 * 24 * time.Hour
	keyLifeMin    = time.Hour
	keyLifeMax    = 400 * 24 * time.Hour
	KeyAnnounce   = 10 * time.Minute // twice what verifiers may keep a key set without asking
	keyAnnMin     = time.Second      // verifiers that follow the feed know a key at once
	keyAnnMax     = 24 * time.Hour
	KeyRetire     = time.Hour // security events are verified later than tokens
	keyRetireMin  = AccessTokenLife + time.Minute
	keyRetireMax  = 7 * 24 * time.Hour
	algorithmsMax = 3
)

// KeyPolicy is how an organization's keys come and go. Zero values mean the product's
// own.
type KeyPolicy struct {
	Algorithms []KeyAlgorithm `cbor:"1,keyasint,omitempty"` // there is a key of each; the first signs unless a client asks for another
	Life       time.Duration  `cbor:"2,keyasint,omitempty"` // of a key that signs
	Announce   time.Duration  `cbor:"3,keyasint,omitempty"` // before it signs
	Retire     time.Duration  `cbor:"4,keyasint,omitempty"` // after it has signed
}

// Signs are the algorithms, the default first.
func (p *KeyPolicy) Signs() []KeyAlgorithm {
	if len(p.Algorithms) == 0 {
		return []KeyAlgorithm{ES256}
	}
	return p.Algorithms
}

// Times are the durations with the product's own in place of zero.
func (p *KeyPolicy) Times() (life, announce, retire time.Duration) {
	return cmp.Or(p.Life, KeyLife), cmp.Or(p.Announce, KeyAnnounce), cmp.Or(p.Retire, KeyRetire)
}

// Check holds what is true of a policy alone.
func (p *KeyPolicy) Check() error {
	if len(p.Algorithms) > algorithmsMax {
		return Invalid("algorithms", "more than %d", algorithmsMax)
	}
	for i, a := range p.Algorithms {
		if !slices.Contains(KeyAlgorithms(), a) || slices.Contains(p.Algorithms[:i], a) {
			return Invalid("algorithms", "must be different ones of ES256, EdDSA and RS256")
		}
	}
	life, announce, retire := p.Times()
	for _, one := range []struct {
		field           string
		is, least, most time.Duration
	}{
		{"life_seconds", life, keyLifeMin, keyLifeMax},
		{"announce_seconds", announce, keyAnnMin, keyAnnMax},
		{"retire_seconds", retire, keyRetireMin, keyRetireMax},
	} {
		if one.is < one.least || one.is > one.most {
			return Invalid(one.field, "must be %d to %d", int(one.least.Seconds()), int(one.most.Seconds()))
		}
	}
	if announce > life/2 {
		return Invalid("announce_seconds", "must be at most half of the life of a key")
	}
	return nil
}

// Same reports whether two policies say the same.
func (p *KeyPolicy) Same(other *KeyPolicy) bool {
	return slices.Equal(p.Algorithms, other.Algorithms) && p.Life == other.Life && p.Announce == other.Announce && p.Retire == other.Retire
}

// SigningKey is one key of an organization. The private half is sealed under
// the cluster's keyring before it enters the log.
type SigningKey struct {
	ID      string   `cbor:"1,keyasint"` // kid: RFC 7638 thumbprint
	Public  []byte   `cbor:"2,keyasint"` // PKIX DER
	Sealed  []byte   `cbor:"3,keyasint"` // PKCS #8 DER, sealed
	State   KeyState `cbor:"4,keyasint"`
	Created Time     `cbor:"5,keyasint"`
	Version Index    `cbor:"6,keyasint"`

	Began     Time         `cbor:"7,keyasint,omitempty"`  // its state; zero: with the key
	Algorithm KeyAlgorithm `cbor:"20,keyasint,omitempty"` // empty: ES256
}

// Since is when the key came into its state.
func (k *SigningKey) Since() Time { return cmp.Or(k.Began, k.Created) }

// Signs is the key's algorithm.
func (k *SigningKey) Signs() KeyAlgorithm { return cmp.Or(k.Algorithm, ES256) }

// Check holds what is true of a new key alone.
func (k *SigningKey) Check() error {
	switch {
	case k.ID == "" || len(k.ID) > KeyIDMax:
		return Invalid("id", "must have 1 to %d bytes", KeyIDMax)
	case len(k.Public) == 0 || len(k.Public) > KeyBytesMax || len(k.Sealed) == 0 || len(k.Sealed) > KeyBytesMax:
		return Invalid("key", "each half must have 1 to %d bytes", KeyBytesMax)
	case !slices.Contains(KeyAlgorithms(), k.Signs()):
		return Invalid("algorithm", "must be one of ES256, EdDSA and RS256")
	}
	return nil
}

// SignerOf is by what a session remembers which key has signed a token.
func SignerOf(kid string) uint64 {
	sum := sha256.Sum256([]byte(kid))
	return binary.LittleEndian.Uint64(sum[:]) | 1 // zero: a token from before it was remembered
}

// TokenSecret is the sealed 128-bit key of the token-key function.
type TokenSecret struct {
	Sealed  []byte `cbor:"1,keyasint"`
	Created Time   `cbor:"2,keyasint"`
}

// RecoveryKey is what the instance knows of the key that opens its backups, which
// itself is kept off the machines.
type RecoveryKey struct {
	Name      string `cbor:"1,keyasint"` // tells keys apart
	Recipient string `cbor:"2,keyasint"` // whom backups are encrypted to
	Proof     []byte `cbor:"3,keyasint"` // sealed: the secret under which a backup is proved
	Created   Time   `cbor:"4,keyasint"`
}

// Bounds of a recovery key as it is stored: a post-quantum recipient has some 1,960
// bytes, a sealed proof 61.
const (
	RecoveryNameMax      = 64
	RecoveryRecipientMax = 4 << 10
	RecoveryProofMax     = 256
)

// OperatorsMax bounds the operators of an instance: few people run one.
const OperatorsMax = 100

// Operator runs the instance; its token is kept as SHA-256 only.
type Operator struct {
	ID      OperatorID `cbor:"1,keyasint"`
	Name    string     `cbor:"2,keyasint"`
	Token   [32]byte   `cbor:"3,keyasint"`
	Created Time       `cbor:"4,keyasint"`
}

// JoinToken lets one node join once, before it expires.
type JoinToken struct {
	ID       string   `cbor:"1,keyasint"`
	Secret   [32]byte `cbor:"2,keyasint"` // SHA-256
	Created  Time     `cbor:"3,keyasint"`
	Expires  Time     `cbor:"4,keyasint"`
	Redeemed Time     `cbor:"5,keyasint,omitempty"`
	Node     string   `cbor:"6,keyasint,omitempty"`
}

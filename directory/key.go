package directory

// KeyState of a signing key: announced in the JWKS, active for signing,
// retiring (verifies only), gone.
type KeyState uint8

const (
	KeyAnnounced KeyState = iota + 1
	KeyActive
	KeyRetiring
)

// SigningKey is one key of an organization. The private half is sealed under
// the cluster's keyring before it enters the log.
type SigningKey struct {
	ID      string   `cbor:"1,keyasint"` // kid: RFC 7638 thumbprint
	Public  []byte   `cbor:"2,keyasint"` // PKIX DER
	Sealed  []byte   `cbor:"3,keyasint"` // PKCS #8 DER, sealed
	State   KeyState `cbor:"4,keyasint"`
	Created Time     `cbor:"5,keyasint"`
	Version Index    `cbor:"6,keyasint"`
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

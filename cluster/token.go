package cluster

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
)

var tokenEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

var errToken = errors.New("cluster: malformed join token")

// JoinToken lets one node join: it pins the cluster CA and names a secret that
// the layer above redeems once.
type JoinToken struct {
	Pin    [sha256.Size]byte // SHA-256 of the CA's SubjectPublicKeyInfo
	ID     string
	Secret []byte
}

// NewJoinToken makes a token for the CA with the given DER-encoded public key.
func NewJoinToken(caSPKI []byte) JoinToken {
	id, secret := make([]byte, 10), make([]byte, 32)
	rand.Read(id)
	rand.Read(secret)
	return JoinToken{sha256.Sum256(caSPKI), tokenEncoding.EncodeToString(id), secret}
}

func (t JoinToken) String() string {
	e := tokenEncoding
	return "v1." + e.EncodeToString(t.Pin[:]) + "." + t.ID + "." + e.EncodeToString(t.Secret)
}

// ParseJoinToken reads what String wrote.
func ParseJoinToken(s string) (JoinToken, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 4 || parts[0] != "v1" || parts[2] == "" {
		return JoinToken{}, errToken
	}
	pin, pinErr := tokenEncoding.DecodeString(parts[1])
	secret, secretErr := tokenEncoding.DecodeString(parts[3])
	if pinErr != nil || secretErr != nil || len(pin) != sha256.Size || len(secret) == 0 {
		return JoinToken{}, errToken
	}
	return JoinToken{[sha256.Size]byte(pin), parts[2], secret}, nil
}

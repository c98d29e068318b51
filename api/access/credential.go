package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/authfi/authfi/directory"
)

// Opaque credentials name themselves: a prefix that secret scanners can find,
// then the ids under which the hash is stored and 32 random bytes. So no table
// of credentials spans organizations.
const (
	operatorPrefix    = "afo_" // OperatorID, secret
	connectionPrefix  = "afs_" // OrgID, ConnectionID, secret
	apiKeyPrefix      = "afk_" // OrgID, APIKeyID, secret
	refreshPrefix     = "afr_" // OrgID, SessionID, secret
	eventStreamPrefix = "afe_" // OrgID, EventStreamID, secret
	clientPrefix      = "afc_" // OrgID, ClientID, secret
	codePrefix        = "afa_" // OrgID, SessionID, secret
	devicePrefix      = "afd_" // OrgID, key of the user code, secret
)

const secretSize = 32

// CredentialMax bounds a bearer credential: an access token stays under 4 KB,
// and nothing longer is parsed.
const CredentialMax = 8 << 10

func opaque(prefix string, parts ...[]byte) (token string, hash [32]byte) {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	secret := make([]byte, secretSize)
	if _, err := rand.Read(secret); err != nil {
		panic(fmt.Sprintf("access: no randomness: %v", err)) // crypto/rand documents that it never fails
	}
	token = prefix + base64.RawURLEncoding.EncodeToString(append(b, secret...))
	return token, Hash(token)
}

// parse splits a token into ids of 16 bytes; the secret stays in the hash.
func parseOpaque(prefix, token string, ids ...*[16]byte) bool {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(text) > 200 {
		return false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != 16*len(ids)+secretSize {
		return false
	}
	for i, id := range ids {
		copy(id[:], b[16*i:])
	}
	return true
}

// Hash is how an opaque credential is stored. The secret has 256 random bits,
// so a plain hash cannot be searched.
func Hash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

// Matches compares a credential with a stored hash in a time that tells nothing.
func Matches(token string, stored [32]byte) bool { return matches(token, stored) }

func matches(token string, stored [32]byte) bool { return sameHash(Hash(token), stored) }

func sameHash(a, b [32]byte) bool { return subtle.ConstantTimeCompare(a[:], b[:]) == 1 }

// matchesAny compares with as many stored hashes as a connection can have, whether
// it has them or not, so that the time tells nothing.
func matchesAny(token string, stored []directory.ConnectionToken) bool {
	hash, found := Hash(token), 0
	for i := range max(len(stored), directory.ConnectionTokensMax) {
		var against [32]byte
		if i < len(stored) {
			against = stored[i].Hash
		}
		found |= subtle.ConstantTimeCompare(hash[:], against[:])
	}
	return found == 1
}

// NewOperatorToken and its siblings make a credential and the hash to store.
func NewOperatorToken(id directory.OperatorID) (token string, hash [32]byte) {
	return opaque(operatorPrefix, id[:])
}

func NewConnectionToken(org directory.OrgID, id directory.ConnectionID) (token string, hash [32]byte) {
	return opaque(connectionPrefix, org[:], id[:])
}

// Hint is the end of a token, by which people tell one from another: 24 of its 256
// random bits.
func Hint(token string) string { return token[len(token)-directory.TokenHintMax:] }

func NewAPIKey(org directory.OrgID, id directory.APIKeyID) (key string, hash [32]byte) {
	return opaque(apiKeyPrefix, org[:], id[:])
}

func NewRefreshToken(org directory.OrgID, id directory.SessionID) (token string, hash [32]byte) {
	return opaque(refreshPrefix, org[:], id[:])
}

func NewClientSecret(org directory.OrgID, id directory.ClientID) (secret string, hash [32]byte) {
	return opaque(clientPrefix, org[:], id[:])
}

func NewCode(org directory.OrgID, id directory.SessionID) (code string, hash [32]byte) {
	return opaque(codePrefix, org[:], id[:])
}

func NewDeviceCode(org directory.OrgID, key [16]byte) (code string, hash [32]byte) {
	return opaque(devicePrefix, org[:], key[:])
}

// ParseDeviceCode says where a device code belongs, not that it is valid.
func ParseDeviceCode(code string) (org directory.OrgID, key [16]byte, ok bool) {
	ok = parseOpaque(devicePrefix, code, (*[16]byte)(&org), &key)
	return org, key, ok
}

// ParseCode says where an authorization code belongs, not that it is valid.
func ParseCode(code string) (org directory.OrgID, session directory.SessionID, ok bool) {
	ok = parseOpaque(codePrefix, code, (*[16]byte)(&org), (*[16]byte)(&session))
	return org, session, ok
}

// wellFormed reports whether a token has the form of one that the log knows.
func wellFormed(token string) bool {
	var a, b [16]byte
	return parseOpaque(operatorPrefix, token, &a) || parseOpaque(connectionPrefix, token, &a, &b) ||
		parseOpaque(apiKeyPrefix, token, &a, &b)
}

// ParseRefreshToken says where a refresh token belongs, not that it is valid.
func ParseRefreshToken(token string) (org directory.OrgID, session directory.SessionID, ok bool) {
	ok = parseOpaque(refreshPrefix, token, (*[16]byte)(&org), (*[16]byte)(&session))
	return org, session, ok
}

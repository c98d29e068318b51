package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Object is one of JSON.
type Object = map[string]any

// Key is a signing key that is derived from its name.
type Key struct {
	ID  string
	ec  *ecdsa.PrivateKey
	ed  ed25519.PrivateKey
	alg string
}

// NewKey makes an ES256 key. Its secret is public: it is for tests alone.
func NewKey(id string) *Key {
	seed := sha256.Sum256([]byte("authfi conformance " + id))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), seed[:])
	if err != nil {
		panic(fmt.Sprintf("the name %q gives no key: %v", id, err))
	}
	return &Key{ID: id, ec: key, alg: "ES256"}
}

// NewEdKey makes an Ed25519 key, likewise.
func NewEdKey(id string) *Key {
	seed := sha256.Sum256([]byte("authfi conformance " + id))
	return &Key{ID: id, ed: ed25519.NewKeyFromSeed(seed[:]), alg: "EdDSA"}
}

// JWK is the public half.
func (k *Key) JWK() Object {
	if k.ed != nil {
		return Object{"kty": "OKP", "crv": "Ed25519", "alg": k.alg, "use": "sig", "kid": k.ID, "x": Encode(k.ed.Public().(ed25519.PublicKey))}
	}
	public := k.point()
	return Object{"kty": "EC", "crv": "P-256", "alg": k.alg, "use": "sig", "kid": k.ID, "x": Encode(public[1:33]), "y": Encode(public[33:])}
}

func (k *Key) point() []byte {
	public, err := k.ec.PublicKey.Bytes()
	if err != nil {
		panic(err)
	}
	return public
}

// KeySet is the JWKS of some keys.
func KeySet(keys ...*Key) Object {
	list := []any{}
	for _, k := range keys {
		list = append(list, k.JWK())
	}
	return Object{"keys": list}
}

// Sign makes a token of any header and claims.
func (k *Key) Sign(header, claims Object) string { return k.SignText(text(header), text(claims)) }

// SignText makes one of any two texts.
func (k *Key) SignText(header, claims string) string {
	input := Encode([]byte(header)) + "." + Encode([]byte(claims))
	return input + "." + Encode(k.signature(input))
}

// signature is deterministic, RFC 6979 and RFC 8032.
func (k *Key) signature(input string) []byte {
	if k.ed != nil {
		return ed25519.Sign(k.ed, []byte(input))
	}
	der := k.der(input)
	// SEQUENCE of two INTEGERs, each with a length below 128.
	r := der[4 : 4+der[3]]
	s := der[4+int(der[3])+2:]
	return append(word(r), word(s)...)
}

func (k *Key) der(input string) []byte {
	sum := sha256.Sum256([]byte(input))
	der, err := k.ec.Sign(nil, sum[:], crypto.SHA256)
	if err != nil {
		panic(err)
	}
	return der
}

// word is an integer of DER as 32 bytes.
func word(b []byte) []byte {
	for len(b) > 32 {
		b = b[1:]
	}
	return append(make([]byte, 32-len(b)), b...)
}

// mac signs with HS256 and any secret, as an attacker with the public key can.
func mac(secret []byte, header, claims Object) string {
	input := Encode([]byte(text(header))) + "." + Encode([]byte(text(claims)))
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(input))
	return input + "." + Encode(h.Sum(nil))
}

// Encode is base64url without padding.
func Encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func text(o Object) string {
	b, err := json.Marshal(o)
	if err != nil {
		panic(err)
	}
	return string(b)
}

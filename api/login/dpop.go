package login

import (
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/lestrrat-go/jwx/v3/jws"
)

// Names and bounds of RFC 9449.
const (
	headerDPoP   = "DPoP"
	headerNonce  = "DPoP-Nonce"
	typeDPoP     = "dpop+jwt"
	claimBinding = "cnf"
	noncePurpose = "dpop-nonce"
	// nonceLife is how long a nonce is good. A proof is as good as its nonce, and is
	// remembered as long.
	nonceLife = 5 * time.Minute
	proofMax  = 4 << 10 // bytes of a proof: an RSA key has some 350
)

// holder is who has shown a key with a request: the thumbprint, and the proof, which
// counts once. The zero value is who has shown none.
type holder struct {
	key   [32]byte
	proof directory.Proof
}

func (h holder) shown() bool { return h.key != [32]byte{} }

// proofs are what the request spends.
func (h holder) proofs() []directory.Proof {
	if !h.shown() {
		return nil
	}
	return []directory.Proof{h.proof}
}

func errDPoP(detail string) error {
	return failed(http.StatusBadRequest, "invalid_dpop_proof", detail)
}

// nonce is one that any node takes, from now on and not for long.
func (t *Tokens) nonce() (string, error) {
	sealed, err := t.ring.Seal(noncePurpose, binary.BigEndian.AppendUint64(nil, uint64(directory.TimeOf(t.now()))))
	return base64.RawURLEncoding.EncodeToString(sealed), err
}

// nonced is when a nonce was given out.
func (t *Tokens) nonced(text string) (at directory.Time, ok bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, false
	}
	plain, err := t.ring.Open(noncePurpose, sealed)
	if err != nil || len(plain) != 8 {
		return 0, false
	}
	at = directory.Time(binary.BigEndian.Uint64(plain))
	age := t.now().Sub(at.Std())
	return at, age > -skew && age < nonceLife
}

// held reads the proof of a request to a path of an issuer; token is the access token
// beside it, if any. A request without a proof shows no key. The nonce in the answer
// is for the next request, and for this one when its own was not good.
func (h *handler) held(w http.ResponseWriter, r *http.Request, path, token string) (holder, error) {
	values := r.Header.Values(headerDPoP)
	if len(values) == 0 {
		return holder{}, nil
	}
	nonce, err := h.tokens.nonce()
	if err != nil {
		return holder{}, err
	}
	w.Header().Set(headerNonce, nonce)
	if len(values) > 1 || len(values[0]) > proofMax {
		return holder{}, errDPoP("there must be one proof")
	}
	return h.tokens.holds(values[0], r.Method, path, token)
}

// dpopClaims are what a proof says.
type dpopClaims struct {
	ID     string      `json:"jti"`
	Method string      `json:"htm"`
	URI    string      `json:"htu"`
	Issued json.Number `json:"iat"`
	Nonce  string      `json:"nonce"`
	Token  string      `json:"ath"`
}

// holds verifies a proof (RFC 9449, section 4.3) but for whether it was used before.
func (t *Tokens) holds(proof, method, uri, token string) (h holder, err error) {
	header, claims, err := readProof(proof)
	if err != nil {
		return h, err
	}
	key, ok := header.JWK()
	if typ, _ := header.Type(); !ok || typ != typeDPoP {
		return h, errDPoP("the proof is not of the type dpop+jwt with its key")
	}
	by, _ := header.Algorithm()
	if !slices.Contains(keyAlgorithms(key), by.String()) {
		return h, errDPoP("the key is not a public one of an algorithm that is offered")
	}
	if _, err := jws.Verify([]byte(proof), jws.WithKey(by, key)); err != nil {
		return h, errDPoP("the signature is not the key's")
	}
	if claims.Method != method || !sameURI(claims.URI, uri) || claims.ID == "" || len(claims.ID) > assertionIDMax {
		return h, errDPoP("the proof is for another request")
	}
	if hash := sha256.Sum256([]byte(token)); token != "" && claims.Token != base64.RawURLEncoding.EncodeToString(hash[:]) {
		return h, errDPoP("the proof is for another token")
	}
	issued, err := claims.Issued.Int64()
	if age := t.now().Sub(time.Unix(issued, 0)); err != nil || age > nonceLife || age < -nonceLife {
		return h, errDPoP("the proof was not made now")
	}
	at, ok := t.nonced(claims.Nonce)
	if !ok {
		return h, failed(http.StatusBadRequest, "use_dpop_nonce", "the proof must have the nonce of this answer")
	}
	print, err := key.Thumbprint(crypto.SHA256)
	if err != nil {
		return h, errDPoP("the key cannot be read")
	}
	h.key = [32]byte(print)
	h.proof = directory.Proof{
		Hash:    sha256.Sum256([]byte("dpop " + string(print) + " " + claims.ID)), // the thumbprint has one length
		Expires: at.Add(nonceLife + 2*skew),
	}
	return h, nil
}

// readProof demands that a proof can be read in one way only.
func readProof(proof string) (header jws.Headers, claims dpopClaims, err error) {
	malformed := errDPoP("the proof cannot be read")
	if err := checkParts(proof, "typ", "alg", "jwk"); err != nil {
		return nil, claims, malformed
	}
	message, err := jws.Parse([]byte(proof))
	if err != nil || len(message.Signatures()) != 1 || json.Unmarshal(message.Payload(), &claims) != nil {
		return nil, claims, malformed
	}
	return message.Signatures()[0].ProtectedHeaders(), claims, nil
}

// sameURI compares without query and fragment, and scheme and host without case (RFC
// 9449, section 4.3; RFC 3986, section 6.2).
func sameURI(said, asked string) bool {
	a, errA := url.Parse(said)
	b, errB := url.Parse(asked)
	return errA == nil && errB == nil && strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host) &&
		a.EscapedPath() == b.EscapedPath() && a.User == nil
}

// binding is the claim by which a token is bound to a key.
func binding(key [32]byte) map[string]string {
	return map[string]string{"jkt": base64.RawURLEncoding.EncodeToString(key[:])}
}

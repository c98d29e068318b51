package authfi

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"slices"
	"strings"
	"time"
)

// Bounds of a token and of clocks.
const (
	tokenMax    = 16 << 10 // bytes; servers refuse headers that are longer
	kidMax      = 128      // bytes
	lifeMax     = time.Hour
	SkewDefault = 5 * time.Second
	SkewMax     = 60 * time.Second // beyond it a clock is to be repaired, not tolerated
)

const typeAccess = "at+jwt" // RFC 9068

// User is who a verified token speaks of.
type User struct {
	ID          string
	OrgID       string
	SessionID   string
	Roles       []string
	Groups      []string
	Permissions Permissions
	Methods     []string // how the user signed in, RFC 8176
	Claims      map[string]any
	Token       string

	index     uint64 // applied index at mint, or when the rights were told
	referred  bool   // the token does not hold its rights: a node tells them
	told      bool   // and has
	notBefore float64
	expires   float64
}

// Can reports whether the user holds the permission. Nobody holds none.
func (u *User) Can(p string) bool { return u != nil && u.Permissions.Allow(p) }

// CanAny reports whether the user holds one of them.
func (u *User) CanAny(ps ...string) bool { return slices.ContainsFunc(ps, u.Can) }

// CanAll reports whether the user holds all of them, and there is one.
func (u *User) CanAll(ps ...string) bool {
	return len(ps) > 0 && !slices.ContainsFunc(ps, func(p string) bool { return !u.Can(p) })
}

// rules are what a token is held against.
type rules struct {
	issuer, audience, org string // org may be empty: any
	skew                  time.Duration
}

// forbidden header names: they would say which key to trust, or change what is
// signed. Nothing that a token says about its own verification is followed.
var forbidden = []string{"jku", "jwk", "x5u", "x5c", "crit", "b64", "zip"}

// envelope is a token taken apart, with nothing of it believed.
type envelope struct {
	alg, kid  string
	signed    string
	payload   string
	signature []byte
}

func open(token, wanted string) (e envelope, ok bool) {
	if len(token) > tokenMax {
		return e, false
	}
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return e, false
	}
	header, ok := decode(parts[0])
	if !ok {
		return e, false
	}
	o, err := parseObject(header)
	if err != nil || slices.ContainsFunc(forbidden, func(name string) bool { _, there := o[name]; return there }) {
		return e, false
	}
	typ, _ := text(o["typ"])
	e.alg, _ = text(o["alg"])
	if e.kid, ok = text(o["kid"]); !ok || len(e.kid) > kidMax || typ != wanted {
		return e, false
	}
	e.signed, e.payload = token[:len(parts[0])+1+len(parts[1])], parts[1]
	e.signature, ok = decode(parts[2])
	return e, ok
}

// decode reads base64url as RFC 7515 writes it: no padding, no line ends, and no
// bits that do not count, so that a token has one spelling.
func decode(s string) ([]byte, bool) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, false
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	return b, err == nil
}

// signatureSize is that of ES256 and of Ed25519.
const signatureSize = 64

// verifies: the algorithm is the key's; the header may only agree with it.
func (e *envelope) verifies(k *key) bool {
	if k == nil || e.alg != k.alg || len(e.signature) != signatureSize {
		return false
	}
	if k.alg == algEdDSA {
		return ed25519.Verify(k.ed, []byte(e.signed), e.signature)
	}
	sum := sha256.Sum256([]byte(e.signed))
	r, s := new(big.Int).SetBytes(e.signature[:32]), new(big.Int).SetBytes(e.signature[32:])
	return ecdsa.Verify(k.ec, sum[:], r, s)
}

// read takes the claims of a token whose signature was verified.
func (e *envelope) read(r rules, token string) (*User, bool) {
	payload, ok := decode(e.payload)
	if !ok {
		return nil, false
	}
	o, err := parseObject(payload)
	if err != nil || !r.addressed(o) {
		return nil, false
	}
	if _, bound := o["cnf"]; bound {
		return nil, false // whoever bears it may have stolen it; no proof is looked at here
	}
	u := &User{Claims: o, Token: token}
	return u, u.readTimes(o) && u.readNames(o) && u.readRights(o, r.issuer) && (r.org == "" || u.OrgID == r.org)
}

func (r rules) addressed(o object) bool {
	if issuer, _ := text(o["iss"]); issuer != r.issuer || r.issuer == "" || r.audience == "" {
		return false
	}
	if audience, ok := text(o["aud"]); ok {
		return audience == r.audience
	}
	audiences, ok := texts(o["aud"])
	return ok && slices.Contains(audiences, r.audience)
}

// readTimes does not judge iat by the clock: it says when the token was made, not
// from when it counts.
func (u *User) readTimes(o object) (ok bool) {
	issued, ok := number(o["iat"])
	if !ok {
		return false
	}
	if u.expires, ok = number(o["exp"]); !ok || u.expires-issued > lifeMax.Seconds() {
		return false
	}
	if value, there := o["nbf"]; there {
		if u.notBefore, ok = number(value); !ok {
			return false
		}
	}
	u.index, ok = indexOf(o["ri"])
	return ok
}

func indexOf(value any) (uint64, bool) {
	n, ok := number(value)
	return uint64(n), ok && float64(uint64(n)) == n
}

// readNames demands every claim: one that is empty is not absent.
func (u *User) readNames(o object) bool {
	for name, place := range map[string]*string{"sub": &u.ID, "org_id": &u.OrgID, "sid": &u.SessionID} {
		var ok bool
		if *place, ok = text(o[name]); !ok {
			return false
		}
	}
	if _, ok := text(o["jti"]); !ok {
		return false
	}
	var ok bool
	u.Methods, ok = texts(o["amr"])
	return ok
}

// current holds the token against the clock.
func (u *User) current(now time.Time, skew time.Duration) bool {
	seconds := float64(now.UnixNano()) / 1e9
	return seconds < u.expires+skew.Seconds() && seconds >= u.notBefore-skew.Seconds()
}

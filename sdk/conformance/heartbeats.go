package conformance

import "strings"

// Heartbeats is the file heartbeats.json: heartbeats at an index, with what proves them.
type Heartbeats struct {
	Issuer string          `json:"issuer"`
	Org    string          `json:"org"`
	Now    float64         `json:"now"`
	Skew   float64         `json:"skew"`
	Index  uint64          `json:"index"`
	KeySet Object          `json:"key_set"`
	Cases  []HeartbeatCase `json:"cases"`
}

// HeartbeatCase is one proof and what a follower must make of it.
type HeartbeatCase struct {
	Name   string `json:"name"`
	Proof  string `json:"proof"`
	Expect string `json:"expect"` // proven, wrong, or unknown: of a key that is not there
}

// heartbeatIndex is that of the heartbeats of the vectors, and heartbeatLife how many
// seconds their proofs are good for.
const (
	heartbeatIndex = 4711
	heartbeatLife  = 15
)

const (
	proven  = "proven"
	wrong   = "wrong"
	unknown = "unknown"
)

// Prove signs a heartbeat at an index, at a time in seconds, as a node does.
func (k *Key) Prove(index uint64, now int64) string {
	return k.Sign(k.beatHeader(), beatClaims(index, now))
}

func (k *Key) beatHeader() Object { return Object{"typ": "heartbeat+jwt", "alg": k.alg, "kid": k.ID} }

func beatClaims(index uint64, now int64) Object {
	return Object{"iss": Issuer, "org_id": Org, "index": index, "iat": now, "exp": now + heartbeatLife}
}

type heartbeatCases struct {
	key   *Key
	cases []HeartbeatCase
}

func (c *heartbeatCases) add(expect, name, proof string) {
	c.cases = append(c.cases, HeartbeatCase{"heartbeat: " + name, proof, expect})
}

func (c *heartbeatCases) header(expect, name, member string, value any) {
	c.add(expect, name, c.key.Sign(With(c.key.beatHeader(), member, value), beatClaims(heartbeatIndex, Now)))
}

func (c *heartbeatCases) claim(expect, name, member string, value any) {
	c.add(expect, name, c.key.Sign(c.key.beatHeader(), With(beatClaims(heartbeatIndex, Now), member, value)))
}

// MakeHeartbeats makes the file.
func MakeHeartbeats() Heartbeats {
	c := &heartbeatCases{key: NewKey("k1")}
	other, ed := NewKey("k2"), NewEdKey("ed1")
	c.add(proven, "a good proof", c.key.Prove(heartbeatIndex, Now))
	c.add(proven, "of the second key", other.Prove(heartbeatIndex, Now))
	c.add(proven, "EdDSA", ed.Prove(heartbeatIndex, Now))
	c.claim(proven, "a claim more", "extra", Object{"a": 1})
	c.signatures()
	c.contents()
	return Heartbeats{
		Issuer: Issuer, Org: Org, Now: Now, Skew: Skew, Index: heartbeatIndex, KeySet: KeySet(c.key, other, ed), Cases: c.cases,
	}
}

func (c *heartbeatCases) signatures() {
	good, stranger := c.key.Prove(heartbeatIndex, Now), NewKey("stranger")
	last := good[len(good)-1:]
	c.add(wrong, "no proof", "")
	c.add(wrong, "no token", "proof")
	c.add(wrong, "no signature", good[:strings.LastIndexByte(good, '.')+1])
	c.add(wrong, "a character too few", strings.TrimSuffix(good, last))
	c.add(wrong, "padding", good+"==")
	c.add(wrong, "a stranger's signature", stranger.Sign(c.key.beatHeader(), beatClaims(heartbeatIndex, Now)))
	c.add(unknown, "a stranger's key", stranger.Prove(heartbeatIndex, Now))
	c.add(wrong, "a stranger's key that it brings", stranger.Sign(With(stranger.beatHeader(), "jwk", stranger.JWK()), beatClaims(heartbeatIndex, Now)))
	c.add(wrong, "HS256 with the public point", mac(c.key.point(), With(c.key.beatHeader(), "alg", "HS256"), beatClaims(heartbeatIndex, Now)))
	c.add(wrong, "an access token", c.key.Sign(c.key.Header(), Claims()))
	c.add(wrong, "an access token with an index", c.key.Sign(c.key.Header(), beatClaims(heartbeatIndex, Now)))
	c.header(wrong, "alg none", "alg", "none")
	c.header(wrong, "typ JWT", "typ", "JWT")
	c.header(wrong, "typ application/heartbeat+jwt", "typ", "application/heartbeat+jwt")
	c.header(wrong, "no typ", "typ", nil)
	c.header(wrong, "no kid", "kid", nil)
	c.header(wrong, "the kid of another key", "kid", "k2")
	c.header(wrong, "crit", "crit", []string{"exp"})
	parts := strings.Split(good, ".")
	c.add(wrong, "of another index, with the signature of this", parts[0]+"."+Encode([]byte(text(beatClaims(heartbeatIndex+1, Now))))+"."+parts[2])
}

func (c *heartbeatCases) contents() {
	for _, name := range []string{"iss", "org_id", "index", "iat", "exp"} {
		c.claim(wrong, "no "+name, name, nil)
		c.claim(wrong, name+" a list", name, []any{1})
		c.claim(wrong, name+" empty", name, "")
	}
	c.claim(wrong, "another issuer", "iss", "https://auth.example/o/north")
	c.claim(wrong, "the issuer with a slash", "iss", Issuer+"/")
	c.claim(wrong, "another organization", "org_id", "org-ffffffffffffffffffffffffffffffff")
	c.claim(wrong, "an index below", "index", heartbeatIndex-1)
	c.claim(wrong, "an index above", "index", heartbeatIndex+1)
	c.claim(wrong, "an index that is a text", "index", "4711")
	c.claim(wrong, "an index that is a fraction", "index", 4711.5)
	c.claim(wrong, "a life of more than 15 seconds", "exp", Now+heartbeatLife+1)
	c.claim(wrong, "exp a text", "exp", "1772366415")
	c.add(wrong, "an index twice", c.key.SignText(text(c.key.beatHeader()), `{"index":4711,`+text(beatClaims(heartbeatIndex, Now))[1:]))
	c.add(wrong, "claims that are a list", c.key.SignText(text(c.key.beatHeader()), "["+text(beatClaims(heartbeatIndex, Now))+"]"))
	c.add(proven, "19 seconds old, which is within the skew", c.key.Prove(heartbeatIndex, Now-heartbeatLife-Skew+1))
	c.add(wrong, "20 seconds old", c.key.Prove(heartbeatIndex, Now-heartbeatLife-Skew))
	c.add(wrong, "an hour old", c.key.Prove(heartbeatIndex, Now-3600))
}

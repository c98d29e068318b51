package conformance

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What the tokens of the vectors speak of.
const (
	Issuer  = "https://auth.example/o/vectors"
	Org     = "org-0192d3a4b5c6d7e8f90a1b2c3d4e5f60"
	User    = "usr-0192d3a4b5c6d7e8f90a1b2c3d4e5f61"
	Session = "ses-0192d3a4b5c6d7e8f90a1b2c3d4e5f62"
	Now     = 1772366400 // 2026-03-01 12:00:00
	Skew    = 5          // seconds
)

// Tokens is the file tokens.json.
type Tokens struct {
	Issuer   string      `json:"issuer"`
	Audience string      `json:"audience"`
	Org      string      `json:"org"`
	Now      float64     `json:"now"`
	Skew     float64     `json:"skew"`
	KeySet   Object      `json:"key_set"`
	Cases    []TokenCase `json:"cases"`
}

// TokenCase is one token and what a verifier must say of it.
type TokenCase struct {
	Name   string  `json:"name"`
	Group  string  `json:"group"` // what is wrong with it: all but "claims" concern every JWT
	Token  string  `json:"token"`
	Expect string  `json:"expect"`         // ok or invalid_token
	Now    float64 `json:"now,omitempty"`  // of this case
	Node   string  `json:"node,omitempty"` // ok or invalid_token: where the node's own verifier differs
	Why    string  `json:"why,omitempty"`  // it does

	// Of the forms in which a token says what its user may do: what it holds, sorted, or
	// that a node has to be asked, until when it holds nothing.
	Holds    []string `json:"holds,omitempty"`
	Referred bool     `json:"referred,omitempty"`
}

const (
	ok      = "ok"
	invalid = "invalid_token"
)

// Header is that of a good token of a key.
func (k *Key) Header() Object { return Object{"typ": "at+jwt", "alg": k.alg, "kid": k.ID} }

// Claims are those of a good token.
func Claims() Object {
	return Object{
		"iss": Issuer, "aud": []string{Issuer}, "sub": User, "exp": Now + 300, "iat": Now, "jti": "0192d3a4b5c6d7e8f90a1b2c3d4e5f63",
		"sid": Session, "org_id": Org, "roles": []string{"nurse"}, "groups": []string{"ward-3"},
		"permissions": []string{"read:patients", "write:notes"}, "amr": []string{"pwd", "otp"}, "ri": 42,
	}
}

// With is a copy in which one member is another, or is gone with nil.
func With(o Object, name string, value any) Object {
	o = maps.Clone(o)
	if o[name] = value; value == nil {
		delete(o, name)
	}
	return o
}

type tokenCases struct {
	group                    string
	key, other, stranger, ed *Key
	cases                    []TokenCase
}

// MakeTokens makes the file.
func MakeTokens() Tokens {
	c := &tokenCases{key: NewKey("k1"), other: NewKey("k2"), stranger: NewKey("stranger"), ed: NewEdKey("ed1")}
	for _, group := range []struct {
		name string
		add  func()
	}{
		{"good", c.good}, {"header", c.headers}, {"signature", c.signatures}, {"claims", c.claims}, {"times", c.times}, {"text", c.texts}, {"spelling", c.spellings},
	} {
		c.group = group.name
		group.add()
	}
	return Tokens{
		Issuer: Issuer, Audience: Issuer, Org: Org, Now: Now, Skew: Skew,
		KeySet: KeySet(c.key, c.other, c.ed), Cases: c.cases,
	}
}

func (c *tokenCases) add(expect, name, token string) *TokenCase {
	c.cases = append(c.cases, TokenCase{Name: name, Group: c.group, Token: token, Expect: expect})
	return &c.cases[len(c.cases)-1]
}

func (t *TokenCase) node(says, why string) { t.Node, t.Why = says, why }

func (c *tokenCases) header(expect, name, member string, value any) *TokenCase {
	return c.add(expect, name, c.key.Sign(With(c.key.Header(), member, value), Claims()))
}

func (c *tokenCases) claim(expect, name, member string, value any) *TokenCase {
	return c.add(expect, name, c.key.Sign(c.key.Header(), With(Claims(), member, value)))
}

func (c *tokenCases) good() {
	c.add(ok, "a good token", c.key.Sign(c.key.Header(), Claims()))
	c.add(ok, "a good token of the second key", c.other.Sign(c.other.Header(), Claims())).node(invalid, "an organization has one key, so far")
	c.add(ok, "a good EdDSA token", c.ed.Sign(c.ed.Header(), Claims())).node(invalid, "the node signs with ES256 alone")
	c.claim(ok, "an audience that is no list", "aud", Issuer)
	c.claim(ok, "one audience of several", "aud", []string{"https://other.example", Issuer})
	for _, name := range []string{"roles", "groups", "permissions", "amr"} {
		c.claim(ok, name+" empty", name, []string{})
	}
	c.claim(ok, "an additional claim", "extra", Object{"deep": []any{1, "two", nil, true}})
	many := []string{}
	for i := range 400 {
		many = append(many, fmt.Sprintf("read:ward-%03d", i))
	}
	c.claim(ok, "400 permissions", "permissions", many)
	c.claim(ok, "a name in other letters", "groups", []string{"Ärzte 病棟 \U0001F3E5"})
}

func (c *tokenCases) headers() {
	c.header(invalid, "alg none with a signature", "alg", "none")
	c.add(invalid, "alg none without one", Encode([]byte(`{"typ":"at+jwt","alg":"none","kid":"k1"}`))+"."+Encode([]byte(text(Claims())))+".")
	c.add(invalid, "alg none and no kid", Encode([]byte(`{"typ":"at+jwt","alg":"none"}`))+"."+Encode([]byte(text(Claims())))+".")
	c.header(invalid, "alg nOnE", "alg", "nOnE")
	c.header(invalid, "no alg", "alg", nil)
	c.header(invalid, "alg es256", "alg", "es256")
	c.header(invalid, "alg ES384", "alg", "ES384")
	c.header(invalid, "alg RS256 with an EC key", "alg", "RS256")
	c.header(invalid, "alg EdDSA with an EC key", "alg", "EdDSA")
	c.add(invalid, "alg ES256 with an Ed25519 key", c.ed.Sign(With(c.ed.Header(), "alg", "ES256"), Claims()))
	c.header(invalid, "alg a list", "alg", []string{"ES256"})
	hs := With(c.key.Header(), "alg", "HS256")
	c.add(invalid, "HS256 with the public point", mac(c.key.point(), hs, Claims()))
	c.add(invalid, "HS256 with the published key", mac([]byte(text(c.key.JWK())), hs, Claims()))
	c.add(invalid, "HS256 with an empty secret", mac(nil, hs, Claims()))
	c.add(invalid, "HS256 signature under the name ES256", mac(c.key.point(), c.key.Header(), Claims()))
	for _, typ := range []any{"JWT", "at+JWT", "application/at+jwt", "id_token", "logout+jwt", "", 1, nil} {
		c.header(invalid, fmt.Sprintf("typ %v", typ), "typ", typ)
	}
	c.header(invalid, "no kid", "kid", nil)
	c.header(invalid, "an empty kid", "kid", "")
	c.header(invalid, "a kid that is a number", "kid", 1)
	c.header(invalid, "an unknown kid", "kid", "k9")
	c.header(invalid, "the kid of another key", "kid", "k2")
	c.header(invalid, "a kid of 129 bytes", "kid", strings.Repeat("k", 129))
	c.header(invalid, "a kid that is a path", "kid", "../../k1")
	c.header(invalid, "crit", "crit", []string{"exp"})
	c.header(invalid, "an empty crit", "crit", []string{})
	c.header(invalid, "b64 false", "b64", false)
	c.header(invalid, "b64 true", "b64", true)
	c.header(invalid, "jku", "jku", "https://evil.example/keys")
	c.header(invalid, "x5u", "x5u", "https://evil.example/cert")
	c.header(invalid, "x5c", "x5c", []string{"MIIB"})
	c.header(invalid, "zip", "zip", "DEF")
	c.header(invalid, "jwk, of the right key", "jwk", c.key.JWK())
	c.add(invalid, "jwk, of a stranger", c.stranger.Sign(With(c.key.Header(), "jwk", c.stranger.JWK()), Claims()))
	c.add(invalid, "jwk, of a stranger, and no kid", c.stranger.Sign(With(With(c.key.Header(), "jwk", c.stranger.JWK()), "kid", nil), Claims()))
	c.add(invalid, "jku, of a stranger", c.stranger.Sign(With(c.key.Header(), "jku", "https://evil.example/keys"), Claims()))
}

func (c *tokenCases) signatures() {
	good := c.key.Sign(c.key.Header(), Claims())
	input, signature := good[:strings.LastIndexByte(good, '.')], good[strings.LastIndexByte(good, '.')+1:]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		panic(err)
	}
	c.add(invalid, "a stranger's signature", c.stranger.Sign(c.key.Header(), Claims()))
	c.add(invalid, "no signature", input+".")
	c.add(invalid, "two parts", input)
	c.add(invalid, "zeros", input+"."+Encode(make([]byte, 64)))
	c.add(invalid, "r zero", input+"."+Encode(append(make([]byte, 32), raw[32:]...)))
	c.add(invalid, "s zero", input+"."+Encode(append(append([]byte{}, raw[:32]...), make([]byte, 32)...)))
	c.add(invalid, "all ones", input+"."+Encode([]byte(strings.Repeat("\xff", 64))))
	c.add(invalid, "as DER", input+"."+Encode(c.key.der(input)))
	c.add(invalid, "a byte short", input+"."+Encode(raw[:63]))
	c.add(invalid, "a byte long", input+"."+Encode(append(append([]byte{}, raw...), 0)))
	c.add(invalid, "r and s with a zero before", input+"."+Encode(append(append([]byte{0}, raw[:32]...), append([]byte{0}, raw[32:]...)...)))
	for _, bit := range []int{0, 255, 256, 511} {
		flipped := append([]byte{}, raw...)
		flipped[bit/8] ^= 1 << (bit % 8)
		c.add(invalid, fmt.Sprintf("bit %d flipped", bit), input+"."+Encode(flipped))
	}
	head, _, _ := strings.Cut(good, ".")
	c.add(invalid, "of other claims", head+"."+Encode([]byte(text(With(Claims(), "ri", 43))))+"."+signature)
}

func (c *tokenCases) claims() {
	for _, name := range []string{"iss", "aud", "sub", "exp", "iat", "jti", "sid", "org_id", "roles", "groups", "permissions", "amr", "ri"} {
		c.unread(name, c.claim(invalid, "no "+name, name, nil))
		c.unread(name, c.add(invalid, name+" null", c.key.SignText(text(c.key.Header()), replace(name, "null"))))
		c.unread(name, c.claim(invalid, name+" an object", name, Object{"a": 1}))
	}
	c.claim(invalid, "iat a string", "iat", fmt.Sprint(Now))
	for _, name := range []string{"sub", "jti", "sid", "org_id", "iss", "aud"} {
		c.unread(name, c.claim(invalid, name+" empty", name, ""))
	}
	for _, name := range []string{"roles", "groups", "permissions", "amr"} {
		c.unread(name, c.claim(invalid, name+" a string", name, "read:patients"))
		c.unread(name, c.claim(invalid, name+" with a number", name, []any{"read:patients", 1}))
	}
	c.claim(invalid, "another issuer", "iss", "https://auth.example/o/north")
	c.claim(invalid, "the issuer with a slash", "iss", Issuer+"/")
	c.claim(invalid, "the issuer in capitals", "iss", strings.ToUpper(Issuer))
	c.claim(invalid, "the issuer in a list", "iss", []string{Issuer})
	c.claim(invalid, "another audience", "aud", []string{"https://other.example"})
	c.claim(invalid, "no audience in the list", "aud", []string{})
	c.claim(invalid, "part of the audience", "aud", Issuer[:len(Issuer)-1])
	c.claim(invalid, "another organization", "org_id", "org-ffffffffffffffffffffffffffffffff")
	c.unread("ri", c.claim(invalid, "ri negative", "ri", -1))
	c.unread("ri", c.claim(invalid, "ri a fraction", "ri", 1.5))
	c.unread("ri", c.claim(invalid, "ri a string", "ri", "42"))
	c.unread("ri", c.claim(invalid, "ri above 2^53", "ri", uint64(1<<53)))
	c.claim(ok, "ri zero", "ri", 0)
	c.bound()
	c.forms()
}

// bound are tokens that count with a proof of their key alone, RFC 9449. A bearer's they
// are not, whatever the claim says.
func (c *tokenCases) bound() {
	const why = "the node reads the session, not the claim"
	for _, row := range []struct {
		name  string
		value any
	}{
		{"bound to a key by DPoP", Object{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}},
		{"bound to a certificate", Object{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}},
		{"bound to nothing that is known", Object{}},
		{"bound by a text", "jkt"},
		{"bound by a list", []string{}},
		{"bound by false", false},
	} {
		c.claim(invalid, row.name, "cnf", row.value).node(ok, why)
	}
	c.add(invalid, "bound by null", c.key.SignText(text(c.key.Header()), replaceIn(With(Claims(), "cnf", mark), "null"))).node(ok, why)
}

// unread notes where the node needs no claim: what it tells, the directory tells
// better.
func (c *tokenCases) unread(name string, t *TokenCase) {
	if t.Name == "jti an object" {
		return // its library wants text
	}
	if slices.Contains([]string{"jti", "roles", "groups", "permissions", "amr", "ri"}, name) || name == "iat" && t.Name == "no iat" {
		t.node(ok, "the node reads the directory, not the claim")
	}
}

// replace is the text of the claims with one value as given.
func replace(name, value string) string { return replaceIn(With(Claims(), name, mark), value) }

// mark stands for a value that is written as it is given.
const mark = "\x00"

func replaceIn(claims Object, value string) string {
	return strings.Replace(text(claims), `"\u0000"`, value, 1)
}

func (c *tokenCases) times() {
	c.claim(ok, "expired within the skew", "exp", Now-4)
	c.claim(invalid, "expired by the skew", "exp", Now-5)
	c.claim(invalid, "expired", "exp", Now-60)
	c.claim(ok, "not valid yet, within the skew", "nbf", Now+5)
	c.claim(invalid, "not valid yet", "nbf", Now+6)
	c.claim(invalid, "nbf a string", "nbf", fmt.Sprint(Now))
	c.claim(ok, "nbf in the past", "nbf", Now-100)
	c.claim(ok, "made in the future", "iat", Now+60).node(invalid, "the node made it, or it is forged")
	c.add(ok, "a fraction of a second", c.key.SignText(text(c.key.Header()), replace("exp", fmt.Sprintf("%d.5", Now+100))))
	c.claim(invalid, "a life of more than an hour", "exp", Now+3601).node(ok, "the bound is of what an SDK remembers")
	c.claim(ok, "a life of an hour", "exp", Now+3600)
	c.claim(invalid, "exp a string", "exp", fmt.Sprint(Now+300))
	c.claim(invalid, "exp true", "exp", true)
	c.claim(invalid, "exp negative", "exp", -1)
	for _, value := range []string{"1e400", "99999999999999999999999999", "9007199254740992", "NaN", "Infinity", "0x7fffffff", "01772366700", "+1772366700"} {
		t := c.add(invalid, "exp "+value, c.key.SignText(text(c.key.Header()), replace("exp", value)))
		if value == "9007199254740992" {
			t.node(ok, "the bound is of what JavaScript counts exactly")
		}
	}
	late := c.claim(invalid, "a good token, later", "extra", 1)
	late.Now = Now + 305
	still := c.claim(ok, "a good token, a moment before", "extra", 1)
	still.Now = Now + 304
}

func (c *tokenCases) texts() {
	header, claims := text(c.key.Header()), text(Claims())
	body := func(expect, name, claims string) *TokenCase {
		return c.add(expect, name, c.key.SignText(header, claims))
	}
	head := func(name, header string) { c.add(invalid, name, c.key.SignText(header, claims)) }
	head("alg twice", `{"alg":"none",`+header[1:])
	head("kid twice", header[:len(header)-1]+`,"kid":"k1"}`)
	head("a header that is a list", "["+header+"]")
	head("an empty header", "")
	head("a header that is null", "null")
	head("something behind the header", header+"{}")
	for _, name := range []string{"sub", "exp", "permissions", "iss", "extra"} {
		first := strings.Replace(claims[:len(claims)-1]+`,"extra":1}`, "{", `{"`+name+`":1,`, 1)
		body(invalid, name+" twice", first)
	}
	body(invalid, "a name twice, once escaped", claims[:len(claims)-1]+`,"\u0073ub":"`+User+`"}`)
	body(invalid, "a name twice, deep", claims[:len(claims)-1]+`,"extra":[{"a":1,"a":2}]}`)
	body(ok, "a name with a colon and quotes in its value", claims[:len(claims)-1]+`,"a:\"b":"x\":{\"y:"}`)
	body(ok, "an escaped name", strings.Replace(claims, `"sub"`, `"\u0073ub"`, 1))
	body(invalid, "a name in capitals", strings.Replace(claims, `"sub"`, `"SUB"`, 1))
	body(invalid, "claims that are a list", "["+claims+"]")
	body(invalid, "empty claims", "")
	body(invalid, "claims that are a string", `"claims"`)
	body(invalid, "a comma too many", claims[:len(claims)-1]+",}")
	body(invalid, "something behind the claims", claims+" 1")
	body(invalid, "a mark of byte order", "\ufeff"+claims)
	body(invalid, "bytes that are no text", claims[:len(claims)-1]+`,"extra":"`+"\xff\xfe"+`"}`)
	body(invalid, "a comment", claims[:len(claims)-1]+`/* */}`)
	body(invalid, "single quotes", strings.ReplaceAll(claims, `"`, `'`))
	body(invalid, "very deep", claims[:len(claims)-1]+`,"extra":`+strings.Repeat("[", 4000)+strings.Repeat("]", 4000)+"}")
	body(invalid, "more than 16 KiB", claims[:len(claims)-1]+`,"extra":"`+strings.Repeat("a", 16<<10)+`"}`).node(ok, "a node mints a list of any length")
	body(invalid, "NaN in a claim that nobody reads", claims[:len(claims)-1]+`,"extra":NaN}`)
	body(ok, "white space", " \n\t"+strings.ReplaceAll(claims, `,"`, " ,\r\n\"")+"\n")
}

func (c *tokenCases) spellings() {
	good := c.key.Sign(c.key.Header(), Claims())
	parts := strings.Split(good, ".")
	c.add(invalid, "nothing", "")
	c.add(invalid, "points", "..")
	c.add(invalid, "four parts", good+"."+parts[2])
	c.add(invalid, "five parts", good+".a.b")
	c.add(invalid, "a space before", " "+good)
	c.add(invalid, "a space behind", good+" ")
	c.add(invalid, "a line's end behind", good+"\n")
	c.add(invalid, "a line's end within", parts[0]+"\n."+parts[1]+"."+parts[2])
	c.add(invalid, "padding", good+"==")
	c.add(invalid, "a character too few", good[:len(good)-1])
	c.add(invalid, "a character too many", good+"A")
	c.add(invalid, "a byte less of the claims", parts[0]+"."+parts[1][:len(parts[1])-1]+"."+parts[2])
	c.add(invalid, "bits that do not count", good[:len(good)-1]+string(next(good[len(good)-1])))
	c.add(invalid, "standard base64", parts[0]+"."+parts[1]+"."+strings.NewReplacer("-", "+", "_", "/").Replace(parts[2])+"+")
	c.add(invalid, "a NUL behind", good+"\x00")
	c.add(invalid, "the claims of nobody", parts[0]+".."+parts[2])
	c.add(invalid, "JSON serialization", text(Object{"protected": parts[0], "payload": parts[1], "signature": parts[2]}))
}

// next is the next letter of base64url's alphabet: of a last letter whose low bits
// do not count, another spelling.
func next(c byte) byte {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return alphabet[strings.IndexByte(alphabet, c)+1]
}

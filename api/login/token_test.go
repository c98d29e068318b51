package login_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

type object = map[string]any

// part decodes the header (0) or the claims (1) of a token.
func part(t testing.TB, token string, n int) (o object) {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[n])
	must(t, err)
	must(t, json.Unmarshal(b, &o))
	return o
}

// private opens the signing key of organization i, as only a node can.
func (w *world) private(i int) (key *ecdsa.PrivateKey, stored *directory.SigningKey) {
	w.t.Helper()
	org, _ := w.gate.Root().Org(w.orgs[i])
	org.EachKey(func(k *directory.SigningKey) bool { stored = k; return false })
	secret, err := w.ring.Open("signing-key "+w.orgs[i].String()+" "+stored.ID, stored.Sealed)
	must(w.t, err)
	parsed, err := x509.ParsePKCS8PrivateKey(secret)
	must(w.t, err)
	return parsed.(*ecdsa.PrivateKey), stored
}

// forge signs any header and claims with any key.
func forge(t testing.TB, key *ecdsa.PrivateKey, header, claims object) string {
	t.Helper()
	input := unsigned(t, header, claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	must(t, err)
	return input + "." + base64.RawURLEncoding.EncodeToString(append(word(r), word(s)...))
}

func word(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func unsigned(t testing.TB, header, claims object) string {
	t.Helper()
	h, err := json.Marshal(header)
	must(t, err)
	c, err := json.Marshal(claims)
	must(t, err)
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
}

// with is a copy in which some members are replaced, or removed by nil.
func with(o object, more object) object {
	o = maps.Clone(o)
	for name, value := range more {
		if o[name] = value; value == nil {
			delete(o, name)
		}
	}
	return o
}

// TestClaims: every claim of the contract is there, the empty lists too.
func TestClaims(t *testing.T) {
	w := newWorld(t)
	grant := w.signIn(0)
	claims, header := part(t, grant.AccessToken, 1), part(t, grant.AccessToken, 0)
	own := issuer + "/o/north"
	for name, want := range map[string]any{
		"iss": own, "sub": w.users[0].String(), "sid": grant.Session.String(), "org_id": w.orgs[0].String(),
		"iat": float64(w.clock.Unix()), "exp": float64(w.clock.Add(5 * time.Minute).Unix()),
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %v", name, claims[name], want)
		}
	}
	for _, name := range []string{"roles", "groups", "permissions"} {
		if list, ok := claims[name].([]any); !ok || len(list) != 0 {
			t.Errorf("%s is %#v, want an empty list", name, claims[name])
		}
	}
	for _, name := range []string{"aud", "jti", "ri", "amr"} {
		if claims[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
	_, key := w.private(0)
	if header["typ"] != "at+jwt" || header["alg"] != "ES256" || header["kid"] != key.ID || len(header) != 3 {
		t.Errorf("header %v", header)
	}
	w.accepted("a fresh token", grant.AccessToken)
}

// TestForgedTokens: each differs from a good token, made with the same tools,
// in the one thing that its name says.
func TestForgedTokens(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(0).AccessToken
	header, claims := part(t, token, 0), part(t, token, 1)
	key, stored := w.private(0)
	foreign, foreignStored := w.private(1)
	w.accepted("the forger's own good token", forge(t, key, header, claims))

	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	public, err := stranger.PublicKey.Bytes()
	must(t, err)
	embedded := object{
		"kty": "EC", "crv": "P-256",
		"x": base64.RawURLEncoding.EncodeToString(public[1:33]), "y": base64.RawURLEncoding.EncodeToString(public[33:]),
	}
	other := issuer + "/o/south"
	past, future := w.clock.Add(-time.Minute).Unix(), w.clock.Add(time.Minute).Unix()
	for name, forged := range map[string]string{
		"a stranger's key":             forge(t, stranger, header, claims),
		"an embedded key":              forge(t, stranger, with(header, object{"jwk": embedded}), claims),
		"an embedded key without kid":  forge(t, stranger, with(header, object{"jwk": embedded, "kid": nil}), claims),
		"no kid":                       forge(t, key, with(header, object{"kid": nil}), claims),
		"the other organization's kid": forge(t, foreign, with(header, object{"kid": foreignStored.ID}), claims),
		"the other organization's key": forge(t, foreign, header, claims),
		"type JWT":                     forge(t, key, with(header, object{"typ": "JWT"}), claims),
		"no type":                      forge(t, key, with(header, object{"typ": nil}), claims),
		"alg ES384":                    forge(t, key, with(header, object{"alg": "ES384"}), claims),
		"a critical extension":         forge(t, key, with(header, object{"crit": []string{"x"}, "x": 1}), claims),
		"expired":                      forge(t, key, header, with(claims, object{"exp": past})),
		"no expiry":                    forge(t, key, header, with(claims, object{"exp": nil})),
		"not valid yet":                forge(t, key, header, with(claims, object{"nbf": future})),
		"issued in the future":         forge(t, key, header, with(claims, object{"iat": future})),
		"the other issuer":             forge(t, key, header, with(claims, object{"iss": other})),
		"no issuer":                    forge(t, key, header, with(claims, object{"iss": nil})),
		"the other audience":           forge(t, key, header, with(claims, object{"aud": []string{other}})),
		"no audience":                  forge(t, key, header, with(claims, object{"aud": nil})),
		"the other organization":       forge(t, key, header, with(claims, object{"org_id": w.orgs[1].String()})),
		"the other organization's sub": forge(t, key, header, with(claims, object{"sub": w.users[1].String()})),
		"no session":                   forge(t, key, header, with(claims, object{"sid": nil})),
		"alg none":                     unsigned(t, with(header, object{"alg": "none"}), claims) + ".",
		"alg none, no kid":             unsigned(t, object{"alg": "none", "typ": "at+jwt"}, claims) + ".",
		"no signature":                 token[:strings.LastIndexByte(token, '.')+1],
	} {
		w.refused(name, forged)
	}
	for _, secret := range [][]byte{stored.Public, []byte(stored.ID), {}} {
		input := unsigned(t, with(header, object{"alg": "HS256"}), claims)
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		w.refused("HS256 with what is public", input+"."+base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
	}
}

// TestEveryOtherTextIsRefused: no prefix of a token, nothing longer and nothing that
// differs in one character is one, also where base64 has bits to spare.
func TestEveryOtherTextIsRefused(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(0).AccessToken
	for n := range token {
		w.refused(fmt.Sprint("the first characters, ", n), token[:n])
	}
	for _, more := range []string{"A", "=", ".", " ", "\n", token} {
		w.refused("something behind it", token+more)
		w.refused("something before it", more+token)
	}
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(token) - 1
	for _, c := range letters + "=.\n" {
		if byte(c) != token[last] {
			w.refused("another last character", token[:last]+string(c))
		}
	}
	for n := range token {
		w.refused("a line inside", token[:n]+"\n"+token[n:])
		at := strings.IndexByte(letters, token[n])
		w.refused("another character", token[:n]+string(letters[(at+1)%len(letters)])+token[n+1:])
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(0).AccessToken
	w.clock = w.clock.Add(4*time.Minute + 59*time.Second)
	w.accepted("in its last second", token)
	w.clock = w.clock.Add(6*time.Second - time.Nanosecond)
	w.accepted("at the end of the skew", token)
	w.clock = w.clock.Add(time.Nanosecond)
	w.refused("beyond the skew", token)
}

// TestLive: a token that was verified is nothing without its key and its
// organization.
func TestLive(t *testing.T) {
	w := newWorld(t)
	token := w.signIn(0).AccessToken
	verified, err := w.tokens.Verify(w.gate.Root(), token)
	must(t, err)
	must(t, w.tokens.Live(w.gate.Root(), verified))
	for what, spoil := range map[string]func(*access.Session){
		"another organization": func(s *access.Session) { s.Org = w.orgs[1] },
		"no organization":      func(s *access.Session) { s.Org = directory.OrgID{1} },
		"another user":         func(s *access.Session) { s.User = w.users[1] },
		"another session":      func(s *access.Session) { s.ID[0]++ },
		"another key":          func(s *access.Session) { s.Key = "none" },
		"no time":              func(s *access.Session) { s.Expires = 0 },
		"nothing":              func(s *access.Session) { *s = access.Session{} },
	} {
		spoilt := verified
		spoil(&spoilt)
		if err := w.tokens.Live(w.gate.Root(), spoilt); directory.KindOf(err) != directory.KindUnauthenticated {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestTokenDiesWithWhatStandsBehindIt: the signature is as good as before.
func TestTokenDiesWithWhatStandsBehindIt(t *testing.T) {
	w := newWorld(t)
	first, second := w.signIn(0), w.signIn(0)
	w.accepted("a new session", first.AccessToken)
	w.change(0, "sessions.end", &fsm.EndSession{ID: first.Session})
	w.refused("an ended session", first.AccessToken)
	w.accepted("the user's other session", second.AccessToken)
	w.change(0, "users.deactivate", &fsm.SetUserActive{User: w.users[0]})
	w.refused("a deactivated user", second.AccessToken)
	w.change(0, "users.activate", &fsm.SetUserActive{User: w.users[0], Active: true})
	w.refused("the old token of a user who is active again", second.AccessToken)
	if _, err := w.sessions.Refresh(t.Context(), second.RefreshToken, directory.ClientID{}); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("the refresh token of a deactivated user: %v", err)
	}
}

// TestKeySetIsPublic: the published keys verify and hold no private part.
func TestKeySetIsPublic(t *testing.T) {
	w := newWorld(t)
	org, _ := w.gate.Root().Org(w.orgs[0])
	set, err := login.KeySet(org)
	must(t, err)
	body, err := json.Marshal(set)
	must(t, err)
	var published struct{ Keys []object }
	must(t, json.Unmarshal(body, &published))
	if len(published.Keys) != 1 {
		t.Fatalf("%s", body)
	}
	for _, name := range []string{"d", "p", "q", "k"} {
		if published.Keys[0][name] != nil {
			t.Errorf("member %s is published", name)
		}
	}
	key, _ := w.private(0)
	scalar, err := key.Bytes()
	must(t, err)
	if bytes.Contains(body, []byte(base64.RawURLEncoding.EncodeToString(scalar))) {
		t.Error("the private key is published")
	}
}

// TestSecretsAreSealed looks for every secret of a used cluster in what it
// stores and in what it streams to others.
func TestSecretsAreSealed(t *testing.T) {
	w := newWorld(t)
	grant := w.signIn(0)
	next, err := w.sessions.Refresh(t.Context(), grant.RefreshToken, directory.ClientID{})
	must(t, err)
	var stored bytes.Buffer
	must(t, fsm.WriteSnapshot(&stored, w.gate.Root()))
	_, err = w.storage.Load(func(key, value []byte) error {
		stored.Write(key)
		stored.Write(value)
		return nil
	})
	must(t, err)
	key, record := w.private(0)
	scalar, err := key.Bytes()
	must(t, err)
	wrapped, ok := w.gate.Root().System().TokenSecret()
	if !ok {
		t.Fatal("no token secret")
	}
	secret, err := w.ring.Open("token-secret", wrapped.Sealed)
	must(t, err)
	if !bytes.Contains(stored.Bytes(), record.Sealed) {
		t.Fatal("the sealed key is not in the state: nothing was checked")
	}
	for name, clear := range map[string][]byte{
		"the signing key": scalar, "the token secret": secret, "the cluster key": w.ring.Secret(),
		"an access token": []byte(grant.AccessToken), "its signature": []byte(grant.AccessToken[strings.LastIndexByte(grant.AccessToken, '.'):]),
		"the first refresh token": []byte(grant.RefreshToken), "the next refresh token": []byte(next.RefreshToken),
	} {
		if bytes.Contains(stored.Bytes(), clear) {
			t.Errorf("%s is stored in clear", name)
		}
	}
}

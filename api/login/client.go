package login

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	// assertionLifeMax is how long a client's assertion is good, and remembered. Most
	// libraries make them for a minute, and some for an hour.
	assertionLifeMax = 5 * time.Minute
	assertionIDMax   = 256 // bytes of a jti
)

// authMethods are the ways in which a client proves itself, as discovery names them.
var authMethods = []string{"client_secret_basic", "client_secret_post", "private_key_jwt", "none"}

// proof is what a client presents of itself: exactly one of secret, assertion and,
// for a public client, nothing but its name.
type proof struct {
	id        directory.ClientID
	secret    string
	assertion string
}

// prover is a client that has proved itself.
type prover struct {
	*directory.Client
	once directory.Proof // of an assertion, which counts once; zero without one
}

// proofOf reads how a client presents itself; ok is false when it does not. Two ways
// at once are refused (RFC 6749, section 2.3).
func proofOf(r *http.Request, fields url.Values) (p proof, ok bool, err error) {
	name := fields.Get("client_id")
	ways := 0
	if r.Header.Get("Authorization") != "" {
		ways++
		user, secret, good := basic(r.Header)
		if !good || name != "" && name != user {
			return proof{}, true, errClient()
		}
		name, p.secret = user, secret
	}
	if secret := fields.Get("client_secret"); secret != "" {
		ways++
		p.secret = secret
	}
	if fields.Get("client_assertion_type") != "" || fields.Get("client_assertion") != "" {
		ways++
		p.assertion = fields.Get("client_assertion")
		subject := subjectOf(p.assertion)
		if fields.Get("client_assertion_type") != assertionType || name != "" && name != subject {
			return proof{}, true, errClient()
		}
		name = subject
	}
	switch {
	case ways > 1:
		return proof{}, true, failed(http.StatusBadRequest, "invalid_request", "the client authenticates in more than one way")
	case ways == 0 && name == "":
		return proof{}, false, nil
	}
	if p.id, err = directory.ParseClientID(name); err != nil {
		return proof{}, true, errClient()
	}
	return p, true, nil
}

// basic reads the one Authorization header as RFC 6749, section 2.3.1, has it: name
// and secret are form-encoded inside.
func basic(header http.Header) (name, secret string, ok bool) {
	values := header.Values("Authorization")
	if len(values) != 1 {
		return "", "", false
	}
	scheme, text, ok := strings.Cut(values[0], " ")
	if !ok || !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil {
		return "", "", false
	}
	user, password, ok := strings.Cut(string(plain), ":")
	name, errName := url.QueryUnescape(user)
	secret, errSecret := url.QueryUnescape(password)
	return name, secret, ok && errName == nil && errSecret == nil && secret != ""
}

func subjectOf(assertion string) string {
	unverified, err := jwt.ParseInsecure([]byte(assertion))
	if err != nil {
		return ""
	}
	subject, _ := unverified.Subject()
	return subject
}

// prove finds the client that a proof is of. There is one answer to all that is not
// right, and org may be nil: an organization that is not there has no clients.
func (t *Tokens) prove(org *state.Org, p proof) (prover, error) {
	client, ok := new(directory.Client), false
	if org != nil && org.Record().Active() {
		if stored, found := org.Client(p.id); found {
			client, ok = stored, true
		}
	}
	right := access.Matches(p.secret, client.Secret) // compared in any case, for the time's sake
	switch {
	case !ok:
	case client.Public:
		if p.secret == "" && p.assertion == "" {
			return prover{Client: client}, nil
		}
	case len(client.Keys) > 0:
		if once, ok := t.asserted(org, client, p.assertion); ok {
			return prover{client, once}, nil
		}
	case p.assertion == "" && right:
		return prover{Client: client}, nil
	}
	return prover{}, errClient()
}

// asserted verifies a client's own assertion (RFC 7523, section 3, and OpenID
// Connect Core, section 9): by the client's registered keys alone, about itself, for
// this issuer or its token endpoint, and not for long. Whether it was used before is
// not asked here.
func (t *Tokens) asserted(org *state.Org, client *directory.Client, assertion string) (once directory.Proof, ok bool) {
	set, err := jwk.Parse(client.Keys)
	if err != nil || assertion == "" {
		return once, false
	}
	token, err := jwt.Parse([]byte(assertion),
		jwt.WithKeySet(set, jws.WithRequireKid(false)),
		jwt.WithValidate(true),
		jwt.WithIssuer(client.ID.String()),
		jwt.WithSubject(client.ID.String()),
		jwt.WithRequiredClaim(jwt.ExpirationKey),
		jwt.WithRequiredClaim(jwt.JwtIDKey),
		jwt.WithAcceptableSkew(skew),
		jwt.WithClock(jwt.ClockFunc(t.now)),
	)
	if err != nil {
		return once, false
	}
	issuer := t.Issuer(org.Record().Slug)
	audience, _ := token.Audience()
	until, good := goodUntil(token, t.now())
	jti, _ := token.JwtID()
	if len(audience) != 1 || audience[0] != issuer && audience[0] != issuer+"/oauth2/token" ||
		!good || jti == "" || len(jti) > assertionIDMax {
		return once, false
	}
	return directory.Proof{
		Hash:    sha256.Sum256([]byte("client assertion " + client.ID.String() + " " + jti)), // the id has one length
		Expires: directory.TimeOf(until).Add(skew),
	}, true
}

// goodUntil is when an assertion is over: at its exp, and assertionLifeMax after its iat
// if it has one. So one that was signed for an hour is remembered for as long as it is
// good, like all others. Without an iat an exp far ahead would leave that open.
func goodUntil(token jwt.Token, now time.Time) (until time.Time, ok bool) {
	until, _ = token.Expiration() // the caller requires it
	if issued, told := token.IssuedAt(); told && issued.Add(assertionLifeMax).Before(until) {
		until = issued.Add(assertionLifeMax)
	}
	return until, now.Before(until.Add(skew)) && !until.After(now.Add(assertionLifeMax+skew))
}

// CheckClientKeys reads a client's JWKS and gives it back as it is kept: public
// signature keys of the algorithms that we verify, each with its algorithm. Nothing
// private is ever kept, not even for who sends it by mistake.
func CheckClientKeys(text string) ([]byte, error) {
	const field = "keys"
	if len(text) > directory.ClientKeysMax {
		return nil, directory.Invalid(field, "more than %d bytes", directory.ClientKeysMax)
	}
	set, err := jwk.ParseString(text)
	if err != nil || set.Len() == 0 {
		return nil, directory.Invalid(field, "is not a JSON Web Key Set with keys in it")
	}
	for i := range set.Len() {
		key, _ := set.Key(i)
		if err := checkClientKey(key); err != nil {
			return nil, err
		}
	}
	kept, err := json.Marshal(set)
	if err == nil && len(kept) > directory.ClientKeysMax {
		return nil, directory.Invalid(field, "more than %d bytes", directory.ClientKeysMax)
	}
	return kept, err
}

// keyAlgorithms are the algorithms that keys may be for, the first by default.
func keyAlgorithms(key jwk.Key) []string {
	if private, err := jwk.IsPrivateKey(key); err != nil || private {
		return nil // it has the methods of a public one, too
	}
	switch k := key.(type) {
	case jwk.ECDSAPublicKey:
		if crv, _ := k.Crv(); crv.String() == "P-256" {
			return []string{"ES256"}
		}
	case jwk.OKPPublicKey:
		if crv, _ := k.Crv(); crv.String() == "Ed25519" {
			return []string{"EdDSA"}
		}
	case jwk.RSAPublicKey:
		if n, _ := k.N(); len(n) >= 256 { // 2,048 bits
			return []string{"RS256", "PS256"}
		}
	}
	return nil
}

// assertionAlgorithms are all of keyAlgorithms.
var assertionAlgorithms = []string{"ES256", "EdDSA", "RS256", "PS256"}

func checkClientKey(key jwk.Key) error {
	allowed := keyAlgorithms(key)
	if len(allowed) == 0 {
		return directory.Invalid("keys", "a key is not a public one of P-256, Ed25519 or RSA of 2048 bits or more")
	}
	if use, ok := key.KeyUsage(); ok && use != "sig" {
		return directory.Invalid("keys", "a key is not for signatures")
	}
	if alg, ok := key.Algorithm(); ok {
		if !slices.Contains(allowed, alg.String()) {
			return directory.Invalid("keys", "a key is for an algorithm that is not %s", strings.Join(allowed, " or "))
		}
		return nil
	}
	return key.Set(jwk.AlgorithmKey, allowed[0])
}

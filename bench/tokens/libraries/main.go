// Command libraries runs the vectors of tokens against the JWT libraries that Go
// programs use, each as its documentation says, and prints the verdict of each on
// every case. It is a module of its own, so that the product does not know them.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"
)

// vectors is what is read of sdk/conformance/tokens.json.
type vectors struct {
	Issuer, Audience string
	Now, Skew        float64
	KeySet           json.RawMessage `json:"key_set"`
	Cases            []struct {
		Token string
		Now   float64
	}
}

// accepts reports whether a library takes a token for good at a time.
type accepts func(token string, now time.Time) bool

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "libraries:", err)
		os.Exit(1)
	}
}

func run() error {
	var v vectors
	if err := json.NewDecoder(os.Stdin).Decode(&v); err != nil {
		return err
	}
	libraries, err := v.libraries()
	if err != nil {
		return err
	}
	verdicts := map[string][]bool{}
	for name, accepted := range libraries {
		for _, c := range v.Cases {
			now := v.Now
			if c.Now != 0 {
				now = c.Now
			}
			verdicts[name] = append(verdicts[name], accepted(c.Token, time.Unix(int64(now), 0)))
		}
	}
	return json.NewEncoder(os.Stdout).Encode(verdicts)
}

func (v *vectors) libraries() (map[string]accepts, error) {
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(v.KeySet, &keys); err != nil {
		return nil, err
	}
	set, err := jwk.Parse(v.KeySet)
	if err != nil {
		return nil, err
	}
	return map[string]accepts{
		"golang-jwt 5.3.1": v.golangJWT(keys), "go-jose 4.1.8": v.goJose(keys), "jwx 3.3.0": v.jwx(set),
	}, nil
}

func (v *vectors) skew() time.Duration { return time.Duration(v.Skew) * time.Second }

func (v *vectors) golangJWT(keys jose.JSONWebKeySet) accepts {
	key := func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		if found := keys.Key(kid); len(found) == 1 {
			return found[0].Key, nil
		}
		return nil, errors.New("no such key")
	}
	return func(token string, now time.Time) bool {
		parser := jwt.NewParser(jwt.WithValidMethods([]string{"ES256", "EdDSA"}), jwt.WithIssuer(v.Issuer), jwt.WithAudience(v.Audience),
			jwt.WithLeeway(v.skew()), jwt.WithExpirationRequired(), jwt.WithTimeFunc(func() time.Time { return now }))
		_, err := parser.Parse(token, key)
		return err == nil
	}
}

func (v *vectors) goJose(keys jose.JSONWebKeySet) accepts {
	return func(token string, now time.Time) bool {
		parsed, err := josejwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.EdDSA})
		if err != nil {
			return false
		}
		var claims josejwt.Claims
		if err := parsed.Claims(keys, &claims); err != nil {
			return false
		}
		return claims.ValidateWithLeeway(josejwt.Expected{Issuer: v.Issuer, AnyAudience: josejwt.Audience{v.Audience}, Time: now}, v.skew()) == nil
	}
}

func (v *vectors) jwx(set jwk.Set) accepts {
	return func(token string, now time.Time) bool {
		_, err := jwxjwt.Parse([]byte(token), jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(v.Issuer), jwxjwt.WithAudience(v.Audience),
			jwxjwt.WithAcceptableSkew(v.skew()), jwxjwt.WithRequiredClaim("exp"), jwxjwt.WithClock(jwxjwt.ClockFunc(func() time.Time { return now })))
		return err == nil
	}
}

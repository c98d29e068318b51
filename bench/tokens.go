package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"time"

	authfi "github.com/authfi/authfi/sdk/go"
)

// Sizes of the benchmark of tokens.
const (
	firstTokens      = 400 // of sessions of their own, that verifiers have not seen
	tokenPermissions = 20
	userTokens       = 50 // sessions of one user; 64 are allowed
	seenRounds       = 50 // over all of them
	seenBatch        = 16 // verifications between two looks at the clock
)

// tokens measures verification in process, in three languages and beside the
// libraries that people use, then refusals, then what one node mints.
func tokens(ctx context.Context, b *bench) (err error) {
	suite, err := b.prepareSDKs(ctx)
	if err != nil {
		return err
	}
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	m, err := c.mint(ctx, firstTokens)
	if err != nil {
		return err
	}
	if err := errors.Join(c.verifyInGo(ctx, b.report, m), suite.verifyElsewhere(ctx, b.report, m), suite.judgeLibraries(ctx, b.report)); err != nil {
		return err
	}
	if err := c.clientCredentials(ctx, b.report); err != nil {
		return err
	}
	return errors.Join(suite.refusalsIdle(ctx, b, c), suite.refusalsLeaderKill(ctx, b))
}

// minted are tokens of one issuer. The names are those of the scripts' input.
type minted struct {
	Issuer string          `json:"issuer"`
	KeySet json.RawMessage `json:"key_set"`
	Tokens []string        `json:"tokens"`
	key    string          // that may follow the feed
}

// mint signs users of one role in, until there are tokens enough.
func (c *cluster) mint(ctx context.Context, n int) (*minted, error) {
	operator := c.operator()
	role, err := operator.create(ctx, "/api/v1/roles", map[string]any{"org_id": c.org, "name": "verified", "permissions": measuredPermissions(tokenPermissions)})
	if err != nil {
		return nil, err
	}
	m := &minted{Issuer: c.API(0) + "/o/" + c.slug}
	m.Tokens = make([]string, n)
	err = forEach(ctx, importers, (n+userTokens-1)/userTokens, func(ctx context.Context, i int) error {
		user, err := c.userOf(ctx, operator, role, fmt.Sprintf("verified-%d", i))
		for k := i * userTokens; err == nil && k < min(n, (i+1)*userTokens); k++ {
			m.Tokens[k], err = c.signIn(ctx, user)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if m.key, err = c.feedKey(ctx, "verifier"); err != nil {
		return nil, err
	}
	res, err := c.http.Get(m.Issuer + "/.well-known/jwks.json")
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	m.KeySet, err = io.ReadAll(res.Body)
	return m, err
}

// feedKey is an API key that may follow the feed, of a user of its own.
func (c *cluster) feedKey(ctx context.Context, name string) (string, error) {
	operator := c.operator()
	user, err := operator.create(ctx, "/api/v1/users", map[string]any{"org_id": c.org, "email": name + "@bench.example"})
	if err != nil {
		return "", err
	}
	if err := operator.do(ctx, http.MethodPost, "/api/v1/users/"+user+"/roles", map[string]string{"role_name": "auditor"}, nil); err != nil {
		return "", err
	}
	var made struct{ Key string }
	err = operator.do(ctx, http.MethodPost, "/api/v1/api-keys", map[string]any{
		"org_id": c.org, "name": name, "permissions": []string{"read:audit-logs"}, "user_id": user,
	}, &made)
	return made.Key, err
}

// verifyInGo measures the SDK as a service has it, following the feed, and beside it
// what the standard library takes for the signature alone.
func (c *cluster) verifyInGo(ctx context.Context, r *report, m *minted) error {
	auth, err := authfi.New(ctx, authfi.Config{Issuer: m.Issuer, Org: c.org, APIKey: m.key, Client: c.http, Nodes: []string{c.API(0)}})
	if err != nil {
		return err
	}
	defer auth.Close()
	if err := auth.Ready(ctx); err != nil {
		return err
	}
	// Tokens from before the feed was followed are asked about, once: that is no part of
	// what is measured first.
	alone, err := authfi.New(ctx, authfi.Config{Issuer: m.Issuer, Posture: authfi.Offline, KeySet: m.KeySet, Client: c.http, Nodes: []string{c.API(0)}})
	if err != nil {
		return err
	}
	defer alone.Close()
	bare, err := newBareKey(m.KeySet)
	if err != nil {
		return err
	}
	var first, signature, seen []float64
	for _, token := range m.Tokens {
		began := time.Now()
		if _, err := alone.Verify(ctx, token, false); err != nil {
			return err
		}
		first = append(first, micros(time.Since(began)))
		took, err := bare.verify(token)
		if err != nil {
			return err
		}
		signature = append(signature, took)
	}
	for _, token := range m.Tokens { // each is asked about once, if it is older than the feed
		if _, err := auth.Verify(ctx, token, false); err != nil {
			return err
		}
	}
	for range seenRounds {
		for _, token := range m.Tokens {
			began := time.Now()
			for range seenBatch {
				if _, err := auth.Verify(ctx, token, false); err != nil {
					return err
				}
			}
			seen = append(seen, micros(time.Since(began))/seenBatch)
		}
	}
	how := fmt.Sprintf("of %d tokens of a node, ES256, %d permissions, one after the other in process with sdk/go: ", len(m.Tokens), tokenPermissions)
	r.add("verify_first_p50_us_go", "us", "p50 "+how+"each seen for the first time, by a verifier that does not follow the feed.", first)
	r.add("verify_floor_p50_us_go", "us", "p50 of the same tokens, in turn with verify_first_p50_us_go: SHA-256 and crypto/ecdsa.Verify alone, with the key at hand. No verifier on the standard library is faster.", signature)
	r.add("verify_seen_p50_us_go", "us", "p50 "+how+fmt.Sprintf("each seen before, by a verifier that follows the feed; %d at a time.", seenBatch), seen)
	return nil
}

// bareKey is a public key, and nothing but the mathematics.
type bareKey struct{ key *ecdsa.PublicKey }

func newBareKey(set []byte) (*bareKey, error) {
	var parsed struct{ Keys []struct{ Crv, X, Y string } }
	if err := json.Unmarshal(set, &parsed); err != nil {
		return nil, err
	}
	for _, k := range parsed.Keys {
		x, errX := base64.RawURLEncoding.DecodeString(k.X)
		y, errY := base64.RawURLEncoding.DecodeString(k.Y)
		if k.Crv != "P-256" || errX != nil || errY != nil {
			continue
		}
		key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
		return &bareKey{key}, err
	}
	return nil, errors.New("the key set has no P-256 key")
}

func (f *bareKey) verify(token string) (took float64, err error) {
	end := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[end+1:])
	if err != nil || len(signature) != 64 {
		return 0, fmt.Errorf("a signature of %d bytes: %w", len(signature), err)
	}
	signed := []byte(token[:end])
	began := time.Now()
	sum := sha256.Sum256(signed)
	ok := ecdsa.Verify(f.key, sum[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:]))
	took = micros(time.Since(began))
	if !ok {
		return 0, errors.New("a token of the node does not verify")
	}
	return took, nil
}

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Sizes of the load on the token endpoint. A service account has 1,000 of these
// sessions at a time at most, so there are accounts enough for all runs together.
const (
	credentialRuns     = 5
	credentialTime     = 2 * time.Second // per run
	credentialAccounts = 40
	credentialCallers  = 32
	signatures         = 2_000 // of the machine's own figure
)

// robot is a client of the organization.
type robot struct{ id, secret string }

// clientCredentials measures one node's token endpoint, beside what one core signs.
func (c *cluster) clientCredentials(ctx context.Context, r *report) error {
	robots := make([]robot, credentialAccounts)
	err := forEach(ctx, importers, len(robots), func(ctx context.Context, i int) (err error) {
		robots[i], err = c.robot(ctx, i)
		return err
	})
	if err != nil {
		return err
	}
	var rates []float64
	for range credentialRuns {
		began := time.Now()
		n, err := c.takeTokens(ctx, robots)
		if err != nil {
			return err
		}
		rates = append(rates, float64(n)/time.Since(began).Seconds())
	}
	how := fmt.Sprintf("of %d connections with HTTP/1.1 to one of three nodes on the same CPUs as the clients, %v each run: client_credentials with a secret, each answer a token whose session stands in the log of a quorum.", credentialCallers, credentialTime)
	r.add("client_credentials_per_s", "1/s", "Tokens a second "+how, rates)
	limit, err := signingRate()
	if err != nil {
		return err
	}
	r.add("es256_signatures_per_s_core", "1/s", "What one core of this machine signs a second with crypto/ecdsa, alone in its process but beside the cluster.", limit)
	return nil
}

// robot makes a service account and a client of it.
func (c *cluster) robot(ctx context.Context, i int) (robot, error) {
	operator, name := c.operator(), fmt.Sprintf("robot-%d", i)
	owner, err := operator.create(ctx, "/api/v1/users", map[string]any{"org_id": c.org, "email": name + "@bench.example"})
	if err != nil {
		return robot{}, err
	}
	account, err := operator.create(ctx, "/api/v1/service-accounts", map[string]any{"org_id": c.org, "user_name": name, "owner_id": owner})
	if err != nil {
		return robot{}, err
	}
	var made struct {
		Client struct{ ID string }
		Secret string `json:"client_secret"`
	}
	err = operator.do(ctx, http.MethodPost, "/api/v1/organizations/"+c.org+"/clients", map[string]any{
		"name": name, "grant_types": []string{"client_credentials"}, "account_id": account, "permissions": []string{"read:patients"},
	}, &made)
	return robot{made.Client.ID, made.Secret}, err
}

// takeTokens asks for one run's time and counts the answers.
func (c *cluster) takeTokens(ctx context.Context, robots []robot) (int, error) {
	client := c.separate(credentialCallers)
	until := time.Now().Add(credentialTime)
	var taken atomic.Int64
	errs := make([]error, credentialCallers)
	var callers sync.WaitGroup
	for i := range errs {
		callers.Go(func() {
			for n := i; time.Now().Before(until) && ctx.Err() == nil; n += credentialCallers {
				if errs[i] = c.takeToken(ctx, client, robots[n%len(robots)]); errs[i] != nil {
					return
				}
				taken.Add(1)
			}
		})
	}
	callers.Wait()
	return int(taken.Load()), errors.Join(append(errs, ctx.Err())...)
}

func (c *cluster) takeToken(ctx context.Context, client *http.Client, from robot) error {
	form := url.Values{"grant_type": {"client_credentials"}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.API(0)+"/o/"+c.slug+"/oauth2/token", strings.NewReader(form))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(url.QueryEscape(from.id), url.QueryEscape(from.secret))
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("token endpoint: %d: %.300s", res.StatusCode, text)
	}
	return err
}

func signingRate() (rates []float64, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte("a token"))
	for range credentialRuns {
		began := time.Now()
		for range signatures {
			if _, _, err := ecdsa.Sign(rand.Reader, key, sum[:]); err != nil {
				return nil, err
			}
		}
		rates = append(rates, signatures/time.Since(began).Seconds())
	}
	return rates, nil
}

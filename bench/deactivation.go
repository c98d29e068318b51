package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"syscall"
	"time"

	"github.com/authfi/authfi/dev"
)

// Sizes of the deactivation trials, per run; the load is what two CPUs carry
// beside three nodes.
const (
	trials      = 15
	loadWriters = 8
	loadCallers = 2 // per node
)

func addRefusals(r *report, load, circumstances string, trials []refusal) {
	var took, resets []float64
	for _, t := range trials {
		took = append(took, t.ms)
		if t.reset {
			resets = append(resets, 1)
		} else {
			resets = append(resets, 0)
		}
	}
	how := fmt.Sprintf("of %d deactivations, %s: SCIM PATCH active=False answered to the first refusal of the user's token, the slowest of the three nodes, each asked without pause over one connection.", len(trials), circumstances)
	r.put("deactivate_to_refusal_p99_ms_"+load, "ms", "p99 "+how, quantile(took, 0.99), took)
	r.put("deactivate_to_refusal_p50_ms_"+load, "ms", "p50 "+how, quantile(took, 0.5), took)
	r.put("refusals_reset_share_"+load, "ratio", "Those of the same deactivations in which a node reset the connection before its refusal could be read; they count as refused.", mean(resets), resets)
}

func (c *cluster) deactivations(ctx context.Context, role, name string, into []refusal) ([]refusal, error) {
	provisioner, err := c.provisioner(ctx)
	if err != nil {
		return nil, err
	}
	for i := range trials {
		r, err := c.deactivation(ctx, provisioner, role, fmt.Sprintf("%s-%d", name, i))
		if err != nil {
			return nil, fmt.Errorf("deactivation %d: %w", i, err)
		}
		into = append(into, r)
	}
	return into, nil
}

// loadedDeactivations are the same while others write and ask.
func (c *cluster) loadedDeactivations(ctx context.Context, role, token string, into []refusal) ([]refusal, error) {
	ctx, stop := context.WithCancel(ctx)
	var load sync.WaitGroup
	errs := make([]error, loadWriters+loadCallers*dev.Nodes)
	for i := range errs {
		load.Go(func() {
			if i < loadWriters {
				errs[i] = c.keepWriting(ctx, i)
			} else {
				errs[i] = keepAsking(ctx, c.Service(i%dev.Nodes), token)
			}
		})
	}
	into, err := c.deactivations(ctx, role, "loaded-leaver", into)
	stop()
	load.Wait()
	return into, errors.Join(append(errs, err)...)
}

// keepWriting creates users until the context ends; a request that the end cuts
// off has not failed.
func (c *cluster) keepWriting(ctx context.Context, writer int) error {
	operator := c.operator()
	for n := 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("load-%d-%d", writer, n)
		_, err := operator.create(ctx, "/api/v1/users", map[string]any{"org_id": c.org, "user_name": name, "email": name + "@bench.example"})
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func keepAsking(ctx context.Context, base, token string) error {
	c, err := dial(base, token)
	if err != nil {
		return err
	}
	defer c.close()
	for ctx.Err() == nil {
		if _, err := c.served(); err != nil {
			return err
		}
	}
	return nil
}

// deactivation is the time from the SCIM answer to the refusal on the slowest
// node.
func (c *cluster) deactivation(ctx context.Context, provisioner *api, role, name string) (refusal, error) {
	user, err := provisioner.create(ctx, "/Users", map[string]any{
		"schemas": []string{userSchema}, "userName": name + "@bench.example", "active": true,
	})
	if err != nil {
		return refusal{}, err
	}
	if err := c.operator().do(ctx, http.MethodPost, "/api/v1/users/"+user+"/roles", map[string]string{"role_id": role}, nil); err != nil {
		return refusal{}, err
	}
	token, err := c.signIn(ctx, user)
	if err != nil {
		return refusal{}, err
	}
	if err := c.awaitServed(ctx, token); err != nil {
		return refusal{}, err
	}
	if err := provisioner.patch(ctx, "/Users/"+user, operation("Replace", "active", "False")); err != nil {
		return refusal{}, err
	}
	answered := time.Now()
	var all sync.WaitGroup
	var seen [dev.Nodes]refusal
	var errs [dev.Nodes]error
	for i := range dev.Nodes {
		all.Go(func() { seen[i], errs[i] = untilRefused(c.Service(i), token, answered) })
	}
	all.Wait()
	slowest := seen[0]
	for _, r := range seen[1:] {
		slowest.ms, slowest.reset = max(slowest.ms, r.ms), slowest.reset || r.reset
	}
	return slowest, errors.Join(errs[:]...)
}

// refusal is when a request was first not served, and whether the connection
// was reset before the answer could be read.
type refusal struct {
	ms    float64
	reset bool
}

func untilRefused(base, token string, answered time.Time) (refusal, error) {
	c, err := dial(base, token)
	if err != nil {
		return refusal{}, err
	}
	defer c.close()
	for time.Since(answered) < answerWait {
		status, _, err := c.get()
		reset := errors.Is(err, syscall.ECONNRESET)
		if err != nil && !reset {
			return refusal{}, err
		}
		if reset || status == http.StatusUnauthorized || status == http.StatusForbidden {
			return refusal{millis(time.Since(answered)), reset}, nil
		}
	}
	return refusal{}, errors.New("a deactivated user is still served")
}

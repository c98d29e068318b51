package main

import (
	"context"
	"errors"
	"fmt"
	"io"
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
	killTrials  = 3
)

// deadWait is longer than the lease of a node that was killed.
const deadWait = 20 * time.Second

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

// leaver is a user with the role whose token every node serves.
func (c *cluster) leaver(ctx context.Context, provisioner *api, role, name string) (user, token string, err error) {
	user, err = provisioner.create(ctx, "/Users", map[string]any{
		"schemas": []string{userSchema}, "userName": name + "@bench.example", "active": true,
	})
	if err != nil {
		return "", "", err
	}
	if err := c.operator().do(ctx, http.MethodPost, "/api/v1/users/"+user+"/roles", map[string]string{"role_id": role}, nil); err != nil {
		return "", "", err
	}
	if token, err = c.signIn(ctx, user); err != nil {
		return "", "", err
	}
	return user, token, c.awaitServed(ctx, token)
}

// deactivation is the time from the SCIM answer to the refusal on the slowest
// node.
func (c *cluster) deactivation(ctx context.Context, provisioner *api, role, name string) (refusal, error) {
	user, token, err := c.leaver(ctx, provisioner, role, name)
	if err != nil {
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
		all.Go(func() { seen[i], errs[i] = untilRefused(c.Service(i), token, answered, false) })
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

func addKilled(r *report, killed, dead []refusal) {
	ms := func(trials []refusal) (took []float64) {
		for _, t := range trials {
			took = append(took, t.ms)
		}
		return took
	}
	how := fmt.Sprintf("of %d deactivations while the leader dies: kill -9 of the leader and then SCIM PATCH active=False to a survivor, repeated until it is answered; from the first PATCH, and so with the election,", len(killed))
	alive := " to the first refusal of the user's token, the slower of the two survivors, each asked without pause."
	r.put("deactivate_to_refusal_p99_ms_leaderkill", "ms", "p99 "+how+alive, quantile(ms(killed), 0.99), ms(killed))
	r.put("deactivate_to_refusal_p50_ms_leaderkill", "ms", "p50 "+how+alive, quantile(ms(killed), 0.5), ms(killed))
	r.put("deactivate_to_refusal_p99_ms_killed_node", "ms", "p99 "+how+" to the first refusal on the node that was killed, whose kernel goes on alone until its lease runs out.", quantile(ms(dead), 0.99), ms(dead))
}

// killedDeactivations kill the leader under a deactivation, and start it again.
func (c *cluster) killedDeactivations(ctx context.Context, role string, f *gateFigures) error {
	for i := range killTrials {
		provisioner, err := c.provisioner(ctx)
		if err != nil {
			return err
		}
		alive, dead, err := c.killedDeactivation(ctx, provisioner, role, fmt.Sprint("orphan-", i))
		if err != nil {
			return fmt.Errorf("leader kill %d: %w", i+1, err)
		}
		f.killed, f.dead = append(f.killed, alive), append(f.dead, dead)
	}
	return nil
}

func (c *cluster) killedDeactivation(ctx context.Context, provisioner *api, role, name string) (alive, dead refusal, err error) {
	user, token, err := c.leaver(ctx, provisioner, role, name)
	if err != nil {
		return alive, dead, err
	}
	leader, err := c.leader(ctx)
	if err != nil {
		return alive, dead, err
	}
	if err := c.Kill(leader); err != nil {
		return alive, dead, err
	}
	began := time.Now()
	var all sync.WaitGroup
	var seen [dev.Nodes]refusal
	var errs [dev.Nodes + 1]error
	for i := range dev.Nodes {
		all.Go(func() { seen[i], errs[i] = untilRefused(c.Service(i), token, began, i == leader) })
	}
	all.Go(func() { errs[dev.Nodes] = c.deactivateAt(ctx, provisioner, (leader+1)%dev.Nodes, user, began) })
	all.Wait()
	for i, r := range seen {
		if i == leader {
			dead = r
		} else if r.ms > alive.ms {
			alive = r
		}
	}
	if err := errors.Join(errs[:]...); err != nil {
		return alive, dead, err
	}
	return alive, dead, c.Start(ctx, leader)
}

// deactivateAt repeats the PATCH to one node until it is answered.
func (c *cluster) deactivateAt(ctx context.Context, provisioner *api, node int, user string, began time.Time) error {
	survivor := newAPI(c.http, provisioner.token, c.API(node)+"/scim/v2/"+c.slug)
	for {
		err := survivor.patch(ctx, "/Users/"+user, operation("Replace", "active", "False"))
		if err == nil || time.Since(began) > answerWait || ctx.Err() != nil {
			return err
		}
	}
}

// untilRefused asks until a node refuses. A node that is dead refuses when its lease
// is over, without knowing why.
func untilRefused(base, token string, since time.Time, dead bool) (refusal, error) {
	limit := answerWait
	if dead {
		limit = deadWait
	}
	for time.Since(since) < limit {
		r, refused, err := askUntilRefused(base, token, since, limit, dead)
		if refused || err != nil {
			return r, err
		}
	}
	return refusal{}, errors.New("a deactivated user is still served")
}

// askUntilRefused asks over one connection. One that ends without a refusal tells
// nothing: a node without a lease closes it too.
func askUntilRefused(base, token string, since time.Time, limit time.Duration, dead bool) (r refusal, refused bool, err error) {
	c, err := dial(base, token)
	if err != nil {
		return r, false, err
	}
	defer c.close()
	for time.Since(since) < limit {
		status, _, err := c.get()
		reset := errors.Is(err, syscall.ECONNRESET)
		switch {
		case reset, err == nil && (status == http.StatusUnauthorized || status == http.StatusForbidden), dead && status == http.StatusServiceUnavailable:
			return refusal{millis(time.Since(since)), reset}, true, nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), status == http.StatusServiceUnavailable:
			return r, false, nil
		case err != nil:
			return r, false, err
		}
	}
	return r, false, nil
}

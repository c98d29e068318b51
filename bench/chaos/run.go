// Package chaos tries a cluster with faults: three nodes as processes of the program
// itself, each in a network namespace of its own and on a disk that forgets what was
// not synced. Clients of the public API work on it meanwhile, and others ask for what
// they must not get. What is found is counted; what must not be is a violation.
package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/authfi/authfi/bench/history"
)

// Options of a run.
type Options struct {
	Program string        // authfi
	Dir     string        // for data and logs
	For     time.Duration // rounds begin until then
	Seed    uint64        // of the schedule; the same seed gives the same faults in the same order
	Only    string        // faults whose names contain it; empty: all
	Out     io.Writer     // progress
}

// Result is what was counted.
type Result struct {
	Seed              uint64
	Rounds            int
	Operations        int // whose answers were part of a history
	Unknown           int // of them, with an outcome that the client was not told
	Lost              int // acknowledged and not there
	Illegal           int // histories that no order explains
	DigestDifferences int
	PowerCuts, Kills  int
	Deaths            int // of nodes that ended by themselves and were started again
	Faults            map[string]int
	Served            int64 // requests of who may
	Forbidden         int64 // requests of who may not
	Unenforced        int64 // of them, served
	HangSeconds       []float64
	LowSeconds        []float64
	Delays            string // how links were made slow
	Violations        []string
}

func (r *Result) violate(format string, args ...any) {
	r.Violations = append(r.Violations, fmt.Sprintf("seed %d, round %d: ", r.Seed, r.Rounds)+fmt.Sprintf(format, args...))
}

// Shape of a round.
const (
	faultsPerRound = 5
	gap            = 700 * time.Millisecond // between faults; some of it is needed to elect
	reviveEvery    = 200 * time.Millisecond
)

// Run tries a new cluster. An error is of the run; what the cluster did wrong is in the
// result.
func Run(ctx context.Context, o Options) (result *Result, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root can make network namespaces and mount disks")
	}
	deck := slices.Clone(faults)
	deck = slices.DeleteFunc(deck, func(f fault) bool { return !strings.Contains(f.name, o.Only) })
	if len(deck) == 0 {
		return nil, fmt.Errorf("there is no fault %q", o.Only)
	}
	fmt.Fprintf(o.Out, "chaos: seed %d, for %s, in %s\n", o.Seed, o.For, o.Dir)
	c, err := newCluster(ctx, o.Program, o.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	result = &Result{Seed: o.Seed, Faults: map[string]int{}, Delays: "a token bucket of 2 Mbit/s"}
	if c.net.delays {
		result.Delays = "netem"
	}
	p, err := newProbes(ctx, c.apis[0], c.nodes, c.org)
	if err != nil {
		return result, fmt.Errorf("probes: %w", err)
	}
	random := rand.New(rand.NewPCG(o.Seed, 1))
	var left []fault
	for end := time.Now().Add(o.For); time.Now().Before(end) && ctx.Err() == nil; {
		result.Rounds++
		var plan []fault
		for range faultsPerRound {
			if len(left) == 0 {
				left = slices.Clone(deck)
				random.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
			}
			plan, left = append(plan, left[0]), left[1:]
		}
		if err := c.round(ctx, o, p, random, plan, result); err != nil {
			return result, fmt.Errorf("seed %d, round %d: %w", o.Seed, result.Rounds, err)
		}
	}
	for _, n := range c.nodes {
		result.Deaths += n.deaths
	}
	result.Served, result.Forbidden, result.Unenforced = p.served.Load(), p.asked.Load(), p.unenforced.Load()
	result.judge()
	return result, ctx.Err()
}

// judge adds the violations that are seen at the end alone.
func (r *Result) judge() {
	if r.Unenforced > 0 {
		r.violate("%d of %d forbidden requests were served", r.Unenforced, r.Forbidden)
	}
	if r.Served == 0 || r.Forbidden == 0 {
		r.violate("nobody was served, or nobody asked: nothing is known of enforcement")
	}
}

// round is one world, some faults, and a look at what is left.
func (c *cluster) round(ctx context.Context, o Options, p *probes, random *rand.Rand, plan []fault, result *Result) error {
	w, err := newWorld(ctx, c.apis[0], c.org, c.role, result.Rounds)
	if err != nil {
		return err
	}
	if err := p.renew(ctx, c.apis[0]); err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	seed := random.Uint64()
	ended := make(chan struct{}, 3)
	for _, f := range []func(){
		func() { w.work(working, c.apis, seed) },
		func() { p.run(working) },
		func() { c.keepAlive(working) },
	} {
		go func() { f(); ended <- struct{}{} }()
	}
	err = c.faults(ctx, o, p, random, plan, result)
	if err == nil {
		err = c.recovered(ctx, result)
	}
	stop()
	for range 3 {
		<-ended
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	return c.look(ctx, o, w, result)
}

// keepAlive is the service manager of the machines.
func (c *cluster) keepAlive(ctx context.Context) {
	ticker := time.NewTicker(reviveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			for _, n := range c.nodes {
				n.revive() // what does not start is not ready, and so is found
			}
		case <-ctx.Done():
			return
		}
	}
}

func (c *cluster) faults(ctx context.Context, o Options, p *probes, random *rand.Rand, plan []fault, result *Result) error {
	for i, f := range plan {
		leader, err := c.leader(ctx)
		if err != nil {
			result.violate("before %q: %v", f.name, err)
			return nil
		}
		if i == 1 {
			go p.endSession(ctx, c.apis)
		}
		fmt.Fprintf(o.Out, "  %s  %s (leader %s)\n", time.Now().Format("15:04:05.000"), f.name, c.nodes[leader].id())
		result.Faults[f.name]++
		if err := f.run(ctx, &round{c: c, random: random, result: result, leader: leader}); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		select {
		case <-time.After(gap):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// recovered waits until all serve again, by themselves.
func (c *cluster) recovered(ctx context.Context, result *Result) error {
	for i := range c.nodes {
		if err := c.ready(ctx, i); err != nil {
			result.violate("%v", err)
			return err
		}
	}
	return nil
}

// look compares what is left with what was promised.
func (c *cluster) look(ctx context.Context, o Options, w *world, result *Result) error {
	if err := w.settle(ctx, c.apis); err != nil {
		result.violate("%v", err)
	}
	lost, err := w.lost(ctx, c.apis[0])
	if err != nil {
		return fmt.Errorf("after the faults: %w", err)
	}
	if result.Lost += lost; lost > 0 {
		result.violate("%d acknowledged members are not there", lost)
	}
	same, seen, err := c.digests(ctx)
	if err != nil || !same {
		result.DigestDifferences++
		result.violate("digests: %v %v", seen, err)
	}
	all, unknown := w.history.Len()
	result.Operations, result.Unknown = result.Operations+all, result.Unknown+unknown
	var illegal *history.Illegal
	if err := w.history.Check(checkWait); errors.As(err, &illegal) {
		result.Illegal++
		page := filepath.Join(o.Dir, fmt.Sprintf("round-%d.html", result.Rounds))
		result.violate("%v (drawn in %s)", err, page)
		if err := illegal.Draw(page); err != nil {
			return err
		}
	} else if err != nil {
		result.violate("%v", err)
	}
	fmt.Fprintf(o.Out, "round %d: %d operations (%d of unknown outcome), %d lost, %d illegal, %d power cuts, %d violations so far\n",
		result.Rounds, all, unknown, lost, result.Illegal, result.PowerCuts, len(result.Violations))
	return nil
}

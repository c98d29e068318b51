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

// Sizes of the enforcement benchmark.
const (
	verdicts         = 20_000 // per run
	pairs            = 4_000  // requests of each side, per run
	throughputTime   = 1 * time.Second
	throughputPasses = 2 // of each side, in turn, per run
	callers          = 32
	tokenBytes       = 1024
	gateHostileShare = 20 // of the hostile requests one in so many goes to the user-space gate
)

// gateFigures collects one value a run and side, and one a trial for deactivations.
type gateFigures struct {
	sides            []side // of the last run, the unprotected one first
	added, p99, kept map[string][]float64
	idle, loaded     []refusal
	killed, dead     []refusal
	sieges           *siegeLog
	tokenBytes       int
	missing          string
	left             int // runs, this one included
}

func enforcement(ctx context.Context, b *bench) error {
	if err := b.verdictTimes(ctx); err != nil {
		return fmt.Errorf("verdict: %w", err)
	}
	sieges, err := openSiegeLog(b)
	if err != nil {
		return err
	}
	f := &gateFigures{
		added: map[string][]float64{}, p99: map[string][]float64{}, kept: map[string][]float64{}, sieges: sieges,
	}
	for run := range b.runs {
		f.left = b.runs - run
		if err := b.enforceOnce(ctx, f); err != nil {
			return fmt.Errorf("run %d: %w", run+1, err)
		}
	}
	f.addTo(b.report)
	b.failed = sieges.failure()
	return nil
}

func (f *gateFigures) addTo(r *report) {
	bare := f.sides[0].name
	for _, s := range f.sides {
		if s.name == bare {
			continue
		}
		how := fmt.Sprintf("of %d requests to %s, less that of as many to the same program unprotected; one keep-alive connection for each side, one request of each in turn, token of %d bytes; client and all sides share the CPUs.", pairs, s.what, f.tokenBytes)
		r.add("added_p50_us_"+s.name, "us", "p50 "+how, f.added[s.name])
		r.add("added_p99_us_"+s.name, "us", "p99 "+how, f.p99[s.name])
		r.add("throughput_kept_"+s.name, "ratio", fmt.Sprintf("Requests a second to %s over those to the same program unprotected: %d keep-alive connections, %d passes of %s of each side in turn; client and all sides share the CPUs.", s.what, callers, throughputPasses, throughputTime), f.kept[s.name])
	}
	if f.missing != "" {
		r.addOr("rivals_missing", "", "", nil, f.missing)
	}
	addRefusals(r, "idle", "nothing else running", f.idle)
	addRefusals(r, "load", fmt.Sprintf("%d writers create users and %d connections flood the service of each node meanwhile, on the same CPUs", loadWriters, loadCallers), f.loaded)
	addKilled(r, f.killed, f.dead)
	r.addSieges("kernel", f.sieges.Kernel)
	r.addSieges("gate", f.sieges.Gate)
	r.plot("Added latency, p50, µs (lower is better)", "added_p50_us_")
	r.plot("Throughput kept, of that without enforcement (higher is better)", "throughput_kept_")
	r.plot("Time of a verdict in the kernel, µs", "verdict_")
	r.plot("Deactivation to refusal, p99, ms", "deactivate_to_refusal_p99_ms_")
}

// enforceOnce measures all sides in one run: two clusters, one of each gate, and
// the rivals.
func (b *bench) enforceOnce(ctx context.Context, f *gateFigures) (err error) {
	kernel, role, token, err := b.guardedBy(ctx, "kernel")
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	defer func() { err = errors.Join(err, kernel.Stop()) }()
	f.tokenBytes = len(token)
	gate, gateRole, gateToken, err := b.guardedBy(ctx, "gate")
	if err != nil {
		return fmt.Errorf("gate: %w", err)
	}
	defer func() { err = errors.Join(err, gate.Stop()) }()
	bare, stop, err := b.unprotected(ctx)
	if err != nil {
		return err
	}
	defer stop()
	others, err := b.startRivals(ctx, kernel, bare, token)
	if err != nil {
		return fmt.Errorf("rivals: %w", err)
	}
	defer others.stop()
	f.missing = others.why
	f.sides = append([]side{
		{"bare", "the unprotected program", bare, token},
		{"kernel", "the program behind the kernel gate", kernel.Service(0), token},
		{"gate", "the program behind the user-space gate", gate.Service(0), gateToken},
	}, others.sides...)
	if err := f.latencies(); err != nil {
		return err
	}
	if err := f.throughputs(); err != nil {
		return err
	}
	others.stop()
	return f.refusals(ctx, kernel, gate, role, gateRole, token)
}

// guardedBy starts a cluster that serves a token of the measured size.
func (b *bench) guardedBy(ctx context.Context, mode string) (c *cluster, role, token string, err error) {
	if c, err = b.start(ctx, mode); err != nil {
		return nil, "", "", err
	}
	if role, token, err = c.tokenOf(ctx, tokenBytes); err == nil {
		err = c.awaitServed(ctx, token)
	}
	if err != nil {
		return nil, "", "", errors.Join(err, c.Stop())
	}
	return c, role, token, nil
}

// latencies asks every side in turn, so that what disturbs one disturbs all.
func (f *gateFigures) latencies() error {
	open := make([]*caller, len(f.sides))
	for i, s := range f.sides {
		c, err := dial(s.base, s.token)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		defer c.close()
		open[i] = c
	}
	took := make([][]float64, len(f.sides))
	for range pairs {
		for i, c := range open {
			d, err := c.served()
			if err != nil {
				return fmt.Errorf("%s: %w", f.sides[i].name, err)
			}
			took[i] = append(took[i], micros(d))
		}
	}
	for i, s := range f.sides[1:] {
		f.added[s.name] = append(f.added[s.name], quantile(took[i+1], 0.5)-quantile(took[0], 0.5))
		f.p99[s.name] = append(f.p99[s.name], quantile(took[i+1], 0.99)-quantile(took[0], 0.99))
	}
	return nil
}

func (f *gateFigures) throughputs() error {
	counts := make([]int, len(f.sides))
	for range throughputPasses {
		for i, s := range f.sides {
			n, err := flood(s.base, s.token)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			counts[i] += n
		}
	}
	for i, s := range f.sides[1:] {
		f.kept[s.name] = append(f.kept[s.name], float64(counts[i+1])/float64(counts[0]))
	}
	return nil
}

// refusals are the trials and the sieges; the leader is killed last.
func (f *gateFigures) refusals(ctx context.Context, kernel, gate *cluster, role, gateRole, token string) error {
	var err error
	if f.idle, err = kernel.deactivations(ctx, role, "leaver", f.idle); err != nil {
		return err
	}
	if f.loaded, err = kernel.loadedDeactivations(ctx, role, token, f.loaded); err != nil {
		return fmt.Errorf("under load: %w", err)
	}
	if err := kernel.hostileRun(ctx, role, f.sieges, &f.sieges.Kernel, f.sieges.share(f.sieges.Kernel, f.sieges.kernelMax, f.left)); err != nil {
		return fmt.Errorf("hostile run: %w", err)
	}
	if err := gate.hostileRun(ctx, gateRole, f.sieges, &f.sieges.Gate, f.sieges.share(f.sieges.Gate, f.sieges.gateMax, f.left)); err != nil {
		return fmt.Errorf("hostile run at the gate: %w", err)
	}
	return kernel.killedDeactivations(ctx, role, f)
}

// tokenOf makes a role and a user of it whose access token has about so many
// bytes, most of them permissions.
func (c *cluster) tokenOf(ctx context.Context, bytes int) (role, token string, err error) {
	operator := c.operator()
	role, err = operator.create(ctx, "/api/v1/roles", map[string]any{
		"org_id": c.org, "name": "measured", "permissions": measuredPermissions(1),
	})
	if err != nil {
		return "", "", err
	}
	user, err := c.userOf(ctx, operator, role, "measured")
	if err != nil {
		return "", "", err
	}
	if token, err = c.signIn(ctx, user); err != nil {
		return "", "", err
	}
	// One more permission is 15 bytes of JSON and a third more in base64.
	n := 1 + max(0, bytes-len(token))/20
	set := map[string]any{"permissions": measuredPermissions(n)}
	if err := operator.do(ctx, http.MethodPatch, "/api/v1/roles/"+role, set, nil); err != nil {
		return "", "", err
	}
	token, err = c.signIn(ctx, user)
	return role, token, err
}

// measuredPermissions start with the one that the demo's route asks for.
func measuredPermissions(n int) []string {
	list := []string{"read:patients"}
	for i := 1; i < n; i++ {
		list = append(list, fmt.Sprintf("read:bench-%02d", i))
	}
	return list
}

func (c *cluster) userOf(ctx context.Context, operator *api, role, name string) (string, error) {
	user, err := operator.create(ctx, "/api/v1/users", map[string]any{"org_id": c.org, "user_name": name, "email": name + "@bench.example"})
	if err != nil {
		return "", err
	}
	return user, operator.do(ctx, http.MethodPost, "/api/v1/users/"+user+"/roles", map[string]string{"role_id": role}, nil)
}

func (c *cluster) signIn(ctx context.Context, user string) (string, error) {
	var session struct {
		AccessToken string `json:"access_token"`
	}
	body := map[string]any{"org_id": c.org, "user_id": user, "amr": []string{"pwd", "otp"}}
	err := c.operator().do(ctx, http.MethodPost, "/api/v1/sessions", body, &session)
	return session.AccessToken, err
}

// awaitServed waits until every node serves a new token.
func (c *cluster) awaitServed(ctx context.Context, token string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	for i := range dev.Nodes {
		for {
			status, err := getOnce(c.Service(i), token)
			if err != nil {
				return err
			}
			if status == http.StatusOK {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("node-%d answers %d to a legal request", i+1, status)
			}
		}
	}
	return nil
}

func getOnce(base, token string) (int, error) {
	c, err := dial(base, token)
	if err != nil {
		return 0, err
	}
	defer c.close()
	status, _, err := c.get()
	if errors.Is(err, syscall.ECONNRESET) {
		return 0, nil // refused, and the answer was lost with the connection
	}
	return status, err
}

// flood counts the requests that all callers together get served in one pass.
func flood(base, token string) (total int, err error) {
	var all sync.WaitGroup
	counts, errs := make([]int, callers), make([]error, callers)
	end := time.Now().Add(throughputTime)
	for i := range callers {
		all.Go(func() {
			c, err := dial(base, token)
			if err != nil {
				errs[i] = err
				return
			}
			defer c.close()
			for time.Now().Before(end) && errs[i] == nil {
				_, errs[i] = c.served()
				counts[i]++
			}
		})
	}
	all.Wait()
	for _, n := range counts {
		total += n
	}
	return total, errors.Join(errs...)
}

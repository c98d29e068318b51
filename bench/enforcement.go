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

// Sizes of the enforcement benchmark. Every run has a cluster of its own, since
// the kernel's histogram counts from the start of the node.
const (
	gateRuns         = 5
	verdicts         = 20_000 // per run
	pairs            = 4_000  // per run
	throughputTime   = 1 * time.Second
	throughputPasses = 2 // of each side, in turn, per run
	callers          = 16
	tokenBytes       = 1024
)

// gateFigures collects one value a run, and one a trial for deactivations.
type gateFigures struct {
	verdict, added, kept []float64
	idle, loaded         []refusal
	tokenBytes           int
}

func enforcement(ctx context.Context, b *bench) error {
	var kernel, gate gateFigures
	for range gateRuns {
		if err := b.enforceOnce(ctx, "kernel", &kernel); err != nil {
			return fmt.Errorf("kernel: %w", err)
		}
	}
	r := b.report
	r.add("verdict_p50_us_1k", "us", fmt.Sprintf("p50 of the kernel program's own histogram (buckets 3 %% wide) on node-1 after %d keep-alive GETs with a token of %d bytes, read from GET /api/v1/enforcement; a new cluster each run.", verdicts, kernel.tokenBytes), kernel.verdict)
	r.add("added_p50_us_kernel", "us", addedHow("kernel gate", kernel.tokenBytes), kernel.added)
	r.add("throughput_kept_kernel", "ratio", fmt.Sprintf("Requests a second through the kernel gate over those to the same program unprotected: %d keep-alive connections, %d passes of %s each in turn; client, services and nodes share the CPUs.", callers, throughputPasses, throughputTime), kernel.kept)
	addRefusals(r, "idle", "nothing else running", kernel.idle)
	addRefusals(r, "load", fmt.Sprintf("%d writers create users and %d connections flood the service of each node meanwhile, on the same CPUs", loadWriters, loadCallers), kernel.loaded)
	for range gateRuns {
		if err := b.enforceOnce(ctx, "gate", &gate); err != nil {
			return fmt.Errorf("gate: %w", err)
		}
	}
	r.add("added_p50_us_gate", "us", addedHow("user-space gate", gate.tokenBytes), gate.added)
	return nil
}

func addedHow(gate string, token int) string {
	return fmt.Sprintf("p50 of %d requests through the %s less p50 of as many to the same program unprotected, in turn, one keep-alive connection each, token of %d bytes.", pairs, gate, token)
}

func (b *bench) enforceOnce(ctx context.Context, mode string, into *gateFigures) (err error) {
	c, err := b.start(ctx, mode)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	role, token, err := c.tokenOf(ctx, tokenBytes)
	if err != nil {
		return err
	}
	into.tokenBytes = len(token)
	if err := c.awaitServed(ctx, token); err != nil {
		return err
	}
	bare, stop, err := b.unprotected(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if mode == "kernel" {
		if err := c.verdictTime(ctx, token, into); err != nil {
			return err
		}
		if err := throughputKept(c.Service(0), bare, token, into); err != nil {
			return err
		}
		if into.idle, err = c.deactivations(ctx, role, "leaver", into.idle); err != nil {
			return err
		}
		if into.loaded, err = c.loadedDeactivations(ctx, role, token, into.loaded); err != nil {
			return fmt.Errorf("under load: %w", err)
		}
	}
	return addedTime(c.Service(0), bare, token, into)
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

func (c *cluster) verdictTime(ctx context.Context, token string, into *gateFigures) error {
	guarded, err := dial(c.Service(0), token)
	if err != nil {
		return err
	}
	defer guarded.close()
	for range verdicts {
		if _, err := guarded.served(); err != nil {
			return err
		}
	}
	var report struct {
		Nodes []struct {
			NodeID     string   `json:"node_id"`
			LatencyP50 *float64 `json:"latency_p50_us"`
		}
	}
	if err := c.operator().do(ctx, http.MethodGet, "/api/v1/enforcement", nil, &report); err != nil {
		return err
	}
	for _, n := range report.Nodes {
		if n.NodeID == "node-1" && n.LatencyP50 != nil {
			into.verdict = append(into.verdict, *n.LatencyP50)
			return nil
		}
	}
	return errors.New("node-1 reports no latency")
}

func addedTime(guardedBase, bareBase, token string, into *gateFigures) error {
	guarded, err := dial(guardedBase, token)
	if err != nil {
		return err
	}
	defer guarded.close()
	bare, err := dial(bareBase, token)
	if err != nil {
		return err
	}
	defer bare.close()
	var with, without []float64
	for range pairs {
		took, err := guarded.served()
		if err != nil {
			return err
		}
		with = append(with, micros(took))
		if took, err = bare.served(); err != nil {
			return err
		}
		without = append(without, micros(took))
	}
	into.added = append(into.added, quantile(with, 0.5)-quantile(without, 0.5))
	return nil
}

func throughputKept(guarded, bare, token string, into *gateFigures) error {
	var with, without int
	for range throughputPasses {
		for _, side := range []struct {
			base  string
			count *int
		}{{guarded, &with}, {bare, &without}} {
			n, err := flood(side.base, token)
			if err != nil {
				return err
			}
			*side.count += n
		}
	}
	into.kept = append(into.kept, float64(with)/float64(without))
	return nil
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

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Sizes of the refusals in applications. A killed node does not come back, so every
// kill has a cluster of its own.
const (
	idleTrials      = 30
	tokenKillTrials = 5
	killWait        = 30 * time.Second // for a change that the loss of the leader delays
)

// applications are protected services in each language.
type applications struct {
	bases []string
	stop  func()
}

// serve starts the samples, which print a line with a name and an address.
func (s *sdks) serve(ctx context.Context, c *cluster, key string) (*applications, error) {
	env := append(os.Environ(), "AUTHFI_ISSUER="+c.API(0)+"/o/"+c.slug, "AUTHFI_ORG="+c.org, "AUTHFI_TOKEN="+key, "AUTHFI_CACERT="+c.CA(),
		"AUTHFI_URL="+c.API(0)+","+c.API(1)+","+c.API(2), "AUTHFI_AUDIENCE=", "AUTHFI_POSTURE=")
	a := &applications{}
	var running []*exec.Cmd
	a.stop = func() {
		for _, cmd := range running {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}
	for _, command := range s.services {
		cmd := exec.CommandContext(ctx, command[0], command[1:]...)
		cmd.Env = env
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			a.stop()
			return nil, err
		}
		running = append(running, cmd)
		line, err := bufio.NewReader(out).ReadString('\n')
		_, base, ok := strings.Cut(strings.TrimSpace(line), " ")
		if err != nil || !ok {
			a.stop()
			return nil, fmt.Errorf("%v: %q: %w", command, line, err)
		}
		go io.Copy(io.Discard, out)
		a.bases = append(a.bases, base)
	}
	return a, nil
}

// refusalsIdle deactivates users of a cluster with nothing else to do.
func (s *sdks) refusalsIdle(ctx context.Context, b *bench, c *cluster) error {
	t, err := s.newProtected(ctx, c)
	if err != nil {
		return err
	}
	defer t.apps.stop()
	var took []float64
	for i := range idleTrials {
		ms, err := t.run(ctx, fmt.Sprintf("idle-%d", i), nil)
		if err != nil {
			return err
		}
		took = append(took, ms)
	}
	addApplications(b.report, "idle", "with nothing else to do", took)
	return nil
}

// refusalsLeaderKill kill the leader just before.
func (s *sdks) refusalsLeaderKill(ctx context.Context, b *bench) error {
	var took []float64
	for i := range tokenKillTrials {
		ms, err := s.refusalAfterKill(ctx, b)
		if err != nil {
			return fmt.Errorf("kill %d: %w", i, err)
		}
		took = append(took, ms)
	}
	addApplications(b.report, "leaderkill", "each on a cluster of its own whose leader was killed just before", took)
	return nil
}

func (s *sdks) refusalAfterKill(ctx context.Context, b *bench) (ms float64, err error) {
	c, err := b.start(ctx, "gate")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	t, err := s.newProtected(ctx, c)
	if err != nil {
		return 0, err
	}
	defer t.apps.stop()
	return t.run(ctx, "killed", func() error {
		var status struct{ Leader string }
		if err := c.operator().do(ctx, http.MethodGet, "/api/v1/status", nil, &status); err != nil {
			return err
		}
		leader := 0
		if _, err := fmt.Sscanf(status.Leader, "node-%d", &leader); err != nil {
			return err
		}
		return c.Kill(leader - 1)
	})
}

func addApplications(r *report, load, circumstances string, took []float64) {
	how := fmt.Sprintf("of %d deactivations %s: SCIM PATCH active=False answered to the first refusal of the user's token, the slowest of three applications (net/http, Express, FastAPI) that follow the feed, each asked without pause over one connection. An answer that is broken off counts as refused.", len(took), circumstances)
	r.put("sdk_refusal_p99_ms_"+load, "ms", "p99 "+how, quantile(took, 0.99), took)
	r.put("sdk_refusal_p50_ms_"+load, "ms", "p50 "+how, quantile(took, 0.5), took)
}

// protected is a cluster with applications and who provisions.
type protected struct {
	cluster     *cluster
	apps        *applications
	provisioner *api
	role        string
}

func (s *sdks) newProtected(ctx context.Context, c *cluster) (*protected, error) {
	t := &protected{cluster: c}
	key, err := c.feedKey(ctx, "applications")
	if err != nil {
		return nil, err
	}
	if t.provisioner, err = c.provisioner(ctx); err != nil {
		return nil, err
	}
	t.role, err = c.operator().create(ctx, "/api/v1/roles", map[string]any{"org_id": c.org, "name": "refused", "permissions": measuredPermissions(1)})
	if err != nil {
		return nil, err
	}
	t.apps, err = s.serve(ctx, c, key)
	return t, err
}

// run is one deactivation: from the answer to the slowest refusal.
func (t *protected) run(ctx context.Context, name string, before func() error) (ms float64, err error) {
	user, err := t.provisioner.create(ctx, "/Users", map[string]any{
		"schemas": []string{userSchema}, "userName": name + "@bench.example", "active": true,
	})
	if err != nil {
		return 0, err
	}
	if err := t.cluster.operator().do(ctx, http.MethodPost, "/api/v1/users/"+user+"/roles", map[string]string{"role_id": t.role}, nil); err != nil {
		return 0, err
	}
	token, err := t.cluster.signIn(ctx, user)
	if err != nil {
		return 0, err
	}
	callers := make([]*caller, len(t.apps.bases))
	for i, base := range t.apps.bases {
		if callers[i], err = dialTo(base, "/patients", token); err != nil {
			return 0, err
		}
		defer callers[i].close()
		if _, err := callers[i].served(); err != nil {
			return 0, fmt.Errorf("%s: %w", base, err)
		}
	}
	if before != nil {
		if err := before(); err != nil {
			return 0, err
		}
	}
	if err := t.deactivate(ctx, user); err != nil {
		return 0, err
	}
	answered := time.Now()
	took, errs := make([]float64, len(callers)), make([]error, len(callers))
	var asking sync.WaitGroup
	for i, c := range callers {
		asking.Go(func() { took[i], errs[i] = c.untilUnauthorized(answered) })
	}
	asking.Wait()
	for _, one := range took {
		ms = max(ms, one)
	}
	return ms, errors.Join(errs...)
}

// deactivate sends the change until it is acknowledged, to one node after the other.
func (t *protected) deactivate(ctx context.Context, user string) (err error) {
	for deadline := time.Now().Add(killWait); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if err = t.provisioner.patch(ctx, "/Users/"+user, operation("Replace", "active", "False")); err == nil {
			return nil
		}
	}
	return err
}

func (c *caller) untilUnauthorized(answered time.Time) (float64, error) {
	for time.Since(answered) < answerWait {
		status, _, err := c.get()
		broken := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET)
		if err != nil && !broken {
			return 0, err
		}
		if broken || status == http.StatusUnauthorized {
			return millis(time.Since(answered)), nil
		}
	}
	return 0, errors.New("a deactivated user is still served by an application")
}

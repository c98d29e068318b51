package dev_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/dev"
)

// What the SDKs promise, and how the test looks.
const (
	refusalMax     = time.Second     // from the SCIM answer to the refusal
	refusalMaxKill = 2 * time.Second // the same while the leader is killed
	sdkRounds      = 10
	sdkWait        = 4 * time.Minute
	sdkPause       = 2 * time.Millisecond // between two requests to one service
)

// protected is a cluster, the services that trust its tokens, and who provisions.
type protected struct {
	*provisioner
	operator *provisioner
	org      string
	services map[string]string // base URLs by name
	plain    *http.Client
}

// TestSDKsRefuseWithinASecond: a protected route in each language serves a user, and
// refuses the same token within a second of the answer to the SCIM request that
// deactivates the user; within two when the leader is killed just before.
func TestSDKsRefuseWithinASecond(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), sdkWait)
	defer cancel()
	c, err := dev.StartProgram(ctx, program, dev.Options{Dir: t.TempDir(), Mode: "gate", Out: t.Output()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := protect(t, ctx, c)
	worst := map[string]time.Duration{}
	for n := range sdkRounds {
		id, token := p.signIn(t, ctx, fmt.Sprintf("round-%d@x.example", n), n)
		p.deactivated(t, ctx, n, id, token, refusalMax, worst)
	}
	t.Logf("idle, %d rounds, the slowest refusals: %v", sdkRounds, worst)

	t.Run("a role is taken away", func(t *testing.T) { p.roleTaken(t, ctx) })
	t.Run("every form of a token", func(t *testing.T) { p.formsServed(t, ctx) })
	t.Run("the leader is killed", func(t *testing.T) {
		id, token := p.signIn(t, ctx, "kill@x.example", 0)
		leader := p.operator.leader(t, ctx)
		p.dead[leader], p.operator.dead[leader] = true, true
		if err := c.Kill(leader); err != nil {
			t.Fatal(err)
		}
		worst := map[string]time.Duration{}
		p.deactivated(t, ctx, leader+1, id, token, refusalMaxKill, worst)
		t.Logf("the refusals: %v", worst)
	})
}

// protect makes a role's holders, an API key that may read the feed, and the
// services.
func protect(t *testing.T, ctx context.Context, c *dev.Cluster) *protected {
	t.Helper()
	p := &protected{provisioner: newProvisioner(t, ctx, c), services: map[string]string{}, plain: &http.Client{Timeout: 10 * time.Second}}
	p.operator = &provisioner{cluster: c, http: p.http, token: c.OperatorToken(), dead: map[int]bool{}}
	org, slug, err := c.Hospital(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p.org = org
	var auditor struct{ ID string }
	p.call(t, ctx, http.MethodPost, "/api/v1/users", map[string]any{"org_id": org, "email": "verifier@x.example"}, &auditor)
	p.call(t, ctx, http.MethodPost, "/api/v1/users/"+auditor.ID+"/roles", map[string]any{"role_name": "auditor"}, nil)
	var key struct{ Key string }
	p.call(t, ctx, http.MethodPost, "/api/v1/api-keys", map[string]any{
		"org_id": org, "name": "verifier", "permissions": []string{"read:audit-logs"}, "user_id": auditor.ID,
	}, &key)
	env := append(os.Environ(),
		"AUTHFI_ISSUER="+c.API(0)+"/o/"+slug, "AUTHFI_ORG="+org, "AUTHFI_TOKEN="+key.Key, "AUTHFI_CACERT="+c.CA(),
		"AUTHFI_URL="+c.API(0)+","+c.API(1)+","+c.API(2), "AUTHFI_AUDIENCE=", "AUTHFI_POSTURE=")
	var starting sync.WaitGroup
	var mu sync.Mutex
	for _, prepare := range []func(*testing.T) [][]string{goSample, nodeSample, pythonSamples} {
		starting.Go(func() {
			for _, command := range prepare(t) {
				for name, url := range serve(t, ctx, env, command) {
					mu.Lock()
					p.services[name] = url
					mu.Unlock()
				}
			}
		})
	}
	starting.Wait()
	if want := 5; len(p.services) != want {
		t.Fatalf("%d services, want %d: %v", len(p.services), want, p.services)
	}
	return p
}

func (p *protected) call(t *testing.T, ctx context.Context, method, path string, in, out any) {
	t.Helper()
	var body []byte
	err := p.operator.until(ctx, 0, func(node int) (err error) {
		body, err = p.operator.once(ctx, node, method, path, in)
		return err
	})
	if err == nil && out != nil {
		err = json.Unmarshal(body, out)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", args, err, out)
	}
}

func goSample(t *testing.T) [][]string {
	binary := filepath.Join(t.TempDir(), "sample")
	command(t, ".", "go", "build", "-o", binary, "github.com/authfi/authfi/sdk/go/sample")
	return [][]string{{binary}}
}

// nodeSample is the service that uses Express.
func nodeSample(t *testing.T) [][]string {
	return [][]string{{"node", filepath.Join(installNode(t), "sample", "server.mjs")}}
}

// installNode installs the package as its users do, beside Express.
func installNode(t *testing.T) (source string) {
	dir := filepath.Join(t.TempDir(), "js")
	if err := os.CopyFS(dir, os.DirFS("../sdk/js")); err != nil {
		t.Error(err)
	}
	sample := filepath.Join(dir, "sample")
	command(t, sample, "npm", "ci", "--omit=dev", "--no-audit", "--no-fund", "--silent")
	return dir
}

// pythonSamples are the services that use Flask and FastAPI.
func pythonSamples(t *testing.T) [][]string {
	python, source := installPython(t)
	return [][]string{
		{python, filepath.Join(source, "sample", "flask_service.py")},
		{python, filepath.Join(source, "sample", "fastapi_service.py")},
	}
}

// installPython installs the package as its users do, beside what its tests need.
func installPython(t *testing.T) (python, source string) {
	dir := t.TempDir()
	source = filepath.Join(dir, "python")
	if err := os.CopyFS(source, os.DirFS("../sdk/python")); err != nil {
		t.Error(err)
	}
	python = filepath.Join(dir, "venv", "bin", "python")
	command(t, dir, "python3", "-m", "venv", "venv")
	command(t, dir, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", filepath.Join(source, "tests", "requirements.txt"))
	command(t, dir, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", source)
	return python, source
}

// serve starts a service; it prints a line with a name and an address for each that
// it has: two for Node.js, one for the others.
func serve(t *testing.T, ctx context.Context, env, args []string) map[string]string {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stderr = env, t.Output()
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Errorf("%v: %v", args, err)
		return nil
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	want := 1
	if args[0] == "node" {
		want = 2
	}
	found := map[string]string{}
	for lines := bufio.NewScanner(out); len(found) < want && lines.Scan(); {
		if name, url, ok := strings.Cut(lines.Text(), " "); ok {
			found[name] = url
		}
	}
	go io.Copy(io.Discard, out)
	return found
}

// signIn makes a doctor over SCIM, gives the role, starts a session, and shows that
// every service serves the token.
func (p *protected) signIn(t *testing.T, ctx context.Context, name string, node int) (id, token string) {
	t.Helper()
	id, err := p.create(ctx, node, name)
	if err != nil {
		t.Fatal(err)
	}
	p.call(t, ctx, http.MethodPost, "/api/v1/users/"+id+"/roles", map[string]any{"role_name": "doctor"}, nil)
	token = p.session(t, ctx, id)
	p.served(t, ctx, id, token)
	return id, token
}

func (p *protected) session(t *testing.T, ctx context.Context, id string) (token string) {
	t.Helper()
	var session struct {
		AccessToken string `json:"access_token"`
	}
	p.call(t, ctx, http.MethodPost, "/api/v1/sessions", map[string]any{"org_id": p.org, "user_id": id, "amr": []string{"pwd", "otp"}}, &session)
	return session.AccessToken
}

// served: every service lets the token in and knows what it permits.
func (p *protected) served(t *testing.T, ctx context.Context, id, token string) {
	t.Helper()
	for service := range p.services {
		status, body, err := p.get(ctx, service, token)
		if err != nil || status != http.StatusOK || !strings.Contains(body, id) || !strings.Contains(strings.ReplaceAll(body, " ", ""), `"notes":true`) {
			t.Fatalf("%s: %d %s, %v", service, status, body, err)
		}
	}
}

func (p *protected) take(t *testing.T, ctx context.Context, id, name string) {
	t.Helper()
	var held struct{ Roles []struct{ ID, Name string } }
	p.call(t, ctx, http.MethodGet, "/api/v1/roles?org_id="+p.org, nil, &held)
	for _, role := range held.Roles {
		if role.Name == name {
			p.call(t, ctx, http.MethodDelete, "/api/v1/users/"+id+"/roles/"+role.ID, nil, nil)
		}
	}
}

func (p *protected) get(ctx context.Context, service, token string) (status int, body string, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.services[service]+"/patients", nil)
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	res, err := p.plain.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, string(text), err
}

// deactivated sends what Entra sends and measures from its answer how long each
// service still serves the token.
func (p *protected) deactivated(t *testing.T, ctx context.Context, node int, id, token string, most time.Duration, worst map[string]time.Duration) {
	t.Helper()
	if err := p.send(ctx, node, http.MethodPatch, "/Users/"+id, change("Replace", "active", "False")); err != nil {
		t.Fatal(err)
	}
	p.refused(t, ctx, token, "token_revoked", most, worst)
}

func (p *protected) refused(t *testing.T, ctx context.Context, token, code string, most time.Duration, worst map[string]time.Duration) {
	t.Helper()
	answered := time.Now()
	var asking sync.WaitGroup
	var mu sync.Mutex
	for service := range p.services {
		asking.Go(func() {
			took, err := p.untilRefused(ctx, service, token, code, answered)
			if err != nil || took > most {
				t.Errorf("%s refuses after %v, at most %v are promised: %v", service, took, most, err)
			}
			mu.Lock()
			defer mu.Unlock()
			worst[service] = max(worst[service], took)
		})
	}
	asking.Wait()
}

func (p *protected) untilRefused(ctx context.Context, service, token, code string, since time.Time) (time.Duration, error) {
	for {
		status, body, err := p.get(ctx, service, token)
		if err != nil {
			return time.Since(since), err
		}
		if status == http.StatusUnauthorized {
			if !strings.Contains(body, code) {
				err = errors.New(body)
			}
			return time.Since(since), err
		}
		select {
		case <-time.After(sdkPause):
		case <-ctx.Done():
			return time.Since(since), ctx.Err()
		}
	}
}

// roleTaken: what a token was made of is not there any more, and the next token,
// which lacks it, is told what is missing.
func (p *protected) roleTaken(t *testing.T, ctx context.Context) {
	id, token := p.signIn(t, ctx, "taken@x.example", 0)
	p.take(t, ctx, id, "doctor")
	worst := map[string]time.Duration{}
	p.refused(t, ctx, token, "token_stale", refusalMax, worst)
	t.Logf("the refusals: %v", worst)
	next := p.session(t, ctx, id)
	for service := range p.services {
		status, body, err := p.get(ctx, service, next)
		if err != nil || status != http.StatusForbidden || !strings.Contains(strings.ReplaceAll(body, " ", ""), `"missing":["read:patients"]`) {
			t.Errorf("%s: %d %s, %v", service, status, body, err)
		}
	}
}

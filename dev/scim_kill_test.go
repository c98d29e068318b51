package dev_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/dev"
)

// Shape of the run: provisioning services that change one group, create users and
// change users, all at once, while the leader is killed under them.
const (
	killChangers  = 6  // of the one group, each with members of its own
	killMembers   = 40 // of each
	killCreators  = 2
	killCreations = 40 // by each
	killPatchers  = 2
	killPatches   = 40 // by each, of one user
	killWait      = 2 * time.Minute
	killPause     = 20 * time.Millisecond // before a request that failed is repeated
)

// provisioner repeats what was not acknowledged, on another node, as identity
// providers do.
type provisioner struct {
	cluster *dev.Cluster
	http    *http.Client
	base    string // behind a node's address
	token   string
	acked   atomic.Int64
	repeats atomic.Int64
	mu      sync.Mutex
	dead    map[int]bool
}

var errRefused = errors.New("refused")

// once sends a request to one node; an error other than errRefused is nobody's
// answer.
func (p *provisioner) once(ctx context.Context, node int, method, path string, in any) (body []byte, err error) {
	text, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	if in == nil {
		text = nil
	}
	r, err := http.NewRequestWithContext(ctx, method, p.cluster.API(node)+p.base+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set("Content-Type", "application/json") // which SCIM takes, too
	res, err := p.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	switch {
	case res.StatusCode == http.StatusServiceUnavailable:
		if res.Header.Get("Retry-After") == "" {
			return nil, fmt.Errorf("%w: 503 without Retry-After", errRefused)
		}
		return nil, errors.New("503")
	case res.StatusCode/100 != 2:
		return body, fmt.Errorf("%w: %s %s: %d %.200s", errRefused, method, path, res.StatusCode, body)
	}
	return body, nil
}

// until repeats a step, on one node after the other, while nobody answers it.
func (p *provisioner) until(ctx context.Context, from int, step func(node int) error) error {
	for node := from; ; node++ {
		at := node % dev.Nodes
		p.mu.Lock()
		dead := p.dead[at]
		p.mu.Unlock()
		if dead {
			continue
		}
		err := step(at)
		if err == nil || errors.Is(err, errRefused) {
			p.acked.Add(1)
			return err
		}
		p.repeats.Add(1)
		select {
		case <-time.After(killPause):
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		}
	}
}

func (p *provisioner) send(ctx context.Context, from int, method, path string, in any) error {
	return p.until(ctx, from, func(node int) error { _, err := p.once(ctx, node, method, path, in); return err })
}

func change(op, path string, value any) map[string]any {
	return map[string]any{
		"schemas":    []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"},
		"Operations": []any{map[string]any{"op": op, "path": path, "value": value}},
	}
}

// find is the match query of Entra and Okta; more than one match is an error to them.
func (p *provisioner) find(ctx context.Context, node int, name string) (id string, err error) {
	body, err := p.once(ctx, node, http.MethodGet, "/Users?filter="+url.QueryEscape(fmt.Sprintf("userName eq %q", name)), nil)
	if err != nil {
		return "", err
	}
	var found struct {
		TotalResults int
		Resources    []struct{ ID string }
	}
	if err := json.Unmarshal(body, &found); err != nil {
		return "", err
	}
	if found.TotalResults > 1 {
		return "", fmt.Errorf("%w: %d users are called %s", errRefused, found.TotalResults, name)
	}
	if found.TotalResults == 1 {
		id = found.Resources[0].ID
	}
	return id, nil
}

// create makes a user, or finds the one that an earlier attempt has made: a 409 for
// a name that was not there a moment ago is such an attempt.
func (p *provisioner) create(ctx context.Context, from int, name string) (id string, err error) {
	user := map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name, "active": true}
	err = p.until(ctx, from, func(node int) error {
		if id, err = p.find(ctx, node, name); err != nil || id != "" {
			return err
		}
		body, err := p.once(ctx, node, http.MethodPost, "/Users", user)
		if errors.Is(err, errRefused) && bytes.Contains(body, []byte(`"uniqueness"`)) {
			return errors.New("was made meanwhile") // look again
		}
		if err != nil {
			return err
		}
		var made struct{ ID string }
		err = json.Unmarshal(body, &made)
		id = made.ID
		return err
	})
	return id, err
}

// TestLeaderKilledUnderProvisioning: nothing that was acknowledged is lost and
// nothing that was repeated is done twice, when the leader is killed during POST,
// during PATCH, and during a burst of member changes of one group.
func TestLeaderKilledUnderProvisioning(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), killWait)
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
	p := newProvisioner(t, ctx, c)
	var group struct{ ID string }
	body, err := p.once(ctx, 0, http.MethodPost, "/Groups", map[string]any{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:Group"}, "displayName": "burst"})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(body, &group); err != nil {
		t.Fatal(err)
	}
	members := make([][]string, killChangers)
	var all sync.WaitGroup
	run := func(work func() error) {
		all.Go(func() {
			if err := work(); err != nil {
				t.Error(err)
			}
		})
	}
	for w := range killChangers {
		run(func() error {
			for n := range killMembers {
				id, err := p.create(ctx, w, fmt.Sprintf("member-%d-%d@x.example", w, n))
				if err != nil {
					return err
				}
				members[w] = append(members[w], id)
			}
			return nil
		})
	}
	all.Wait()
	if t.Failed() {
		return
	}

	p.acked.Store(0)
	var stay []string
	for w := range killChangers {
		for n, id := range members[w] {
			if n%3 != 0 {
				stay = append(stay, id)
			}
		}
		run(func() error { return p.changeMembers(ctx, w, group.ID, members[w]) })
	}
	for w := range killCreators {
		run(func() error {
			for n := range killCreations {
				if _, err := p.create(ctx, w, created(w, n)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	for w := range killPatchers {
		run(func() error {
			for n := range killPatches {
				if err := p.send(ctx, w, http.MethodPatch, "/Users/"+members[w][0], change("Replace", "title", fmt.Sprint("title-", n))); err != nil {
					return err
				}
			}
			return nil
		})
	}
	killed := p.killLeader(t, ctx)
	all.Wait()
	t.Logf("node-%d killed; %d acknowledged, %d repeated", killed+1, p.acked.Load(), p.repeats.Load())
	for node := range dev.Nodes {
		if node != killed && !t.Failed() {
			p.verify(t, ctx, node, group.ID, stay, members)
		}
	}
}

func created(worker, n int) string { return fmt.Sprintf("created-%d-%d@x.example", worker, n) }

func newProvisioner(t *testing.T, ctx context.Context, c *dev.Cluster) *provisioner {
	t.Helper()
	transport, err := c.Transport()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(transport.CloseIdleConnections)
	p := &provisioner{cluster: c, http: &http.Client{Transport: transport, Timeout: 15 * time.Second}, token: c.OperatorToken(), dead: map[int]bool{}}
	org, slug, err := c.Hospital(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, err := p.once(ctx, 0, http.MethodPost, "/api/v1/organizations/"+org+"/scim-connections", map[string]string{"provider": "entra"})
	var made struct{ Token string }
	if err = errors.Join(err, json.Unmarshal(body, &made)); err != nil {
		t.Fatal(err)
	}
	p.base, p.token = "/scim/v2/"+slug, made.Token
	return p
}

// changeMembers adds everybody, one by one, and takes every third out again, in the
// dialects in turn.
func (p *provisioner) changeMembers(ctx context.Context, from int, group string, members []string) error {
	for n, id := range members {
		if err := p.send(ctx, from, http.MethodPatch, "/Groups/"+group, change("Add", "members", []any{map[string]any{"$ref": nil, "value": id}})); err != nil {
			return err
		}
		if n%3 != 0 {
			continue
		}
		out := change("Remove", "members", []any{map[string]any{"$ref": nil, "value": id}})
		if n%2 == 0 {
			out = change("remove", fmt.Sprintf("members[value eq %q]", id), nil)
		}
		if err := p.send(ctx, from, http.MethodPatch, "/Groups/"+group, out); err != nil {
			return err
		}
	}
	return nil
}

// killLeader waits for a third of the work and kills the node that leads then.
func (p *provisioner) killLeader(t *testing.T, ctx context.Context) (killed int) {
	t.Helper()
	const work = killChangers*killMembers + killCreators*killCreations + killPatchers*killPatches
	for p.acked.Load() < work/3 {
		select {
		case <-time.After(killPause):
		case <-ctx.Done():
			t.Fatal(ctx.Err())
		}
	}
	killed = p.leader(t, ctx)
	p.mu.Lock()
	p.dead[killed] = true
	p.mu.Unlock()
	if err := p.cluster.Kill(killed); err != nil {
		t.Fatal(err)
	}
	return killed
}

func (p *provisioner) leader(t *testing.T, ctx context.Context) (node int) {
	t.Helper()
	operator := &provisioner{cluster: p.cluster, http: p.http, token: p.cluster.OperatorToken()}
	body, err := operator.once(ctx, 0, http.MethodGet, "/api/v1/status", nil)
	var status struct{ Leader string }
	if err = errors.Join(err, json.Unmarshal(body, &status)); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(status.Leader, "node-%d", &node); err != nil {
		t.Fatal(err)
	}
	return node - 1
}

func (p *provisioner) verify(t *testing.T, ctx context.Context, node int, group string, stay []string, members [][]string) {
	t.Helper()
	body, err := p.once(ctx, node, http.MethodGet, "/Groups/"+group, nil)
	var have struct{ Members []struct{ Value string } }
	if err = errors.Join(err, json.Unmarshal(body, &have)); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, m := range have.Members {
		ids = append(ids, m.Value)
	}
	slices.Sort(ids)
	slices.Sort(stay)
	if !slices.Equal(ids, stay) {
		t.Errorf("node-%d: the group has %d members, not the %d that were acknowledged", node+1, len(ids), len(stay))
	}
	for w := range killCreators {
		for n := range killCreations {
			if id, err := p.find(ctx, node, created(w, n)); err != nil || id == "" {
				t.Errorf("node-%d: %s is %q, %v", node+1, created(w, n), id, err)
			}
		}
	}
	for w := range killPatchers {
		body, err := p.once(ctx, node, http.MethodGet, "/Users/"+members[w][0], nil)
		if want := fmt.Sprintf(`"title":"title-%d"`, killPatches-1); err != nil || !strings.Contains(string(body), want) {
			t.Errorf("node-%d: no %s in %s, %v", node+1, want, body, err)
		}
	}
}

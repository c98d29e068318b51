package dev_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/dev"
	"github.com/authfi/authfi/sdk/go/admin"
)

// adminWait bounds the run, on a machine that installs packages meanwhile.
const adminWait = 5 * time.Minute

// administrator is a program that plays the same part in each language: it prints ready
// in the middle, goes on when it is told that a node is gone, and ends well or says why.
type administrator struct {
	name string
	run  func(ctx context.Context, ready func() error) error
}

// TestAdministration: each SDK makes changes, walks pages and is refused on a cluster
// whose leader, the first node that each asks, is killed in the middle.
func TestAdministration(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), adminWait)
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
	p := &protected{provisioner: newProvisioner(t, ctx, c)}
	p.operator = &provisioner{cluster: c, http: p.http, token: c.OperatorToken(), dead: map[int]bool{}}
	if p.org, _, err = c.Hospital(ctx); err != nil {
		t.Fatal(err)
	}
	leader := p.operator.leader(t, ctx)
	urls := []string{c.API(leader), c.API((leader + 1) % dev.Nodes), c.API((leader + 2) % dev.Nodes)}
	env := map[string]string{
		"AUTHFI_URL": strings.Join(urls, ","), "AUTHFI_TOKEN": c.OperatorToken(), "AUTHFI_CACERT": c.CA(),
		"AUTHFI_ORG": p.org, "READER_TOKEN": p.verifierKey(t, ctx),
	}
	js := installNode(t)
	python, py := installPython(t)
	p.samples(t, ctx, env, map[string][]string{
		"go":     goAdministerSample(t),
		"node":   {"node", filepath.Join(js, "sample", "administer.mjs")},
		"python": {python, filepath.Join(py, "sample", "administer.py")},
	})
	p.administer(t, ctx, env, func() error { return c.Kill(leader) }, map[string][]string{
		"node":   {"node", filepath.Join(js, "test", "administration.mjs")},
		"python": {python, filepath.Join(py, "tests", "administration.py")},
	})
}

// samples are those that the documentation shows: each makes a user and names everybody.
func (p *protected) samples(t *testing.T, ctx context.Context, env map[string]string, programs map[string][]string) {
	for name, args := range programs {
		email := "sample-" + name + "@x.example"
		cmd := exec.CommandContext(ctx, args[0], append(args[1:], email)...)
		cmd.Env, cmd.Stderr = environment(env), t.Output()
		if out, err := cmd.Output(); err != nil || !strings.Contains(string(out), email+" Dr.\n") {
			t.Errorf("the sample in %s says %q: %v", name, out, err)
		}
	}
}

func goAdministerSample(t *testing.T) []string {
	binary := filepath.Join(t.TempDir(), "administer")
	command(t, ".", "go", "build", "-o", binary, "github.com/authfi/authfi/sdk/go/sample/administer")
	return []string{binary}
}

// environment is that of this process with more.
func environment(more map[string]string) []string {
	env := os.Environ()
	for _, name := range slices.Sorted(maps.Keys(more)) {
		env = append(env, name+"="+more[name])
	}
	return env
}

// verifierKey is one that may read the feed, and nothing else.
func (p *protected) verifierKey(t *testing.T, ctx context.Context) string {
	t.Helper()
	var owner struct{ ID string }
	p.call(t, ctx, http.MethodPost, "/api/v1/users", map[string]any{"org_id": p.org, "email": "verifier@x.example"}, &owner)
	p.call(t, ctx, http.MethodPost, "/api/v1/users/"+owner.ID+"/roles", map[string]any{"role_name": "auditor"}, nil)
	var key struct{ Key string }
	p.call(t, ctx, http.MethodPost, "/api/v1/api-keys", map[string]any{
		"org_id": p.org, "name": "verifier", "permissions": []string{"read:audit-logs"}, "user_id": owner.ID,
	}, &key)
	return key.Key
}

// administer runs all of them and kills when each is ready.
func (p *protected) administer(t *testing.T, ctx context.Context, env map[string]string, kill func() error, programs map[string][]string) {
	var all []administrator
	all = append(all, administrator{"go", func(ctx context.Context, ready func() error) error { return goAdministrator(ctx, env, ready) }})
	for name, args := range programs {
		all = append(all, administrator{name, func(ctx context.Context, ready func() error) error {
			return playProgram(ctx, args, env, ready, t.Output())
		}})
	}
	killed := make(chan struct{})
	var waiting, ending sync.WaitGroup
	for _, a := range all {
		waiting.Add(1)
		arrive := sync.OnceFunc(waiting.Done)
		ending.Go(func() {
			defer arrive() // whoever fails before keeps nobody waiting
			err := a.run(ctx, func() error {
				arrive()
				<-killed
				return nil
			})
			if err != nil {
				t.Errorf("%s: %v", a.name, err)
			}
		})
	}
	waiting.Wait()
	if err := kill(); err != nil {
		t.Error(err)
	}
	close(killed)
	ending.Wait()
}

// playProgram runs a program, which waits at its one line of output for one of input.
func playProgram(ctx context.Context, args []string, env map[string]string, ready func() error, log io.Writer) error {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env, cmd.Stderr = environment(env), log
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "ready" {
		return errors.Join(fmt.Errorf("it said %q and not ready", lines.Text()), in.Close(), cmd.Wait())
	}
	err = ready()
	if _, failed := fmt.Fprintln(in, "killed"); failed != nil {
		err = errors.Join(err, failed)
	}
	return errors.Join(err, cmd.Wait())
}

// walked are the users that are made to be found on several pages.
const walked = 5

// goAdministrator plays the part in Go.
func goAdministrator(ctx context.Context, env map[string]string, ready func() error) error {
	config := admin.Config{Nodes: strings.Split(env["AUTHFI_URL"], ","), Token: env["AUTHFI_TOKEN"], CAFile: env["AUTHFI_CACERT"]}
	api, err := admin.New(config)
	if err != nil {
		return err
	}
	config.Token = env["READER_TOKEN"]
	reader, err := admin.New(config)
	if err != nil {
		return err
	}
	part := goPart{api: api, reader: reader, org: env["AUTHFI_ORG"]}
	killed := func(context.Context) error { return ready() }
	for _, step := range []func(context.Context) error{part.changes, part.pages, part.refusals, part.places, killed, part.failover} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

type goPart struct {
	api, reader *admin.API
	org         string
	made        *admin.User
}

// changes: a repeat is the same change, and one of another version than was read is
// refused.
func (p *goPart) changes(ctx context.Context) error {
	in := admin.CreateUserRequest{OrgID: p.org, Email: "go-0@x.example", Title: "Dr."}
	first, err := p.api.CreateUser(ctx, in, admin.IdempotencyKey("go-0"))
	if err != nil {
		return err
	}
	again, err := p.api.CreateUser(ctx, in, admin.IdempotencyKey("go-0"))
	if err != nil || again.ID != first.ID {
		return fmt.Errorf("the repeat made %v, not %v: %w", again, first, err)
	}
	changed, err := p.api.UpdateUser(ctx, admin.UpdateUserRequest{ID: first.ID, Department: new("surgery")}, admin.IfVersion(first.Version))
	if err != nil || changed.Department != "surgery" || changed.Title != "Dr." {
		return fmt.Errorf("changed to %v: %w", changed, err)
	}
	_, err = p.api.UpdateUser(ctx, admin.UpdateUserRequest{ID: first.ID, Department: new("")}, admin.IfVersion(first.Version))
	if !errors.Is(err, admin.ErrChanged) {
		return fmt.Errorf("an old version is taken: %w", err)
	}
	p.made, err = p.api.UpdateUser(ctx, admin.UpdateUserRequest{ID: first.ID, UpdateMask: []string{"title"}})
	if err != nil || p.made.Title != "" || p.made.Department != "surgery" || time.Since(p.made.Created) > adminWait {
		return fmt.Errorf("emptied to %v: %w", p.made, err)
	}
	return nil
}

func (p *goPart) pages(ctx context.Context) error {
	for n := 1; n < walked; n++ {
		if _, err := p.api.CreateUser(ctx, admin.CreateUserRequest{OrgID: p.org, Email: fmt.Sprintf("go-%d@x.example", n)}); err != nil {
			return err
		}
	}
	found := map[string]bool{}
	for user, err := range p.api.AllUsers(ctx, admin.ListUsersRequest{OrgID: p.org, Q: "go-", Limit: 2}) {
		if err != nil {
			return err
		}
		found[user.ID] = true
	}
	if len(found) != walked || !found[p.made.ID] {
		return fmt.Errorf("%d users on all pages, want %d", len(found), walked)
	}
	return nil
}

func (p *goPart) refusals(ctx context.Context) error {
	_, err := p.reader.CreateUser(ctx, admin.CreateUserRequest{OrgID: p.org, Email: "go-denied@x.example"})
	if problem, ok := errors.AsType[*admin.Problem](err); !ok || !errors.Is(err, admin.ErrDenied) || problem.RequestID == "" {
		return fmt.Errorf("a reader's change: %w", err)
	}
	_, err = p.api.CreateUser(ctx, admin.CreateUserRequest{OrgID: p.org, Email: p.made.Email})
	if !errors.Is(err, admin.ErrConflict) {
		return fmt.Errorf("a name twice: %w", err)
	}
	_, err = p.api.GetUser(ctx, admin.GetUserRequest{ID: "usr-00000000000000000000000000000001"})
	if !errors.Is(err, admin.ErrNotFound) {
		return fmt.Errorf("nobody: %w", err)
	}
	return nil
}

// places: fields in paths, queries and bodies, as the operations have them.
func (p *goPart) places(ctx context.Context) error {
	described, err := p.api.DescribePermission(ctx, admin.DescribePermissionRequest{OrgID: p.org, Permission: "read:go-charts", Description: "d"})
	if err != nil || described.Permission != "read:go-charts" {
		return fmt.Errorf("%v: %w", described, err)
	}
	done, err := p.api.Bulk(ctx, admin.BulkRequest{InOrder: true, Operations: []admin.Operation{
		{CreateRole: &admin.CreateRoleRequest{OrgID: p.org, Name: "go-reader", Permissions: []string{"read:go-charts"}}},
		{AssignUserRole: &admin.AssignUserRoleRequest{UserID: p.made.ID, RoleName: "go-reader"}},
		{DeactivateUser: &admin.DeactivateUserRequest{ID: "nobody"}},
	}})
	if err != nil || done.Succeeded != 2 || done.Failed != 1 || done.Results[2].Problem.Code == "" {
		return fmt.Errorf("%v: %w", done, err)
	}
	checked, err := p.api.Check(ctx, admin.CheckRequest{UserID: p.made.ID, Permission: "read:go-charts"}, admin.Newest())
	if err != nil || checked.Allowed == nil || !*checked.Allowed {
		return fmt.Errorf("%v: %w", checked, err)
	}
	for holder, err := range p.api.AllPermissionUsers(ctx, admin.ListPermissionUsersRequest{OrgID: p.org, Permission: "read:go-charts"}) {
		if err != nil || holder.ID != p.made.ID {
			return fmt.Errorf("held by %v: %w", holder, err)
		}
	}
	return nil
}

// failover: the node that was asked is gone, and with it the leader.
func (p *goPart) failover(ctx context.Context) error {
	if _, err := p.api.CreateUser(ctx, admin.CreateUserRequest{OrgID: p.org, Email: "go-after@x.example"}); err != nil {
		return err
	}
	found := 0
	for user, err := range p.api.AllUsers(ctx, admin.ListUsersRequest{OrgID: p.org, Q: "go-after"}) {
		if err != nil || user.Email != "go-after@x.example" {
			return fmt.Errorf("%v: %w", user, err)
		}
		found++
	}
	if found != 1 {
		return fmt.Errorf("%d users were made", found)
	}
	if err := p.api.DeleteUser(ctx, admin.DeleteUserRequest{ID: p.made.ID}, admin.IfVersion(1)); !errors.Is(err, admin.ErrChanged) {
		return fmt.Errorf("an old version is deleted: %w", err)
	}
	return p.api.DeleteUser(ctx, admin.DeleteUserRequest{ID: p.made.ID})
}

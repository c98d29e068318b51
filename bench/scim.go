package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/api/scim/filter"
)

// Sizes of the SCIM benchmark.
const (
	scimRuns     = 5
	patchers     = 32
	patchGroups  = 64
	patchTime    = 3 * time.Second // per run
	memberChange = 400             // changes of the large group per run
	parses       = 200_000         // per run
)

const (
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	patchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

func operation(op, path string, value any) map[string]any {
	m := map[string]any{"op": op, "path": path}
	if value != nil {
		m["value"] = value
	}
	return m
}

func (a *api) patch(ctx context.Context, path string, operations ...map[string]any) error {
	return a.do(ctx, http.MethodPatch, path, map[string]any{"schemas": []string{patchSchema}, "Operations": operations}, nil)
}

func addMember(user string) map[string]any {
	return operation("Add", "members", []any{map[string]string{"value": user}})
}

func removeMember(user string) map[string]any {
	return operation("Remove", fmt.Sprintf("members[value eq %q]", user), nil)
}

func scim(ctx context.Context, b *bench) (err error) {
	if err := filterTime(b.report); err != nil {
		return err
	}
	c, err := b.start(ctx, "auto")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	provisioner, err := c.provisioner(ctx)
	if err != nil {
		return err
	}
	provisioner.http = c.separate(patchers)
	users, err := c.importPeople(ctx, b.people)
	if err != nil {
		return err
	}
	if err := memberPatches(ctx, b.report, c, provisioner, users); err != nil {
		return fmt.Errorf("member patches: %w", err)
	}
	if err := largeGroup(ctx, b.report, c, provisioner, users); err != nil {
		return fmt.Errorf("large group: %w", err)
	}
	if err := initialCycle(ctx, b.report, c, b.people/2); err != nil {
		return fmt.Errorf("initial cycle: %w", err)
	}
	// A trial of a smaller directory lasts as much shorter.
	return sustained(ctx, b.report, c, sustainedTime*time.Duration(b.people)/people)
}

// memberPatches counts the durable additions and removals a second when many
// connections each change groups of their own.
func memberPatches(ctx context.Context, r *report, c *cluster, provisioner *api, users []string) error {
	groups := make([]string, patchGroups)
	err := forEach(ctx, patchers, len(groups), func(ctx context.Context, i int) (err error) {
		groups[i], err = provisioner.create(ctx, "/Groups", map[string]any{
			"schemas": []string{groupSchema}, "displayName": fmt.Sprintf("patched-%d", i),
		})
		return err
	})
	if err != nil {
		return err
	}
	var rates []float64
	var added int64
	for run := range scimRuns {
		var done atomic.Int64
		began := time.Now()
		err := forEach(ctx, patchers, patchers, func(ctx context.Context, worker int) error {
			for n := 0; time.Since(began) < patchTime; n++ {
				group := groups[(worker+patchers*n)%len(groups)]
				// The stride visits everybody once, so nobody is added twice.
				user := users[(worker*7919+(run*len(users)/scimRuns+n)*104729)%len(users)]
				if err := provisioner.patch(ctx, "/Groups/"+group, addMember(user)); err != nil {
					return err
				}
				done.Add(1)
			}
			return nil
		})
		if err != nil {
			return err
		}
		rates = append(rates, float64(done.Load())/time.Since(began).Seconds())
		added += done.Load()
	}
	if err := allAdded(ctx, c, groups, added); err != nil {
		return err
	}
	r.add("member_patches_per_s", "1/s", fmt.Sprintf("SCIM PATCHes that add one member, over HTTPS with %d connections to the three nodes in turn, %d groups, %s a run, directory of %d users; every answer is a durable commit; nodes and client share the CPUs.", patchers, patchGroups, patchTime, len(users)), rates)
	return nil
}

// allAdded makes sure that every PATCH that was counted changed something.
func allAdded(ctx context.Context, c *cluster, groups []string, want int64) error {
	operator, got := c.operator(), int64(0)
	for _, id := range groups {
		var group struct {
			Members int64 `json:"member_count"`
		}
		if err := operator.do(ctx, http.MethodGet, "/api/v1/groups/"+id, nil, &group); err != nil {
			return err
		}
		got += group.Members
	}
	if got != want {
		return fmt.Errorf("%d additions were answered, the groups have %d members", want, got)
	}
	return nil
}

// largeGroup changes one member of a group that holds everybody.
func largeGroup(ctx context.Context, r *report, c *cluster, provisioner *api, users []string) error {
	group, err := c.operator().create(ctx, "/api/v1/groups", map[string]string{"org_id": c.org, "name": "everybody"})
	if err != nil {
		return err
	}
	if err := addMembers(ctx, c.operator(), group, users); err != nil {
		return err
	}
	var p99 []float64
	var all []float64
	for run := range scimRuns {
		var took []float64
		for n := range memberChange {
			user := users[(run*memberChange+n)/2*104729%len(users)]
			change := removeMember(user)
			if n%2 == 1 {
				change = addMember(user)
			}
			began := time.Now()
			if err := provisioner.patch(ctx, "/Groups/"+group, change); err != nil {
				return err
			}
			took = append(took, millis(time.Since(began)))
		}
		p99 = append(p99, quantile(took, 0.99))
		all = append(all, took...)
	}
	how := fmt.Sprintf("SCIM PATCHes of one member of a group of %d, removed and added in turn over one HTTPS connection to the nodes in turn, nothing else running, %d a run.", len(users), memberChange)
	r.add("member_change_p99_ms_100k", "ms", "p99 a run, median of the runs: "+how, p99)
	r.add("member_change_p50_ms_100k", "ms", "p50 of all: "+how, all)
	return nil
}

// filters are what identity providers send, and one that is as deep as people
// write them.
var filters = []string{
	`userName eq "alice@memorial.example"`,
	`externalId eq "5f1d7b5e-9a35-4a3f-a4b8-2d6c3a1e0f77"`,
	`emails[type eq "work"].value eq "alice@memorial.example"`,
	`urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "cardiology"`,
	`userType eq "Employee" and (emails co "example.com" or emails.value co "example.org") and not (active eq false)`,
}

func filterTime(r *report) error {
	var runs []float64
	for range scimRuns {
		began := time.Now()
		for i := range parses {
			parsed, err := filter.Parse(filters[i%len(filters)])
			if err != nil {
				return err
			}
			runtime.KeepAlive(parsed)
		}
		runs = append(runs, micros(time.Since(began))/parses)
	}
	r.add("filter_parse_us", "us", fmt.Sprintf("In process: mean time to parse one of %d filters, of identity providers and one with and, or and not, %d a run.", len(filters), parses), runs)
	return nil
}

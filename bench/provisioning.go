package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Sizes of what identity providers do for hours: one first cycle of a large tenant,
// and the rate that Microsoft asks of everybody, for many tenants at once.
const (
	cycleWorkers    = 32
	cycleGroupUsers = 50 // members of each group
	cycleBatch      = 20 // members that one PATCH adds
	sustainedOrgs   = 40
	sustainedRate   = 25 // requests a second and organization
	sustainedTime   = 10 * time.Minute
	sustainedKinds  = 5 // of requests, in turn
	// sustainedConns are a tenant's connections to one node: a provider keeps a few.
	// Without a bound the client dials whenever all are busy, and 20 % of both CPUs
	// were seen in handshakes, which made them busier.
	sustainedConns = 2
)

// tenant is an organization with one connection.
func (c *cluster) tenant(ctx context.Context, slug string, quota int) (*api, error) {
	org, err := c.operator().create(ctx, "/api/v1/organizations", map[string]any{"slug": slug, "name": slug, "user_quota": quota})
	if err != nil {
		return nil, err
	}
	var made struct{ Token string }
	if err := c.operator().do(ctx, http.MethodPost, "/api/v1/organizations/"+org+"/scim-connections", map[string]string{"provider": "entra"}, &made); err != nil {
		return nil, err
	}
	return c.api("/scim/v2/"+slug, made.Token), nil
}

// match is the query that precedes every creation.
func (a *api) match(ctx context.Context, path, filter string) (total int, err error) {
	var found struct {
		Total int `json:"totalResults"`
	}
	err = a.do(ctx, http.MethodGet, path+"?filter="+url.QueryEscape(filter), nil, &found)
	return found.Total, err
}

// provision makes what is not there yet.
func (a *api) provision(ctx context.Context, path, key, name string, resource map[string]any) (string, error) {
	total, err := a.match(ctx, path, fmt.Sprintf("%s eq %q", key, name))
	if err != nil {
		return "", err
	}
	if total != 0 {
		return "", fmt.Errorf("%s is there already", name)
	}
	resource[key] = name
	return a.create(ctx, path, resource)
}

func scimUser(i int) map[string]any {
	return map[string]any{
		"schemas": []string{userSchema}, "externalId": fmt.Sprintf("00000000-0000-4000-8000-%012d", i), "active": true,
		"displayName": fmt.Sprintf("Person %d", i), "name": map[string]string{"givenName": "Person", "familyName": fmt.Sprint(i)},
		"emails": []any{map[string]any{"type": "work", "primary": true, "value": fmt.Sprintf("person-%d@bench.example", i)}},
	}
}

// initialCycle is Entra's first run over a tenant: every user is looked for and
// created, then the managers are set, then the groups come with their members.
func initialCycle(ctx context.Context, r *report, c *cluster, n int) error {
	a, err := c.tenant(ctx, "cycle", 2*n)
	if err != nil {
		return err
	}
	a.http = c.separate(cycleWorkers)
	users := make([]string, n)
	began := time.Now()
	err = forEach(ctx, cycleWorkers, n, func(ctx context.Context, i int) (err error) {
		users[i], err = a.provision(ctx, "/Users", "userName", fmt.Sprintf("person-%d@bench.example", i), scimUser(i))
		return err
	})
	if err != nil {
		return err
	}
	made := time.Since(began)
	const manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"
	err = forEach(ctx, cycleWorkers, n-1, func(ctx context.Context, i int) error {
		return a.patch(ctx, "/Users/"+users[i+1], operation("Add", manager, users[i/10]))
	})
	if err != nil {
		return err
	}
	err = forEach(ctx, cycleWorkers, n/cycleGroupUsers, func(ctx context.Context, g int) error {
		group, err := a.provision(ctx, "/Groups", "displayName", fmt.Sprintf("group %d", g), map[string]any{"schemas": []string{groupSchema}})
		if err != nil {
			return err
		}
		members := users[g*cycleGroupUsers : (g+1)*cycleGroupUsers]
		for at := 0; at < len(members); at += cycleBatch {
			var values []any
			for _, id := range members[at:min(at+cycleBatch, len(members))] {
				values = append(values, map[string]string{"value": id})
			}
			if err := a.patch(ctx, "/Groups/"+group, operation("Add", "members", values)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	took := time.Since(began)
	r.add("entra_initial_cycle_s", "s", fmt.Sprintf("%d users, each looked for and created, then %d managers, then %d groups of %d in PATCHes of %d members, over HTTPS with %d connections to the three nodes in turn; one run, of which the users took %.1f s.",
		n, n-1, n/cycleGroupUsers, cycleGroupUsers, cycleBatch, cycleWorkers, made.Seconds()), []float64{took.Seconds()})
	return nil
}

// sustained sends requests at a fixed rate whatever becomes of the earlier ones, and
// counts from the moment at which each was due.
func sustained(ctx context.Context, r *report, c *cluster, lasting time.Duration) error {
	tenants := make([]*steady, sustainedOrgs)
	err := forEach(ctx, sustainedOrgs, sustainedOrgs, func(ctx context.Context, i int) error {
		a, err := c.tenant(ctx, fmt.Sprintf("steady-%d", i), 2*sustainedRate*int(lasting.Seconds()))
		if err != nil {
			return err
		}
		a.http = c.separate(sustainedConns)
		tenants[i] = &steady{api: a}
		tenants[i].group, err = a.create(ctx, "/Groups", map[string]any{"schemas": []string{groupSchema}, "displayName": "all"})
		if err != nil {
			return err
		}
		tenants[i].users, err = tenants[i].first(ctx)
		return err
	})
	if err != nil {
		return err
	}
	err = forEach(ctx, sustainedOrgs, sustainedOrgs, func(ctx context.Context, i int) error {
		return tenants[i].run(ctx, lasting, time.Duration(i)*time.Second/sustainedRate/sustainedOrgs)
	})
	if err != nil {
		return err
	}
	var took []float64
	for _, t := range tenants {
		took = append(took, t.took...)
	}
	how := fmt.Sprintf("%d organizations with %d requests a second each for %v (query, create, change, add to a group, read in turn), sent on time whatever became of the earlier ones, over HTTPS to the three nodes in turn; from the moment each was due to its answer; every answer was a success.", sustainedOrgs, sustainedRate, lasting)
	r.add("sustained_p99_ms", "ms", "p99 of all: "+how, []float64{quantile(took, 0.99)})
	r.add("sustained_p50_ms", "ms", "p50 of all: "+how, []float64{quantile(took, 0.5)})
	return nil
}

// steady is one tenant of the sustained load.
type steady struct {
	*api
	group string
	users []string // there before it begins
	mu    sync.Mutex
	took  []float64
}

// steadyUsers are what a tenant has at the start, to change and to read.
const steadyUsers = 20

func (s *steady) first(ctx context.Context) (users []string, err error) {
	for i := range steadyUsers {
		id, err := s.provision(ctx, "/Users", "userName", fmt.Sprintf("first-%d", i), scimUser(i))
		if err != nil {
			return nil, err
		}
		users = append(users, id)
	}
	return users, nil
}

func (s *steady) run(ctx context.Context, lasting, offset time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now().Add(offset)
	var all sync.WaitGroup
	for n := 0; ; n++ {
		due := began.Add(time.Duration(n) * time.Second / sustainedRate)
		if due.Sub(began) >= lasting {
			break
		}
		select {
		case <-time.After(time.Until(due)):
		case <-ctx.Done():
			all.Wait()
			return context.Cause(ctx)
		}
		all.Go(func() {
			if err := s.request(ctx, n); err != nil {
				cancel(err)
				return
			}
			s.mu.Lock()
			s.took = append(s.took, millis(time.Since(due)))
			s.mu.Unlock()
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (s *steady) request(ctx context.Context, n int) error {
	user := s.users[n/sustainedKinds%len(s.users)]
	switch n % sustainedKinds {
	case 0:
		total, err := s.match(ctx, "/Users", fmt.Sprintf("userName eq %q", fmt.Sprintf("steady-%d", n)))
		if err == nil && total != 0 {
			err = errors.New("found a user before it was made")
		}
		return err
	case 1:
		resource := scimUser(n)
		resource["userName"] = fmt.Sprintf("steady-%d", n)
		_, err := s.create(ctx, "/Users", resource)
		return err
	case 2:
		return s.patch(ctx, "/Users/"+user, operation("Replace", "title", fmt.Sprintf("title %d", n)))
	case 3:
		if n/sustainedKinds/len(s.users)%2 == 1 {
			return s.patch(ctx, "/Groups/"+s.group, removeMember(user))
		}
		return s.patch(ctx, "/Groups/"+s.group, addMember(user))
	}
	return s.do(ctx, http.MethodGet, "/Users/"+user, nil, nil)
}

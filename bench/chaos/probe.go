package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// probeEvery is a request of each kind to each node.
	probeEvery = 20 * time.Millisecond
	probeWait  = 2 * time.Second
	// leaseLife bounds how long a node that is cut off may go on with rights that were
	// taken away elsewhere; the product says ten seconds. What it serves later is a
	// violation.
	leaseLife = 10 * time.Second
	// leaseMargin is for a request that was sent in time and lay about.
	leaseMargin = 2 * time.Second
)

// probes send requests to the demo service of each node all the time, by people who may
// and by people who may not.
type probes struct {
	nodes []*node
	http  *http.Client
	org   string

	doctor, nurse, leaver string // users

	mu     sync.Mutex
	tokens tokens
	gone   []goneToken

	served, unenforced, asked atomic.Int64
}

type tokens struct{ doctor, nurse, leaver, leaverSession string }

// goneToken is of a session that was ended.
type goneToken struct {
	token string
	after time.Time // it must not work any more
}

func newProbes(ctx context.Context, a *api, nodes []*node, org string) (*probes, error) {
	p := &probes{nodes: nodes, org: org, http: &http.Client{Timeout: probeWait, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}}
	for _, who := range []struct {
		id         *string
		name, role string
	}{{&p.doctor, "dora", "doctor"}, {&p.nurse, "nora", "nurse"}, {&p.leaver, "leo", "doctor"}} {
		var made struct{ ID string }
		name := who.name + "@chaos.example"
		if _, err := a.call(ctx, http.MethodPost, "/api/v1/users", false, map[string]any{"org_id": org, "user_name": name, "email": name, "display_name": name}, &made); err != nil {
			return nil, err
		}
		if _, err := a.call(ctx, http.MethodPost, "/api/v1/users/"+made.ID+"/roles", false, map[string]string{"role_name": who.role}, nil); err != nil {
			return nil, err
		}
		*who.id = made.ID
	}
	return p, nil
}

// renew gives everybody a session, and waits until each gate serves who may.
func (p *probes) renew(ctx context.Context, a *api) error {
	var fresh tokens
	for _, who := range []struct {
		user           string
		token, session *string
	}{{p.doctor, &fresh.doctor, new(string)}, {p.nurse, &fresh.nurse, new(string)}, {p.leaver, &fresh.leaver, &fresh.leaverSession}} {
		var made struct {
			SessionID   string `json:"session_id"`
			AccessToken string `json:"access_token"`
		}
		in := map[string]any{"org_id": p.org, "user_id": who.user, "amr": []string{"pwd", "otp"}}
		if _, err := a.call(ctx, http.MethodPost, "/api/v1/sessions", false, in, &made); err != nil {
			return fmt.Errorf("session: %w", err)
		}
		*who.token, *who.session = made.AccessToken, made.SessionID
	}
	for _, n := range p.nodes {
		for status := 0; status != http.StatusOK; {
			status = p.send(ctx, n, http.MethodPost, fresh.leaver)
			if ctx.Err() != nil {
				return fmt.Errorf("%s serves nobody: %d", n.id(), status)
			}
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tokens = fresh
	return nil
}

// endSession takes the leaver's session away in the middle of the faults. Without an
// answer nothing is known, and nothing expected.
func (p *probes) endSession(ctx context.Context, nodes []*api) {
	p.mu.Lock()
	session, token := p.tokens.leaverSession, p.tokens.leaver
	p.mu.Unlock()
	for _, a := range nodes {
		fate, err := a.call(ctx, http.MethodDelete, "/api/v1/sessions/"+session, false, nil, nil)
		var said *refusal
		if fate == done || errors.As(err, &said) && said.status == http.StatusNotFound {
			p.mu.Lock()
			p.gone = append(p.gone, goneToken{token, time.Now().Add(leaseLife + leaseMargin)})
			p.mu.Unlock()
			return
		}
	}
}

// send gives the status, or 0 when there was no answer.
func (p *probes) send(ctx context.Context, n *node, method, token string) int {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+n.at(portService)+"/api/patients/7", strings.NewReader(`{}`))
	if err != nil {
		return 0
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := p.http.Do(req)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

// run probes until the context ends.
func (p *probes) run(ctx context.Context) {
	var all sync.WaitGroup
	for _, n := range p.nodes {
		all.Go(func() {
			ticker := time.NewTicker(probeEvery)
			defer ticker.Stop()
			for i := 0; ; i++ {
				select {
				case <-ticker.C:
					p.one(ctx, n, i)
				case <-ctx.Done():
					return
				}
			}
		})
	}
	all.Wait()
}

func (p *probes) one(ctx context.Context, n *node, i int) {
	p.mu.Lock()
	t, gone := p.tokens, p.gone
	p.mu.Unlock()
	switch i % 5 {
	case 0:
		if p.send(ctx, n, http.MethodPost, t.doctor) == http.StatusOK {
			p.served.Add(1)
		}
	case 1:
		p.forbidden(ctx, n, http.MethodPost, t.nurse) // only doctors may
	case 2:
		p.forbidden(ctx, n, http.MethodGet, "")
	case 3:
		p.forbidden(ctx, n, http.MethodPost, altered(t.doctor))
	case 4:
		if len(gone) == 0 {
			return
		}
		if g := gone[len(gone)-1-i/5%min(len(gone), 2)]; time.Now().After(g.after) {
			p.forbidden(ctx, n, http.MethodPost, g.token)
		}
	}
}

func (p *probes) forbidden(ctx context.Context, n *node, method, token string) {
	p.asked.Add(1)
	if p.send(ctx, n, method, token) == http.StatusOK {
		p.unenforced.Add(1)
	}
}

// altered has another signature.
func altered(token string) string {
	if token == "" {
		return "x"
	}
	last := byte('A')
	if middle := len(token) - 20; token[middle] == last {
		last = 'B'
	}
	return token[:len(token)-20] + string(last) + token[len(token)-19:]
}

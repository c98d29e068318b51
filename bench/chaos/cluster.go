package chaos

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Nodes of the cluster that is tried.
const Nodes = 3

const (
	// readyWait bounds how long a node may take until it serves, on a machine that is
	// at work.
	readyWait = 60 * time.Second
	pollEvery = 50 * time.Millisecond
)

// cluster is three machines and the operator's view of them.
type cluster struct {
	net   *network
	nodes []*node
	apis  []*api // by node
	org   string
	role  string // that the first set of each round holds
}

// newCluster makes one in a directory, which is left for who wants to look into it.
func newCluster(ctx context.Context, program, dir string) (c *cluster, err error) {
	c = &cluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.close())
		}
	}()
	if c.net, err = newNetwork(ctx); err != nil {
		return c, fmt.Errorf("network: %w", err)
	}
	for i := range Nodes {
		n := &node{index: i, net: c.net, program: program, dir: filepath.Join(dir, fmt.Sprintf("node-%d", i+1))}
		if err := os.MkdirAll(n.backing(), 0o700); err != nil {
			return c, err
		}
		c.nodes = append(c.nodes, n)
	}
	if err := c.found(ctx); err != nil {
		return c, err
	}
	return c, c.seed(ctx)
}

// found makes the first node and joins the others.
func (c *cluster) found(ctx context.Context) error {
	issuer := "https://" + c.nodes[0].at(portAPI)
	token, err := c.nodes[0].init(ctx, issuer)
	if err != nil {
		return err
	}
	transport, err := trust(filepath.Join(c.nodes[0].backing(), "pki", "ca.pem"))
	if err != nil {
		return err
	}
	for i, n := range c.nodes {
		c.apis = append(c.apis, &api{
			base: "https://" + n.at(portAPI), token: strings.TrimSpace(token),
			http: &http.Client{Transport: transport.Clone(), Timeout: requestWait},
		})
		if i > 0 {
			var made struct{ Token string }
			if _, err := c.apis[0].call(ctx, http.MethodPost, "/api/v1/join-tokens", false, struct{}{}, &made); err != nil {
				return fmt.Errorf("join token: %w", err)
			}
			args := append([]string{"join", c.nodes[0].at(portPeer), "--token", made.Token}, n.flags(issuer)...)
			if _, err := n.command(ctx, args...); err != nil {
				return err
			}
		}
		if err := errors.Join(n.serveDemo(), n.power(), n.start()); err != nil {
			return err
		}
		if err := c.ready(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// trust is for the CA of a file and nothing else.
func trust(file string) (*http.Transport, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return &http.Transport{
		TLSClientConfig:     &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13},
		MaxIdleConnsPerHost: clients,
	}, nil
}

// seed is what all rounds share: the organization, its roles, and the service that the
// nodes protect.
func (c *cluster) seed(ctx context.Context) error {
	a := c.apis[0]
	make := func(path string, in any) (string, error) {
		var made struct{ ID string }
		_, err := a.call(ctx, http.MethodPost, path, false, in, &made)
		if err != nil {
			err = fmt.Errorf("POST %s: %w", path, err)
		}
		return made.ID, err
	}
	var err error
	if c.org, err = make("/api/v1/organizations", map[string]string{"slug": "chaos", "name": "Chaos"}); err != nil {
		return err
	}
	for _, role := range []struct {
		id          *string
		name        string
		permissions []string
	}{
		{new(string), "doctor", []string{"read:patients", "write:patients"}},
		{new(string), "nurse", []string{"read:patients"}},
		{&c.role, "reader", []string{permission}},
	} {
		if *role.id, err = make("/api/v1/roles", map[string]any{"org_id": c.org, "name": role.name, "permissions": role.permissions}); err != nil {
			return err
		}
	}
	var listen []string
	for _, n := range c.nodes {
		listen = append(listen, n.at(portService))
	}
	service, err := make("/api/v1/services", map[string]any{"org_id": c.org, "name": "demo", "listen": listen})
	if err != nil {
		return err
	}
	routes := []map[string]any{
		{"methods": []string{"POST"}, "path": "/api/patients/*", "roles": []string{"doctor"}, "mfa": true},
		{"methods": []string{"GET"}, "path": "/api/patients/*", "permissions": []string{"read:patients"}},
	}
	_, err = a.call(ctx, http.MethodPut, "/api/v1/services/"+service+"/policies", false, routes, nil)
	return err
}

// ready waits until a node says that it may serve.
func (c *cluster) ready(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		_, err := c.apis[i].call(ctx, http.MethodGet, "/readyz", false, nil, nil)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w", c.nodes[i].id(), readyWait, err)
		}
	}
}

// status is a node's account of the cluster.
type status struct {
	Leader string `json:"leader"`
	Index  uint64 `json:"applied_index"`
	Digest string `json:"digest"`
}

// leader is the node that the others follow, by its place.
func (c *cluster) leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		for i := range c.apis {
			if place := c.leaderSeenBy(ctx, i); place >= 0 {
				return place, nil
			}
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return 0, errors.New("no node knows of a leader")
		}
	}
}

// leaderSeenBy is -1 when a node knows of none.
func (c *cluster) leaderSeenBy(ctx context.Context, i int) int {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var s struct{ Leader string }
	if _, err := c.apis[i].call(ctx, http.MethodGet, "/api/v1/status", false, nil, &s); err != nil {
		return -1
	}
	for place, n := range c.nodes {
		if s.Leader == n.id() {
			return place
		}
	}
	return -1
}

// succeeded waits until another node leads in the eyes of the others, and says how
// long that took.
func (c *cluster) succeeded(ctx context.Context, old int, within time.Duration) (time.Duration, bool) {
	began := time.Now()
	for time.Since(began) < within {
		for i := range c.nodes {
			if i == old {
				continue
			}
			if place := c.leaderSeenBy(ctx, i); place >= 0 && place != old {
				return time.Since(began), true
			}
		}
		select {
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return time.Since(began), true // nothing was proved
		}
	}
	return time.Since(began), false
}

// digestWait bounds how long nodes at rest may take to come to one index.
const digestWait = 30 * time.Second

// digests compares the states of all nodes at one index.
func (c *cluster) digests(ctx context.Context) (same bool, seen []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, digestWait)
	defer cancel()
	for {
		var all [Nodes]status
		failed := error(nil)
		for i, a := range c.apis {
			if _, err := a.call(ctx, http.MethodGet, "/api/v1/status", true, nil, &all[i]); err != nil {
				failed = fmt.Errorf("%s: %w", c.nodes[i].id(), err)
			}
		}
		if failed == nil && all[0].Index == all[1].Index && all[1].Index == all[2].Index {
			for i, s := range all {
				seen = append(seen, fmt.Sprintf("%s at %d: %s", c.nodes[i].id(), s.Index, s.Digest))
			}
			return all[0].Digest == all[1].Digest && all[1].Digest == all[2].Digest, seen, nil
		}
		select { // timers of the leader write now and then
		case <-time.After(pollEvery):
		case <-ctx.Done():
			return false, nil, fmt.Errorf("the nodes do not come to one index: %d, %d, %d (%w)", all[0].Index, all[1].Index, all[2].Index, failed)
		}
	}
}

func (c *cluster) close() error {
	var err error
	for _, n := range c.nodes {
		err = errors.Join(err, n.close())
	}
	if c.net != nil {
		c.net.close()
	}
	return err
}

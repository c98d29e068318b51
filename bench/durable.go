package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bench/dataset"
	"github.com/authfi/authfi/dev"
)

// Sizes of the cluster benchmark.
const (
	durableRounds  = 5
	durableWarm    = time.Second
	durableMeasure = 4 * time.Second
	durableKeys    = 1_000
	durableValue   = 256 // bytes; the longest title
	failovers      = 15
	installs       = 5
)

// clusterBench compares durable writes and linearizable reads with etcd's on the same
// disk, and measures what a lost leader, a restore and an installation take.
func clusterBench(ctx context.Context, b *bench) error {
	etcd := prepareEtcd(ctx)
	if err := b.installTimes(ctx); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	if err := b.durable(ctx, etcd); err != nil {
		return err
	}
	return b.restoreTime(ctx)
}

// installTimes is from an empty directory to the first write of an identity provider.
func (b *bench) installTimes(ctx context.Context) error {
	var took []float64
	for range installs {
		began := time.Now()
		c, err := b.start(ctx, "gate")
		if err != nil {
			return err
		}
		err = firstWrite(ctx, c)
		took = append(took, time.Since(began).Seconds())
		if err := errors.Join(err, c.Stop()); err != nil {
			return err
		}
	}
	b.report.add("install_to_first_write_s", "s", "Development cluster: init, two joins, three nodes that serve, the demo's organizations, roles and service, a SCIM connection and the first user over SCIM.", took)
	return nil
}

func firstWrite(ctx context.Context, c *cluster) error {
	scim, err := c.provisioner(ctx)
	if err != nil {
		return err
	}
	return scim.do(ctx, http.MethodPost, "/Users", map[string]any{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": "first@bench.example",
		"emails": []map[string]any{{"value": "first@bench.example", "primary": true}},
	}, nil)
}

// load is one side of the comparison: operations a second of so many clients in closed
// loops, all of them sent to the leader.
type load func(ctx context.Context, clients int, reads bool) (float64, error)

func (b *bench) durable(ctx context.Context, etcd etcdPrograms) (err error) {
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	own, err := c.titles(ctx)
	if err != nil {
		return err
	}
	var peer load
	if etcd.why == "" {
		started, err := startEtcd(ctx, etcd, b.dir)
		if err != nil {
			return fmt.Errorf("etcd: %w", err)
		}
		defer started.stop()
		peer = started.load
	}
	for _, clients := range []int{1, 64, 256} {
		if err := compareLoads(ctx, b.report, etcd, clients, false, own, peer); err != nil {
			return err
		}
	}
	if err := compareLoads(ctx, b.report, etcd, 64, true, own, peer); err != nil {
		return err
	}
	return failoverTimes(ctx, b.report, c)
}

// compareLoads lets both take turns, and gives the ratio of each round.
func compareLoads(ctx context.Context, r *report, etcd etcdPrograms, clients int, reads bool, own, peer load) error {
	var ours, theirs, ratio []float64
	for range durableRounds {
		rate, err := own(ctx, clients, reads)
		if err != nil {
			return fmt.Errorf("authfi: %w", err)
		}
		ours = append(ours, rate)
		if peer == nil {
			continue
		}
		other, err := peer(ctx, clients, reads)
		if err != nil {
			return fmt.Errorf("etcd: %w", err)
		}
		theirs, ratio = append(theirs, other), append(ratio, rate/other)
	}
	name, what := "write", fmt.Sprintf("PATCH of a user's title of %d bytes over the public API", durableValue)
	whatPeer := fmt.Sprintf("Put of %d bytes", durableValue)
	if reads {
		name, what, whatPeer = "linearizable_read", "GET of a user with X-Authfi-Index: newest", "linearizable Get"
	}
	how := fmt.Sprintf(", %d clients in closed loops on the CPUs of the nodes, each with a connection of its own to the leader, TLS, %d keys, three nodes on one disk; a round is %s after %s of warming up, and both take turns.", clients, durableKeys, durableMeasure, durableWarm)
	r.add(fmt.Sprintf("%s_rate_c%d", name, clients), "1/s", what+how, ours)
	r.addOr(fmt.Sprintf("%s_rate_etcd_c%d", name, clients), "1/s", "etcd "+etcd.version+", "+whatPeer+how, theirs, etcd.why)
	r.addOr(fmt.Sprintf("%s_vs_etcd_c%d", name, clients), "times", "The two rates of the same round. AuthFI authenticates and authorises each request and keeps an audit log; etcd has neither here.", ratio, etcd.why)
	return nil
}

// titles makes the users whose titles are written and read.
func (c *cluster) titles(ctx context.Context) (load, error) {
	users := make([]string, durableKeys)
	err := forEach(ctx, importers, durableKeys, func(ctx context.Context, i int) (err error) {
		name := fmt.Sprintf("key-%d@bench.example", i)
		users[i], err = c.operator().create(ctx, "/api/v1/users", map[string]string{"org_id": c.org, "user_name": name, "email": name})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("users: %w", err)
	}
	return func(ctx context.Context, clients int, reads bool) (float64, error) {
		leader, err := c.leader(ctx)
		if err != nil {
			return 0, err
		}
		a := newAPI(c.separate(clients), c.OperatorToken(), c.API(leader))
		if reads {
			a.index = "newest"
		}
		title := map[string]string{"title": strings.Repeat("v", durableValue)}
		return rate(ctx, clients, func(ctx context.Context, n int) error {
			if reads {
				return a.do(ctx, http.MethodGet, "/api/v1/users/"+users[n%durableKeys], nil, new([]byte))
			}
			return a.do(ctx, http.MethodPatch, "/api/v1/users/"+users[n%durableKeys], title, new([]byte))
		})
	}, nil
}

// rate counts what clients in closed loops do in a second, after warming up.
func rate(ctx context.Context, clients int, one func(ctx context.Context, n int) error) (float64, error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var counts atomic.Int64
	var counting atomic.Bool
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n += clients {
				switch err := one(context.WithoutCancel(ctx), n); {
				case err != nil:
					stop(err)
				case counting.Load():
					counts.Add(1)
				}
			}
		})
	}
	time.Sleep(durableWarm)
	counting.Store(true)
	began := time.Now()
	time.Sleep(durableMeasure)
	counting.Store(false)
	result := float64(counts.Load()) / time.Since(began).Seconds()
	failed := context.Cause(ctx)
	stop(nil)
	all.Wait()
	return result, failed
}

// leader is the node that the others follow, by its place.
func (c *cluster) leader(ctx context.Context) (int, error) {
	for began := time.Now(); time.Since(began) < requestWait; {
		for i := range dev.Nodes {
			var s struct{ Leader string }
			if c.node(i).do(ctx, http.MethodGet, "/api/v1/status", nil, &s) != nil {
				continue
			}
			for place := range dev.Nodes {
				if s.Leader == fmt.Sprintf("node-%d", place+1) {
					return place, nil
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	return 0, errors.New("no node knows of a leader")
}

// failoverTimes kills the leader again and again under a writer at another node.
func failoverTimes(ctx context.Context, r *report, c *cluster) error {
	var took []float64
	for n := range failovers {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		survivor := c.node((leader + 1) % dev.Nodes)
		write := func(i int) error {
			name := fmt.Sprintf("failover-%d-%d@bench.example", n, i)
			return survivor.do(ctx, http.MethodPost, "/api/v1/users", map[string]string{"org_id": c.org, "user_name": name, "email": name}, nil)
		}
		if err := write(-1); err != nil {
			return fmt.Errorf("before the kill: %w", err)
		}
		if err := c.Kill(leader); err != nil {
			return err
		}
		began := time.Now()
		for i := 0; write(i) != nil; i++ {
			if time.Since(began) > requestWait {
				return errors.New("no write gets through after the kill of the leader")
			}
		}
		took = append(took, time.Since(began).Seconds())
		if err := c.StartNode(ctx, leader); err != nil {
			return err
		}
	}
	how := "From kill -9 of the leader to the first write that a client of another node has acknowledged; the client repeats what is refused at once. The node is started again before the next."
	r.add("failover_median_s", "s", how, took)
	r.put("failover_p99_s", "s", how+" The slowest of so few stands for the 99th percentile.", quantile(took, 0.99), took)
	return nil
}

// restoreTime is from a backup to three nodes that serve.
func (b *bench) restoreTime(ctx context.Context) error {
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	file, key, err := b.backUp(ctx, c)
	if err := errors.Join(err, c.Stop()); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	dir, err := os.MkdirTemp(b.dir, "restored-")
	if err != nil {
		return err
	}
	restored, took, err := dev.RestoreProgram(ctx, b.program, dev.Options{Dir: dir, Mode: "gate", Out: os.Stdout}, file, key, c.OperatorToken())
	if err != nil {
		return fmt.Errorf("restore: %w", err)
	}
	b.report.add("restore_100k_s", "s", fmt.Sprintf("authfi restore of a backup of %d users into an empty directory, the start of that node, and two that join, until all three serve; one run. The operator's token of the old cluster is good in the new one, or the run fails.", b.people), []float64{took.Seconds()})
	return restored.Stop()
}

// backUp fills a cluster and writes its backup.
func (b *bench) backUp(ctx context.Context, c *cluster) (file, key string, err error) {
	if _, err := importDirectory(ctx, c.operator(), dataset.New(b.people)); err != nil {
		return "", "", err
	}
	file = filepath.Join(b.dir, "bench.backup")
	env := append(os.Environ(), "AUTHFI_URL="+c.API(0), "AUTHFI_TOKEN="+c.OperatorToken(), "AUTHFI_CACERT="+c.CA())
	for _, args := range [][]string{{"recovery-key", "create", "--query", ".recovery_key"}, {"backup", file}} {
		cmd := exec.CommandContext(ctx, b.program, args...)
		cmd.Env = env
		out, err := cmd.Output()
		if err != nil {
			return "", "", fmt.Errorf("authfi %s: %w", args[0], explained(err))
		}
		if key == "" {
			key = strings.TrimSpace(string(out))
		}
	}
	return file, key, nil
}

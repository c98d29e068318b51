// Command load writes to and reads from an etcd cluster for a while and says how many
// operations a second that were. It is a module of its own, so that none of etcd's
// libraries comes near the product's, and names the server, so that both have one
// version.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func main() {
	endpoints := flag.String("endpoints", "", "of the cluster, with commas")
	clients := flag.Int("clients", 1, "that send one operation after the other, each on a connection of its own")
	reads := flag.Bool("reads", false, "linearizable reads instead of writes")
	keys := flag.Int("keys", 1000, "that are written")
	size := flag.Int("size", 256, "of a value, in bytes")
	last := flag.Duration("for", 4*time.Second, "how long")
	warm := flag.Duration("warm", time.Second, "how long before it counts")
	flag.Parse()
	rate, err := run(context.Background(), strings.Split(*endpoints, ","), *clients, *keys, *size, *reads, *warm, *last)
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(map[string]float64{"rate": rate})
}

// leader is where both sides of the comparison send to.
func leader(ctx context.Context, endpoints []string) (string, error) {
	c, err := open(endpoints)
	if err != nil {
		return "", err
	}
	defer c.Close()
	for _, e := range endpoints {
		status, err := c.Status(ctx, e)
		if err != nil {
			return "", err
		}
		if status.Leader == status.Header.MemberId {
			return e, nil
		}
	}
	return "", fmt.Errorf("no endpoint leads")
}

func open(endpoints []string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{
		Endpoints: endpoints, DialTimeout: 5 * time.Second,
		TLS: &tls.Config{InsecureSkipVerify: true}, // certificates that the servers made for themselves
	})
}

func run(ctx context.Context, endpoints []string, clients, keys, size int, reads bool, warm, last time.Duration) (float64, error) {
	at, err := leader(ctx, endpoints)
	if err != nil {
		return 0, err
	}
	value := strings.Repeat("v", size)
	conns := make([]*clientv3.Client, clients)
	for i := range conns {
		if conns[i], err = open([]string{at}); err != nil {
			return 0, err
		}
		defer conns[i].Close()
	}
	var counts atomic.Int64
	var counting atomic.Bool
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var all sync.WaitGroup
	for i, c := range conns {
		all.Go(func() {
			for n := i; ctx.Err() == nil; n += clients {
				if err := one(ctx, c, fmt.Sprintf("key-%d", n%keys), value, reads); err != nil && ctx.Err() == nil {
					stop(err)
				} else if counting.Load() {
					counts.Add(1)
				}
			}
		})
	}
	time.Sleep(warm)
	counting.Store(true)
	began := time.Now()
	time.Sleep(last)
	counting.Store(false)
	rate := float64(counts.Load()) / time.Since(began).Seconds()
	failed := context.Cause(ctx)
	stop(nil)
	all.Wait()
	return rate, failed
}

func one(ctx context.Context, c *clientv3.Client, key, value string, reads bool) error {
	if reads {
		_, err := c.Get(ctx, key)
		return err
	}
	_, err := c.Put(ctx, key, value)
	return err
}

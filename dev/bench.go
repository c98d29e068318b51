package dev

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// StartProgram makes a new cluster of a given authfi program instead of this
// one, for benchmarks, which are programs of their own. The directory must be
// empty.
func StartProgram(ctx context.Context, program string, opts Options) (*Cluster, error) {
	var err error
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, self: program}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// RestoreProgram makes a cluster of a backup instead: one node is restored, the others
// join it. took is until all of them serve.
func RestoreProgram(ctx context.Context, program string, opts Options, backup, key, token string) (c *Cluster, took time.Duration, err error) {
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, 0, err
	}
	c = &Cluster{opts: opts, self: program, token: token, mode: opts.Mode}
	if err := c.choosePorts(); err != nil {
		return nil, 0, err
	}
	began := time.Now()
	args := append([]string{"restore", backup, "--key", key}, c.nodeFlags(0)...)
	if _, err := c.command(ctx, args...).Output(); err != nil {
		return nil, 0, explain("restore", err)
	}
	for i := range Nodes {
		if i > 0 {
			err = c.join(ctx, i)
		}
		if err == nil {
			err = c.startNode(ctx, i)
		}
		if err != nil {
			return nil, 0, errors.Join(err, c.Stop())
		}
	}
	return c, time.Since(began), nil
}

// StartNode starts node i again after a kill, and waits until it may serve.
func (c *Cluster) StartNode(ctx context.Context, i int) error { return c.startNode(ctx, i) }

// OperatorToken is the token of the operator that the cluster was made with.
func (c *Cluster) OperatorToken() string { return c.token }

// CA is the file of the CA of the API certificates.
func (c *Cluster) CA() string { return c.file("ca.pem") }

// Transport trusts the cluster's CA and nothing else.
func (c *Cluster) Transport() (*http.Transport, error) { return NewTransport(c.file("ca.pem")) }

// NewTransport trusts the CA of a file and nothing else.
func NewTransport(caFile string) (*http.Transport, error) { return newTransport(caFile) }

// Start starts node i, which was killed, and waits until it may serve.
func (c *Cluster) Start(ctx context.Context, i int) error { return c.startNode(ctx, i) }

// DemoHandler is the demo service without its listener.
func DemoHandler(node int) http.Handler { return demoHandler(node) }

// PID is the process of node i, counted from 0.
func (c *Cluster) PID(i int) int { return c.nodes[i].cmd.Process.Pid }

// Hospital is the first organization of the demo.
func (c *Cluster) Hospital(ctx context.Context) (id, slug string, err error) {
	org, err := c.hospital(ctx)
	return org.ID, org.Slug, err
}

package dev

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
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

// OperatorToken is the token of the operator that the cluster was made with.
func (c *Cluster) OperatorToken() string { return c.token }

// CA is the file of the CA of the API certificates.
func (c *Cluster) CA() string { return c.file("ca.pem") }

// Transport trusts the cluster's CA and nothing else.
func (c *Cluster) Transport() (*http.Transport, error) { return NewTransport(c.file("ca.pem")) }

// NewTransport trusts the CA of a file and nothing else.
func NewTransport(caFile string) (*http.Transport, error) { return newTransport(caFile) }

// PID is the process of node i, counted from 0.
func (c *Cluster) PID(i int) int { return c.nodes[i].cmd.Process.Pid }

// Hospital is the first organization of the demo.
func (c *Cluster) Hospital(ctx context.Context) (id, slug string, err error) {
	org, err := c.hospital(ctx)
	return org.ID, org.Slug, err
}

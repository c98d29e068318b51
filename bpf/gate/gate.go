package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// Limits of one gate.
const (
	connectionsMax = 4096             // two sockets and 64 KiB each
	headerTimeout  = 30 * time.Second // from the first byte of a block to its last
	idleTimeout    = 2 * time.Minute  // between two reads, in bodies and between requests
	dialTimeout    = 5 * time.Second
	drainTimeout   = 10 * time.Second // for earlier answers before a refusal
	writeTimeout   = 30 * time.Second // of one write: a peer that reads nothing
	acceptPause    = 50 * time.Millisecond
)

// Config is what a gate works with. Its functions are called by many goroutines.
type Config struct {
	Listen   string
	Upstream string
	// Decide gives the verdict on a request, under the program that its path
	// was read with, and the user, zero if there is none.
	Decide func(*policy.Program, policy.Flow) (reason policy.Reason, subject policy.Subject)
	// Program is the service's program now; nil refuses everything.
	Program func() *policy.Program
	Keys    func() (k0, k1 uint64)
	// Told hears of every verdict that was acted upon; nil: nobody does. The flow is
	// nil when the request could not be read.
	Told   func(program *policy.Program, flow *policy.Flow, reason policy.Reason, subject policy.Subject)
	Logger *slog.Logger
}

// Gate is one guarded address.
type Gate struct {
	config Config

	mu       sync.Mutex
	listener net.Listener
	closed   bool
	conns    map[*conn]struct{}
	counts   map[policy.Reason]uint64
	relays   sync.WaitGroup
}

// New makes a gate that does not listen yet.
func New(config Config) *Gate {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gate{config: config, conns: map[*conn]struct{}{}, counts: map[policy.Reason]uint64{}}
}

// Listen takes the address. Run does so too, if it has not been done.
func (g *Gate) Listen() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return net.ErrClosed
	}
	if g.listener != nil {
		return nil
	}
	listener, err := net.Listen("tcp", g.config.Listen)
	g.listener = listener
	return err
}

// Addr is the address taken by Listen, nil before.
func (g *Gate) Addr() net.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.listener == nil {
		return nil
	}
	return g.listener.Addr()
}

// Run relays connections until the context ends or Close is called, and returns
// when none is left.
func (g *Gate) Run(ctx context.Context) error {
	if err := g.Listen(); err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { g.Close() })
	defer stop()
	defer g.relays.Wait()
	defer g.Close()
	for {
		client, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // out of descriptors, most likely: it passes
			g.config.Logger.Warn("accept", "listen", g.config.Listen, "error", err)
			if !pause(ctx, acceptPause) {
				return nil
			}
			continue
		}
		g.start(ctx, client)
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

func (g *Gate) start(ctx context.Context, client net.Conn) {
	c := &conn{gate: g, client: client, machine: policy.NewMachine(), subjects: map[policy.Subject]struct{}{}}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.conns) >= connectionsMax {
		client.Close()
		return
	}
	g.conns[c] = struct{}{}
	g.relays.Go(func() {
		defer g.forget(c)
		c.serve(ctx)
	})
}

func (g *Gate) forget(c *conn) {
	c.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.conns, c)
}

// Close stops listening and ends all connections.
func (g *Gate) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	for c := range g.conns {
		c.close()
	}
	if g.listener == nil {
		return nil
	}
	return g.listener.Close()
}

// Sweep ends the open connections on which a request of the subject was let
// through: nothing already allowed goes on after the subject lost access.
func (g *Gate) Sweep(subject policy.Subject) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		if c.carries(subject) {
			c.close()
		}
	}
}

// Counts are the verdicts given since the start.
func (g *Gate) Counts() map[policy.Reason]uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	counts := make(map[policy.Reason]uint64, len(g.counts))
	for reason, n := range g.counts {
		counts[reason] = n
	}
	return counts
}

func (g *Gate) count(reason policy.Reason) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.counts[reason]++
}

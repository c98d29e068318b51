package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

const (
	acceptPause = 50 * time.Millisecond
	// patrolEvery is how often timeouts are looked for, at most; a shorter limit
	// is looked for four times as often.
	patrolEvery = time.Second
)

// Config is what a gate works with. Its functions are called by many goroutines,
// and none of them may wait for the gate.
type Config struct {
	Listen string
	Settings
	// Decide gives the verdict on a request, under the program that its path
	// was read with, and whose it is.
	Decide func(*policy.Program, policy.Flow) (policy.Reason, Grant)
	// Stands gives the verdict on a request that was let through before. A
	// token that has run out since then is none against it: whoever keeps the
	// session keeps the stream. sure is false while the rows do not fit the
	// program, which a further write is about to put right.
	Stands func(*policy.Program, policy.Flow, Grant) (reason policy.Reason, sure bool)
	// Known reports whether a request's token is in the table, so that Stands
	// would tell the end of its session.
	Known func(policy.Flow) bool
	// Program is the service's program now; nil refuses everything.
	Program func() *policy.Program
	Keys    func() (k0, k1 uint64)
	// Told hears of every verdict that was acted upon; nil: nobody does. The flow is
	// nil when the request could not be read.
	Told func(program *policy.Program, flow *policy.Flow, reason policy.Reason, subject policy.Subject)
	// User is the name under which the service knows a subject.
	User   func(policy.Subject) string
	Logger *slog.Logger
}

// Gate is one guarded address.
type Gate struct {
	config  Config
	limits  Limits
	changes *changes
	backend *backend
	front   *front
	tls     *tls.Config
	proxies []netip.Prefix
	relays  sync.WaitGroup

	mu        sync.Mutex
	listener  net.Listener             // guarded by mu
	leaving   bool                     // guarded by mu
	closed    bool                     // guarded by mu
	arrivals  map[*arrival]struct{}    // guarded by mu
	addresses map[netip.Addr]int       // guarded by mu: connections by client
	open      map[holder]struct{}      // guarded by mu
	counts    map[policy.Reason]uint64 // guarded by mu
}

// New makes a gate that does not listen yet.
func New(config Config) *Gate {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	return &Gate{
		config: config, limits: config.Limits.withDefaults(), changes: newChanges(),
		arrivals: map[*arrival]struct{}{}, addresses: map[netip.Addr]int{},
		open: map[holder]struct{}{}, counts: map[policy.Reason]uint64{},
	}
}

// Listen reads the files of the settings and takes the address. Run does so too,
// if it has not been done.
func (g *Gate) Listen() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || g.leaving {
		return net.ErrClosed
	}
	if g.listener != nil {
		return nil
	}
	if err := g.prepare(); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", g.config.Listen)
	g.listener = listener
	return err
}

func (g *Gate) prepare() (err error) {
	if err := g.config.Check(); err != nil {
		return fmt.Errorf("settings of the gate on %s: %w", g.config.Listen, err)
	}
	if g.proxies, err = g.config.proxies(); err != nil {
		return err
	}
	if g.backend, err = openBackend(g.config.Upstream, g.config.Backend); err != nil {
		return err
	}
	g.front = newFront(g)
	if g.config.Backend.HTTP2 {
		g.backend.pair = g.front.pair
	}
	if g.config.CertFile == "" {
		return nil
	}
	pair, err := openCertificate(g.config.CertFile, g.config.KeyFile, g.config.Logger)
	if err != nil {
		return err
	}
	g.tls = pair.serverConfig(g.config.Backend.SendProxy == 0)
	return nil
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
	defer context.AfterFunc(ctx, func() { g.Close() })()
	watched, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	watchers.Go(func() { g.review(watched) })
	watchers.Go(func() { g.patrol(watched) })
	defer watchers.Wait()
	defer stop()
	g.front.run()
	defer g.front.close()
	defer g.relays.Wait()
	for {
		raw, err := g.listener.Accept()
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
		g.start(ctx, raw)
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

// patrol ends what has been silent for too long, until the context ends.
func (g *Gate) patrol(ctx context.Context) {
	l := g.limits
	every := min(patrolEvery, time.Duration(min(l.Header, l.Idle, l.Answer, l.Write))/4)
	for pause(ctx, max(every, time.Millisecond)) {
		now := time.Now().UnixNano()
		for _, h := range g.holders() {
			h.patrol(now)
		}
	}
}

// hold and release keep account of what is open; hold reports false when the
// gate is closed.
func (g *Gate) hold(h holder) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return false
	}
	g.open[h] = struct{}{}
	if g.leaving {
		defer h.leave()
	}
	return true
}

func (g *Gate) release(h holder) {
	h.close()
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.open, h)
}

func (g *Gate) holders() []holder {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]holder, 0, len(g.open))
	for h := range g.open {
		all = append(all, h)
	}
	return all
}

// Drain refuses new connections and lets what is under way finish until the
// context ends; then it closes.
func (g *Gate) Drain(ctx context.Context) error {
	g.mu.Lock()
	g.leaving = true
	listener, front := g.listener, g.front
	for a := range g.arrivals {
		if !a.greeted {
			sever(a.raw)
		}
	}
	g.mu.Unlock()
	if listener != nil {
		listener.Close()
		for _, h := range g.holders() {
			h.leave()
		}
		front.shutdown(ctx)
		g.settle(ctx)
	}
	return g.Close()
}

// settle waits until no connection is left.
func (g *Gate) settle(ctx context.Context) {
	done := make(chan struct{})
	go func() { // ends with the last connection, which Close ends at the latest
		g.relays.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// Close stops listening and ends all connections.
func (g *Gate) Close() error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	for a := range g.arrivals {
		sever(a.raw)
	}
	listener := g.listener
	g.mu.Unlock()
	for _, h := range g.holders() {
		h.close()
	}
	if listener == nil {
		return nil
	}
	if err := listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Sweep ends what belongs to a subject that has lost something, as far as Review
// cannot tell: idle connections whose last request was the subject's, and what
// is under way by a token that has run out.
func (g *Gate) Sweep(subject policy.Subject) {
	for _, h := range g.holders() {
		h.sweep(subject)
	}
}

// orphaned reports whether an exchange is the subject's and nothing but a sweep
// would end it with its session.
func (g *Gate) orphaned(e *exchange, subject policy.Subject) bool {
	return e.grant.Subject == subject && !g.config.Known(e.flow)
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

func (g *Gate) unreachable(err error) {
	g.config.Logger.Warn("service unreachable", "upstream", g.config.Upstream, "error", err)
}

// userOf is what the service is told of a grant; nothing on a public route.
func (g *Gate) userOf(grant Grant) string {
	if grant.Subject == (policy.Subject{}) || g.config.User == nil {
		return ""
	}
	return g.config.User(grant.Subject)
}

package acme

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/acme"
)

// Timing of orders; a zero value means the default.
type Timing struct {
	// Look is how often a node whose certificate is due asks the peers for theirs.
	Look time.Duration
	// Patience is how long the others leave the order to the leader.
	Patience time.Duration
	// RetryFirst is the pause after a failure, which doubles with each further one up to
	// RetryMax. A public authority lets a name fail five times in an hour.
	RetryFirst, RetryMax time.Duration
}

const (
	lookDefault       = 10 * time.Second
	patienceDefault   = 10 * time.Minute
	retryFirstDefault = 15 * time.Minute
	retryMaxDefault   = 6 * time.Hour
	// retryAfterMax bounds what an authority may ask for in Retry-After.
	retryAfterMax = 24 * time.Hour
	// idleMax is how long a node sleeps at most: a clock that was set right is seen.
	idleMax = time.Hour
	// orderWait bounds one order.
	orderWait = 5 * time.Minute
)

func (t Timing) orDefaults() Timing {
	return Timing{
		Look: cmp.Or(t.Look, lookDefault), Patience: cmp.Or(t.Patience, patienceDefault),
		RetryFirst: cmp.Or(t.RetryFirst, retryFirstDefault), RetryMax: cmp.Or(t.RetryMax, retryMaxDefault),
	}
}

// Config is what a Certificate needs.
type Config struct {
	Settings Settings
	File     string // the state
	Ring     Sealer
	// Leads reports whether this node is the one that orders for all.
	Leads func() bool
	// Ask puts a question to every other node at once, which Certificate.ServePeer answers
	// there, and gives what came within the context.
	Ask    func(ctx context.Context, question []byte) (answers [][]byte)
	Log    *slog.Logger
	Agent  string // how this program is named to the authority
	Timing Timing
}

// Certificate is the certificate of one node. Run keeps it; the other methods may be
// called at any time.
type Certificate struct {
	cfg        Config
	challenges *challenges
	opened     time.Time
	shown      atomic.Pointer[tls.Certificate] // may have ended; nil: there is none
	ordering   atomic.Bool
	woken      chan struct{} // holds one

	mu    sync.Mutex
	state state // guarded by mu
}

// Open takes the state from the disk. One that cannot be read, or whose keys another
// keyring has sealed, is begun anew: the node serves all the same.
func Open(cfg Config) *Certificate {
	cfg.Timing = cfg.Timing.orDefaults()
	c := &Certificate{cfg: cfg, challenges: newChallenges(), opened: time.Now(), woken: make(chan struct{}, 1)}
	stored, err := load(cfg.File)
	stored = stored.fit(cfg.Settings, cfg.Timing.RetryFirst)
	if err == nil && stored.Account != nil {
		_, err = openKey(cfg.Ring, accountPurpose, stored.Account)
	}
	cert, failed := stored.open(cfg.Ring)
	if err = errors.Join(err, failed); err != nil {
		cfg.Log.Warn("the stored certificate by ACME is of no use: another one will be ordered", "error", err)
		stored, cert = state{Of: cfg.Settings}, nil
	}
	c.state = stored
	c.shown.Store(cert)
	return c
}

// Run orders and renews until the context ends.
func (c *Certificate) Run(ctx context.Context) {
	if c.cfg.Settings.HTTP != "" {
		var server sync.WaitGroup
		defer server.Wait()
		server.Go(func() { c.serveHTTP(ctx) })
	}
	for {
		timer := time.NewTimer(min(c.step(ctx), idleMax))
		select {
		case <-timer.C:
		case <-c.woken:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		timer.Stop()
	}
}

// wake makes Run look at once.
func (c *Certificate) wake() {
	select {
	case c.woken <- struct{}{}:
	default: // it will
	}
}

// Get is the certificate to show to a client; nil where there is none for the name that
// has not ended.
func (c *Certificate) Get(hello *tls.ClientHelloInfo) *tls.Certificate {
	cert := c.shown.Load()
	if cert == nil || hello.ServerName == "" || serves(cert.Leaf, []string{hello.ServerName}, time.Now()) != nil {
		return nil
	}
	return cert
}

// step does what is due, and says how long there is nothing to do then.
func (c *Certificate) step(ctx context.Context) time.Duration {
	now := time.Now()
	due := c.due(now)
	if wait := due.Sub(now); wait > 0 {
		return wait
	}
	taken, busy := c.takeOver(ctx)
	if taken || busy {
		return c.cfg.Timing.Look
	}
	if !c.cfg.Leads() {
		due = due.Add(c.cfg.Timing.Patience)
	}
	if next := c.Standing().Next; next.After(due) {
		due = next
	}
	if wait := due.Sub(now); wait > 0 {
		return min(wait, c.cfg.Timing.Look)
	}
	c.attempt(ctx)
	return c.cfg.Timing.Look
}

// due is when the certificate that there is must be followed by another one.
func (c *Certificate) due(now time.Time) time.Time {
	cert := c.shown.Load()
	if cert == nil || now.Before(cert.Leaf.NotBefore) || !sameNames(cert.Leaf.DNSNames, c.cfg.Settings.Domains) {
		return c.opened
	}
	return renewAt(cert.Leaf)
}

// takeOver asks the peers for a certificate that is not due, and whether one of them
// orders it at this moment: two orders for one name would answer each other's challenge.
func (c *Certificate) takeOver(ctx context.Context) (taken, busy bool) {
	ctx, cancel := context.WithTimeout(ctx, askWait)
	defer cancel()
	q := question{Kind: kindCertificate, Directory: c.cfg.Settings.Directory, Domains: c.cfg.Settings.Domains}
	for _, a := range c.ask(ctx, q) {
		busy = busy || a.Ordering
		cert, err := a.open(c.cfg.Ring)
		if err == nil && cert == nil {
			continue
		}
		now := time.Now()
		if err == nil {
			err = serves(cert.Leaf, c.cfg.Settings.Domains, now)
		}
		if err != nil || !now.Before(renewAt(cert.Leaf)) {
			continue
		}
		c.succeed(cert, a.pair)
		c.cfg.Log.Info("the certificate by ACME was taken over from another node", "ends", cert.Leaf.NotAfter)
		return true, false
	}
	return false, busy
}

// attempt orders a certificate, and tells the peers of it.
func (c *Certificate) attempt(ctx context.Context) {
	c.ordering.Store(true)
	defer c.ordering.Store(false)
	within, cancel := context.WithTimeout(ctx, orderWait)
	defer cancel()
	began := time.Now()
	made, err := c.order(within)
	var cert *tls.Certificate
	if err == nil {
		cert, err = made.open(c.cfg.Ring)
	}
	if err != nil {
		if ctx.Err() == nil { // a node that stops has not failed
			c.fail(began, err)
		}
		return
	}
	c.succeed(cert, made)
	c.cfg.Log.Info("there is a new certificate by ACME", "ends", cert.Leaf.NotAfter, "renewed_at", renewAt(cert.Leaf))
	within, cancel = context.WithTimeout(ctx, askWait)
	defer cancel()
	c.ask(within, question{Kind: kindFresh})
}

func (c *Certificate) succeed(cert *tls.Certificate, made pair) {
	c.update(func(s *state) { s.pair, s.attempts = made, attempts{} })
	c.shown.Store(cert)
}

// fail notes what went wrong, and when it is tried again.
func (c *Certificate) fail(began time.Time, err error) {
	var next time.Time
	c.update(func(s *state) {
		s.Failures++
		s.LastError, s.Last = err.Error(), began
		s.Next = began.Add(c.cfg.Timing.pause(s.Failures, err, rand.Float64()))
		next = s.Next
	})
	standing := c.Standing()
	c.cfg.Log.Error("no certificate by ACME could be had", "error", err, "failures", standing.Failures, "again", next, "shown", standing.Shown(time.Now()))
}

// pause is how long is waited after a failure: what the authority asks for, or twice as
// long as the time before, with a random part of a fifth so that nodes come apart.
func (t Timing) pause(failures int, err error, random float64) time.Duration {
	pause := t.RetryFirst
	for i := 1; i < failures && pause < t.RetryMax; i++ {
		pause *= 2
	}
	pause = min(pause, t.RetryMax)
	if asked, limited := acme.RateLimit(err); limited {
		pause = max(pause, min(asked, retryAfterMax))
	}
	return pause + time.Duration(random*float64(pause)/5)
}

// update changes the state, and stores it. What cannot be stored is lost with the
// process, and serves until then.
func (c *Certificate) update(change func(*state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(&c.state)
	if err := c.state.save(c.cfg.File); err != nil {
		c.cfg.Log.Error("the certificate by ACME cannot be stored", "error", err)
	}
}

// stored is what peers may have.
func (c *Certificate) stored() pair {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.pair
}

func (c *Certificate) errorLog() *log.Logger {
	return slog.NewLogLogger(c.cfg.Log.Handler(), slog.LevelDebug)
}

// Standing is how it stands with the certificate.
type Standing struct {
	Ends      time.Time `json:"ends,omitzero"`     // zero: there is none
	RenewAt   time.Time `json:"renew_at,omitzero"` // likewise
	Failures  int       `json:"failures"`          // since the last success
	LastError string    `json:"last_error,omitempty"`
	Next      time.Time `json:"next,omitzero"` // an order is not tried before
}

// Missing is true while clients are shown another certificate instead.
func (s Standing) Missing(now time.Time) bool { return !now.Before(s.Ends) }

// Shown says what clients see.
func (s Standing) Shown(now time.Time) string {
	if s.Missing(now) {
		return "the one of the cluster's CA"
	}
	return "the one by ACME until " + s.Ends.UTC().Format(time.RFC3339)
}

func (s state) standing() (Standing, error) {
	made := Standing{Failures: s.Failures, LastError: s.LastError, Next: s.Next}
	leaf, err := s.leaf()
	if leaf != nil {
		made.Ends, made.RenewAt = leaf.NotAfter, renewAt(leaf)
	}
	return made, err
}

// Standing is of the running node.
func (c *Certificate) Standing() Standing {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, _ := c.state.standing() // what is shown was opened before
	return s
}

// StandingOf reads it from a file, without a keyring: for who looks at a node from
// outside. It is of the settings with which the node ran last.
func StandingOf(file string) (Standing, error) {
	s, err := load(file)
	if err != nil {
		return Standing{}, err
	}
	return s.standing()
}

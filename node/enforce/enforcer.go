package enforce

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// queueMax is how many deltas may wait before the tables are rebuilt from a
// root instead of following them.
const queueMax = 4096

// Gate is a gate with its lease.
type Gate interface {
	Table
	ExtendLease(untilNs uint64) error
	BootNow() uint64
	// Reset empties the table; nothing is let through until it is filled.
	Reset() error
	// Settled tells that every service of a current state is set; addresses
	// that are not among them are let go.
	Settled() error
	// Reap ends refused and stuck connections and looks after the services.
	// errRefill asks for all rows anew.
	Reap() error
	// Seen is what it has decided.
	Seen() *Seen
}

// errRefill is not a failure: a gate that has begun to stand before a service lacks
// the rows from before.
var errRefill = errors.New("the gate asks for its rows")

// Prover proves how far the log had come at a moment.
type Prover interface {
	ReadIndex(ctx context.Context) (uint64, error)
}

// Enforcer follows the log with one gate.
type Enforcer struct {
	gate  Gate
	clock Clock
	set   uint64 // farAhead on the boot clock when this was made: before any time was converted
	root  func() *state.Root
	make  func() *projection
	log   *slog.Logger

	followed following // that the tables hold

	// emptying keeps a lease that was proved for full tables from being given to
	// empty ones. It is locked before mu.
	emptying sync.Mutex

	mu       sync.Mutex
	queue    []directory.Delta // guarded by mu
	reset    bool              // guarded by mu: rebuild instead
	enforced directory.Index   // guarded by mu; 0 while the tables are filled anew
	proved   bool              // guarded by mu: the tables were current since they were filled
	failing  error             // guarded by mu: why the tables do not follow
	moved    chan struct{}     // guarded by mu; closed when enforced moves
	wake     chan struct{}
}

// New wires an enforcer; it starts with a rebuild.
func New(gate Gate, clock Clock, root func() *state.Root, listen func(string) bool, secret func(*state.System) (uint64, uint64, error), log *slog.Logger) *Enforcer {
	e := &Enforcer{
		gate: gate, clock: clock, set: clock.BootAt(farAhead), root: root, log: log, reset: true,
		moved: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	e.make = func() *projection {
		p := newProjection(gate, clock, listen, secret)
		e.followed.reset()
		p.followed = &e.followed
		return p
	}
	return e
}

// Followed are the addresses that this node enforces, with their policies.
func (e *Enforcer) Followed() []Followed { return e.followed.all() }

// Changed takes deltas whose root is published. It never blocks: when too many
// wait, they are dropped for a rebuild.
func (e *Enforcer) Changed(deltas []directory.Delta, reset bool) {
	e.mu.Lock()
	if reset || len(e.queue)+len(deltas) > queueMax {
		e.queue, e.reset = nil, true
	} else if !e.reset {
		e.queue = append(e.queue, deltas...)
	}
	e.mu.Unlock()
	e.signal()
}

func (e *Enforcer) signal() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Enforced is the last index that the tables reflect, 0 while they are filled
// anew.
func (e *Enforcer) Enforced() directory.Index {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.enforced
}

// Failing is why the tables do not follow the log, nil if they do. Something may then
// be without its guard, and no lease is given.
func (e *Enforcer) Failing() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.failing
}

// Wait returns once index is enforced.
func (e *Enforcer) Wait(ctx context.Context, index directory.Index) error {
	for {
		e.mu.Lock()
		enforced, moved := e.enforced, e.moved
		e.mu.Unlock()
		if enforced >= index {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// retryEvery paces rebuilds after the gate refused a row; the lease runs out
// meanwhile, so nothing is let through that should not be.
const retryEvery = time.Second

// Run follows the log until the context ends.
func (e *Enforcer) Run(ctx context.Context) {
	var p *projection
	settled := false
	for {
		e.mu.Lock()
		deltas, rebuild := e.queue, e.reset
		e.queue, e.reset = nil, false
		e.mu.Unlock()
		var err error
		if rebuild || p == nil {
			settled = false
			p, err = e.rebuild()
		} else if len(deltas) > 0 {
			err = e.follow(p, deltas)
		}
		if err == nil && !settled {
			settled, err = e.settle()
		}
		if err != nil {
			e.log.Error("enforcement tables are rebuilt", "error", err)
			e.mu.Lock()
			e.failing = err
			e.mu.Unlock()
			e.Changed(nil, true)
			p = nil
			if !pause(ctx, retryEvery) {
				return
			}
			continue
		}
		select {
		case <-e.wake:
		case <-ctx.Done():
			return
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

func (e *Enforcer) rebuild() (*projection, error) {
	if err := e.empty(); err != nil {
		return nil, err
	}
	root := e.root()
	p := e.make()
	if err := p.rebuild(root); err != nil {
		return nil, err
	}
	e.reached(root.Applied())
	return p, nil
}

func (e *Enforcer) empty() error {
	e.emptying.Lock()
	defer e.emptying.Unlock()
	e.mu.Lock()
	e.enforced, e.proved = 0, false
	e.mu.Unlock()
	return e.gate.Reset()
}

// settle lets addresses go that no service has, once it is proved that the state
// is current: that of a node which was away, or lost its own, knows too few.
func (e *Enforcer) settle() (settled bool, err error) {
	e.mu.Lock()
	proved := e.proved
	e.mu.Unlock()
	if !proved {
		return false, nil
	}
	return true, e.gate.Settled()
}

// follow applies deltas against the newest root, which is at or beyond them:
// what a later delta says about the same row changes nothing then.
func (e *Enforcer) follow(p *projection, deltas []directory.Delta) error {
	root := e.root()
	for _, d := range deltas {
		if err := p.apply(root, d); err != nil {
			return err
		}
	}
	e.reached(deltas[len(deltas)-1].Index)
	return nil
}

func (e *Enforcer) reached(index directory.Index) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enforced, e.failing = max(e.enforced, index), nil
	close(e.moved)
	e.moved = make(chan struct{})
}

// The tables have times of the boot clock, converted when a row was written. They
// are wrong once the wall clock is set: a token would end late, or too early.
const (
	// farAhead is a time of the log whose conversion moves with the wall clock only:
	// in the year 2200.
	farAhead directory.Time = 7_258_118_400_000
	// clockJump is more than the clock is slewed by in a day of corrections of
	// 10 ppm, and no more than a token may live too long.
	clockJump = time.Second
)

// Lease extends the gate's lease for as long as it can be proved that the
// tables are current: at the time of asking the log had come to an index, and
// the tables have reached it. It returns when the context ends.
func (e *Enforcer) Lease(ctx context.Context, log Prover, life, every time.Duration) {
	set := e.set
	for {
		if now := e.clock.BootAt(farAhead); max(now, set)-min(now, set) > uint64(clockJump) {
			e.log.Warn("the wall clock was set: the times of all tokens are converted anew", "by", time.Duration(set-now))
			set = now
			e.Changed(nil, true)
		}
		asked := e.gate.BootNow()
		if index, err := e.prove(ctx, log, every); err == nil {
			if err := e.extend(index, asked+uint64(life)); err != nil {
				e.log.Error("the lease could not be extended", "error", err)
			}
		}
		if err := e.gate.Reap(); errors.Is(err, errRefill) {
			e.Changed(nil, true)
		} else if err != nil {
			e.log.Warn("connections could not be ended", "error", err)
		}
		if !pause(ctx, every) {
			return
		}
	}
}

func (e *Enforcer) prove(ctx context.Context, log Prover, every time.Duration) (directory.Index, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*every)
	defer cancel()
	index, err := log.ReadIndex(ctx)
	if err != nil {
		return 0, err
	}
	return directory.Index(index), e.Wait(ctx, directory.Index(index))
}

// extend gives the lease if the tables still are what was proved.
func (e *Enforcer) extend(index directory.Index, untilNs uint64) error {
	e.emptying.Lock()
	defer e.emptying.Unlock()
	if e.Enforced() < index {
		return nil
	}
	if err := e.gate.ExtendLease(untilNs); err != nil {
		return err
	}
	e.mu.Lock()
	first := !e.proved
	e.proved = true
	e.mu.Unlock()
	if first {
		e.signal()
	}
	return nil
}

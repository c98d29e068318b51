package enforce

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/gate"
	"github.com/authfi/authfi/bpf/policy"
)

// UserSpace is the user-space gate as a Gate: one relay per address, and the
// rows that the kernel would hold, in memory.
type UserSpace struct {
	upstreams map[string]string // by address, overriding the service's own
	log       *slog.Logger
	lease     atomic.Uint64
	seen      *Seen
	key       atomic.Pointer[[2]uint64]

	mu       sync.RWMutex
	tokens   map[policy.TokenKey]policy.TokenEntry  // guarded by mu
	subjects map[policy.Subject]policy.SubjectEntry // guarded by mu
	services map[string]*relayed                    // guarded by mu
}

type relayed struct {
	gate      *gate.Gate
	upstream  string
	program   atomic.Pointer[policy.Program]
	confirmed bool
}

// NewUserSpace starts without an address. upstreams overrides where services of
// this machine really listen.
func NewUserSpace(upstreams map[string]string, log *slog.Logger) *UserSpace {
	return newUserSpace(upstreams, NewSeen(), log)
}

func newUserSpace(upstreams map[string]string, seen *Seen, log *slog.Logger) *UserSpace {
	u := &UserSpace{upstreams: upstreams, log: log, services: map[string]*relayed{}, seen: seen}
	u.key.Store(&[2]uint64{})
	u.clear()
	return u
}

func (u *UserSpace) clear() {
	u.tokens = map[policy.TokenKey]policy.TokenEntry{}
	u.subjects = map[policy.Subject]policy.SubjectEntry{}
}

// Reset implements Gate: no lease, no rows, no program; the addresses stay shut.
func (u *UserSpace) Reset() error {
	u.lease.Store(0)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.clear()
	for _, s := range u.services {
		s.program.Store(nil)
		s.confirmed = false
	}
	return nil
}

// Settled implements Gate.
func (u *UserSpace) Settled() error {
	u.mu.RLock()
	var gone []string
	for listen, s := range u.services {
		if !s.confirmed {
			gone = append(gone, listen)
		}
	}
	u.mu.RUnlock()
	for _, listen := range gone {
		if err := u.RemoveService(listen); err != nil {
			return err
		}
	}
	return nil
}

// Reap implements Gate: the relays have timeouts of their own.
func (u *UserSpace) Reap() error { return nil }

// BootNow implements Gate.
func (u *UserSpace) BootNow() uint64 { return bpf.BootNow() }

// ExtendLease implements Gate.
func (u *UserSpace) ExtendLease(untilNs uint64) error {
	u.lease.Store(max(u.lease.Load(), untilNs))
	return nil
}

// SetKey implements Table.
func (u *UserSpace) SetKey(k0, k1 uint64) error {
	u.key.Store(&[2]uint64{k0, k1})
	return nil
}

// SetService implements Table.
func (u *UserSpace) SetService(listen, upstream string, _ uint32, program *policy.Program) error {
	if _, err := netip.ParseAddrPort(listen); err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	if override, ok := u.upstreams[listen]; ok {
		upstream = override
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.services[listen]
	if ok && s.upstream != upstream {
		s.gate.Close()
		ok = false
	}
	if !ok {
		s = &relayed{upstream: upstream}
		// An address that cannot be served stays shut, and the others are not
		// kept waiting for it.
		if err := u.open(listen, s); err != nil {
			u.log.Error("a service is not served by the gate", "listen", listen, "error", err)
			delete(u.services, listen)
			return nil
		}
		u.services[listen] = s
	}
	s.program.Store(program)
	s.confirmed = true
	u.seen.follow(listen, program)
	return nil
}

// Seen implements Gate.
func (u *UserSpace) Seen() *Seen { return u.seen }

// told counts a verdict of one relay.
func (u *UserSpace) told(listen string) func(*policy.Program, *policy.Flow, policy.Reason, policy.Subject) {
	return func(program *policy.Program, flow *policy.Flow, reason policy.Reason, subject policy.Subject) {
		r := Refusal{Listen: listen, Subject: subject}
		if flow == nil {
			r.Decision = policy.Decision{Reason: reason, Route: policy.NoRoute, Version: program.Version(), DryRun: program.DryRun()}
		} else {
			r.Decision, r.Method = program.Name(*flow, reason), policy.MethodName(flow.Method)
		}
		u.seen.decided(time.Now(), r)
	}
}

func (u *UserSpace) open(listen string, s *relayed) error {
	if s.upstream == "" {
		return fmt.Errorf("service on %s needs an upstream, since the gate listens there itself", listen)
	}
	g := gate.New(gate.Config{
		Listen: listen, Upstream: s.upstream, Logger: u.log,
		Program: s.program.Load, Told: u.told(listen),
		Keys: func() (uint64, uint64) { k := u.key.Load(); return k[0], k[1] },
		Decide: func(program *policy.Program, flow policy.Flow) (policy.Reason, policy.Subject) {
			return u.decide(s, program, flow)
		},
	})
	if err := g.Listen(); err != nil {
		return err
	}
	s.gate = g
	go g.Run(context.Background()) // ends with Close
	return nil
}

// decide is the verdict on the rows as they are now. The program that the path
// was read with must still be the service's: another one, or none, is not a
// reading of this policy. A pointer that is held is never another program's.
func (u *UserSpace) decide(s *relayed, program *policy.Program, flow policy.Flow) (policy.Reason, policy.Subject) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if program == nil || program != s.program.Load() {
		return policy.ReasonLease, policy.Subject{}
	}
	reason := policy.Verdict(program, flow, rows{u}, bpf.BootNow(), u.lease.Load())
	return reason, u.tokens[flow.Token].Subject
}

// rows looks up under the lock that decide holds.
type rows struct{ u *UserSpace }

func (r rows) Token(k policy.TokenKey) (policy.TokenEntry, bool) {
	e, ok := r.u.tokens[k]
	return e, ok
}

func (r rows) Subject(s policy.Subject) (policy.SubjectEntry, bool) {
	e, ok := r.u.subjects[s]
	return e, ok
}

// RemoveService implements Table.
func (u *UserSpace) RemoveService(listen string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.services[listen]
	if !ok {
		return nil
	}
	delete(u.services, listen)
	u.seen.forget(listen)
	return s.gate.Close()
}

// PutSubject and its siblings implement Table.
func (u *UserSpace) PutSubject(subject policy.Subject, entry policy.SubjectEntry) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.subjects[subject] = entry
	return nil
}

func (u *UserSpace) DeleteSubject(subject policy.Subject) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.subjects, subject)
	return nil
}

func (u *UserSpace) PutToken(key policy.TokenKey, entry policy.TokenEntry) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tokens[key] = entry
	return nil
}

func (u *UserSpace) DeleteToken(key policy.TokenKey) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.tokens, key)
	return nil
}

// Sweep implements Table.
func (u *UserSpace) Sweep(subject policy.Subject) {
	time.AfterFunc(sweepGrace, func() {
		for _, g := range u.gates() {
			g.Sweep(subject)
		}
	})
}

func (u *UserSpace) gates() (all []*gate.Gate) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	for _, s := range u.services {
		all = append(all, s.gate)
	}
	return all
}

// Report sums the relays' verdicts; the time of a verdict is not measured here.
func (u *UserSpace) Report() (counters map[string]uint64, p50ns, leaseNs uint64, err error) {
	counters = map[string]uint64{}
	for _, g := range u.gates() {
		for reason, n := range g.Counts() {
			counters[reason.String()] += n
		}
	}
	return counters, 0, u.lease.Load(), nil
}

// Close shuts every address: without the gate nobody listens there.
func (u *UserSpace) Close() error {
	for _, g := range u.gates() {
		g.Close()
	}
	return nil
}

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
	"github.com/authfi/authfi/directory"
)

// Settings are what a machine says about one address of the user-space gate.
type Settings = gate.Settings

// drainMax is how long Close lets requests finish that are under way. The node
// holds its lease no longer by then, so that it would end them soon anyway.
const drainMax = 5 * time.Second

// UserSpace is the user-space gate as a Gate: one relay per address, and the
// rows that the kernel would hold, in memory.
type UserSpace struct {
	settings map[string]Settings // by address; an upstream overrides the service's own
	log      *slog.Logger
	lease    atomic.Uint64
	lapse    *time.Timer // asks anew about what is under way when the lease is over
	seen     *Seen
	key      atomic.Pointer[[2]uint64]

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

// NewUserSpace starts without an address. settings are what this machine says
// about some of them.
func NewUserSpace(settings map[string]Settings, log *slog.Logger) *UserSpace {
	return newUserSpace(settings, NewSeen(), log)
}

func newUserSpace(settings map[string]Settings, seen *Seen, log *slog.Logger) *UserSpace {
	u := &UserSpace{settings: settings, log: log, services: map[string]*relayed{}, seen: seen}
	u.key.Store(&[2]uint64{})
	u.lapse = time.AfterFunc(time.Hour, u.reviewAll)
	u.clear()
	return u
}

// reviewAll asks anew about everything that is under way.
func (u *UserSpace) reviewAll() {
	for _, g := range u.gates() {
		g.ReviewAll()
	}
}

// review asks anew about what is under way for a subject. The caller holds mu.
func (u *UserSpace) review(subject policy.Subject) {
	for _, s := range u.services {
		s.gate.Review(subject)
	}
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
		s.gate.ReviewAll()
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

// Reap implements Gate. The relays have timeouts of their own; a lease that
// lapsed while the machine slept is found here, since timers sleep too.
func (u *UserSpace) Reap() error {
	if bpf.BootNow() >= u.lease.Load() {
		u.reviewAll()
	}
	return nil
}

// BootNow implements Gate.
func (u *UserSpace) BootNow() uint64 { return bpf.BootNow() }

// ExtendLease implements Gate.
func (u *UserSpace) ExtendLease(untilNs uint64) error {
	until := max(u.lease.Load(), untilNs)
	u.lease.Store(until)
	u.lapse.Reset(time.Duration(until - min(until, bpf.BootNow())))
	return nil
}

// SetKey implements Table.
func (u *UserSpace) SetKey(k0, k1 uint64) error {
	u.key.Store(&[2]uint64{k0, k1})
	return nil
}

// Guard implements Table: nobody listens there yet.
func (u *UserSpace) Guard(string) error { return nil }

// SetService implements Table.
func (u *UserSpace) SetService(listen, upstream string, _ uint32, program *policy.Program) error {
	if _, err := netip.ParseAddrPort(listen); err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	if override := u.settings[listen].Upstream; override != "" {
		upstream = override
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	s, ok := u.services[listen]
	if ok && s.upstream != upstream {
		s.gate.Close() // in a moment it is not asked about any more
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
	s.gate.ReviewAll()
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
		if reason == policy.ReasonUpstream { // the service's failure, in a dry run too
			r.Decision.DryRun = false
		}
		u.seen.decided(time.Now(), r)
	}
}

func (u *UserSpace) open(listen string, s *relayed) error {
	if s.upstream == "" {
		return fmt.Errorf("service on %s needs an upstream, since the gate listens there itself", listen)
	}
	settings := u.settings[listen]
	settings.Upstream = s.upstream
	g := gate.New(gate.Config{
		Listen: listen, Settings: settings, Logger: u.log,
		Program: s.program.Load, Told: u.told(listen),
		Keys: func() (uint64, uint64) { k := u.key.Load(); return k[0], k[1] },
		User: func(subject policy.Subject) string { return directory.UserID(subject).String() },
		Decide: func(program *policy.Program, flow policy.Flow) (policy.Reason, gate.Grant) {
			return u.decide(s, program, flow)
		},
		Stands: func(program *policy.Program, flow policy.Flow, grant gate.Grant) (policy.Reason, bool) {
			return u.stands(s, program, flow, grant)
		},
		Known: u.known,
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
func (u *UserSpace) decide(s *relayed, program *policy.Program, flow policy.Flow) (policy.Reason, gate.Grant) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if program == nil || program != s.program.Load() {
		return policy.ReasonLease, gate.Grant{}
	}
	reason := policy.Verdict(program, flow, rows{u}, bpf.BootNow(), u.lease.Load())
	if reason == policy.ReasonPublic { // it asks for nobody
		return reason, gate.Grant{}
	}
	token := u.tokens[flow.Token] // also of one that is refused, who is told
	return reason, gate.Grant{Subject: token.Subject, Token: token}
}

// stands is the verdict on a request that was let through before. What is under
// way belongs to the session and not to the token, which lives for minutes: a
// token that has run out stays good for it, in the table or not, until the
// session ends and Sweep is called.
func (u *UserSpace) stands(s *relayed, program *policy.Program, flow policy.Flow, grant gate.Grant) (reason policy.Reason, sure bool) {
	u.mu.RLock()
	defer u.mu.RUnlock()
	now, lease := bpf.BootNow(), u.lease.Load()
	if program == nil {
		return policy.ReasonLease, true
	}
	if program != s.program.Load() {
		return policy.ReasonLease, false // the write of the other one asks again
	}
	if grant == (gate.Grant{}) {
		return policy.Verdict(program, flow, rows{u}, now, lease), true
	}
	if now >= lease {
		return policy.ReasonLease, true
	}
	if expires := grant.Token.ExpiresNs; now >= expires {
		now = expires - 1
	}
	reason = policy.Verdict(program, flow, kept{rows{u}, flow.Token, grant.Token}, now, lease)
	// Here it can only be that the rights are numbered for another program.
	return reason, reason != policy.ReasonLease
}

// known reports whether the row of a request's token is still there.
func (u *UserSpace) known(flow policy.Flow) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	_, ok := u.tokens[flow.Token]
	return ok
}

// kept are the rows with one token that is not forgotten when it has run out.
type kept struct {
	rows
	key   policy.TokenKey
	token policy.TokenEntry
}

func (k kept) Token(key policy.TokenKey) (policy.TokenEntry, bool) {
	if held, ok := k.rows.Token(key); ok || key != k.key {
		return held, ok
	}
	return k.token, bpf.BootNow() >= k.token.ExpiresNs
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
	u.review(subject)
	return nil
}

func (u *UserSpace) DeleteSubject(subject policy.Subject) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.subjects, subject)
	u.review(subject)
	return nil
}

func (u *UserSpace) PutToken(key policy.TokenKey, entry policy.TokenEntry) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	_, known := u.tokens[key]
	u.tokens[key] = entry
	if known { // a new one carries nothing yet
		u.review(entry.Subject)
	}
	return nil
}

func (u *UserSpace) DeleteToken(key policy.TokenKey) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	entry, known := u.tokens[key]
	delete(u.tokens, key)
	if known {
		u.review(entry.Subject)
	}
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

// Close shuts every address, when what is under way has finished or drainMax is
// over: without the gate nobody listens there.
func (u *UserSpace) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainMax)
	defer cancel()
	defer u.lapse.Stop()
	var all sync.WaitGroup
	for _, g := range u.gates() {
		all.Go(func() { g.Drain(ctx) })
	}
	all.Wait()
	return nil
}

package enforce

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
)

// Kernel is the kernel gate as a Gate, with a user-space gate beside it for the
// services that it cannot guard.
type Kernel struct {
	*bpf.Enforcer
	log      *slog.Logger
	seen     *kernelSeen
	settings map[string]Settings
	sweeps   sweeper
	space    atomic.Pointer[UserSpace] // nil until a service needs it
	tokens   rowsOf[policy.TokenKey, policy.TokenEntry]
	subjects rowsOf[policy.Subject, policy.SubjectEntry]

	mu       sync.Mutex
	services map[string]*guarded // by listen address; guarded by mu
}

// OpenKernel puts the kernel gate in place. settings are what this machine says about
// addresses, for those that the user-space gate must guard; where they say more than
// an upstream, it guards them in any case.
func OpenKernel(cfg bpf.Config, settings map[string]Settings) (*Kernel, error) {
	if err := bpf.MountPins(); err != nil {
		return nil, err
	}
	e, err := bpf.Open(cfg)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Enforcer: e, log: cfg.Logger, settings: settings, services: map[string]*guarded{}}
	k.sweeps.sweep = k.sweepNow
	k.tokens = rowsOf[policy.TokenKey, policy.TokenEntry]{kind: "tokens", write: e.PutToken, remove: e.DeleteToken, log: k.log}
	k.subjects = rowsOf[policy.Subject, policy.SubjectEntry]{kind: "users", write: e.PutSubject, remove: e.DeleteSubject, log: k.log}
	if err := k.watch(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	for _, s := range settings {
		if s.Apart() { // it is there from the start, and lacks no rows then
			k.space.Store(newUserSpace(settings, k.seen.Seen, k.log))
			break
		}
	}
	return k, nil
}

// mirror does for the user-space gate, if there is one, what was done in the
// kernel: what failed there must not keep a revocation from the other.
func (k *Kernel) mirror(err error, do func(*UserSpace) error) error {
	if space := k.space.Load(); space != nil {
		return errors.Join(err, do(space))
	}
	return err
}

// SetKey and its siblings implement Table.
func (k *Kernel) SetKey(k0, k1 uint64) error {
	return k.mirror(k.Enforcer.SetKey(k0, k1), func(u *UserSpace) error { return u.SetKey(k0, k1) })
}

// Guard implements Table. What the user-space gate has, or shall have, is its own.
func (k *Kernel) Guard(listen string) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if s := k.services[listen]; s != nil && s.relayed || k.settings[listen].Apart() {
		return nil
	}
	return k.Enforcer.Guard(address)
}

func (k *Kernel) PutSubject(s policy.Subject, e policy.SubjectEntry) error {
	return k.mirror(k.subjects.put(s, e), func(u *UserSpace) error { return u.PutSubject(s, e) })
}

func (k *Kernel) DeleteSubject(s policy.Subject) error {
	return k.mirror(k.subjects.delete(s), func(u *UserSpace) error { return u.DeleteSubject(s) })
}

func (k *Kernel) PutToken(t policy.TokenKey, e policy.TokenEntry) error {
	return k.mirror(k.tokens.put(t, e), func(u *UserSpace) error { return u.PutToken(t, e) })
}

func (k *Kernel) DeleteToken(t policy.TokenKey) error {
	return k.mirror(k.tokens.delete(t), func(u *UserSpace) error { return u.DeleteToken(t) })
}

// Sweep implements Table. The subject's row already refuses whatever comes next.
func (k *Kernel) Sweep(subject policy.Subject) {
	k.sweeps.add(subject)
	if space := k.space.Load(); space != nil {
		space.Sweep(subject)
	}
}

func (k *Kernel) sweepNow(subjects []policy.Subject) {
	if err := k.Enforcer.Sweep(subjects...); err != nil {
		k.log.Warn("connections of users could not be ended", "error", err)
	}
}

// ExtendLease implements Gate.
func (k *Kernel) ExtendLease(untilNs uint64) error {
	return k.mirror(k.Enforcer.ExtendLease(untilNs), func(u *UserSpace) error { return u.ExtendLease(untilNs) })
}

// Reset implements Gate.
func (k *Kernel) Reset() error {
	k.mu.Lock()
	for _, s := range k.services {
		s.confirmed = false
	}
	k.mu.Unlock()
	err := k.Enforcer.Reset()
	k.tokens.forget()
	k.subjects.forget()
	return k.mirror(err, (*UserSpace).Reset)
}

// Settled implements Gate.
func (k *Kernel) Settled() error {
	k.mu.Lock()
	for listen, s := range k.services {
		if !s.confirmed {
			delete(k.services, listen)
			k.seen.forgotten(s.address)
		}
	}
	k.mu.Unlock()
	return k.mirror(k.Settle(), (*UserSpace).Settled)
}

// BootNow implements Gate.
func (k *Kernel) BootNow() uint64 { return bpf.BootNow() }

// Close leaves the kernel's tables in place; what the user-space gate guards is
// shut.
func (k *Kernel) Close() error {
	err := errors.Join(k.seen.close(), k.Enforcer.Close())
	if space := k.space.Load(); space != nil {
		err = errors.Join(err, space.Close())
	}
	return err
}

// BootClock converts by the boot clock of this machine.
type BootClock struct{}

// BootAt implements Clock.
func (BootClock) BootAt(t directory.Time) uint64 { return bpf.BootAt(t.Std()) }

// Report reads the kernel's counters, the median of its verdicts and the lease.
func (k *Kernel) Report() (counters map[string]uint64, p50ns, leaseNs uint64, err error) {
	stats, err := k.Stats()
	if err != nil {
		return nil, 0, 0, err
	}
	counters = stats.Counts
	for reason, n := range stats.Reasons {
		counters[reason.String()] = n
	}
	counters["tokens_without_room"], counters["users_without_room"] = k.tokens.without(), k.subjects.without()
	counters["addresses_without_room"] = uint64(len(k.crowded()))
	measured, err := k.Histogram()
	if err != nil {
		return nil, 0, 0, err
	}
	p50ns = measured.Quantile(0.5)
	if space := k.space.Load(); space != nil {
		relayed, _, _, err := space.Report()
		if err != nil {
			return nil, 0, 0, err
		}
		for reason, n := range relayed {
			counters[reason] += n
		}
	}
	leaseNs, err = k.LeaseUntil()
	return counters, p50ns, leaseNs, err
}

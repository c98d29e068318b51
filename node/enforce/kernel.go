package enforce

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
)

// Kernel is the kernel gate as a Gate.
type Kernel struct {
	*bpf.Enforcer
	log  *slog.Logger
	seen *kernelSeen
}

// OpenKernel puts the kernel gate in place.
func OpenKernel(cfg bpf.Config) (*Kernel, error) {
	if err := bpf.MountPins(); err != nil {
		return nil, err
	}
	e, err := bpf.Open(cfg)
	if err != nil {
		return nil, err
	}
	k := &Kernel{Enforcer: e, log: cfg.Logger}
	if err := k.watch(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return k, nil
}

// Close lets go of the tables and leaves them in the kernel.
func (k *Kernel) Close() error { return errors.Join(k.seen.close(), k.Enforcer.Close()) }

// SetService implements Table; the kernel needs no upstream, and the program
// knows its organization.
func (k *Kernel) SetService(listen, _ string, _ uint32, program *policy.Program) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	k.count() // in the mode before
	if err := k.Enforcer.SetService(address, program); err != nil {
		return k.firstSpelling(err)
	}
	k.following(address, program)
	return nil
}

// RemoveService implements Table.
func (k *Kernel) RemoveService(listen string) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	if err := k.Enforcer.RemoveService(address); err != nil {
		return k.firstSpelling(err)
	}
	k.seen.forgotten(address)
	return nil
}

// firstSpelling leaves an address to the service that has it, so that the others
// are not kept waiting for one that cannot have it.
func (k *Kernel) firstSpelling(err error) error {
	if !errors.Is(err, bpf.ErrOtherSpelling) {
		return err
	}
	k.log.Error("a service is not enforced on an address of another", "error", err)
	return nil
}

// Sweep implements Table. The subject's row already refuses whatever comes next.
func (k *Kernel) Sweep(subject policy.Subject) {
	time.AfterFunc(sweepGrace, func() {
		if err := k.Enforcer.Sweep(subject); err != nil {
			k.log.Warn("connections of a user could not be ended", "error", err)
		}
	})
}

// Settled implements Gate.
func (k *Kernel) Settled() error { return k.Settle() }

// BootNow implements Gate.
func (k *Kernel) BootNow() uint64 { return bpf.BootNow() }

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
	measured, err := k.Histogram()
	if err != nil {
		return nil, 0, 0, err
	}
	p50ns = measured.Quantile(0.5)
	leaseNs, err = k.LeaseUntil()
	return counters, p50ns, leaseNs, err
}

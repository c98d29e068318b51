package enforce

import (
	"net/netip"
	"sync"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// kernelSeen is what the kernel has decided. It counts by itself, by address and
// reason; here the counts are put to the mode in which they were made. Of routes it
// counts nothing.
type kernelSeen struct {
	*Seen
	refusals *bpf.Refusals
	reading  sync.WaitGroup

	mu   sync.Mutex
	dry  map[string]bool                      // by address that is set, guarded by mu
	last map[string][policy.ReasonsMax]uint64 // as they were read last, guarded by mu
}

// watch begins to read the kernel's refusals, until close.
func (k *Kernel) watch() error {
	refusals, err := k.Refusals()
	if err != nil {
		return err
	}
	k.seen = &kernelSeen{Seen: NewSeen(), refusals: refusals, dry: map[string]bool{}, last: map[string][policy.ReasonsMax]uint64{}}
	k.seen.reading.Go(func() {
		if err := refusals.Run(k.seen.told); err != nil {
			k.log.Error("refusals of the kernel are not shown", "error", err)
		}
	})
	return nil
}

func (s *kernelSeen) close() error {
	err := s.refusals.Close()
	s.reading.Wait()
	return err
}

func (s *kernelSeen) told(r bpf.Refusal) {
	s.refused(r.Time, Refusal{
		Listen: r.Listen.String(), Method: policy.MethodName(r.Method), Decision: r.Decision, Subject: r.Subject,
	})
}

// Seen implements Gate.
func (k *Kernel) Seen() *Seen {
	k.count()
	return k.seen.Seen
}

// count puts what was decided since the last time to the mode that each address has
// had since then.
func (k *Kernel) count() {
	counts, err := k.Verdicts()
	if err != nil {
		k.log.Error("verdicts of the kernel cannot be read", "error", err)
		return
	}
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	for address, now := range counts {
		if dry, set := k.seen.dry[address.String()]; set {
			k.seen.Seen.advance(address.String(), k.seen.last[address.String()], now, dry)
			k.seen.last[address.String()] = now
		}
	}
}

// following notes the mode of an address. What an earlier process counted there is not
// this one's.
func (k *Kernel) following(address netip.AddrPort, program *policy.Program) {
	counts, err := k.Verdicts()
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	listen := address.String()
	if _, set := k.seen.dry[listen]; !set && err == nil {
		k.seen.last[listen] = counts[address]
	}
	k.seen.dry[listen] = program.DryRun()
}

func (s *kernelSeen) forgotten(address netip.AddrPort) {
	s.forget(address.String())
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dry, address.String())
	delete(s.last, address.String())
}

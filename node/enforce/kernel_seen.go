package enforce

import (
	"net/netip"
	"sync"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// kernelSeen is what the kernel has decided. It counts by itself, by address and
// reason; here the counts are put to the mode in which they were made, and those of its
// routes to the policies.
type kernelSeen struct {
	*Seen
	refusals *bpf.Refusals
	reading  sync.WaitGroup

	mu   sync.Mutex
	dry  map[string]bool                      // by address that is set, guarded by mu
	last map[string][policy.ReasonsMax]uint64 // as they were read last, guarded by mu
	hits map[string]bpf.Hits                  // the same of routes, guarded by mu
	// Probes of self-tests, by address, that are still to be left out of the counts
	// and of what is told.
	uncounted, untold map[string]int // guarded by mu
}

// watch begins to read the kernel's refusals, until close.
func (k *Kernel) watch() error {
	refusals, err := k.Refusals()
	if err != nil {
		return err
	}
	k.seen = &kernelSeen{
		Seen: NewSeen(), refusals: refusals, dry: map[string]bool{}, last: map[string][policy.ReasonsMax]uint64{},
		hits:      map[string]bpf.Hits{},
		uncounted: map[string]int{}, untold: map[string]int{},
	}
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
	if r.Decision.Reason == policy.ReasonMalformed && s.probe(r.Listen.String()) {
		return
	}
	s.refused(r.Time, Refusal{
		Listen: r.Listen.String(), Method: policy.MethodName(r.Method), Decision: r.Decision, Subject: r.Subject,
	})
}

// probe takes a refusal for that of a probe, if one is awaited.
func (s *kernelSeen) probe(listen string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.untold[listen] == 0 {
		return false
	}
	s.untold[listen]--
	return true
}

// inspect tests a listener. What the gate refuses of the test is nobody's request, and
// neither counted nor told.
func (k *Kernel) inspect(address netip.AddrPort, l bpf.Listener) (bpf.Finding, error) {
	k.count()
	k.seen.expect(address.String(), bpf.ProbesMax)
	found, err := k.Inspect(address, l)
	k.count()
	k.seen.expect(address.String(), found.Refused-bpf.ProbesMax)
	return found, err
}

// expect awaits more probes, or fewer. What was counted is in the tables when a test
// ends; what is told may still be on its way.
func (s *kernelSeen) expect(listen string, more int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uncounted[listen] = max(0, more)
	s.untold[listen] = max(0, s.untold[listen]+more)
}

// Seen implements Gate.
func (k *Kernel) Seen() *Seen {
	k.count()
	k.countRoutes()
	return k.seen.Seen
}

// countRoutes adds what the routes of some addresses, or of all, have decided since the
// last time. A program that is put in place begins at nothing.
func (k *Kernel) countRoutes(of ...netip.AddrPort) {
	hits, err := k.Hits(of...)
	if err != nil {
		k.log.Error("counts of routes in the kernel cannot be read", "error", err)
		return
	}
	k.seen.mu.Lock()
	defer k.seen.mu.Unlock()
	for address, now := range hits {
		listen := address.String()
		if _, set := k.seen.dry[listen]; !set {
			continue
		}
		before := k.seen.hits[listen]
		if before.Program != now.Program {
			before = bpf.Hits{}
		}
		k.seen.advanceRoutes(listen, now.Version, before.Routes, now.Routes)
		k.seen.hits[listen] = now
	}
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
			k.seen.Seen.advance(address.String(), k.seen.sinceProbes(address.String(), now), now, dry)
			k.seen.last[address.String()] = now
		}
	}
}

// sinceProbes are the counts of before, with the probes that came since. The caller
// holds mu.
func (s *kernelSeen) sinceProbes(listen string, now [policy.ReasonsMax]uint64) [policy.ReasonsMax]uint64 {
	before := s.last[listen]
	if came := now[policy.ReasonMalformed] - min(now[policy.ReasonMalformed], before[policy.ReasonMalformed]); came > 0 {
		probes := min(came, uint64(s.uncounted[listen]))
		before[policy.ReasonMalformed] += probes
		s.uncounted[listen] -= int(probes)
	}
	return before
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
	k.seen.follow(listen, program)
}

func (s *kernelSeen) forgotten(address netip.AddrPort) {
	s.left(address)
	s.forget(address.String())
}

// left keeps what was counted of an address that is another gate's from now on.
func (s *kernelSeen) left(address netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.dry, address.String())
	delete(s.last, address.String())
	delete(s.hits, address.String())
	delete(s.uncounted, address.String())
	delete(s.untold, address.String())
}

package enforce

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// guarded is one address of a service that the kernel gate was given. Whoever
// listens there is tested first: what the kernel cannot guard is shut, and where
// nobody listens but the service's upstream does, the user-space gate takes the
// address.
type guarded struct {
	address   netip.AddrPort
	upstream  string
	org       uint32
	program   *policy.Program
	confirmed bool // since the last Reset

	tested  map[uint64]bool // listeners that are safe, by cookie
	refused map[uint64]bool // listeners for which the address is shut
	why     string          // it is shut, or relayed
	relayed bool            // by the user-space gate
	crowded bool            // the kernel has no place left for it, or no room for its program, and nothing is let through
	apart   bool            // it has settings of that gate, and the kernel never guards it
	unread  int             // tests in a row of which nobody read a probe, or tries to take the address
	turns   int             // Reaps since the last of them
	warned  bool            // that it is in a dry run and not tested
}

// untested is said of an address in a dry run whose application no test has found safe.
const untested = "nothing is tested in a dry run: an application that passes its clients' bytes on by splice hangs until the user-space gate stands before it"

// SetService implements Table; the program knows its organization.
func (k *Kernel) SetService(listen, upstream string, org uint32, program *policy.Program) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	if override := k.settings[listen].Upstream; override != "" {
		upstream = override
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s, known := k.services[listen]
	if !known {
		s = &guarded{address: address, tested: map[uint64]bool{}, apart: k.settings[listen].Apart()}
		k.services[listen] = s
	}
	dry := known && s.program.DryRun()
	s.upstream, s.org, s.program, s.confirmed = upstream, org, program, true
	if s.relayed {
		space := k.space.Load()
		if err := space.SetService(listen, upstream, org, program); err != nil || space.serves(listen) {
			return err
		}
		s.relayed, s.why, known = false, "", false // it said why; the kernel has the address again
	}
	if s.apart {
		return k.setApart(listen, s)
	}
	k.count() // in the mode before
	k.countRoutes(address)
	crowded := s.crowded
	if err := k.setInKernel(listen, s); err != nil || k.services[listen] == nil {
		return err
	}
	if known && dry == program.DryRun() && !crowded {
		return nil
	}
	if !known && !s.crowded { // what an earlier process has shut is tested anew
		if err := k.Shut(address, false); err != nil {
			return err
		}
	}
	if err := k.attend(listen, s); !errors.Is(err, errRefill) {
		return err
	}
	return nil // Reap asks for the rows
}

// setInKernel sets an address in the kernel, which shuts one for which it has no place
// and refuses everything where a program does not fit. Reap tries again. An address that
// another service has under another spelling is forgotten.
func (k *Kernel) setInKernel(listen string, s *guarded) error {
	err := k.Enforcer.SetService(s.address, s.program)
	switch {
	case errors.Is(err, bpf.ErrCrowded), errors.Is(err, bpf.ErrNoRoom):
		if !s.crowded {
			if s.crowded = true; len(s.refused) == 0 {
				s.why = err.Error()
			}
			k.log.Error("a service is shut", "listen", listen, "because", err, "mend", "remove other addresses or shorten policies, or let it listen on its upstream and not here: the user-space gate takes the address then")
		}
		return nil
	case err != nil:
		delete(k.services, listen)
		return k.firstSpelling(err)
	}
	k.following(s.address, s.program)
	if !s.crowded {
		return nil
	}
	if s.crowded = false; len(s.refused) > 0 {
		return nil // still shut for who listens there
	}
	s.why = ""
	return k.Shut(s.address, false)
}

// setApart gives an address to the user-space gate because of its settings. While that
// gate cannot have it, the kernel keeps everything from whoever listens there.
func (k *Kernel) setApart(listen string, s *guarded) error {
	if err := k.relay(listen, s, "it has settings of that gate"); err != nil || s.relayed {
		return err
	}
	s.why = "the user-space gate cannot take the address"
	if err := k.setInKernel(listen, s); err != nil || k.services[listen] == nil {
		return err
	}
	return k.Shut(s.address, true)
}

// RemoveService implements Table.
func (k *Kernel) RemoveService(listen string) error {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return fmt.Errorf("address of a service: %w", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	s, known := k.services[listen]
	delete(k.services, listen)
	if known && s.relayed {
		return k.space.Load().RemoveService(listen)
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

// Reap implements Gate.
func (k *Kernel) Reap() error {
	errs := []error{k.Enforcer.Reap()}
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, leak := range k.TakeLeaks() {
		errs = append(errs, k.leaked(leak))
	}
	for listen, s := range k.services {
		errs = append(errs, k.attend(listen, s))
	}
	if space := k.space.Load(); space != nil {
		errs = append(errs, space.Reap())
	}
	return errors.Join(errs...)
}

// attend tests the listeners of an address that were not tested yet. The caller
// holds the lock.
func (k *Kernel) attend(listen string, s *guarded) error {
	if s.relayed {
		return nil // nobody else can listen there
	}
	if s.apart {
		if s.turns++; s.turns < 1<<min(s.unread, testPauseMax) {
			return nil
		}
		s.turns, s.unread = 0, s.unread+1
		return k.relay(listen, s, "it has settings of that gate")
	}
	all, err := bpf.Listeners()
	if err != nil {
		return err
	}
	here := slices.DeleteFunc(slices.Clone(all), func(l bpf.Listener) bool { return !l.Serves(s.address) })
	if len(here) == 0 && s.listensUpstream(all) {
		return k.relay(listen, s, "nobody listens there, and its upstream "+s.upstream+" does")
	}
	if s.crowded && !s.confirmed {
		return nil // its program may be one of before
	}
	if s.crowded {
		if err := k.setInKernel(listen, s); err != nil || s.crowded {
			return err
		}
	}
	if s.program.DryRun() {
		if s.untested(here) && !s.warned {
			s.warned = true
			k.log.Warn("a service in a dry run may hang", "listen", listen, "because", untested)
		}
		return k.reopen(s) // it refuses nothing, and no probe
	}
	s.warned = false
	if len(s.refused) > 0 {
		if slices.ContainsFunc(here, func(l bpf.Listener) bool { return s.refused[l.Cookie] }) {
			return nil // still shut
		}
		if err := k.reopen(s); err != nil {
			return err
		}
	}
	if s.turns++; s.unread > 0 && s.turns < 1<<min(s.unread, testPauseMax) {
		return nil // it has enough unread connections from us
	}
	s.turns = 0
	for _, l := range here {
		if s.tested[l.Cookie] {
			continue
		}
		if err := k.test(listen, s, l, here); err != nil || len(s.refused) > 0 {
			return err
		}
	}
	return nil
}

// untested reports whether somebody listens there whom no test has found safe.
func (s *guarded) untested(here []bpf.Listener) bool {
	return slices.ContainsFunc(here, func(l bpf.Listener) bool { return !s.tested[l.Cookie] })
}

// reopen ends that an address is shut for who listened there.
func (k *Kernel) reopen(s *guarded) error {
	if len(s.refused) == 0 {
		return nil
	}
	s.refused, s.why = nil, ""
	return k.Shut(s.address, false)
}

// testPauseMax is the power of two of Reaps between two tests of an application
// that reads nothing.
const testPauseMax = 8

func (k *Kernel) test(listen string, s *guarded, l bpf.Listener, here []bpf.Listener) error {
	found, err := k.inspect(s.address, l)
	switch {
	case err != nil:
		return err
	case found.Unsafe != "":
		return k.refuse(listen, s, here, found.Unsafe)
	case found.Unread:
		s.unread++
		return nil
	}
	s.unread = 0
	s.tested[l.Cookie] = true
	var notes []string
	if found.Multipath {
		notes = append(notes, "its clients of MPTCP wait three seconds and fall back to TCP")
	}
	if found.Abrupt {
		notes = append(notes, "it ends a refused connection itself, at times before the answer has left")
	}
	k.log.Info("a service is guarded by the kernel", "listen", listen, "note", strings.Join(notes, "; "))
	return nil
}

// refuse shuts an address until somebody else listens there.
func (k *Kernel) refuse(listen string, s *guarded, here []bpf.Listener, why string) error {
	mend := "give the service an upstream, and let it listen there and not here"
	if s.upstream != "" {
		mend = "let it listen on its upstream " + s.upstream + " and not here"
	}
	k.log.Error("a service is shut, for the kernel cannot guard it", "listen", listen, "because", why, "mend", mend+": the user-space gate takes the address then")
	s.refused, s.why = map[uint64]bool{}, why
	for _, l := range here {
		s.refused[l.Cookie] = true
		delete(s.tested, l.Cookie)
	}
	return k.Shut(s.address, true)
}

// leaked shuts the address on which an application has answered what the gate had
// not seen.
func (k *Kernel) leaked(local netip.AddrPort) error {
	all, err := bpf.Listeners()
	if err != nil {
		return err
	}
	for listen, s := range k.services {
		if s.relayed || len(s.refused) > 0 || s.program.DryRun() || !overlap(listen, local.String()) {
			continue
		}
		here := slices.DeleteFunc(slices.Clone(all), func(l bpf.Listener) bool { return !l.Serves(s.address) })
		if err := k.refuse(listen, s, here, "it answered a request that the gate had not seen"); err != nil {
			return err
		}
	}
	return nil
}

// Standing is how one address is guarded.
type Standing struct {
	Listen string
	Mode   string // kernel, gate, or shut
	Why    string // not by the kernel, or what may be wrong with that
}

// Standings are those of all addresses, in order.
func (k *Kernel) Standings() (all []Standing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for listen, s := range k.services {
		mode, why := "kernel", s.why
		switch {
		case s.relayed:
			mode = "gate"
		case len(s.refused) > 0, s.apart, s.crowded:
			mode = "shut"
		case s.warned:
			why = untested
		}
		all = append(all, Standing{listen, mode, why})
	}
	slices.SortFunc(all, func(a, b Standing) int { return strings.Compare(a.Listen, b.Listen) })
	return all
}

func (s *guarded) listensUpstream(all []bpf.Listener) bool {
	upstream, err := netip.ParseAddrPort(s.upstream)
	return err == nil && slices.ContainsFunc(all, func(l bpf.Listener) bool { return l.Serves(upstream) })
}

// relay gives an address to the user-space gate: it has the address before the
// kernel lets go of it, and no connection of before is left, whose bytes the kernel
// holds back.
func (k *Kernel) relay(listen string, s *guarded, why string) error {
	space := k.space.Load()
	fresh := space == nil
	if fresh {
		space = newUserSpace(k.settings, k.seen.Seen, k.log)
	}
	if err := space.SetService(listen, s.upstream, s.org, s.program); err != nil {
		return err
	}
	if !space.serves(listen) {
		return nil // it said why; the kernel keeps the address
	}
	k.space.Store(space)
	s.relayed, s.crowded, s.refused, s.tested = true, false, nil, map[uint64]bool{}
	s.why = why
	k.log.Warn("a service is guarded by the user-space gate", "listen", listen, "because", s.why)
	k.count()
	if err := k.Release(s.address); err != nil {
		return err
	}
	k.seen.left(s.address)
	if fresh {
		return errRefill
	}
	return nil
}

// serves reports whether the gate listens on an address.
func (u *UserSpace) serves(listen string) bool {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.services[listen] != nil
}

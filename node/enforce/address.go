package enforce

import (
	"bytes"
	"errors"
	"maps"
	"net/netip"
	"slices"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// compile brings the services of an organization up to the root, and hands the
// addresses that it lets go to those that wait for them.
func (p *projection) compile(root *state.Root, view *state.Org) error {
	if err := p.place(view); err != nil {
		return err
	}
	return p.handOverAll(root)
}

// place writes the programs of an organization. The numbers of roles and
// permissions are the organization's, so all its programs are made anew together,
// and then all its subjects.
func (p *projection) place(view *state.Org) error {
	o := p.org(view.ID())
	var services []*directory.Service
	view.EachService(func(s *directory.Service) bool { services = append(services, s); return true })
	o.numbers = policy.NewNumbering(allRoutes(services))
	delete(p.waiting, view.ID())
	p.claimAll(view)
	failed := []error{p.guardAll(view)}
	wanted := map[string]bool{}
	for _, s := range services {
		program, closed, err := compiled(s, o.ordinal, o.numbers)
		if err != nil {
			return err
		}
		for _, address := range s.Listen {
			if !p.listen(address) {
				continue
			}
			if !p.claim(view, address, owner{view.ID(), s.ID}) {
				p.waiting[view.ID()] = true
				continue
			}
			wanted[address] = true
			if err := p.table.SetService(address, s.Upstream, o.ordinal, program); err != nil {
				failed = append(failed, err)
				continue
			}
			p.followed.set(followed(view.ID(), s, address, closed))
		}
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	p.retire(view.ID(), wanted)
	return p.everybody(view)
}

// claimAll claims the addresses of an organization's services.
func (p *projection) claimAll(view *state.Org) {
	view.EachService(func(s *directory.Service) bool {
		for _, address := range s.Listen {
			if p.listen(address) {
				p.claim(view, address, owner{view.ID(), s.ID})
			}
		}
		return true
	})
}

// guardAll guards the addresses that an organization's services have, but for dry runs,
// which refuse nothing.
func (p *projection) guardAll(view *state.Org) error {
	var failed []error
	view.EachService(func(s *directory.Service) bool {
		for _, address := range s.Listen {
			if !s.DryRun && p.services[address] == (owner{view.ID(), s.ID}) {
				failed = append(failed, p.table.Guard(address))
			}
		}
		return true
	})
	return errors.Join(failed...)
}

// claim gives an address to a service unless an older one has it, or one that it
// overlaps with: another organization must never decide about what reaches a
// listener. Ids are in the order of creation, so that it is the same service after
// a restart; a younger one that came first gives way, and waits.
func (p *projection) claim(view *state.Org, address string, by owner) (won bool) {
	for held, other := range p.services {
		if other == by || !overlap(held, address) {
			continue
		}
		if _, alive := view.Service(other.service); other.org == by.org && !alive {
			continue // deleted, and about to be retired
		}
		if bytes.Compare(other.service[:], by.service[:]) < 0 {
			return false
		}
	}
	for held, other := range p.services {
		if other != by && overlap(held, address) {
			p.waiting[other.org] = true
			p.letGo(held)
		}
	}
	p.services[address] = by
	return true
}

// letGo takes an address from its service. It is enforced until handOver.
func (p *projection) letGo(address string) {
	delete(p.services, address)
	p.gone = append(p.gone, address)
}

// retire lets the addresses of an organization go that are not wanted any more.
func (p *projection) retire(org directory.OrgID, wanted map[string]bool) {
	for address, first := range p.services {
		if first.org == org && !wanted[address] {
			p.letGo(address)
		}
	}
}

// handOverAll goes on while those that had their turn let others go.
func (p *projection) handOverAll(root *state.Root) error {
	for len(p.gone) > 0 {
		if err := p.handOver(root); err != nil {
			return err
		}
	}
	return nil
}

// handOver ends the enforcement of addresses that no service has, once those that
// wait have had their turn: one that the next service wants, alone or as a part, is
// not open in between. A gate that listens itself could not take a part of an
// address before that was given back, so whoever has one is asked again.
func (p *projection) handOver(root *state.Root) error {
	gone := slices.Compact(slices.Sorted(slices.Values(p.gone)))
	p.gone = nil
	if err := p.placeEach(root, p.waiting); err != nil {
		return err
	}
	overlapped := map[directory.OrgID]bool{}
	for _, address := range gone {
		if _, taken := p.services[address]; taken {
			continue
		}
		if err := p.table.RemoveService(address); err != nil {
			return err
		}
		p.followed.forget(address)
		for other, by := range p.services {
			if overlap(other, address) {
				overlapped[by.org] = true
			}
		}
	}
	return p.placeEach(root, overlapped)
}

func (p *projection) placeEach(root *state.Root, orgs map[directory.OrgID]bool) error {
	for _, id := range slices.SortedFunc(maps.Keys(orgs), func(a, b directory.OrgID) int { return bytes.Compare(a[:], b[:]) }) {
		if view, ok := root.Org(id); ok {
			if err := p.place(view); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop takes away what an organization had that is gone from the state.
func (p *projection) drop(root *state.Root, id directory.OrgID) error {
	o, ok := p.orgs[id]
	if !ok {
		return nil
	}
	for _, s := range o.subjects {
		for session := range s.sessions {
			if err := p.forget(session); err != nil {
				return err
			}
		}
	}
	delete(p.orgs, id)
	delete(p.waiting, id)
	p.retire(id, nil)
	return p.handOverAll(root)
}

// overlap reports whether a connection can reach both addresses: they have one
// port, and one IP address or one that means all.
func overlap(a, b string) bool {
	left, errA := netip.ParseAddrPort(a)
	right, errB := netip.ParseAddrPort(b)
	if errA != nil || errB != nil {
		return a == b
	}
	return left.Port() == right.Port() && (left.Addr().Unmap() == right.Addr().Unmap() ||
		left.Addr().IsUnspecified() || right.Addr().IsUnspecified())
}

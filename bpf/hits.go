package bpf

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/cilium/ebpf"
)

// Hits are what the routes of an address have decided since its program was put in
// place, by the index of the route; there are none where there was no room for them.
type Hits struct {
	Program uint64 // another one begins to count anew
	Version uint64 // of the policies
	Routes  []RouteHits
}

// RouteHits are those of one route.
type RouteHits struct{ LetThrough, Refused uint64 }

// Hits reads those of some addresses that are set; of all, if none is named.
func (e *Enforcer) Hits(of ...netip.AddrPort) (map[netip.AddrPort]Hits, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[netip.AddrPort]Hits{}
	for _, s := range e.services {
		if s.listen == (netip.AddrPort{}) || s.word == 0 || len(of) > 0 && !slices.Contains(of, s.listen) {
			continue
		}
		h := Hits{Program: s.word, Version: s.program.Version(), Routes: make([]RouteHits, s.hits.size)}
		for i := range h.Routes {
			var err error
			if h.Routes[i], err = e.hitsOf(s.hits.from + uint32(i)); err != nil {
				return nil, err
			}
		}
		all[s.listen] = h
	}
	return all, nil
}

func (e *Enforcer) hitsOf(which uint32) (sum RouteHits, err error) {
	var perCPU []obj.EnforceHit
	if err := e.objects.Hits.Lookup(which, &perCPU); err != nil {
		return sum, fmt.Errorf("counts of a route: %w", err)
	}
	for _, one := range perCPU {
		sum.LetThrough += one.LetThrough
		sum.Refused += one.Refused
	}
	return sum, nil
}

// clearHits begins to count anew: the places were another program's.
func (e *Enforcer) clearHits(hits span) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	zero := make([]obj.EnforceHit, cpus)
	for i := range hits.size {
		if err := e.objects.Hits.Put(hits.from+i, zero); err != nil {
			return fmt.Errorf("counts of a route: %w", err)
		}
	}
	return nil
}

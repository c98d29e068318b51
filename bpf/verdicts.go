package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

// Verdicts are the kernel's counts by reason, of each address that is set. They begin
// when the address is guarded.
func (e *Enforcer) Verdicts() (map[netip.AddrPort][policy.ReasonsMax]uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := map[netip.AddrPort][policy.ReasonsMax]uint64{}
	for _, s := range e.services {
		if s.listen == (netip.AddrPort{}) {
			continue
		}
		var counts [policy.ReasonsMax]uint64
		for reason := policy.ReasonNoRoute; reason <= policy.ReasonInternal; reason++ {
			n, err := total(e.objects.Verdicts, s.slot()*policy.ReasonsMax+uint32(reason))
			if err != nil {
				return nil, err
			}
			counts[reason] = n
		}
		all[s.listen] = counts
	}
	return all, nil
}

// clearVerdicts begins to count anew: the slot was another address's.
func (e *Enforcer) clearVerdicts(slot uint32) error {
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	for reason := range uint32(policy.ReasonsMax) {
		if err := e.objects.Verdicts.Put(slot*policy.ReasonsMax+reason, make([]uint64, cpus)); err != nil {
			return fmt.Errorf("counts of an address: %w", err)
		}
	}
	return nil
}

// Refusal is one that the kernel told of: a sample, since its ring may be full.
type Refusal struct {
	Time     time.Time
	Listen   netip.AddrPort
	Method   int // negative: the request could not be read
	Subject  policy.Subject
	Decision policy.Decision
}

// Refusals reads the kernel's ring until Close, and tells of each. One of an address
// that is not set any more is left out.
type Refusals struct {
	of   *Enforcer
	ring *ringbuf.Reader
}

// Refusals opens the ring. There is one reader of it.
func (e *Enforcer) Refusals() (*Refusals, error) {
	ring, err := ringbuf.NewReader(e.objects.Refusals)
	if err != nil {
		return nil, fmt.Errorf("refusals: %w", err)
	}
	return &Refusals{e, ring}, nil
}

// Close ends Run.
func (r *Refusals) Close() error { return r.ring.Close() }

// Run returns after Close, or when the ring cannot be read.
func (r *Refusals) Run(tell func(Refusal)) error {
	var record ringbuf.Record
	for {
		switch err := r.ring.ReadInto(&record); {
		case errors.Is(err, ringbuf.ErrClosed), errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			return fmt.Errorf("refusals: %w", err)
		}
		told, err := parseRefusal(record.RawSample)
		if err != nil {
			return err
		}
		if refusal, ok := r.of.name(told); ok {
			tell(refusal)
		}
	}
}

// name finds whose refusal it is, and the route: the row that the path led to, if the
// program still is the one that the request was read with.
func (e *Enforcer) name(told obj.EnforceRefusal) (Refusal, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.services {
		if s.slot() != uint32(told.Slot) || s.listen == (netip.AddrPort{}) {
			continue
		}
		r := Refusal{Time: wallAt(told.Time), Listen: s.listen, Method: -1, Subject: subjectOf(told.Subject)}
		r.Decision = policy.Decision{Reason: policy.Reason(told.Reason), Route: policy.NoRoute, DryRun: told.DryRun != 0}
		if told.Read == 0 {
			return r, true
		}
		r.Method = int(told.Method)
		if s.word != 0 && told.Program == s.word {
			flow := policy.Flow{Method: r.Method}
			if first := uint32(s.word & (1<<rowBits - 1)); first != 0 && uint32(told.Row) >= first {
				flow.State = uint16(uint32(told.Row) - first + 1)
			}
			r.Decision.Route, r.Decision.Version = s.program.Route(flow), s.program.Version()
		}
		return r, true
	}
	return Refusal{}, false
}

func parseRefusal(b []byte) (told obj.EnforceRefusal, err error) {
	_, err = binary.Decode(b, binary.NativeEndian, &told)
	return told, err
}

func subjectOf(key obj.EnforceSubjectKey) (s policy.Subject) {
	binary.NativeEndian.PutUint64(s[:8], key.Id[0])
	binary.NativeEndian.PutUint64(s[8:], key.Id[1])
	return s
}

// wallAt is a moment of the boot clock as both stand now.
func wallAt(bootNs uint64) time.Time {
	return time.Now().Add(-time.Duration(int64(BootNow()) - int64(bootNs)))
}

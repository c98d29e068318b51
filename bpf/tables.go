package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
)

// Sizes of the kernel's tables, as in src/maps.h.
const (
	servicesMax = 256
	rowsMax     = 16384
	acceptsMax  = 4096
)

// generations counts programs; zero is never one.
var generations atomic.Uint32

// SetKey sets the secret of the token keys. The lease is kept.
func (e *Enforcer) SetKey(k0, k1 uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var c obj.EnforceControl
	if err := e.objects.Controls.Lookup(uint32(0), &c); err != nil {
		return err
	}
	c.K0, c.K1 = k0, k1
	return e.objects.Controls.Put(uint32(0), &c)
}

// ExtendLease lets requests with tokens through until the boot clock reaches
// untilNs. The caller has proved that the tables are current.
func (e *Enforcer) ExtendLease(untilNs uint64) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var c obj.EnforceControl
	if err := e.objects.Controls.Lookup(uint32(0), &c); err != nil {
		return err
	}
	c.Lease = max(c.Lease, untilNs)
	return e.objects.Controls.Put(uint32(0), &c)
}

// LeaseUntil is the boot time at which the lease runs out; 0 is lapsed.
func (e *Enforcer) LeaseUntil() (uint64, error) {
	var c obj.EnforceControl
	err := e.objects.Controls.Lookup(uint32(0), &c)
	return c.Lease, err
}

func (e *Enforcer) key(listen netip.AddrPort) obj.EnforceServiceKey {
	k := obj.EnforceServiceKey{Netns: e.netns, Port: listen.Port()}
	if !listen.Addr().IsUnspecified() {
		k.Address = listen.Addr().As16()
	}
	return k
}

// SetService starts to enforce an address, or swaps its program. The address is
// guarded before the program is in place; the swap is one write.
func (e *Enforcer) SetService(listen netip.AddrPort, org uint32, program *policy.Program) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	s, ok := e.services[key]
	if !ok {
		slot, free := e.freeSlot()
		if !free {
			return fmt.Errorf("more than %d addresses on this node", servicesMax)
		}
		s = &service{slot: slot}
		if err := e.objects.Slots.Put(slot, &obj.EnforceSlot{}); err != nil {
			return err
		}
		if err := e.objects.Services.Put(&key, slot); err != nil {
			return err
		}
		e.services[key] = s
	}
	oldRows, oldAccepts := s.rows, s.accts
	if err := e.write(s, org, program); err != nil {
		return fmt.Errorf("program of %s: %w", listen, err)
	}
	s.confirmed = true
	e.free.rows.give(oldRows)
	e.free.accepts.give(oldAccepts)
	if !ok {
		return e.sweepOlder(listen)
	}
	return nil
}

func (e *Enforcer) freeSlot() (uint32, bool) {
	used := map[uint32]bool{}
	for _, s := range e.services {
		used[s.slot] = true
	}
	for slot := range uint32(servicesMax) {
		if !used[slot] {
			return slot, true
		}
	}
	return 0, false
}

// write puts a program into free rows and then points the slot at them. On a
// failure the slot keeps its old program.
func (e *Enforcer) write(s *service, org uint32, program *policy.Program) error {
	rows, ok := e.free.rows.take(uint32(len(program.Rows) - 1))
	if !ok {
		return fmt.Errorf("%d path states do not fit", len(program.Rows))
	}
	accepts, ok := e.free.accepts.take(uint32(len(program.Accepts) - 1))
	if !ok {
		e.free.rows.give(rows)
		return fmt.Errorf("%d rule sets do not fit", len(program.Accepts))
	}
	if err := e.copyProgram(program, rows.from, accepts.from); err != nil {
		e.free.rows.give(rows)
		e.free.accepts.give(accepts)
		return err
	}
	s.rows, s.accts, s.generation = rows, accepts, generations.Add(1)
	slot := obj.EnforceSlot{Start: rows.from, Generation: s.generation, Org: org}
	if len(program.Rows) < 2 {
		slot.Start = 0 // no route at all: everything is refused
	}
	return e.objects.Slots.Put(s.slot, &slot)
}

// copyProgram moves the program's own numbers, which begin at 1, to where its
// rows and rule sets lie.
func (e *Enforcer) copyProgram(program *policy.Program, row, accept uint32) error {
	for i := 1; i < len(program.Accepts); i++ {
		if err := e.objects.Accepts.Put(accept+uint32(i)-1, &program.Accepts[i]); err != nil {
			return err
		}
	}
	for i := 1; i < len(program.Rows); i++ {
		moved := program.Rows[i]
		if moved.Accept != 0 {
			moved.Accept += uint16(accept) - 1
		}
		for b, next := range moved.Next {
			if next != 0 {
				moved.Next[b] = next + uint16(row) - 1
			}
		}
		if err := e.objects.Rows.Put(row+uint32(i)-1, &moved); err != nil {
			return err
		}
	}
	return nil
}

// RemoveService ends the enforcement of an address: it is open afterwards.
func (e *Enforcer) RemoveService(listen netip.AddrPort) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.remove(e.key(listen))
}

func (e *Enforcer) remove(key obj.EnforceServiceKey) error {
	s, ok := e.services[key]
	if !ok {
		return nil
	}
	if err := e.objects.Services.Delete(&key); err != nil {
		return err
	}
	delete(e.services, key)
	e.free.rows.give(s.rows)
	e.free.accepts.give(s.accts)
	return e.objects.Slots.Put(s.slot, &obj.EnforceSlot{})
}

// RemoveUnconfirmed ends the enforcement of addresses that an earlier process
// enforced and this one was not told of, once it knows all of them.
func (e *Enforcer) RemoveUnconfirmed() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, s := range e.services {
		if !s.confirmed {
			if err := e.remove(key); err != nil {
				return err
			}
		}
	}
	return nil
}

// PutToken and its siblings write one row.
func (e *Enforcer) PutToken(key policy.TokenKey, entry policy.TokenEntry) error {
	return e.objects.Tokens.Put(&key, &entry)
}

func (e *Enforcer) DeleteToken(key policy.TokenKey) error {
	return ignoreMissing(e.objects.Tokens.Delete(&key))
}

func (e *Enforcer) PutSubject(subject uint32, entry policy.SubjectEntry) error {
	return e.objects.Subjects.Put(subject, &entry)
}

func (e *Enforcer) DeleteSubject(subject uint32) error {
	return ignoreMissing(e.objects.Subjects.Delete(subject))
}

func ignoreMissing(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// allocator hands out rows and rule sets. Row and rule set 0 mean none. A span
// may be given out again at once: a request that was read with the old rows
// carries another generation and is refused.
type allocator struct{ rows, accepts spans }

func newAllocator() allocator {
	return allocator{rows: spans{{1, rowsMax - 1}}, accepts: spans{{1, acceptsMax - 1}}}
}

type span struct{ from, size uint32 }

type spans []span

func (s *spans) take(size uint32) (span, bool) {
	if size == 0 {
		return span{}, true
	}
	for i := range *s {
		free := &(*s)[i]
		if free.size >= size {
			taken := span{free.from, size}
			free.from += size
			free.size -= size
			return taken, true
		}
	}
	return span{}, false
}

// give returns a span and joins neighbours.
func (s *spans) give(back span) {
	if back.size == 0 {
		return
	}
	for i := range *s {
		free := &(*s)[i]
		switch {
		case free.from+free.size == back.from:
			free.size += back.size
			return
		case back.from+back.size == free.from:
			free.from, free.size = back.from, free.size+back.size
			return
		}
	}
	*s = append(*s, back)
}

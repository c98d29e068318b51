package bpf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Sizes of the kernel's tables, as in src/maps.h.
const (
	servicesMax  = 256
	addressesMax = 8192
	rowsMax      = 16384
	acceptsMax   = 4096
	hitsMax      = 16384
)

// Bits of a slot's words below the serial, as in src/maps.h.
const (
	slotBits = 8
	rowBits  = 16
)

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

// key is the address in the tables. All spellings of an address are one: an
// IPv4 address may be written as one of IPv6, both families have the address
// that stands for all, and the kernel knows no zones.
func (e *Enforcer) key(listen netip.AddrPort) obj.EnforceServiceKey {
	k := obj.EnforceServiceKey{Netns: e.netns, Port: listen.Port()}
	if address := listen.Addr().Unmap().WithZone(""); !address.IsUnspecified() {
		k.Address = address.As16()
	}
	return k
}

// ErrOtherSpelling is the refusal to set or remove an address that is set under
// another spelling: "0.0.0.0:80" and "[::]:80" cannot be of two services.
var ErrOtherSpelling = errors.New("the address is set under another spelling")

// spelling is how an address was written when it was set since Open or Reset.
func (e *Enforcer) spelling(key obj.EnforceServiceKey) netip.AddrPort {
	if s, known := e.services[key]; known {
		return s.listen
	}
	return e.crowded[key]
}

// SetService starts to enforce an address, or swaps its program. The address is
// guarded before the program is in place; the swap is one write. One for which there
// is no slot is shut: ErrCrowded. One whose program does not fit is guarded without
// any, and everything is refused: ErrNoRoom. When it fails otherwise, an address that
// was guarded keeps its program, and another one is open as before or guarded without
// a program.
func (e *Enforcer) SetService(listen netip.AddrPort, program *policy.Program) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	if was := e.spelling(key); was != (netip.AddrPort{}) && was != listen {
		return fmt.Errorf("%s: %w: %s", listen, ErrOtherSpelling, was)
	}
	s, known := e.services[key]
	if !known {
		var err error
		s, err = e.occupy(key, false)
		if errors.Is(err, ErrCrowded) {
			if failed := e.crowd(key, listen); failed != nil {
				err = failed // it is not even shut
			}
		}
		if err != nil {
			return fmt.Errorf("guard %s: %w", listen, err)
		}
	}
	s.listen = listen // also without its program: it is not let go
	var errs []error
	if err := e.write(s, program); err != nil {
		errs = append(errs, fmt.Errorf("program of %s: %w", listen, err))
	}
	if !known {
		errs = append(errs, e.endStale(map[uint16]bool{key.Port: true}))
	}
	return errors.Join(errs...)
}

// ErrCrowded is the refusal to set an address for which there is no slot left. It is
// shut, and may be set again when another one is removed.
var ErrCrowded = fmt.Errorf("more than %d addresses on this node", servicesMax)

// ErrNoRoom is the refusal of a row, or of a program, for which a table is full. What
// has no row is refused.
var ErrNoRoom = errors.New("the kernel's tables are full")

// crowd shuts an address without a slot.
func (e *Enforcer) crowd(key obj.EnforceServiceKey, listen netip.AddrPort) error {
	if err := e.objects.Services.Put(&key, uint64(0)); err != nil {
		return fmt.Errorf("more than %d addresses on this node: %w", addressesMax, err)
	}
	e.crowded[key] = listen
	return nil
}

// Guard keeps everything from an address that is not enforced yet: it is refused until
// SetService. Its connections are ended.
func (e *Enforcer) Guard(listen netip.AddrPort) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	if _, shut := e.crowded[key]; shut || e.services[key] != nil {
		return nil
	}
	if err := e.guard(key, false); err != nil {
		return fmt.Errorf("guard %s: %w", listen, err)
	}
	return e.endStale(map[uint16]bool{key.Port: true})
}

// guard takes over an address from an earlier process or another build.
func (e *Enforcer) guard(key obj.EnforceServiceKey, shut bool) error {
	_, err := e.occupy(key, shut)
	if errors.Is(err, ErrCrowded) {
		return e.crowd(key, netip.AddrPort{})
	}
	return err
}

// occupy gives an address a slot, and the slot a place that was never there
// before. The slot has it before the address, so that no connection is enrolled
// under a place that is nowhere.
func (e *Enforcer) occupy(key obj.EnforceServiceKey, shut bool) (*service, error) {
	slot, free := e.freeSlot()
	if !free {
		return nil, ErrCrowded
	}
	serial, err := e.serial()
	if err != nil {
		return nil, err
	}
	if err := e.clearVerdicts(slot); err != nil {
		return nil, err
	}
	s := &service{place: serial<<slotBits | uint64(slot), shut: shut}
	if err := e.objects.Slots.Put(slot, &obj.EnforceSlot{Place: s.place}); err != nil {
		return nil, err
	}
	if err := e.objects.Services.Put(&key, s.row()); err != nil {
		return nil, err
	}
	e.services[key] = s
	delete(e.crowded, key)
	return s, nil
}

// row is the place that the programs find for the address.
func (s *service) row() uint64 {
	if s.shut {
		return 0
	}
	return s.place
}

// Shut keeps everything from an enforced address, or ends that: for an application
// that this gate cannot guard. Its connections are ended.
func (e *Enforcer) Shut(listen netip.AddrPort, shut bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	s, known := e.services[key]
	if _, crowded := e.crowded[key]; crowded && shut {
		return nil
	}
	if !known {
		return fmt.Errorf("%s is not enforced", listen)
	}
	if s.shut == shut {
		return nil
	}
	s.shut = shut
	if err := e.objects.Services.Put(&key, s.row()); err != nil {
		s.shut = !shut
		return err
	}
	return e.endStale(map[uint16]bool{key.Port: true})
}

// Release lets an address go that another gate has taken. What a guard holds back
// would come in, so that its connections are ended before.
func (e *Enforcer) Release(listen netip.AddrPort) error {
	if !e.guardsAddress(listen) {
		return nil
	}
	return errors.Join(e.Shut(listen, true), e.End(listen), e.RemoveService(listen))
}

func (e *Enforcer) guardsAddress(listen netip.AddrPort) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	key := e.key(listen)
	_, shut := e.crowded[key]
	return shut || e.services[key] != nil
}

func (e *Enforcer) freeSlot() (uint32, bool) {
	used := map[uint32]bool{}
	for _, s := range e.services {
		used[s.slot()] = true
	}
	for slot := range uint32(servicesMax) {
		if !used[slot] {
			return slot, true
		}
	}
	return 0, false
}

// serial is a number that neither this process nor an earlier one has given out.
// It is noted before it is used; one that then stays unused is lost.
func (e *Enforcer) serial() (uint64, error) {
	var last uint64
	if err := e.objects.Serials.Lookup(uint32(0), &last); err != nil {
		return 0, fmt.Errorf("serials: %w", err)
	}
	last++
	return last, e.objects.Serials.Put(uint32(0), last)
}

// write puts a program into free rows and then points the slot at them. The old rows
// are given back when no slot points at them any more. Where both programs do not fit,
// the old one goes first: requests are refused until the new one is there. When that
// does not fit either, the slot has none; on another failure it keeps the old one.
func (e *Enforcer) write(s *service, program *policy.Program) error {
	rows, accepts, ok := e.free.room(program)
	if !ok {
		if err := e.unload(s); err != nil {
			return err
		}
		if rows, accepts, ok = e.free.room(program); !ok {
			return fmt.Errorf("%w: %d path states and %d rule sets do not fit", ErrNoRoom, len(program.Rows)-1, len(program.Accepts)-1)
		}
	}
	hits, _ := e.free.hits.take(uint32(program.Routes())) // without room they are not counted
	if err := e.point(s, program, rows.from, accepts.from, hits); err != nil {
		e.free.rows.give(rows)
		e.free.accepts.give(accepts)
		e.free.hits.give(hits)
		return err
	}
	e.free.rows.give(s.rows)
	e.free.accepts.give(s.accepts)
	e.free.hits.give(s.hits)
	s.rows, s.accepts, s.hits = rows, accepts, hits
	return nil
}

// unload takes the program out of a slot and then gives its rows back.
func (e *Enforcer) unload(s *service) error {
	if err := e.objects.Slots.Put(s.slot(), &obj.EnforceSlot{Place: s.place}); err != nil {
		return err
	}
	e.free.rows.give(s.rows)
	e.free.accepts.give(s.accepts)
	e.free.hits.give(s.hits)
	s.word, s.program = 0, nil
	s.rows, s.accepts, s.hits = span{}, span{}, span{}
	return nil
}

func (e *Enforcer) point(s *service, program *policy.Program, row, accept uint32, hits span) error {
	if err := errors.Join(e.clearHits(hits), e.copyProgram(program, row, accept, hits)); err != nil {
		return err
	}
	serial, err := e.serial()
	if err != nil {
		return err
	}
	// A program without routes has no first row: row 0 leads nowhere.
	word := serial<<rowBits | uint64(row)
	if err := e.objects.Slots.Put(s.slot(), &obj.EnforceSlot{Place: s.place, Program: word}); err != nil {
		return err
	}
	s.word, s.program = word, program
	return nil
}

// copyProgram moves the program's own numbers, which begin at 1, to where its
// rows and rule sets lie.
func (e *Enforcer) copyProgram(program *policy.Program, row, accept uint32, hits span) error {
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
		for method := range moved.Hits {
			route := program.Route(policy.Flow{State: uint16(i), Method: method})
			if route != policy.NoRoute && uint32(route) < hits.size {
				moved.Hits[method] = uint16(hits.from) + uint16(route)
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
	key := e.key(listen)
	if was := e.spelling(key); was != (netip.AddrPort{}) && was != listen {
		return fmt.Errorf("%s: %w: %s", listen, ErrOtherSpelling, was)
	}
	return e.remove(key)
}

// remove takes the address away and then the place, and gives the rows back last.
// The address's connections are ended: their place is nowhere.
func (e *Enforcer) remove(key obj.EnforceServiceKey) error {
	if err := ignoreMissing(e.objects.Services.Delete(&key)); err != nil {
		return err
	}
	delete(e.crowded, key)
	s, known := e.services[key]
	if !known {
		return nil
	}
	if err := e.objects.Slots.Put(s.slot(), &obj.EnforceSlot{}); err != nil {
		return err
	}
	delete(e.services, key)
	e.free.rows.give(s.rows)
	e.free.accepts.give(s.accepts)
	e.free.hits.give(s.hits)
	return e.endStale(map[uint16]bool{key.Port: true})
}

// Settle ends the enforcement of addresses that this process was not told of
// since Open or Reset, and connections that were left over from before. It is
// called once all addresses are known.
func (e *Enforcer) Settle() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for key, s := range e.services {
		if s.listen == (netip.AddrPort{}) {
			if err := e.remove(key); err != nil {
				return err
			}
		}
	}
	for key, listen := range e.crowded {
		if listen == (netip.AddrPort{}) {
			if err := e.remove(key); err != nil {
				return err
			}
		}
	}
	return e.endStale(e.ports())
}

// PutToken and its siblings write one row. A new one for which the table is full is
// refused with ErrNoRoom; one that is there can always be written anew.
func (e *Enforcer) PutToken(key policy.TokenKey, entry policy.TokenEntry) error {
	return noRoom(e.objects.Tokens.Put(&key, &obj.EnforceToken{
		Own: key.H0, Expires: entry.ExpiresNs, NotBefore: entry.NotBeforeNs, Subject: subjectKey(entry.Subject),
		Org: entry.Org, Length: entry.Length, Mfa: entry.MFA, Revoked: entry.Revoked,
	}))
}

// noRoom names the refusal of a row by a hash that is full.
func noRoom(err error) error {
	if errors.Is(err, unix.E2BIG) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

func (e *Enforcer) DeleteToken(key policy.TokenKey) error {
	return ignoreMissing(e.objects.Tokens.Delete(&key))
}

func (e *Enforcer) PutSubject(subject policy.Subject, entry policy.SubjectEntry) error {
	key := subjectKey(subject)
	return noRoom(e.objects.Subjects.Put(&key, &obj.EnforceSubject{
		Own: key, Disabled: entry.Disabled, Org: entry.Org,
		Rights: entry.Rights.Mask, Numbering: entry.Rights.Numbering,
	}))
}

func (e *Enforcer) DeleteSubject(subject policy.Subject) error {
	key := subjectKey(subject)
	return ignoreMissing(e.objects.Subjects.Delete(&key))
}

func subjectKey(s policy.Subject) (key obj.EnforceSubjectKey) {
	key.Id[0], key.Id[1] = binary.NativeEndian.Uint64(s[:8]), binary.NativeEndian.Uint64(s[8:])
	return key
}

func ignoreMissing(err error) error {
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil
	}
	return err
}

// allocator hands out rows and rule sets. Row and rule set 0 mean none. A span
// may be given out again once no slot points at it: a request that was read with
// the old rows has another program than its slot and is refused.
type allocator struct{ rows, accepts, hits spans }

// room takes what a program needs, or nothing.
func (a *allocator) room(program *policy.Program) (rows, accepts span, ok bool) {
	if rows, ok = a.rows.take(uint32(len(program.Rows) - 1)); !ok {
		return span{}, span{}, false
	}
	if accepts, ok = a.accepts.take(uint32(len(program.Accepts) - 1)); !ok {
		a.rows.give(rows)
		return span{}, span{}, false
	}
	return rows, accepts, true
}

func newAllocator() allocator {
	return allocator{rows: spans{{1, rowsMax - 1}}, accepts: spans{{1, acceptsMax - 1}}, hits: spans{{1, hitsMax - 1}}}
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

// give returns a span and joins its neighbours to it.
func (s *spans) give(back span) {
	if back.size == 0 {
		return
	}
	apart := (*s)[:0]
	for _, free := range *s {
		switch {
		case free.from+free.size == back.from:
			back = span{free.from, free.size + back.size}
		case back.from+back.size == free.from:
			back.size += free.size
		case free.size > 0:
			apart = append(apart, free)
		}
	}
	*s = append(apart, back)
}

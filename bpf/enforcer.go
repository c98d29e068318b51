package bpf

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/authfi/authfi/bpf/obj"
	"github.com/authfi/authfi/bpf/policy"
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// Config of the gate on one node.
type Config struct {
	// Cgroup is the cgroup2 directory of the protected services; empty means
	// the root of the hierarchy. A listener that was made outside is not seen.
	Cgroup string
	// PinDir is a directory of a BPF file system that belongs to this node.
	PinDir string
	// Measure fills the latency histogram: two clock reads per segment.
	Measure bool
	Logger  *slog.Logger
}

// Enforcer fills the kernel's tables. Rows are written by one goroutine; Stats,
// ExtendLease, Sweep and Reap may be called by any.
type Enforcer struct {
	cfg     Config
	objects obj.EnforceObjects
	links   []link.Link
	netns   uint64
	mark    uint32 // of the probes of the self-test

	services map[obj.EnforceServiceKey]*service // guarded by mu
	// crowded are the addresses for which there was no slot: they are shut. The value
	// is how one was written when it was set since Open or Reset.
	crowded map[obj.EnforceServiceKey]netip.AddrPort // guarded by mu
	free    allocator
	leaks   map[netip.AddrPort]bool // guarded by mu; see TakeLeaks
	mu      sync.Mutex
}

// service is one enforced address and where its program lies.
type service struct {
	place         uint64
	word          uint64          // of the program, in its slot; 0: none
	program       *policy.Program // nil with word 0
	rows, accepts span
	hits          span // where its routes are counted; empty: there was no room
	// listen is how the address was written when it was set since Open or
	// Reset; the zero value is not set yet.
	listen netip.AddrPort
	shut   bool // the kernel's row has no place: nothing comes in
}

func (s *service) slot() uint32 { return uint32(s.place & (1<<slotBits - 1)) }

// Open puts the gate into the kernel, or takes over what an earlier process of
// this node left there. Nothing is let through afterwards until services,
// tokens, subjects and a lease are set.
func Open(cfg Config) (*Enforcer, error) {
	if err := Supported(); err != nil {
		return nil, err
	}
	if cfg.Cgroup == "" {
		root, err := cgroupRoot()
		if err != nil {
			return nil, err
		}
		cfg.Cgroup = root
	}
	e := &Enforcer{cfg: cfg, services: map[obj.EnforceServiceKey]*service{}, crowded: map[obj.EnforceServiceKey]netip.AddrPort{}, free: newAllocator(), leaks: map[netip.AddrPort]bool{}}
	var err error
	if e.netns, err = netnsCookie(); err != nil {
		return nil, err
	}
	if err := e.open(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *Enforcer) open() error {
	dir, err := e.versionDir()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("pin directory: %w", err)
	}
	if exists(filepath.Join(dir, lastPin)) {
		err = e.adopt(dir)
	} else {
		err = e.install(dir)
	}
	if err != nil {
		return err
	}
	if err := errors.Join(e.writeResponses(), e.markProbes()); err != nil {
		return err
	}
	if err := e.Reset(); err != nil {
		return err
	}
	return e.replaceOthers(filepath.Base(dir))
}

// versionDir is where this build's objects are pinned: another build's tables
// may have another layout.
func (e *Enforcer) versionDir() (string, error) {
	spec, err := obj.LoadEnforce()
	if err != nil {
		return "", fmt.Errorf("read programs: %w", err)
	}
	return filepath.Join(e.cfg.PinDir, version(spec)), nil
}

// version names the programs together with their tables.
func version(spec *ebpf.CollectionSpec) string {
	sum := sha256.New()
	for _, name := range []string{"verdict", "enrol", "guard_in", "guard_out"} {
		fmt.Fprintf(sum, "%s\n%v\n", name, spec.Programs[name].Instructions)
	}
	for _, name := range slices.Sorted(maps.Keys(spec.Maps)) {
		m := spec.Maps[name]
		fmt.Fprintln(sum, name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, m.Flags)
	}
	return "v" + hex.EncodeToString(sum.Sum(nil))[:16]
}

// The cgroup programs in the order in which they are attached: enrolment before
// the guards, so that no enrolled connection's payload is dropped.
var hooks = []struct {
	name   string
	attach ebpf.AttachType
	of     func(*obj.EnforcePrograms) *ebpf.Program
}{
	{"enrol", ebpf.AttachCGroupSockOps, func(p *obj.EnforcePrograms) *ebpf.Program { return p.Enrol }},
	{"guard_in", ebpf.AttachCGroupInetIngress, func(p *obj.EnforcePrograms) *ebpf.Program { return p.GuardIn }},
	{"guard_out", ebpf.AttachCGroupInetEgress, func(p *obj.EnforcePrograms) *ebpf.Program { return p.GuardOut }},
}

// lastPin exists when an installation is complete.
const lastPin = "link_guard_out"

// install loads the programs and pins maps and links, in that order.
func (e *Enforcer) install(dir string) error {
	if err := clearDir(dir); err != nil {
		return err
	}
	spec, err := obj.LoadEnforce()
	if err != nil {
		return fmt.Errorf("read programs: %w", err)
	}
	if e.cfg.Measure {
		if err := spec.Variables["measure"].Set(uint32(1)); err != nil {
			return err
		}
	}
	if err := spec.LoadAndAssign(&e.objects, nil); err != nil {
		return fmt.Errorf("load programs: %w", err)
	}
	if err := e.eachMap(func(name string, m **ebpf.Map) error { return (*m).Pin(filepath.Join(dir, "map_"+name)) }); err != nil {
		return fmt.Errorf("pin tables: %w", err)
	}
	err = link.RawAttachProgram(link.RawAttachProgramOptions{
		Target: e.objects.Sockets.FD(), Program: e.objects.Verdict, Attach: ebpf.AttachSkSKBStreamVerdict,
	})
	if err != nil {
		return fmt.Errorf("attach verdict: %w", err)
	}
	for _, h := range hooks {
		l, err := link.AttachCgroup(link.CgroupOptions{
			Path: e.cfg.Cgroup, Attach: h.attach, Program: h.of(&e.objects.EnforcePrograms),
		})
		if err != nil {
			return fmt.Errorf("attach %s: %w", h.name, err)
		}
		e.links = append(e.links, l)
		if err := l.Pin(filepath.Join(dir, "link_"+h.name)); err != nil {
			return fmt.Errorf("pin %s: %w", h.name, err)
		}
	}
	return nil
}

// adopt opens what is pinned. The programs are attached and stay so.
func (e *Enforcer) adopt(dir string) error {
	err := e.eachMap(func(name string, m **ebpf.Map) (err error) {
		*m, err = ebpf.LoadPinnedMap(filepath.Join(dir, "map_"+name), nil)
		return err
	})
	if err != nil {
		return fmt.Errorf("open pinned tables: %w", err)
	}
	for _, h := range hooks {
		l, err := link.LoadPinnedLink(filepath.Join(dir, "link_"+h.name), nil)
		if err != nil {
			return fmt.Errorf("open pinned %s: %w", h.name, err)
		}
		e.links = append(e.links, l)
	}
	return nil
}

// eachMap visits the maps of the collection by their names in C. Read-only data
// belongs to the programs and is not pinned.
func (e *Enforcer) eachMap(visit func(name string, m **ebpf.Map) error) error {
	v := reflect.ValueOf(&e.objects.EnforceMaps).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("ebpf")
		if name == "" || name == ".rodata" {
			continue
		}
		if err := visit(name, v.Field(i).Addr().Interface().(**ebpf.Map)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// replaceOthers takes over from other builds: their addresses are guarded here,
// without a program yet, before their pins go. Between the two, both guards are in
// place and nothing passes. Connections that they enrolled are ended.
func (e *Enforcer) replaceOthers(keep string) error {
	entries, err := os.ReadDir(e.cfg.PinDir)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	var others []string
	for _, entry := range entries {
		if entry.Name() != keep {
			others = append(others, filepath.Join(e.cfg.PinDir, entry.Name()))
		}
	}
	for _, dir := range others {
		if err := e.takeAddresses(filepath.Join(dir, "map_services")); err != nil {
			return fmt.Errorf("addresses of another build: %w", err)
		}
	}
	for _, dir := range others {
		if err := removeDir(dir); err != nil {
			return err
		}
	}
	if len(others) == 0 {
		return nil
	}
	return e.endStale(e.ports())
}

// takeAddresses guards the addresses of a pinned table. Its keys are the one
// layout that all builds share; where they differ nothing is taken over, and the
// other build's gate stays shut in its place.
func (e *Enforcer) takeAddresses(file string) error {
	if !exists(file) {
		return nil // an installation that was not completed guards nothing
	}
	m, err := ebpf.LoadPinnedMap(file, nil)
	if err != nil {
		return err
	}
	defer m.Close()
	var key obj.EnforceServiceKey
	var place uint64
	if size := e.objects.Services.KeySize(); m.KeySize() != size {
		return fmt.Errorf("they have %d bytes and not %d: detach that build's gate first", m.KeySize(), size)
	}
	for err = m.NextKey(nil, &key); err == nil; err = m.NextKey(key, &key) {
		if _, shut := e.crowded[key]; shut || e.services[key] != nil {
			continue
		}
		if err := m.Lookup(key, &place); err != nil {
			return err
		}
		if err := e.guard(key, place == 0); err != nil {
			return err
		}
	}
	return ignoreMissing(err)
}

// Reset shuts everything: no lease, no tokens, no program of any service. The
// addresses that are enforced stay guarded, and their connections enrolled.
func (e *Enforcer) Reset() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.objects.Controls.Put(uint32(0), &obj.EnforceControl{}); err != nil {
		return err
	}
	if err := e.clearSlots(); err != nil {
		return err
	}
	if err := clearMap[obj.EnforceTokenKey, obj.EnforceToken](e.objects.Tokens); err != nil {
		return err
	}
	return clearMap[obj.EnforceSubjectKey, obj.EnforceSubject](e.objects.Subjects)
}

// clearSlots takes the program out of every slot, also of one that a dying
// process left without an address, and only then forgets which rows were used.
// An address that was shut stays so, and has a slot again.
func (e *Enforcer) clearSlots() error {
	services, slots := map[obj.EnforceServiceKey]*service{}, [servicesMax]obj.EnforceSlot{}
	var shut []obj.EnforceServiceKey
	var key obj.EnforceServiceKey
	var place uint64
	it := e.objects.Services.Iterate()
	for it.Next(&key, &place) {
		if place == 0 {
			shut = append(shut, key)
			continue
		}
		s := &service{place: place}
		services[key] = s
		slots[s.slot()].Place = place
	}
	if err := it.Err(); err != nil {
		return err
	}
	for i := range slots {
		if err := e.objects.Slots.Put(uint32(i), &slots[i]); err != nil {
			return err
		}
	}
	e.services, e.free = services, newAllocator()
	clear(e.crowded)
	for _, key := range shut {
		if err := e.guard(key, true); err != nil {
			return err
		}
	}
	return nil
}

func clearMap[K comparable, V any](m *ebpf.Map) error {
	var keys []K
	var key K
	var value V
	it := m.Iterate()
	for it.Next(&key, &value) {
		keys = append(keys, key)
	}
	if err := it.Err(); err != nil {
		return err
	}
	for _, k := range keys {
		if err := m.Delete(k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	return nil
}

// writeResponses writes the canned answer of every reason, with and without a
// body.
func (e *Enforcer) writeResponses() error {
	for reason := policy.ReasonNoRoute; reason <= policy.ReasonInternal; reason++ {
		for i, head := range []bool{false, true} {
			text := policy.Response(reason, head)
			var r obj.EnforceResponse
			if len(text) > len(r.Bytes) {
				return fmt.Errorf("answer for %s has %d bytes", reason, len(text))
			}
			r.Length = uint32(copy(r.Bytes[:], text))
			if err := e.objects.Responses.Put(uint32(reason)*2+uint32(i), &r); err != nil {
				return err
			}
		}
	}
	return nil
}

// Close lets go of the tables and leaves them in the kernel: the door stays
// shut, and when the lease runs out nothing passes at all.
func (e *Enforcer) Close() error {
	var errs []error
	for _, l := range e.links {
		errs = append(errs, l.Close())
	}
	e.links = nil
	return errors.Join(append(errs, e.objects.Close())...)
}

// Detach takes the gate out of the kernel: every service is open afterwards. It
// is an administrator's explicit act.
func Detach(pinDir string) error {
	entries, err := os.ReadDir(pinDir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if err := removeDir(filepath.Join(pinDir, entry.Name())); err != nil {
			return err
		}
	}
	return os.Remove(pinDir)
}

// removeDir removes links before maps, so that no guard looks into a table that
// is gone.
func removeDir(dir string) error {
	if err := clearDir(dir); err != nil {
		return err
	}
	return os.Remove(dir)
}

func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, kind := range []string{"link_", "map_"} {
		for _, entry := range entries {
			if !strings.HasPrefix(entry.Name(), kind) {
				continue
			}
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func exists(file string) bool { _, err := os.Stat(file); return err == nil }

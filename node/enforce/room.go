package enforce

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/authfi/authfi/bpf"
)

// rowsOf are the rows of one of the kernel's hashes, whose size is fixed. Those for
// which it is full wait here until others go. Meanwhile the kernel does not know them
// and refuses them, and everybody else is served as ever: a table that is built anew
// would be as full, and the node would refuse all.
type rowsOf[K comparable, V any] struct {
	kind   string
	write  func(K, V) error
	remove func(K) error
	log    *slog.Logger

	mu      sync.Mutex // held while a row is written: one that waited is never written after its removal
	waiting map[K]V    // guarded by mu
}

func (r *rowsOf[K, V]) put(key K, value V) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.write(key, value)
	if !errors.Is(err, bpf.ErrNoRoom) {
		delete(r.waiting, key)
		return err
	}
	if len(r.waiting) == 0 {
		r.log.Error("the kernel has no room for more "+r.kind+": those without are refused until others go", "error", err)
		r.waiting = map[K]V{}
	}
	r.waiting[key] = value
	return nil
}

// delete hands the room of a row to one that waits.
func (r *rowsOf[K, V]) delete(key K) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.waiting, key)
	if err := r.remove(key); err != nil {
		return err
	}
	for next, value := range r.waiting {
		if err := r.write(next, value); errors.Is(err, bpf.ErrNoRoom) {
			return nil
		} else if err != nil {
			return err
		}
		if delete(r.waiting, next); len(r.waiting) == 0 {
			r.log.Info("the kernel has room for all " + r.kind + " again")
		}
	}
	return nil
}

// forget is for a table that was emptied.
func (r *rowsOf[K, V]) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = nil
}

// without is how many rows have no room.
func (r *rowsOf[K, V]) without() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return uint64(len(r.waiting))
}

// Lacking says in one line what the kernel has no room for, and refuses; empty:
// nothing.
func (k *Kernel) Lacking() string {
	all := k.crowded()
	for _, r := range []struct {
		kind string
		n    uint64
	}{{k.tokens.kind, k.tokens.without()}, {k.subjects.kind, k.subjects.without()}} {
		if r.n > 0 {
			all = append(all, fmt.Sprintf("%d %s", r.n, r.kind))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "the kernel has no room for these and refuses them: " + strings.Join(all, ", ")
}

// crowded are the addresses at which nothing is let through for want of room.
func (k *Kernel) crowded() (all []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for listen, s := range k.services {
		if s.crowded {
			all = append(all, listen)
		}
	}
	slices.Sort(all)
	return all
}

// Lacking of this gate is nothing: its rows are in memory.
func (u *UserSpace) Lacking() string { return "" }

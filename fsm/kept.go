package fsm

import (
	"cmp"
	"slices"
	"sync"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
)

// What kept roots may pin. A root costs the rows and the nodes above them that
// later entries have replaced, so it is the writes since the oldest root that are
// bounded, by number and by size. RootsKept bounds what the roots themselves take
// when entries are small.
const (
	RootsKept           = 4_096
	KeptRowWritesMax    = 16_384
	keptRowWritesMaxLen = 64 << 20 // bytes of these rows
)

// keptRoots are the newest published roots, oldest first.
type keptRoots struct {
	mu     sync.Mutex // held for a few comparisons, never while anything is applied
	roots  []keptRoot
	newest directory.Index // applied, with an effect or without
	writes int             // of all roots but the oldest: what they replaced is what is pinned
	bytes  int
}

// keptRoot is the state from the root's own index up to the next root's: the
// indexes in between had no effect.
type keptRoot struct {
	root   *state.Root
	writes int // rows that made it out of the root before
	bytes  int
}

// reset starts anew from a root that follows from none of the kept ones.
func (k *keptRoots) reset(root *state.Root) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.roots = []keptRoot{{root: root}}
	k.newest = root.Applied()
	k.writes, k.bytes = 0, 0
}

// add keeps the root that an entry made.
func (k *keptRoots) add(root *state.Root, writes []state.Write) {
	next := keptRoot{root: root, writes: len(writes)}
	for _, w := range writes {
		next.bytes += len(w.Key) + len(w.Value)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.newest = root.Applied()
	if len(writes) == 0 {
		return
	}
	k.roots = append(k.roots, next)
	k.writes += next.writes
	k.bytes += next.bytes
	for len(k.roots) > RootsKept || k.writes > KeptRowWritesMax || k.bytes > keptRowWritesMaxLen {
		k.roots[0] = keptRoot{} // the slice's memory goes on
		k.roots = k.roots[1:]
		k.writes -= k.roots[0].writes
		k.bytes -= k.roots[0].bytes
	}
}

func (k *keptRoots) at(index directory.Index) (*state.Root, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	// The first root after index; the one before it is asked.
	i, _ := slices.BinarySearchFunc(k.roots, index+1, func(r keptRoot, index directory.Index) int {
		return cmp.Compare(r.root.Applied(), index)
	})
	if i == 0 || index > k.newest {
		return nil, false
	}
	return k.roots[i-1].root, true
}

// RootAt is the state at an index, if it is still kept: the newest RootsKept roots
// that have at most KeptRowWritesMax row writes after them. Its Applied is the last
// index up to the asked one that had an effect. Every node answers for the same
// indexes, whatever it was given at once; none does for one that is not applied yet.
func (m *Machine) RootAt(index directory.Index) (*state.Root, bool) { return m.kept.at(index) }

// PermissionsAt is what one user was allowed at an index: of the root, if it is
// kept, and otherwise told back from the newest root by the organization's log; see
// state.Org.PermissionsAt.
func (m *Machine) PermissionsAt(org directory.OrgID, user directory.UserID, index directory.Index) (*effective.Index, error) {
	if root, ok := m.RootAt(index); ok {
		if o, ok := root.Org(org); ok {
			return o.Permissions(), nil
		}
	}
	o, ok := m.Root().Org(org)
	if !ok {
		return nil, directory.NotFound("organization")
	}
	return o.PermissionsAt(user, index)
}

package effective

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// trie finds rows by key: a persistent hash trie, 64 ways at each level, whose
// levels hold only the slots in use. The hash is keyed by the process, so that
// nobody can choose keys that collide; no order of a trie is ever visible.
type trie[K key, R keyed[K]] struct{ root *twig[K, R] }

type key interface {
	comparable
	hash(round int) uint64
}

// keyed is a pointer to a row that knows its key; the nil pointer is no row.
type keyed[K key] interface {
	comparable
	key() K
}

type twig[K key, R keyed[K]] struct {
	token uint64
	used  uint64 // one bit for each slot that exists
	slots []slot[K, R]
}

// slot has a row, a level further down, or both. A row sits in the first slot
// on its path that was free when it came.
type slot[K key, R keyed[K]] struct {
	row  R
	down *twig[K, R]
}

type (
	idKey   [16]byte
	nameKey string
)

var seeds = [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}

func (k idKey) hash(round int) uint64   { return maphash.Bytes(seeds[round&1], k[:]) }
func (k nameKey) hash(round int) uint64 { return maphash.String(seeds[round&1], string(k)) }

// levelsPerHash is how many levels one hash of 64 bits decides; below them the
// other seed parts the keys that the first could not.
const levelsPerHash = 10

func further[K key](k K, h uint64, level int) uint64 {
	if level%levelsPerHash == 0 {
		return k.hash(level / levelsPerHash)
	}
	return h >> fanoutBits
}

// find is where the slot of a hash is, or where it would be.
func (n *twig[K, R]) find(h uint64) (i int, ok bool) {
	bit := uint64(1) << (h & (fanout - 1))
	return bits.OnesCount64(n.used & (bit - 1)), n.used&bit != 0
}

func (t *trie[K, R]) get(k K) (none R) {
	h := k.hash(0)
	for n, level := t.root, 1; n != nil; level++ {
		i, ok := n.find(h)
		if !ok {
			return none
		}
		s := &n.slots[i]
		if s.row != none && s.row.key() == k {
			return s.row
		}
		n, h = s.down, further(k, h, level)
	}
	return none
}

// put adds or replaces the row of a key.
func (t *trie[K, R]) put(row R, token uint64) {
	var none R
	k := row.key()
	replaces := t.get(k) != none
	h, at := k.hash(0), &t.root
	for level := 1; ; level++ {
		s := own(at, token).grow(h)
		fits := s.row == none
		if replaces {
			fits = s.row != none && s.row.key() == k
		}
		if fits {
			s.row = row
			return
		}
		at, h = &s.down, further(k, h, level)
	}
}

// grow makes the slot of a hash exist.
func (n *twig[K, R]) grow(h uint64) *slot[K, R] {
	i, ok := n.find(h)
	if !ok {
		n.slots = slices.Insert(n.slots, i, slot[K, R]{})
		n.used |= 1 << (h & (fanout - 1))
	}
	return &n.slots[i]
}

// drop forgets the row of a key. Levels that become empty stay for the next.
func (t *trie[K, R]) drop(k K, token uint64) {
	var none R
	if t.get(k) == none {
		return
	}
	h, at := k.hash(0), &t.root
	for level := 1; ; level++ {
		s := own(at, token).grow(h)
		if s.row != none && s.row.key() == k {
			s.row = none
			return
		}
		at, h = &s.down, further(k, h, level)
	}
}

// own makes the twig writable for the edit that holds token.
func own[K key, R keyed[K]](at **twig[K, R], token uint64) *twig[K, R] {
	n := *at
	switch {
	case n == nil:
		n = &twig[K, R]{token: token}
	case n.token != token:
		n = &twig[K, R]{token: token, used: n.used, slots: slices.Clone(n.slots)}
	}
	*at = n
	return n
}

package effective

import "encoding/binary"

// trie finds rows by id: a persistent hash trie with 64 slots a level, so that
// a directory of 100,000 users is three hops deep. The ids are made by the
// server, from random bits, so nobody outside can choose ones that collide.
type trie[T any] struct {
	root *twig[T]
	id   func(*T) *[16]byte
}

type twig[T any] struct {
	token uint64
	slots [fanout]slot[T]
}

// slot is empty, a row, or a level further down.
type slot[T any] struct {
	row  *T
	down *twig[T]
}

func hash(id *[16]byte) uint64 {
	a, b := binary.LittleEndian.Uint64(id[:8]), binary.LittleEndian.Uint64(id[8:])
	h := (a ^ b>>31) * 0x9e3779b97f4a7c15
	h = (h ^ h>>32 ^ b) * 0xd6e8feb86659fd93
	return h ^ h>>29
}

// level turns the hash so that after its 64 bits the same ones come again: two
// ids with one hash never part, and are kept apart by levels below levelsMax.
const levelsMax = 10

func (t *trie[T]) get(id *[16]byte) *T {
	h := hash(id)
	for n := t.root; n != nil; h >>= fanoutBits {
		s := &n.slots[h&(fanout-1)]
		if s.row != nil && *t.id(s.row) == *id {
			return s.row
		}
		n = s.down
	}
	return nil
}

// put adds or replaces the row of an id.
func (t *trie[T]) put(row *T, token uint64) {
	id := t.id(row)
	h := hash(id)
	at := &t.root
	for level := 0; ; level++ {
		n := own(at, token)
		s := &n.slots[h&(fanout-1)]
		if s.row == nil && !t.below(s.down, id, h>>fanoutBits) || s.row != nil && *t.id(s.row) == *id {
			s.row = row
			return
		}
		if level == levelsMax {
			panic("effective: ids with one hash")
		}
		at, h = &s.down, h>>fanoutBits
	}
}

// below reports whether the id has a row further down, left there by one that
// was removed above it.
func (t *trie[T]) below(n *twig[T], id *[16]byte, h uint64) bool {
	for ; n != nil; h >>= fanoutBits {
		s := &n.slots[h&(fanout-1)]
		if s.row != nil && *t.id(s.row) == *id {
			return true
		}
		n = s.down
	}
	return false
}

// drop forgets the row of an id.
func (t *trie[T]) drop(id *[16]byte, token uint64) {
	if t.get(id) == nil {
		return
	}
	h := hash(id)
	at := &t.root
	for {
		s := &own(at, token).slots[h&(fanout-1)]
		if s.row != nil && *t.id(s.row) == *id {
			s.row = nil
			return
		}
		at, h = &s.down, h>>fanoutBits
	}
}

// own makes the twig writable for the edit that holds token.
func own[T any](at **twig[T], token uint64) *twig[T] {
	n := *at
	switch {
	case n == nil:
		n = &twig[T]{token: token}
	case n.token != token:
		copied := *n
		copied.token = token
		n = &copied
	}
	*at = n
	return n
}

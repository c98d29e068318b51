package state

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// Sum is an order-independent digest of a set of rows: the sum modulo 2^256 of
// the SHA-256 of each row. Adding and removing a row are O(1), so the digest
// is kept up in apply instead of being recomputed.
type Sum [4]uint64

// rowOnStack has room for a user with all that identity providers send.
const rowOnStack = 512

// rowHash is taken of every row when a node starts and of every row that is written:
// a row of common size is put together on the stack, a larger one on the heap.
func rowHash[K string | []byte](key K, value []byte) (s Sum) {
	var place [rowOnStack]byte
	row := binary.BigEndian.AppendUint64(place[:0], uint64(len(key)))
	row = append(append(row, key...), value...)
	out := sha256.Sum256(row)
	for i := range s {
		s[i] = binary.BigEndian.Uint64(out[8*i:])
	}
	return s
}

func (s Sum) add(t Sum) (r Sum) {
	var carry uint64
	for i := len(s) - 1; i >= 0; i-- {
		r[i], carry = bits.Add64(s[i], t[i], carry)
	}
	return r
}

func (s Sum) sub(t Sum) (r Sum) {
	var borrow uint64
	for i := len(s) - 1; i >= 0; i-- {
		r[i], borrow = bits.Sub64(s[i], t[i], borrow)
	}
	return r
}

// Bytes is the big-endian form.
func (s Sum) Bytes() (b [32]byte) {
	for i, w := range s {
		binary.BigEndian.PutUint64(b[8*i:], w)
	}
	return b
}

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

func rowHash(key string, value []byte) (s Sum) {
	h := sha256.New()
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(len(key)))
	h.Write(n[:])
	h.Write([]byte(key))
	h.Write(value)
	var out [32]byte
	h.Sum(out[:0])
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

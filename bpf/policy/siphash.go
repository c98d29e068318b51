package policy

import (
	"encoding/binary"
	"math/bits"
)

// sip is the state of SipHash-2-4 with 128-bit output.
type sip struct{ v0, v1, v2, v3 uint64 }

func newSip(k0, k1 uint64) sip {
	return sip{
		k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d ^ 0xee,
		k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573,
	}
}

func (s *sip) round() {
	s.v0 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 13) ^ s.v0
	s.v0 = bits.RotateLeft64(s.v0, 32)
	s.v2 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 16) ^ s.v2
	s.v0 += s.v3
	s.v3 = bits.RotateLeft64(s.v3, 21) ^ s.v0
	s.v2 += s.v1
	s.v1 = bits.RotateLeft64(s.v1, 17) ^ s.v2
	s.v2 = bits.RotateLeft64(s.v2, 32)
}

func (s *sip) word(m uint64) {
	s.v3 ^= m
	s.round()
	s.round()
	s.v0 ^= m
}

// words takes whole words on a copy, which the compiler keeps in registers, and
// returns what is left.
func (s *sip) words(p []byte) (rest []byte) {
	v := *s
	for ; len(p) >= 8; p = p[8:] {
		m := binary.LittleEndian.Uint64(p)
		v.v3 ^= m
		v.round()
		v.round()
		v.v0 ^= m
	}
	*s = v
	return p
}

// SipHash128 is the token key of a token: a PRF under the cluster's secret, so
// that nobody without it can find two tokens with one key.
func SipHash128(k0, k1 uint64, token []byte) TokenKey {
	s := newSip(k0, k1)
	rest := s.words(token)
	var last [8]byte
	copy(last[:], rest)
	last[7] = byte(len(token))
	s.word(binary.LittleEndian.Uint64(last[:]))
	s.v2 ^= 0xee
	for range 4 {
		s.round()
	}
	h0 := s.v0 ^ s.v1 ^ s.v2 ^ s.v3
	s.v1 ^= 0xdd
	for range 4 {
		s.round()
	}
	return TokenKey{h0, s.v0 ^ s.v1 ^ s.v2 ^ s.v3}
}

package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"testing"
)

// TestRowHashIsOneOfTheRow: the digests of all builds must agree, whichever way the
// row was put together.
func TestRowHashIsOneOfTheRow(t *testing.T) {
	key := "u" + strings.Repeat("k", 16)
	room := rowOnStack - 8 - len(key)
	for _, size := range []int{0, 1, room - 1, room, room + 1, 10 * rowOnStack} {
		value := bytes.Repeat([]byte{7}, size)
		h := sha256.New()
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(key))))
		h.Write([]byte(key))
		h.Write(value)
		text, raw := rowHash(key, value).Bytes(), rowHash([]byte(key), value).Bytes()
		if want := [32]byte(h.Sum(nil)); text != want || raw != want {
			t.Errorf("value of %d bytes: %x and %x, want %x", size, text, raw, want)
		}
	}
}

// TestRowHashOfACommonRowAllocatesNothing holds up to the room on the stack.
func TestRowHashOfACommonRowAllocatesNothing(t *testing.T) {
	key := []byte("m" + strings.Repeat("k", 32))
	value := make([]byte, rowOnStack-8-len(key))
	if n := testing.AllocsPerRun(100, func() { rowHash(key, value) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

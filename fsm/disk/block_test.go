package disk

import (
	"bytes"
	"testing"
)

// TestBlockKeepsItsCopies: later copies, and whoever appends to one, change none; a
// piece may be as large as a block and larger.
func TestBlockKeepsItsCopies(t *testing.T) {
	var b block
	var copies [][]byte
	sizes := []int{0, 1, 50, blockSize - 51, 1, blockSize - 1, blockSize, blockSize + 1, 0, 3}
	for i, size := range sizes {
		from := bytes.Repeat([]byte{byte(i)}, size)
		copies = append(copies, b.copy(from))
		clear(from)
		_ = append(copies[i], 0xff)
	}
	for i, size := range sizes {
		if want := bytes.Repeat([]byte{byte(i)}, size); !bytes.Equal(copies[i], want) {
			t.Errorf("copy %d of %d bytes changed", i, size)
		}
	}
}

package disk

import (
	"fmt"
	"testing"

	"github.com/authfi/authfi/fsm/state"
)

// loadedRows are as large as memberships, which most rows of a directory are.
const loadedRows = 20_000

// BenchmarkLoad reads a whole store.
func BenchmarkLoad(b *testing.B) {
	s, err := Open(b.TempDir(), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var writes []state.Write
	for i := range loadedRows {
		writes = append(writes, state.Write{Key: []byte(fmt.Sprintf("organization-16bm%032d", i)), Value: []byte{1}})
	}
	if err := s.Commit(state.Meta{Applied: 1}, writes); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		if _, err := s.Load(func(_, _ []byte) error { n++; return nil }); err != nil || n != loadedRows {
			b.Fatal(n, err)
		}
	}
}

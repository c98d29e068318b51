package disk

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/state/storagetest"
)

func TestMemoryKeepsTheContract(t *testing.T) { storagetest.Run(t, NewMemory(), nil) }

func TestStoreKeepsTheContract(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Run(t, s, func() state.Storage {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { again.Close() })
		return again
	})
}

func TestStoreThatDoesNotOpenComesBackEmpty(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Commit(state.Meta{Applied: 5}, []state.Write{{Key: []byte("organization-16bua"), Value: []byte("1")}}); err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := os.WriteFile(filepath.Join(dir, "MANIFEST"), []byte("not a manifest"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err = Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	meta, err := s.Load(func(k, v []byte) error { t.Fatalf("row %q survived", k); return nil })
	if err != nil || meta.Applied != 0 {
		t.Fatalf("claims index %d, %v", meta.Applied, err)
	}
}

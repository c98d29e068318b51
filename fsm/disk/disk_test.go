package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/state/storagetest"
)

func TestMemoryKeepsTheContract(t *testing.T) { storagetest.Run(t, NewMemory(), nil) }

func TestStoreKeepsTheContract(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Run(t, s, func() state.Storage {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		again, err := Open(dir, 0.5)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { again.Close() })
		return again
	})
}

func TestStoreThatDoesNotOpenComesBackEmpty(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 0.5)
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
	s, err = Open(dir, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	meta, err := s.Load(func(k, v []byte) error { t.Fatalf("row %q survived", k); return nil })
	if err != nil || meta.Applied != 0 {
		t.Fatalf("claims index %d, %v", meta.Applied, err)
	}
}

// TestFlippedByteNeverPanicsOrAltersARow: one byte of a table file at a time. The
// engine may end early without an error; that rows are missing is found by the
// sum that they must add up to (fsm TestDamagedRowsAreFound).
func TestFlippedByteNeverPanicsOrAltersARow(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, 0.5)
	if err != nil {
		t.Fatal(err)
	}
	var writes []state.Write
	for i := range 400 {
		writes = append(writes, state.Write{Key: fmt.Appendf(nil, "organization-16bu%05d", i), Value: fmt.Appendf(nil, "value %d", i)})
	}
	if err := s.Commit(state.Meta{Applied: 5}, writes); err != nil {
		t.Fatal(err)
	}
	s.Close()
	tables, err := filepath.Glob(filepath.Join(dir, "*.sst"))
	if err != nil || len(tables) == 0 {
		t.Fatalf("no table files: %v", err)
	}
	whole, err := os.ReadFile(tables[0])
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += max(1, len(whole)/40) {
		again := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(again, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(whole)
		bad[at] ^= 0x40
		if err := os.WriteFile(filepath.Join(again, filepath.Base(tables[0])), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		expectDamage(t, again, at)
	}
}

func expectDamage(t *testing.T, dir string, at int) {
	t.Helper()
	s, err := Open(dir, 0.5)
	if err != nil {
		t.Fatalf("byte %d: %v", at, err)
	}
	defer s.Close()
	rows := 0
	_, err = s.Load(func(k, v []byte) error {
		if want := fmt.Sprintf("value %d", rows); string(v) != want {
			t.Errorf("byte %d: row %s is %q", at, k, v)
		}
		rows++
		return nil
	})
	if rows > 400 {
		t.Errorf("byte %d: %d rows, %v", at, rows, err)
	}
}

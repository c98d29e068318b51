// Package storagetest is the contract that every state.Storage must pass.
package storagetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Run tests a storage; reopen closes and opens it again,
// as a restart does, or is nil for one that does not outlive its process.
func Run(t *testing.T, first state.Storage, reopen func() state.Storage) {
	t.Helper()
	expect(t, first, 0)
	write := func(key, value string) state.Write {
		w := state.Write{Key: []byte("organization-16b" + key)}
		if value != "" {
			w.Value = []byte(value)
		}
		return w
	}
	commit(t, first, 7, write("ua", "1"), write("ub", "2"), write("uc", "3"))
	commit(t, first, 9, write("ub", ""), write("uc", "4"))
	s := first
	if reopen != nil {
		s = reopen()
	}
	expect(t, s, 9, "organization-16bua=1", "organization-16buc=4")
	refused := errors.New("refused")
	err := s.Replace(func(put func(k, v []byte) error) (state.Meta, error) {
		return state.Meta{Applied: 20}, put([]byte("organization-16bux"), []byte("9"))
	})
	if err != nil {
		t.Fatal(err)
	}
	expect(t, s, 20, "organization-16bux=9")
	err = s.Replace(func(func(k, v []byte) error) (state.Meta, error) { return state.Meta{}, refused })
	if !errors.Is(err, refused) {
		t.Fatalf("replace hid its source's error: %v", err)
	}
}

func commit(t *testing.T, s state.Storage, applied int, writes ...state.Write) {
	t.Helper()
	if err := s.Commit(state.Meta{Applied: directory.Index(applied)}, writes); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, s state.Storage, applied int, rows ...string) {
	t.Helper()
	var got []string
	m, err := s.Load(func(k, v []byte) error {
		got = append(got, fmt.Sprintf("%s=%s", k, v))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if int(m.Applied) != applied || fmt.Sprint(got) != fmt.Sprint(rows) {
		t.Fatalf("holds %v at %d, want %v at %d", got, m.Applied, rows, applied)
	}
}

package durable_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/authfi/authfi/durable"
)

// holds demands the content and the mode of a file, and that nothing is beside it.
func holds(t *testing.T, name, content string, mode fs.FileMode) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || string(got) != content {
		t.Errorf("%q, %v", got, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode() != mode {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if all, err := os.ReadDir(filepath.Dir(name)); err != nil || len(all) != 1 {
		t.Errorf("%v, %v", all, err)
	}
}

func TestReplace(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	for _, mode := range []fs.FileMode{durable.OwnerOnly, 0o644} {
		content := mode.String()
		if err := durable.Replace(name, mode, durable.Content(content)); err != nil {
			t.Fatal(err)
		}
		holds(t, name, content, mode)
	}
	failed := errors.New("half of it")
	err := durable.Replace(name, durable.OwnerOnly, func(w io.Writer) error {
		_, err := io.WriteString(w, "half")
		return errors.Join(err, failed)
	})
	if !errors.Is(err, failed) {
		t.Errorf("%v", err)
	}
	holds(t, name, fs.FileMode(0o644).String(), 0o644)
}

func TestNewReplacesNothing(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := durable.New(name, durable.OwnerOnly, durable.Content("first")); err != nil {
		t.Fatal(err)
	}
	if err := durable.New(name, durable.OwnerOnly, durable.Content([]byte("second"))); !errors.Is(err, fs.ErrExist) {
		t.Errorf("%v", err)
	}
	holds(t, name, "first", durable.OwnerOnly)
}

func TestNoPlace(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	if err := durable.Replace(filepath.Join(missing, "file"), durable.OwnerOnly, durable.Content("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if err := durable.SyncDir(missing); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

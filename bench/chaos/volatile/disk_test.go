package volatile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func never() bool  { return false }
func always() bool { return true }

func mounted(t *testing.T, backing string) (*Disk, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mount")
	d, err := Mount(backing, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Unmount() }) // a test that has done it needs no second one
	return d, dir
}

// written opens a file, writes and syncs as told, and leaves it open until the test's end.
func written(t *testing.T, file string, synced, then []byte) *os.File {
	t.Helper()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(synced, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(then, int64(len(synced))); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestCutLosesWhatWasNotSynced(t *testing.T) {
	synced, later := bytes.Repeat([]byte("s"), 3*pageSize), bytes.Repeat([]byte("l"), 2*pageSize)
	for _, c := range []struct {
		name string
		keep func() bool
		want int
	}{{"all is lost", never, len(synced)}, {"all had reached the disk", always, len(synced) + len(later)}} {
		backing := t.TempDir()
		d, dir := mounted(t, backing)
		f := written(t, filepath.Join(dir, "f"), synced, later)
		seen, err := os.ReadFile(filepath.Join(dir, "f"))
		if err != nil || !bytes.Equal(seen, append(bytes.Clone(synced), later...)) {
			t.Fatalf("%s: before the cut a process sees %d bytes, %v", c.name, len(seen), err)
		}
		if err := d.Cut(c.keep); err != nil {
			t.Fatal(err)
		}
		if err := f.Sync(); !errors.Is(err, syscall.EIO) {
			t.Errorf("%s: a sync without power: %v", c.name, err)
		}
		f.Close()
		if err := d.Unmount(); err != nil {
			t.Fatal(err)
		}
		_, again := mounted(t, backing)
		left, err := os.ReadFile(filepath.Join(again, "f"))
		if err != nil || len(left) != c.want {
			t.Errorf("%s: %d bytes are left, want %d (%v)", c.name, len(left), c.want, err)
		}
	}
}

// TestMapped is what the storage engine does: it writes to a mapping and syncs that.
func TestMapped(t *testing.T) {
	backing := t.TempDir()
	d, dir := mounted(t, backing)
	f := written(t, filepath.Join(dir, "f"), make([]byte, 2*pageSize), nil)
	mapped, err := syscall.Mmap(int(f.Fd()), 0, 2*pageSize, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	copy(mapped, "first")
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	copy(mapped[pageSize:], "second")
	if err := d.Cut(never); err != nil {
		t.Fatal(err)
	}
	syscall.Munmap(mapped)
	f.Close()
	if err := d.Unmount(); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadFile(filepath.Join(backing, "f"))
	if err != nil || string(left[:5]) != "first" || left[pageSize] != 0 {
		t.Errorf("of the mapping %q and %q are left (%v)", left[:5], left[pageSize:pageSize+6], err)
	}
}

// TestWaitsForSync: what waits is kept when no process has the file open, and through
// a new name.
func TestWaitsForSync(t *testing.T) {
	backing := t.TempDir()
	d, dir := mounted(t, backing)
	old, renamed := filepath.Join(dir, "old"), filepath.Join(dir, "new")
	if err := os.WriteFile(old, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(old, renamed); err != nil {
		t.Fatal(err)
	}
	if seen, err := os.ReadFile(renamed); err != nil || string(seen) != "content" {
		t.Errorf("the renamed file holds %q (%v)", seen, err)
	}
	if info, err := os.Stat(filepath.Join(backing, "new")); err != nil || info.Size() != 0 {
		t.Errorf("without a sync the disk holds %v (%v)", info, err)
	}
	f, err := os.OpenFile(renamed, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadFile(filepath.Join(backing, "new")); err != nil || string(left) != "content" {
		t.Errorf("after a sync the disk holds %q (%v)", left, err)
	}
	if d.Syncs() != 1 {
		t.Errorf("%d syncs were counted", d.Syncs())
	}
}

func TestTrouble(t *testing.T) {
	d, dir := mounted(t, t.TempDir())
	f := written(t, filepath.Join(dir, "f"), []byte("a"), []byte("b"))
	defer f.Close()
	d.Set(Trouble{Fail: true})
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("a sync that fails: %v", err)
	}
	d.Set(Trouble{Full: true})
	if _, err := f.Write([]byte("c")); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a write to a full disk: %v", err)
	}
	var stat syscall.Statfs_t
	if err := syscall.Statfs(dir, &stat); err != nil || stat.Bavail != 0 {
		t.Errorf("a full disk has %d blocks (%v)", stat.Bavail, err)
	}
	d.Set(Trouble{Slow: 50 * time.Millisecond})
	if began := time.Now(); f.Sync() != nil || time.Since(began) < 50*time.Millisecond {
		t.Error("a slow sync is fast")
	}
	d.Set(Trouble{Hang: true})
	synced := make(chan error, 1)
	go func() { synced <- f.Sync() }()
	select {
	case err := <-synced:
		t.Errorf("a sync that hangs returned %v", err)
	case <-time.After(100 * time.Millisecond):
	}
	d.Set(Trouble{})
	if err := <-synced; err != nil {
		t.Errorf("after the trouble: %v", err)
	}
}

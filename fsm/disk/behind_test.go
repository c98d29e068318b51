package disk

import (
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// TestCrashLeavesTheStateAtOneIndex: a copy of the files at a random moment is what
// kill -9 leaves. It holds the rows of some index, whole, at or after the last Sync.
func TestCrashLeavesTheStateAtOneIndex(t *testing.T) {
	rng := rand.New(rand.NewSource(1))
	dir := t.TempDir()
	s, err := Open(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	states := []map[string]string{{}} // by index
	seen := map[directory.Index]bool{}
	synced := 0
	for range 25 {
		for range 1 + rng.Intn(40) {
			now := maps.Clone(states[len(states)-1])
			writes := randomWrites(rng, now)
			if err := s.Commit(state.Meta{Applied: directory.Index(len(states))}, writes); err != nil {
				t.Fatal(err)
			}
			states = append(states, now)
		}
		if rng.Intn(2) == 0 {
			synced = len(states) - 1
			if err := s.Sync(); err != nil {
				t.Fatal(err)
			}
		}
		index, rows := crash(t, dir)
		if int(index) < synced || int(index) >= len(states) || !maps.Equal(rows, states[index]) {
			t.Fatalf("synced up to %d of %d, the crash left %d with rows %v, want %v", synced, len(states)-1, index, rows, states[index])
		}
		seen[index] = true
	}
	if len(seen) < 10 {
		t.Errorf("only the indexes %v were seen", slices.Sorted(maps.Keys(seen)))
	}
}

// randomWrites changes rows alike.
func randomWrites(rng *rand.Rand, rows map[string]string) (writes []state.Write) {
	for range rng.Intn(6) {
		key := fmt.Sprintf("organization-16bu%02d", rng.Intn(30))
		w := state.Write{Key: []byte(key)}
		if delete(rows, key); rng.Intn(3) > 0 {
			rows[key] = fmt.Sprint(rng.Int())
			w.Value = []byte(rows[key])
		}
		writes = append(writes, w)
	}
	return writes
}

func crash(t *testing.T, dir string) (directory.Index, map[string]string) {
	t.Helper()
	again := filepath.Join(t.TempDir(), "copy")
	if err := os.MkdirAll(again, 0o700); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if f.Name() == "LOCK" {
			continue
		}
		copySparse(t, filepath.Join(dir, f.Name()), filepath.Join(again, f.Name()))
	}
	s, err := Open(again, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	rows := map[string]string{}
	meta, err := s.Load(func(k, v []byte) error {
		rows[string(k)] = string(v)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return meta.Applied, rows
}

// copySparse copies the first megabyte, beyond which this test writes nothing, and
// the length: the engine maps files of gigabytes.
func copySparse(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	b := make([]byte, min(info.Size(), 1<<20))
	if _, err := in.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(to, info.Size()); err != nil {
		t.Fatal(err)
	}
}

// slowDisk answers a write when it is told to.
type slowDisk struct {
	mu     sync.Mutex
	groups []state.Meta
	answer chan error
}

func (d *slowDisk) write(meta state.Meta, _ []state.Write) error {
	d.mu.Lock()
	d.groups = append(d.groups, meta)
	d.mu.Unlock()
	return <-d.answer
}

func (d *slowDisk) written() []state.Meta {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.groups)
}

func row(n int) []state.Write {
	return []state.Write{{Key: []byte("organization-16bu"), Value: make([]byte, n)}}
}

// TestEntriesAreGathered: those of a hundred milliseconds are one transaction, unless
// somebody waits for them.
func TestEntriesAreGathered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{answer: make(chan error)}
		b := newBehind(d.write)
		for i := range 10 {
			if err := b.Commit(state.Meta{Applied: directory.Index(i)}, row(10)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if early := d.written(); len(early) != 0 {
			t.Fatalf("written at once: %v", early)
		}
		<-time.After(gatherTime)
		synctest.Wait()
		if groups := d.written(); len(groups) != 1 || groups[0].Applied != 9 {
			t.Fatalf("written %v", groups)
		}
		d.answer <- nil
		began := time.Now()
		if err := b.Commit(state.Meta{Applied: 10}, row(10)); err != nil {
			t.Fatal(err)
		}
		close(d.answer)
		if err := b.Sync(); err != nil || time.Since(began) != 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
		if err := b.close(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestSlowDiskBoundsTheMemory: who commits waits once too much is waiting, and goes on
// when the disk does.
func TestSlowDiskBoundsTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{answer: make(chan error)}
		b := newBehind(d.write)
		const size, entries = 1 << 20, 2 * waitingBytes >> 20
		committed := 0
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			for i := range entries {
				if err := b.Commit(state.Meta{Applied: directory.Index(i)}, row(size)); err != nil {
					t.Errorf("entry %d: %v", i, err)
				}
				committed++
			}
		}()
		synctest.Wait()
		if held := committed * size; held < waitingBytes-size || held > waitingBytes+size {
			t.Errorf("%d bytes wait", held)
		}
		close(d.answer)
		<-finished
		err := b.close()
		if groups := d.written(); err != nil || groups[len(groups)-1].Applied != entries-1 {
			t.Errorf("the last that was written is %v, %v", groups[len(groups)-1], err)
		}
	})
}

// TestFailedWriteIsTheLast: nothing is written after it, nothing more is taken, and
// everybody who waits is told.
func TestFailedWriteIsTheLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &slowDisk{answer: make(chan error)}
		b := newBehind(d.write)
		if err := b.Commit(state.Meta{Applied: 1}, row(2*groupBytes)); err != nil {
			t.Fatal(err)
		}
		if err := b.Commit(state.Meta{Applied: 2}, row(1)); err != nil {
			t.Fatal(err)
		}
		waited := make(chan error)
		go func() { waited <- b.Sync() }()
		broken := errors.New("input/output error")
		d.answer <- broken
		if err := <-waited; !errors.Is(err, broken) {
			t.Errorf("Sync: %v", err)
		}
		if err := b.Commit(state.Meta{Applied: 3}, row(1)); !errors.Is(err, broken) {
			t.Errorf("Commit: %v", err)
		}
		if err := b.close(); !errors.Is(err, broken) {
			t.Errorf("close: %v", err)
		}
		if groups := d.written(); len(groups) != 1 {
			t.Errorf("written %v", groups)
		}
	})
}

package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
)

// metaPages of a file of pages are checked by the file itself, which has two: damage to
// the newer takes it back by one write, and no sum of ours can see that.
const metaPages = 2 * 4096

var logFormats = []LogFormat{LogWAL, LogBolt}

// holding makes a log of entries, each written by itself, and gives its files.
func holding(t *testing.T, format LogFormat, entries uint64) (dir string, files map[string][]byte) {
	t.Helper()
	dir = t.TempDir()
	store, err := openLog(dir, format)
	if err != nil {
		t.Fatal(err)
	}
	for i := range entries {
		if err := (checkedLog{store}).StoreLog(&raft.Log{Index: i + 1, Term: 3, Data: entryData(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join((checkedLog{store}).verify(), store.Close()); err != nil {
		t.Fatal(err)
	}
	files = map[string][]byte{}
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files[path], err = os.ReadFile(path)
		}
		if strings.HasSuffix(path, ".wal") { // what is allocated ahead
			files[path] = bytes.TrimRight(files[path], "\x00")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir, files
}

func entryData(i uint64) []byte { return bytes.Repeat([]byte{byte(i)}, 300) }

// TestAlteredByteIsFound: wherever it is in the files of a log, either no entry is
// altered or lost by it or the log is not opened.
func TestAlteredByteIsFound(t *testing.T) {
	const entries = 200
	for _, format := range logFormats {
		dir, files := holding(t, format, entries)
		for path, whole := range files {
			t.Run(filepath.Base(path), func(t *testing.T) {
				from, to := 0, len(whole)
				if strings.HasSuffix(path, ".db") && to > metaPages {
					from = metaPages
				}
				random := rand.New(rand.NewPCG(1, 1))
				found := 0
				for range 400 {
					at := from + random.IntN(to-from)
					altered := bytes.Clone(whole)
					altered[at] ^= 1 << random.IntN(8)
					restore(t, dir, files)
					if err := os.WriteFile(path, altered, 0o600); err != nil {
						t.Fatal(err)
					}
					if err := readWhole(dir, entries); err != nil && !errors.Is(err, ErrDamagedLog) {
						t.Fatalf("with byte %d altered: %v", at, err)
					} else if err != nil {
						found++
					}
				}
				if found == 0 {
					t.Error("no damage was found, so none was done")
				}
			})
		}
	}
}

// restore gives a directory the files that it once had.
func restore(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, content, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}

// readWhole opens the log and demands every entry as it was written.
func readWhole(dir string, entries uint64) (err error) {
	store, err := openLog(dir, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for i := range entries {
		var l raft.Log
		if err := store.GetLog(i+1, &l); err != nil {
			return err
		}
		if l.Term != 3 || !bytes.Equal(l.Data, entryData(i)) {
			return fmt.Errorf("entry %d is %v", i+1, l)
		}
	}
	return nil
}

// TestDamagedLogIsNotServed: by a node that was whole, nor is it taken over from one
// that is not.
func TestDamagedLogIsNotServed(t *testing.T) {
	nodes := trio(t)
	n := nodes[2]
	n.propose(t, "the line that is altered")
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	for _, format := range logFormats {
		n.cfg.LogFormat = format
		if store, err := openLog(filepath.Join(n.cfg.Dir, "raft"), format); err != nil || store.Close() != nil {
			t.Fatal(err)
		}
		refusesDamage(t, n.cfg)
	}
	l := &raft.Log{Index: 1, Term: 1, Data: []byte("sent")}
	l.Extensions = sumOf(l)
	l.Data = []byte("lost")
	if err := (checkedLog{raft.NewInmemStore()}).StoreLog(l); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged entry is taken over: %v", err)
	}
}

// refusesDamage alters the log of a node that was stopped, and then makes it whole.
func refusesDamage(t *testing.T, cfg Config) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(cfg.Dir, "raft", "log.db"))
	if cfg.LogFormat == LogWAL {
		files, err = filepath.Glob(filepath.Join(cfg.Dir, "raft", "wal", "*.wal"))
	}
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	whole, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.ReplaceAll(whole, []byte("is altered"), []byte("was altered")[:10])
	if bytes.Equal(whole, altered) {
		t.Fatal("the line is not in the file")
	}
	if err := os.WriteFile(files[0], altered, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, ErrDamagedLog) {
		t.Fatalf("a damaged log: %v", err)
	}
	if err := os.WriteFile(files[0], make([]byte, len(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cfg); !errors.Is(err, ErrDamagedLog) {
		t.Fatalf("a log of zeros: %v", err)
	}
	if err := os.WriteFile(files[0], whole, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestEntriesOfBeforeHaveNoSum and are read all the same.
func TestEntriesOfBeforeHaveNoSum(t *testing.T) {
	store := raft.NewInmemStore()
	if err := store.StoreLog(&raft.Log{Index: 1, Term: 1, Data: []byte("old")}); err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	if err := (checkedLog{store}).GetLog(1, &l); err != nil || string(l.Data) != "old" {
		t.Errorf("%q, %v", l.Data, err)
	}
	if err := (checkedLog{store}).verify(); err != nil {
		t.Error(err)
	}
}

// BenchmarkVerify is what the start of a node takes more for each entry of its log.
func BenchmarkVerify(b *testing.B) {
	store, err := openLog(b.TempDir(), "")
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	const entries = 20_000
	var logs []*raft.Log
	for i := range uint64(entries) {
		logs = append(logs, &raft.Log{Index: i + 1, Term: 1, Data: make([]byte, 500)})
	}
	if err := (checkedLog{store}).StoreLogs(logs); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := (checkedLog{store}).verify(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/entries, "ns/entry")
}

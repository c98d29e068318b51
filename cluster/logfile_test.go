package cluster

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	walfs "github.com/hashicorp/raft-wal/fs"
	"github.com/hashicorp/raft-wal/types"
)

// store opens a log for a test.
func store(t *testing.T, dir string, format LogFormat) LogStore {
	t.Helper()
	log, err := openLog(dir, format)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	return log
}

func ends(t *testing.T, log raft.LogStore) (first, last uint64) {
	t.Helper()
	first, err := log.FirstIndex()
	last, err2 := log.LastIndex()
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return first, last
}

func entriesOf(from, to uint64) (logs []*raft.Log) {
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: 3, Data: entryData(i - 1)})
	}
	return logs
}

// TestLogFormats: what the library asks of a log holds for each of them.
func TestLogFormats(t *testing.T) {
	for _, format := range logFormats {
		t.Run(string(format), func(t *testing.T) {
			dir := t.TempDir()
			log := store(t, dir, format)
			if first, last := ends(t, log); first != 0 || last != 0 {
				t.Fatalf("a new log has %d to %d", first, last)
			}
			if err := errors.Join(log.StoreLogs(entriesOf(1, 12_000)), log.SetUint64(currentTerm, 7), log.Set(votedFor, []byte("n2"))); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(log.DeleteRange(1, 6_000), log.DeleteRange(11_001, 12_000), log.StoreLogs(entriesOf(11_001, 11_002))); err != nil {
				t.Fatal(err)
			}
			var missing raft.Log
			for _, index := range []uint64{6_000, 11_003} {
				if err := log.GetLog(index, &missing); !errors.Is(err, raft.ErrLogNotFound) {
					t.Errorf("entry %d: %v", index, err)
				}
			}
			for range 2 { // as it is, and opened again
				if first, last := ends(t, log); first != 6_001 || last != 11_002 {
					t.Fatalf("the log has %d to %d", first, last)
				}
				term, err := log.GetUint64(currentTerm)
				who, err2 := log.Get(votedFor)
				if err := errors.Join(err, err2, (checkedLog{log}).verify()); err != nil || term != 7 || string(who) != "n2" {
					t.Fatal(term, who, err)
				}
				if err := log.Close(); err != nil {
					t.Fatal(err)
				}
				log = store(t, dir, "")
			}
		})
	}
}

// TestLogIsCopied: there and back, with the vote; whatever a crash has left, the log is
// one of the two.
func TestLogIsCopied(t *testing.T) {
	dir := t.TempDir()
	log := store(t, dir, LogBolt)
	if err := errors.Join(log.StoreLogs(entriesOf(3, 5_000)), log.SetUint64(currentTerm, 7), log.SetUint64(votedTerm, 6), log.Set(votedFor, []byte("n2")), log.Close()); err != nil {
		t.Fatal(err)
	}
	for _, format := range []LogFormat{"", LogWAL, "", LogBolt, LogWAL, LogWAL} {
		log := store(t, dir, format)
		if first, last := ends(t, log); first != 3 || last != 5_000 {
			t.Fatalf("%s has %d to %d", format, first, last)
		}
		term, err := log.GetUint64(currentTerm)
		voted, err2 := log.GetUint64(votedTerm)
		who, err3 := log.Get(votedFor)
		if err := errors.Join(err, err2, err3, log.Close()); err != nil || term != 7 || voted != 6 || string(who) != "n2" {
			t.Fatal(term, voted, who, err)
		}
		files, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		if _, inPages := log.(boltLog); inPages && len(files) != 1 || !inPages && len(files) != 2 {
			t.Errorf("%s: %v", format, files)
		}
	}
}

// TestCrashWhileALogIsCopied: what each step may leave, of a log of either format.
func TestCrashWhileALogIsCopied(t *testing.T) {
	for what, leave := range map[string]func(dir string) error{
		"segments, half copied": func(dir string) error { return os.MkdirAll(filepath.Join(dir, "wal.new", "x"), 0o700) },
		"segments without note": func(dir string) error { return os.Mkdir(filepath.Join(dir, "wal"), 0o700) },
		"half a note": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "log.db.new"), []byte(walNote[:9]), 0o600)
		},
		"pages, half copied":     func(dir string) error { return os.WriteFile(filepath.Join(dir, "log.db.new"), []byte("x"), 0o600) },
		"segments, half removed": func(dir string) error { return os.WriteFile(filepath.Join(dir, "wal.new"), nil, 0o600) },
	} {
		for _, has := range logFormats {
			for _, format := range append(logFormats, "") {
				dir := t.TempDir()
				log := store(t, dir, has)
				err := errors.Join(log.StoreLogs(entriesOf(1, 10)), log.Close(), leave(dir))
				if has == LogWAL && errors.Is(err, fs.ErrExist) {
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				log = store(t, dir, format)
				if first, last := ends(t, log); first != 1 || last != 10 {
					t.Errorf("%s beside %s, then %q: the log has %d to %d", what, has, format, first, last)
				}
			}
		}
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log.db"), []byte(walNote), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openLog(dir, ""); !errors.Is(err, ErrDamagedLog) {
		t.Errorf("a note without segments: %v", err)
	}
}

// TestSegmentsAreNoEmptyLog to a build that knows pages only.
func TestSegmentsAreNoEmptyLog(t *testing.T) {
	dir := t.TempDir()
	store(t, dir, LogWAL).Close()
	if err := verifyBolt(filepath.Join(dir, "log.db")); !errors.Is(err, ErrDamagedLog) {
		t.Errorf("the note is read as a log: %v", err)
	}
}

func TestLogFormatIsOneOfTwo(t *testing.T) {
	for _, f := range append(logFormats, "") {
		if err := f.Check(); err != nil {
			t.Error(err)
		}
	}
	if err := LogFormat("etcd").Check(); err == nil || !strings.Contains(err.Error(), "wal or bolt") {
		t.Errorf("an unknown format: %v", err)
	}
}

// TestTornBatchIsNotThere: a power cut leaves any of the sectors that were not synced.
// The log begins again before the batch, unless all of it is there.
func TestTornBatchIsNotThere(t *testing.T) {
	dir, files := holding(t, LogWAL, 20)
	var path string
	for p := range files {
		if strings.HasSuffix(p, ".wal") {
			path = p
		}
	}
	before := len(files[path])
	log := store(t, dir, "")
	random := rand.New(rand.NewPCG(2, 2))
	batch := entriesOf(21, 40)
	for _, l := range batch { // bytes that no sector of zeros is among
		for i := range l.Data {
			l.Data[i] = byte(1 + random.IntN(255))
		}
	}
	if err := errors.Join(checkedLog{log}.StoreLogs(batch), log.Close()); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = bytes.TrimRight(whole, "\x00")
	for range 300 {
		cut := bytes.Clone(whole)
		lost := false
		for at := before; at < len(cut); at = (at/sector + 1) * sector {
			if random.IntN(3) == 0 {
				clear(cut[at:min((at/sector+1)*sector, len(cut))])
				lost = true
			}
		}
		restore(t, dir, files)
		if err := os.WriteFile(path, cut, 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := openLog(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if _, last := ends(t, log); lost && last != 20 || !lost && last != 40 {
			t.Fatalf("the log ends at %d", last)
		}
		if err := errors.Join(checkedLog{log}.verify(), log.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// failing writes half of what it is given, or syncs nothing, while it is told to.
type failing struct {
	types.VFS
	write, sync *bool
}

func (f failing) OpenWriter(dir, name string) (types.WritableFile, error) {
	file, err := f.VFS.OpenWriter(dir, name)
	return failingFile{file, f}, err
}

type failingFile struct {
	types.WritableFile
	of failing
}

func (f failingFile) WriteAt(p []byte, at int64) (int, error) {
	if *f.of.write {
		n, err := f.WritableFile.WriteAt(p[:len(p)/2], at)
		return n, errors.Join(err, errors.New("the disk fails"))
	}
	return f.WritableFile.WriteAt(p, at)
}

func (f failingFile) Sync() error {
	if *f.of.sync {
		return errors.New("the disk fails")
	}
	return f.WritableFile.Sync()
}

// TestFailedWriteLeavesNothing behind a shorter one that comes after it.
func TestFailedWriteLeavesNothing(t *testing.T) {
	for _, what := range []string{"write", "sync"} {
		dir, _ := holding(t, LogWAL, 5)
		write, sync := false, false
		path := filepath.Join(dir, "wal")
		files, err := filepath.Glob(filepath.Join(path, "*.wal"))
		if err != nil || len(files) != 1 {
			t.Fatal(files, err)
		}
		file, err := walFiles{failing{walfs.New(), &write, &sync}}.OpenWriter(path, filepath.Base(files[0]))
		if err != nil {
			t.Fatal(err)
		}
		write, sync = what == "write", what == "sync"
		const at = 4 << 10
		_, err = file.WriteAt(bytes.Repeat([]byte{1}, 3_000), at)
		if err := errors.Join(err, file.Sync()); err == nil {
			t.Fatal("nothing failed")
		}
		write, sync = false, false
		for range 2 {
			if n, err := file.WriteAt(bytes.Repeat([]byte{2}, 100), at); err != nil || n != 100 {
				t.Fatal(n, err)
			}
		}
		if err := errors.Join(file.Sync(), file.Close()); err != nil {
			t.Fatal(err)
		}
		written, err := os.ReadFile(files[0])
		if err != nil {
			t.Fatal(err)
		}
		if rest := bytes.TrimRight(written, "\x00"); len(rest) != at+100 {
			t.Errorf("%s: %d bytes are behind the write", what, len(rest)-at-100)
		}
	}
}

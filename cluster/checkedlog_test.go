package cluster

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	"go.etcd.io/bbolt"
)

// metaPages of the file are checked by the file itself, which has two: damage to the
// newer takes it back by one write, and no sum of ours can see that.
const metaPages = 2 * 4096

// TestAlteredByteIsFound: wherever it is in the file of a log, either no entry is
// altered by it or the log is not opened.
func TestAlteredByteIsFound(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "raft"), 0o700); err != nil {
		t.Fatal(err)
	}
	c := &Cluster{cfg: Config{Dir: dir}}
	store, err := c.openLog()
	if err != nil {
		t.Fatal(err)
	}
	const entries = 200
	for i := range uint64(entries) {
		if err := (checkedLog{store}).StoreLog(&raft.Log{Index: i + 1, Term: 3, Data: bytes.Repeat([]byte{byte(i)}, 300)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join((checkedLog{store}).verify(), store.Close()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "raft", "log.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	found := 0
	for range 400 {
		at := metaPages + random.IntN(len(whole)-metaPages)
		altered := bytes.Clone(whole)
		altered[at] ^= 1 << random.IntN(8)
		if err := os.WriteFile(file, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readWhole(c, entries); errors.Is(err, ErrDamagedLog) {
			found++
		} else if err != nil {
			t.Fatalf("with byte %d altered: %v", at, err)
		}
	}
	if found == 0 {
		t.Error("no damage was found, so none was done")
	}
}

// readWhole opens the log and demands every entry as it was written.
func readWhole(c *Cluster, entries uint64) (err error) {
	file := filepath.Join(c.cfg.Dir, "raft", "log.db")
	if err := verifyFile(file); err != nil {
		return err
	}
	store, err := raftboltdb.New(raftboltdb.Options{Path: file, BoltOptions: &bbolt.Options{ReadOnly: true}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	for i := range entries {
		var l raft.Log
		if err := store.GetLog(i+1, &l); err != nil {
			return err
		}
		if l.Term != 3 || !bytes.Equal(l.Data, bytes.Repeat([]byte{byte(i)}, 300)) {
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
	file := filepath.Join(n.cfg.Dir, "raft", "log.db")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.ReplaceAll(whole, []byte("is altered"), []byte("was altered")[:10])
	if bytes.Equal(whole, altered) {
		t.Fatal("the line is not in the file")
	}
	if err := os.WriteFile(file, altered, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(n.cfg); !errors.Is(err, ErrDamagedLog) {
		t.Fatalf("a damaged log: %v", err)
	}
	if err := os.WriteFile(file, make([]byte, len(whole)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(n.cfg); !errors.Is(err, ErrDamagedLog) {
		t.Fatalf("a log of zeros: %v", err)
	}
	l := &raft.Log{Index: 1, Term: 1, Data: []byte("sent")}
	l.Extensions = sumOf(l)
	l.Data = []byte("lost")
	if err := (checkedLog{raft.NewInmemStore()}).StoreLog(l); err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("a damaged entry is taken over: %v", err)
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
	store, err := bboltLog(b.TempDir())
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

func bboltLog(dir string) (LogStore, error) {
	if err := os.MkdirAll(filepath.Join(dir, "raft"), 0o700); err != nil {
		return nil, err
	}
	return (&Cluster{cfg: Config{Dir: dir}}).openLog()
}

package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/authfi/authfi/durable"
	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"
	wal "github.com/hashicorp/raft-wal"
	"github.com/hashicorp/raft-wal/metadb"
	"github.com/hashicorp/raft-wal/migrate"
	"github.com/hashicorp/raft-wal/segment"
	"go.etcd.io/bbolt"
)

// LogFormat is how a node keeps its log on its disk. Every node has its own; the
// others do not notice.
type LogFormat string

const (
	// LogWAL is segments that are written once from front to back: one sync for each
	// write to the log.
	LogWAL LogFormat = "wal"
	// LogBolt is one file of pages: two syncs, one behind the other.
	LogBolt LogFormat = "bolt"
)

// Check refuses what is no format; none is the one that the node has, or LogWAL.
func (f LogFormat) Check() error {
	if f != "" && f != LogWAL && f != LogBolt {
		return fmt.Errorf("log_format %q is not %s or %s", f, LogWAL, LogBolt)
	}
	return nil
}

// name is what holds the log in the directory of raft.
func (f LogFormat) name() string {
	if f == LogBolt {
		return "log.db"
	}
	return "wal"
}

const (
	// segmentSize is allocated ahead. A new one costs a sync of the list of segments,
	// and 16 MiB are some thirty thousand changes.
	segmentSize = 16 << 20
	// copyBatch is how much of a log is copied with one sync.
	copyBatch = 4 << 20
	// newSuffix is behind the name of a log that is not whole yet.
	newSuffix = ".new"
)

// walNote stands in the place of the file of pages when the log is in segments. A build
// that knows no segments finds a damaged file there, and does not begin with an empty
// log: it would vote as one who has forgotten what it has acknowledged.
const walNote = "The log of this node is in the directory wal.\n"

// openLog opens the log in a directory, which it makes where there is none; one that
// has another format is copied first. Damage of what is there is ErrDamagedLog.
//
// The file of LogBolt says which format the log has: it is the log, or a note. It is
// replaced by one rename when the log of the other format is whole.
func openLog(dir string, want LogFormat) (LogStore, error) {
	has, err := formatIn(dir)
	if err != nil {
		return nil, err
	}
	want = cmp.Or(want, has, LogWAL)
	if err := removeLeft(dir, has); err != nil {
		return nil, err
	}
	if want != has {
		if err := makeLog(dir, want, has); err != nil {
			return nil, err
		}
		if err := removeLeft(dir, want); err != nil {
			return nil, err
		}
	}
	return openFormat(dir, want)
}

// formatIn is the format of the log that a directory holds, or none.
func formatIn(dir string) (LogFormat, error) {
	file, err := os.Open(filepath.Join(dir, LogBolt.name()))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	begin, err := io.ReadAll(io.LimitReader(file, int64(len(walNote))))
	switch {
	case err != nil:
		return "", err
	case string(begin) == walNote:
		return LogWAL, nil
	case len(begin) == 0: // it has never held anything
		return "", nil
	}
	return LogBolt, nil
}

// removeLeft removes what is not of the log: what a crash has left of another one.
func removeLeft(dir string, has LogFormat) error {
	left := []string{LogWAL.name() + newSuffix, LogBolt.name() + newSuffix}
	if has != LogWAL {
		left = append(left, LogWAL.name())
	}
	var failed error
	for _, name := range left {
		failed = errors.Join(failed, os.RemoveAll(filepath.Join(dir, name)))
	}
	return failed
}

// makeLog makes a log with what one of another format holds, or an empty one.
func makeLog(dir string, want, from LogFormat) error {
	path := filepath.Join(dir, want.name())
	to, err := createFormat(path+newSuffix, want)
	if err != nil {
		return fmt.Errorf("create log: %w", err)
	}
	if from != "" {
		err = copyLog(to, dir, from)
	}
	if err := errors.Join(err, to.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+newSuffix, path); err != nil || want == LogBolt {
		return errors.Join(err, durable.SyncDir(dir))
	}
	if err := durable.SyncDir(dir); err != nil {
		return err
	}
	return durable.Replace(filepath.Join(dir, LogBolt.name()), durable.OwnerOnly, durable.Content(walNote))
}

func copyLog(to LogStore, dir string, has LogFormat) (err error) {
	from, err := openFormat(dir, has)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	ctx := context.Background()
	if last, err := from.LastIndex(); err != nil {
		return err
	} else if last > 0 {
		if err := migrate.CopyLogs(ctx, to, from, copyBatch, nil); err != nil {
			return fmt.Errorf("copy log: %w", err)
		}
	}
	return copyVote(to, from)
}

// What the library remembers beside the log.
var (
	currentTerm = []byte("CurrentTerm") // must not be behind that of any entry
	votedTerm   = []byte("LastVoteTerm")
	votedFor    = []byte("LastVoteCand")
)

func copyVote(to, from raft.StableStore) error {
	for _, key := range [][]byte{currentTerm, votedTerm} {
		n, err := from.GetUint64(key)
		if err != nil && !notThere(err) {
			return fmt.Errorf("read vote: %w", err)
		}
		if n > 0 {
			if err := to.SetUint64(key, n); err != nil {
				return fmt.Errorf("copy vote: %w", err)
			}
		}
	}
	who, err := from.Get(votedFor)
	if err != nil && !notThere(err) {
		return fmt.Errorf("read vote: %w", err)
	}
	if len(who) == 0 {
		return nil
	}
	return to.Set(votedFor, who)
}

// notThere: the library knows a missing key by this text alone.
func notThere(err error) bool { return err.Error() == raftboltdb.ErrKeyNotFound.Error() }

// createFormat makes an empty log at a path.
func createFormat(path string, f LogFormat) (LogStore, error) {
	if f == LogBolt {
		return openBolt(path, false)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	return openWAL(path)
}

// openFormat opens a log that is there, once every entry of it has been looked at.
func openFormat(dir string, f LogFormat) (LogStore, error) {
	path := filepath.Join(dir, f.name())
	if f == LogBolt {
		return verifiedBolt(path)
	}
	return verifiedWAL(path)
}

// verifiedBolt reads every entry without writing, and then opens for writing, which
// looks for the free pages first.
func verifiedBolt(path string) (log LogStore, err error) {
	if err := verifyBolt(path); err != nil {
		return nil, err
	}
	err = faultless(func() (err error) {
		log, err = openBolt(path, false)
		return err
	})
	return log, err
}

func openBolt(path string, readOnly bool) (LogStore, error) {
	store, err := raftboltdb.New(raftboltdb.Options{
		Path: path,
		BoltOptions: &bbolt.Options{
			NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, Timeout: boltTimeout, ReadOnly: readOnly,
		},
		MsgpackUseNewTimeFormat: true,
	})
	if err != nil {
		return nil, err
	}
	return boltLog{store, chunkedLog{store}}, nil
}

// boltLog is truncated in steps.
type boltLog struct {
	*raftboltdb.BoltStore
	chunks chunkedLog
}

func (l boltLog) DeleteRange(first, last uint64) error { return l.chunks.DeleteRange(first, last) }

// openWAL leaves no file open, and so none locked, when it fails.
func openWAL(path string) (_ LogStore, err error) {
	meta := &metadb.BoltMetaDB{}
	opened := false
	defer func() {
		if !opened {
			err = errors.Join(err, meta.Close())
		}
	}()
	log, err := wal.Open(path, wal.WithMetaStore(meta), wal.WithSegmentSize(segmentSize), wal.WithLogger(hclog.NewNullLogger()),
		wal.WithSegmentFiler(segment.NewFiler(path, newWALFiles())))
	if err != nil {
		return nil, err
	}
	opened = true
	return log, nil
}

// monotonic reports whether a log takes no entry that does not follow on the last: the
// library then empties it when it installs a snapshot that is beyond it.
func monotonic(log raft.LogStore) bool {
	m, ok := log.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// follows puts a log, a snapshot and a state in order, as they were found at the start.
//
// Every entry that the state has was in this log or in a snapshot before: a log that
// ends before it has lost its end. And a log that takes no gap is emptied when a
// snapshot has got ahead of it: all its entries are in there, and none could follow.
func follows(log raft.LogStore, snapshot, applied uint64) error {
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	last, err := log.LastIndex()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if max(last, snapshot) < applied {
		return fmt.Errorf("%w: it ends at entry %d, and the state has entry %d", ErrDamagedLog, last, applied)
	}
	if monotonic(log) && last > 0 && last < snapshot {
		return log.DeleteRange(first, last)
	}
	return nil
}

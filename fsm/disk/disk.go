// Package disk is the storage engine behind state.Storage: one Badger database
// per node that follows the machine. Entries are written behind it, many in one
// synced transaction, with the index of the last. It does the only file I/O under
// fsm and does not know that its bytes are an identity directory.
package disk

import (
	"errors"
	"fmt"
	"os"

	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/state"
	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// Sizes: a group of entries must fit a transaction, which is 15 % of a memory
// table; values never reach the value log, so that its garbage collection is never
// needed.
const (
	memTableSize   = 16 << 20 // and up to as much more
	memTables      = 3
	valueThreshold = 1 << 20
	blockCacheSize = 32 << 20
)

// metaKey sorts before every stored row: those begin with 16 bytes of an
// organization and have at least 17.
var metaKey = []byte{0}

// Store is a durable state.Storage.
type Store struct {
	db *badger.DB
	*behind
}

var _ state.Storage = (*Store)(nil)

// Open opens or creates the store in dir. A store that does not open is
// removed and created anew: the caller sees an empty one and fills it from the
// log, a snapshot or another node.
//
// All nodes store the same entries. Stores of one size would be full, and merge their
// tables, at the same moment, and for a second no majority would be fast; so each
// node opens its own with another stagger, from 0 to 1.
func Open(dir string, stagger float64) (*Store, error) {
	size := memTableSize + int64(stagger*memTableSize)
	db, err := open(dir, size)
	if err != nil {
		if removeErr := os.RemoveAll(dir); removeErr != nil {
			return nil, errors.Join(err, removeErr)
		}
		if db, err = open(dir, size); err != nil {
			return nil, fmt.Errorf("open store: %w", err)
		}
	}
	s := &Store{db: db}
	s.behind = newBehind(s.write)
	return s, nil
}

// open synchronises writes: without it a power cut was seen to lose rows below
// the applied index that survived. Blocks are read with their checksum: without
// it a flipped byte was seen to panic inside the engine.
func open(dir string, memTableSize int64) (*badger.DB, error) {
	return badger.Open(badger.DefaultOptions(dir).
		WithSyncWrites(true).
		WithMemTableSize(memTableSize).
		WithNumMemtables(memTables).
		WithValueThreshold(valueThreshold).
		WithBlockCacheSize(blockCacheSize).
		WithCompression(options.None).
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false).
		WithChecksumVerificationMode(options.OnBlockRead).
		WithMetricsEnabled(false).
		WithLogger(nil))
}

// Load implements state.Storage. The engine reads ahead while the caller works on
// the rows before. A panic of the engine over its own files is damage like any
// other: the caller drops the copy and fills it again.
func (s *Store) Load(row func(key, value []byte) error) (meta state.Meta, err error) {
	if err := s.Sync(); err != nil {
		return meta, err
	}
	l := loading{batches: make(chan []state.Write, batchesAhead), stop: make(chan struct{})}
	go l.read(s.db)
	for batch := range l.batches {
		for _, r := range batch {
			if err == nil {
				err = load(&meta, r, row)
			}
		}
		if err != nil {
			close(l.stop)
			for range l.batches { // until the reader has seen it
			}
			return meta, err
		}
	}
	return meta, l.err
}

func load(meta *state.Meta, r state.Write, row func(key, value []byte) error) error {
	if len(r.Key) == len(metaKey) {
		return codec.Decode(r.Value, meta)
	}
	return row(r.Key, r.Value)
}

// Sizes of reading ahead: a batch is handed over seldom enough that it costs
// nothing, and what waits is a few hundred kilobytes.
const (
	batchRows    = 1_000
	batchesAhead = 4
)

// loading is one read of the whole store.
type loading struct {
	batches chan []state.Write // closed at the end
	stop    chan struct{}      // closed when the caller wants no more
	err     error              // valid once batches is closed
}

func (l *loading) read(db *badger.DB) {
	defer close(l.batches)
	defer func() {
		if p := recover(); p != nil {
			l.err = fmt.Errorf("read store: %v", p)
		}
	}()
	l.err = db.View(func(txn *badger.Txn) error {
		options := badger.DefaultIteratorOptions
		options.PrefetchValues = false // values are beside their keys: there is nothing to fetch
		it := txn.NewIterator(options)
		defer it.Close()
		batch := make([]state.Write, 0, batchRows)
		var b block
		var row state.Write
		value := func(v []byte) error { row.Value = b.copy(v); return nil }
		for it.Rewind(); it.Valid(); it.Next() {
			row.Key = b.copy(it.Item().Key())
			if err := it.Item().Value(value); err != nil {
				return err
			}
			batch = append(batch, row)
			if len(batch) == batchRows {
				if !l.hand(batch) {
					return nil
				}
				batch = make([]state.Write, 0, batchRows)
			}
		}
		l.hand(batch)
		return nil
	})
}

// block holds copies one behind the other. Most rows of a directory are of some fifty
// bytes: to allocate two pieces for each was most of what a load allocated. Who keeps a copy keeps its block.
type block []byte

const blockSize = 64 << 10

// copy never moves what was copied before, and leaves no room behind the copy.
func (b *block) copy(from []byte) []byte {
	if len(from) > cap(*b)-len(*b) {
		*b = make([]byte, 0, max(blockSize, len(from)))
	}
	begin := len(*b)
	*b = append(*b, from...)
	return (*b)[begin:len(*b):len(*b)]
}

// hand reports false when the caller wants no more.
func (l *loading) hand(batch []state.Write) bool {
	select {
	case l.batches <- batch:
		return true
	case <-l.stop:
		return false
	}
}

// write makes rows and meta durable together. An entry above the engine's
// transaction limit is split; the meta row comes last, so that a crash between the
// parts leaves rows that do not add up, which Load's caller finds.
func (s *Store) write(meta state.Meta, writes []state.Write) error {
	txn := s.db.NewTransaction(true)
	defer func() { txn.Discard() }()
	for _, w := range writes {
		err := put(txn, w)
		if errors.Is(err, badger.ErrTxnTooBig) {
			if err = txn.Commit(); err == nil {
				txn = s.db.NewTransaction(true)
				err = put(txn, w)
			}
		}
		if err != nil {
			return err
		}
	}
	if err := s.setMeta(&txn, meta); err != nil {
		return err
	}
	return txn.Commit()
}

func put(txn *badger.Txn, w state.Write) error {
	if w.Value == nil {
		return txn.Delete(w.Key)
	}
	return txn.Set(w.Key, w.Value)
}

func (s *Store) setMeta(txn **badger.Txn, meta state.Meta) error {
	err := (*txn).Set(metaKey, codec.Encode(meta))
	if !errors.Is(err, badger.ErrTxnTooBig) {
		return err
	}
	if err := (*txn).Commit(); err != nil {
		return err
	}
	*txn = s.db.NewTransaction(true)
	return (*txn).Set(metaKey, codec.Encode(meta))
}

// Replace implements state.Storage: everything goes, then the new rows come,
// the meta row last.
func (s *Store) Replace(fill func(put func(key, value []byte) error) (state.Meta, error)) error {
	if err := s.Sync(); err != nil {
		return err
	}
	if err := s.db.DropAll(); err != nil {
		return fmt.Errorf("empty store: %w", err)
	}
	batch := s.db.NewWriteBatch()
	defer batch.Cancel()
	meta, err := fill(batch.Set)
	if err != nil {
		return err
	}
	if err := batch.Flush(); err != nil {
		return fmt.Errorf("fill store: %w", err)
	}
	return s.write(meta, nil)
}

// Close writes what is waiting. It may be called twice.
func (s *Store) Close() error {
	err := s.behind.close()
	if s.db.IsClosed() {
		return err
	}
	return errors.Join(err, s.db.Close())
}

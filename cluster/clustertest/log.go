package clustertest

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// Log is the memory of a disk that syncs before it answers, as the log's file does:
// what it has taken is there after a crash. It is a cluster.LogStore.
type Log struct {
	*raft.InmemStore // the disk: the one thing that a crash leaves
	power            *power
}

// power is of one run of a process.
type power struct {
	mu      sync.Mutex
	changed sync.Cond
	off     bool
	hangs   bool
	held    bool                 // a write has met it
	pace    func() time.Duration // of a write; nil: none
}

// NewLog is empty. pace says how long a write takes, and may be nil.
func NewLog(pace func() time.Duration) *Log {
	l := &Log{InmemStore: raft.NewInmemStore(), power: &power{pace: pace}}
	l.power.changed.L = &l.power.mu
	return l
}

// Crash gives the log as the next process finds it. To the process that has crashed
// this one seems to go on, and keeps nothing.
func (l *Log) Crash() *Log {
	l.power.mu.Lock()
	defer l.power.mu.Unlock()
	l.power.off = true
	l.power.changed.Broadcast()
	next := &Log{InmemStore: l.InmemStore, power: &power{pace: l.power.pace}}
	next.power.changed.L = &next.power.mu
	return next
}

// Forget loses the newest entries, as a disk does that lies about its syncs.
func (l *Log) Forget(count uint64) error {
	first, err := l.FirstIndex()
	if err != nil {
		return err
	}
	last, err := l.LastIndex()
	if err != nil || last < first+count {
		return err
	}
	return l.InmemStore.DeleteRange(last-count+1, last)
}

// Hang keeps writes from returning, or lets them go on.
func (l *Log) Hang(hangs bool) {
	l.power.mu.Lock()
	defer l.power.mu.Unlock()
	l.power.hangs, l.power.held = hangs, false
	l.power.changed.Broadcast()
}

// Held reports whether a write waits for the disk since it hangs.
func (l *Log) Held() bool {
	l.power.mu.Lock()
	defer l.power.mu.Unlock()
	return l.power.held
}

// write waits as the disk does, and reports false when nothing is kept any more. It is
// called with the lock, so that a crash falls between two writes.
func (l *Log) write(do func() error) error {
	if l.power.pace != nil {
		time.Sleep(l.power.pace())
	}
	l.power.mu.Lock()
	defer l.power.mu.Unlock()
	for l.power.hangs && !l.power.off {
		l.power.held = true
		l.power.changed.Wait()
	}
	if l.power.off {
		return nil
	}
	return do()
}

// StoreLog implements raft.LogStore.
func (l *Log) StoreLog(entry *raft.Log) error { return l.StoreLogs([]*raft.Log{entry}) }

// StoreLogs implements raft.LogStore.
func (l *Log) StoreLogs(entries []*raft.Log) error {
	return l.write(func() error { return l.InmemStore.StoreLogs(entries) })
}

// DeleteRange implements raft.LogStore.
func (l *Log) DeleteRange(from, to uint64) error {
	return l.write(func() error { return l.InmemStore.DeleteRange(from, to) })
}

// Set implements raft.StableStore.
func (l *Log) Set(key, value []byte) error {
	return l.write(func() error { return l.InmemStore.Set(key, value) })
}

// SetUint64 implements raft.StableStore.
func (l *Log) SetUint64(key []byte, value uint64) error {
	return l.write(func() error { return l.InmemStore.SetUint64(key, value) })
}

// Close keeps what is there for the next process.
func (l *Log) Close() error { return nil }

package cluster

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime/debug"

	"github.com/hashicorp/raft"
	berrors "go.etcd.io/bbolt/errors"
)

// ErrDamagedLog means that the log on this node's disk is not what was written. What it
// has acknowledged to a leader, and for whom it voted, may be lost with it.
var ErrDamagedLog = errors.New("the log of this node is damaged")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumMark begins the sum that an entry carries; entries of before have none.
const sumMark = 0xa5

// checkedLog gives every entry a sum, and looks at it whenever one is read: the file
// checks its structure and not its content, and an altered entry would be sent on to
// the others as if it had been decided. The sum travels with the entry, so that a
// follower does not take over what was damaged elsewhere.
type checkedLog struct{ raft.LogStore }

func sumOf(l *raft.Log) []byte {
	head := binary.BigEndian.AppendUint64(make([]byte, 0, 17), l.Index)
	head = append(binary.BigEndian.AppendUint64(head, l.Term), byte(l.Type))
	sum := crc32.Update(crc32.Checksum(head, castagnoli), castagnoli, l.Data)
	return binary.BigEndian.AppendUint32([]byte{sumMark}, sum)
}

func intact(l *raft.Log) bool {
	return len(l.Extensions) == 0 || string(l.Extensions) == string(sumOf(l))
}

func (c checkedLog) StoreLog(l *raft.Log) error { return c.StoreLogs([]*raft.Log{l}) }

func (c checkedLog) StoreLogs(logs []*raft.Log) error {
	summed := make([]*raft.Log, len(logs))
	for i, l := range logs {
		if !intact(l) {
			return fmt.Errorf("entry %d was damaged on its way, or where it comes from", l.Index)
		}
		own := *l // the library holds it meanwhile
		own.Extensions = sumOf(l)
		summed[i] = &own
	}
	return c.LogStore.StoreLogs(summed)
}

// GetLog stops the node at an entry that is not what was written: the library would
// take an error for a disk that is slow, and lead on.
func (c checkedLog) GetLog(index uint64, l *raft.Log) error {
	if err := c.LogStore.GetLog(index, l); err != nil {
		return err
	}
	if l.Index != index || !intact(l) {
		panic(fmt.Sprintf("%v: entry %d is not what was written", ErrDamagedLog, index))
	}
	return nil
}

// IsMonotonic implements raft.MonotonicLogStore.
func (c checkedLog) IsMonotonic() bool { return monotonic(c.LogStore) }

// verifyBolt reads every entry of a log's file before any of them is used: some
// microseconds each.
func verifyBolt(file string) error {
	store, err := openBolt(file, true)
	switch {
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return fmt.Errorf("%w: %w", ErrDamagedLog, err)
	case err != nil:
		return err
	}
	return errors.Join(checkedLog{store}.verify(), store.Close())
}

// faultless makes an error of a panic that damage to a file leads a library into, and of
// a fault in the memory that maps it.
func faultless(read func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamagedLog, p)
		}
	}()
	return read()
}

// verify reads every entry.
func (c checkedLog) verify() error { return faultless(c.readAll) }

func (c checkedLog) readAll() error {
	first, err := c.FirstIndex()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamagedLog, err)
	}
	last, err := c.LastIndex()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamagedLog, err)
	}
	for index := first; index <= last && first > 0; index++ {
		var l raft.Log
		if err := c.LogStore.GetLog(index, &l); err != nil {
			return fmt.Errorf("%w: entry %d of %d to %d: %w", ErrDamagedLog, index, first, last, err)
		}
		if l.Index != index || !intact(&l) {
			return fmt.Errorf("%w: entry %d of %d to %d is not what was written", ErrDamagedLog, index, first, last)
		}
	}
	return nil
}

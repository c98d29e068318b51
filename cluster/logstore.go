package cluster

import "github.com/hashicorp/raft"

// truncateChunk keeps one truncation from blocking appends: the log's file
// deletes in one write transaction, 228 ms for 295 thousand entries.
const truncateChunk = 5000

// chunkedLog truncates in steps between which appends may pass.
type chunkedLog struct{ raft.LogStore }

// DeleteRange starts at the log's own end of the range, so that a crash between
// two steps leaves no hole.
func (l chunkedLog) DeleteRange(first, last uint64) error {
	oldest, err := l.FirstIndex()
	if err != nil {
		return err
	}
	for first <= last && last-first >= truncateChunk {
		from, to := last-truncateChunk+1, last
		if first <= oldest {
			from, to = first, first+truncateChunk-1
			oldest, first = to+1, to+1
		} else {
			last = from - 1
		}
		if err := l.LogStore.DeleteRange(from, to); err != nil {
			return err
		}
	}
	return l.LogStore.DeleteRange(first, last)
}

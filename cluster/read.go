package cluster

import (
	"context"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// reader answers where a linearizable read must stand: an index at or after
// every write acknowledged before the question. One proof of leadership serves
// all questions that came before it began.
type reader struct {
	c    *Cluster
	ask  chan chan<- answer
	term atomic.Uint64 // in which this node's own first entry is applied; 0 = none
}

type answer struct {
	index uint64
	err   error
}

func newReader(c *Cluster) *reader {
	return &reader{c: c, ask: make(chan chan<- answer, queueMax)}
}

func (r *reader) ready(term uint64) { r.term.Store(term) }
func (r *reader) lost()             { r.term.Store(0) }

// ReadIndex returns an index such that a state at or beyond it holds every
// write that was acknowledged before the call, on whatever node.
func (c *Cluster) ReadIndex(ctx context.Context) (uint64, error) {
	got := make(chan answer, 1)
	for {
		select {
		case c.reader.ask <- got:
		default:
			return 0, ErrOverloaded
		}
		select {
		case a := <-got:
			if a.err == nil {
				return a.index, nil
			}
		case <-ctx.Done():
			return 0, ErrNoLeader
		case <-c.closing:
			return 0, ErrClosed
		}
		select { // an election is under way
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return 0, ErrNoLeader
		}
	}
}

func (r *reader) run() {
	for {
		select {
		case first := <-r.ask:
			waiting := []chan<- answer{first}
			for more := true; more; {
				select {
				case next := <-r.ask:
					waiting = append(waiting, next)
				default:
					more = false
				}
			}
			index, err := r.index()
			for _, w := range waiting {
				w <- answer{index, err}
			}
		case <-r.c.closing:
			return
		}
	}
}

func (r *reader) index() (uint64, error) {
	if r.c.IsLeader() {
		return r.lead()
	}
	leader, ok := r.c.Leader()
	if !ok || leader == r.c.cfg.NodeID {
		return 0, ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	b, err := r.c.Call(ctx, leader, methodReadIndex, nil)
	if err != nil || len(b) != 8 {
		return 0, ErrNoLeader
	}
	return binary.BigEndian.Uint64(b), nil
}

// lead proves leadership after it has read the commit index, and that the term
// in which it may trust that index has not changed meanwhile. Without the guard
// by an own entry a new leader was seen to answer with an index from before.
func (r *reader) lead() (uint64, error) {
	term := r.term.Load()
	if term == 0 || term != r.c.raft.CurrentTerm() {
		return 0, ErrNoLeader
	}
	index := r.c.raft.CommitIndex()
	if err := r.c.raft.VerifyLeader().Error(); err != nil {
		return 0, ErrNoLeader
	}
	if r.term.Load() != term || term != r.c.raft.CurrentTerm() {
		return 0, ErrNoLeader
	}
	return index, nil
}

// serveReadIndex answers a follower; it waits in the same batch as own reads.
func (c *Cluster) serveReadIndex(ctx context.Context, _ string, _ []byte) ([]byte, error) {
	if !c.IsLeader() {
		return nil, ErrNoLeader
	}
	index, err := c.ReadIndex(ctx)
	if err != nil {
		return nil, err
	}
	return binary.BigEndian.AppendUint64(nil, index), nil
}

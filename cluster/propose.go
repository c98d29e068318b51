package cluster

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

// Bounds of group commit: commands that arrive while a commit is under way
// share the next entry. With a second one in flight entries were half as large, and
// their syncs made all of them slower.
const (
	entryBytesMax = 256 << 10
	queueMax      = 16384 // proposals waiting; more are refused, not queued
	commandMax    = 4 << 20
	// retryEvery paces a proposal that finds no leader yet.
	retryEvery = 20 * time.Millisecond
)

// proposer gathers this node's proposals into entries. The leader appends them
// to the log; a follower sends them to the leader, one call for many.
type proposer struct {
	c     *Cluster
	queue chan queued
}

type queued struct {
	proposal
	fate chan error // buffered; nil means committed, as far as the sender knows
}

func newProposer(c *Cluster) *proposer {
	return &proposer{c: c, queue: make(chan queued, queueMax)}
}

// Propose puts a command into the log and returns the result of this node's
// own machine once it has applied the command. An error other than
// ErrUnknownOutcome means that the command was surely not proposed.
func (c *Cluster) Propose(ctx context.Context, command []byte) (Position, any, error) {
	if len(command) > commandMax {
		return Position{}, nil, ErrOverloaded
	}
	var id proposalID
	if _, err := rand.Read(id[:]); err != nil {
		return Position{}, nil, err
	}
	applied := c.adapter.await(id)
	defer c.adapter.forget(id)
	for {
		err := c.proposer.try(ctx, proposal{id, command}, applied)
		switch {
		case err == nil:
			out := <-applied
			return out.position, out.result, nil
		case !errors.Is(err, ErrNoLeader):
			return Position{}, nil, err
		}
		select { // surely not proposed: a new leader may take it
		case <-time.After(retryEvery):
		case <-ctx.Done():
			return Position{}, nil, ErrNoLeader
		case <-c.closing:
			return Position{}, nil, ErrClosed
		}
	}
}

// try sends the proposal once. It returns nil only when this node has applied
// it; the result then stands in applied again.
func (p *proposer) try(ctx context.Context, prop proposal, applied chan outcome) error {
	q := queued{prop, make(chan error, 1)}
	select {
	case p.queue <- q:
	default:
		return ErrOverloaded
	}
	var fate <-chan error = q.fate
	var settled <-chan struct{}
	for {
		select {
		case out := <-applied:
			applied <- out
			return nil
		case err := <-fate:
			if errors.Is(err, ErrNoLeader) || errors.Is(err, ErrReadOnly) {
				return err
			}
			// Committed, or of unknown fate: either way this node will see
			// the command if it happened. Nothing more comes from the sender.
			fate = nil
			if err != nil {
				settled = p.c.settled(ctx)
			}
		case <-settled:
			select {
			case out := <-applied:
				applied <- out
				return nil
			default:
				return ErrUnknownOutcome
			}
		case <-ctx.Done():
			return ErrUnknownOutcome
		case <-p.c.closing:
			return ErrUnknownOutcome
		}
	}
}

// settled is closed when this node has applied what a leader of now has committed.
// What an earlier leader had in its log when it was lost is then here or nowhere, so
// a proposal that is not has little hope: whoever waits on would, after a kill of the
// leader, wait out the whole time of a request for nothing. Little is not none, for a
// message may still be on its way, and so the outcome stays unknown.
func (c *Cluster) settled(ctx context.Context) <-chan struct{} {
	done := make(chan struct{})
	go func() { // ends with the request, or with the cluster
		index, err := c.ReadIndex(ctx)
		if err == nil && c.WaitApplied(ctx, index) == nil {
			close(done)
		}
	}()
	return done
}

// run gathers until the context of the cluster ends.
func (p *proposer) run() {
	for {
		select {
		case first := <-p.queue:
			p.send(p.gather(first))
		case <-p.c.closing:
			return
		}
	}
}

// gather takes what has arrived meanwhile, in order.
func (p *proposer) gather(first queued) []queued {
	batch, size := []queued{first}, len(first.command)
	for len(batch) < entryCommandsMax && size < entryBytesMax {
		select {
		case q := <-p.queue:
			batch, size = append(batch, q), size+len(q.command)
		default:
			return batch
		}
	}
	return batch
}

func (p *proposer) send(batch []queued) {
	proposals := make([]proposal, len(batch))
	for i, q := range batch {
		proposals[i] = q.proposal
	}
	err := p.c.commit(encodeEntry(proposals))
	for _, q := range batch {
		q.fate <- err
	}
}

// commit appends an entry at the leader, here or there.
func (c *Cluster) commit(entry []byte) error {
	if c.IsLeader() {
		if err := c.writable(); err != nil {
			return err
		}
		_, err := c.append(entry)
		return err
	}
	leader, ok := c.Leader()
	if !ok || leader == c.cfg.NodeID {
		return ErrNoLeader
	}
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	_, err := c.Call(ctx, leader, methodAppend, entry)
	return err
}

// place is where in the log an entry is that this node has committed as the leader.
type place struct{ index, term uint64 }

// append returns no error when the entry is committed and applied here. Errors that
// raft gives before it takes an entry mean that there is none.
func (c *Cluster) append(entry []byte) (place, error) {
	term := c.raft.CurrentTerm()
	future := c.raft.Apply(entry, rpcTimeout)
	err := future.Error()
	switch {
	case err == nil:
		return place{future.Index(), term}, nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress):
		return place{}, ErrNoLeader
	}
	return place{}, ErrUnknownOutcome
}

// tell lets the node that proposed an entry know at once that it is committed. Raft's
// own replication tells it with the next entry, or else within twice CommitTimeout,
// which was more than half of what a write took there; the node waits for it, for it
// answers from its own machine. It is a message that raft could have sent itself, that
// the log agrees up to here and that all of this is committed: a node that does not
// have the entry, or knows a later term, passes over it. While newer entries follow they
// bring the news.
func (c *Cluster) tell(nodeID string, at place) {
	address, ok := c.address(nodeID)
	if !ok || c.raft.LastIndex() != at.index || !c.IsLeader() || c.raft.CurrentTerm() != at.term {
		return
	}
	self := c.transport.EncodePeer(raft.ServerID(c.cfg.NodeID), raft.ServerAddress(c.cfg.Advertise))
	request := told(self, c.cfg.NodeID, at)
	// Whoever cannot be told learns of it as ever.
	_ = c.transport.AppendEntries(raft.ServerID(nodeID), raft.ServerAddress(address), request, &raft.AppendEntriesResponse{})
}

func told(self []byte, nodeID string, at place) *raft.AppendEntriesRequest {
	return &raft.AppendEntriesRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(nodeID), Addr: self},
		Term:         at.term,
		PrevLogEntry: at.index, PrevLogTerm: at.term, LeaderCommitIndex: at.index,
	}
}

// serveAppend takes an entry of a follower.
func (c *Cluster) serveAppend(_ context.Context, from string, entry []byte) ([]byte, error) {
	if _, err := decodeEntry(entry); err != nil {
		return nil, err
	}
	if err := c.writable(); err != nil {
		return nil, err // the log that must take it first is this node's
	}
	at, err := c.append(entry)
	if err != nil {
		return nil, err
	}
	c.tell(from, at)
	return binary.BigEndian.AppendUint64(nil, c.raft.CommitIndex()), nil
}

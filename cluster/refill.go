package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/hashicorp/raft"
)

// A machine that lost its state is filled from this node's own snapshot and
// log. When those are damaged too, the state comes from another node, as a new
// local snapshot. The node's own log and vote stay, so nothing that it has
// acknowledged to a leader is forgotten: entries after the snapshot are applied
// from the log as ever.

const refillTimeout = 10 * time.Minute // a million users stream in seconds

// stateHead precedes a streamed state.
type stateHead struct {
	Index         uint64
	Term          uint64
	Configuration raft.Configuration
	ConfiguredAt  uint64
}

// noteMembers remembers the members on disk whenever they change, because a node
// whose snapshot and log are damaged must know whom to ask.
func (a *adapter) noteMembers(log *raft.Log) {
	if log.Type == raft.LogConfiguration && a.remember != nil {
		a.remember(raft.DecodeConfiguration(log.Data))
	}
}

func (c *Cluster) rememberMembers(members raft.Configuration) {
	if err := c.known.see(members); err != nil {
		c.log.Warn("the members could not be remembered", "error", err)
	}
}

// needsRefill: the machine is behind what the log can replay, and no snapshot
// that would bridge the gap can be read.
func (c *Cluster) needsRefill(logs raft.LogStore, snapshots raft.SnapshotStore) (bool, error) {
	first, err := logs.FirstIndex()
	if err != nil {
		return false, fmt.Errorf("read log: %w", err)
	}
	applied := c.cfg.Machine.Applied()
	list, err := snapshots.List()
	if err != nil {
		return false, fmt.Errorf("list snapshots: %w", err)
	}
	if len(list) == 0 {
		return first > applied+1, nil
	}
	if applied >= list[0].Index {
		return false, nil
	}
	_, source, err := snapshots.Open(list[0].ID) // reads the file and its checksum
	if err != nil {
		c.log.Error("the local snapshot is damaged", "error", err)
		return true, nil
	}
	return false, source.Close()
}

// refill asks the other members for their state, one after the other.
func (c *Cluster) refill(snapshots raft.SnapshotStore, transport raft.Transport) error {
	members := c.known.members()
	if len(members) == 0 {
		return errors.New("the local copy is damaged and no other node is known")
	}
	failures := errors.New("the local copy is damaged and no other node gave its state")
	for _, m := range members {
		if string(m.ID) == c.cfg.NodeID {
			continue
		}
		if err := c.refillFrom(m, snapshots, transport); err != nil {
			failures = errors.Join(failures, fmt.Errorf("%s: %w", m.ID, err))
			continue
		}
		c.log.Info("the local copy was damaged and is filled again", "from", m.ID)
		return nil
	}
	return failures
}

func (c *Cluster) refillFrom(m raft.Server, snapshots raft.SnapshotStore, transport raft.Transport) error {
	conn, err := c.peers.dial(string(m.Address), string(m.ID), protocolState, rpcTimeout)
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(refillTimeout))
	raw, err := readFrame(conn)
	if err != nil {
		return err
	}
	var head stateHead
	if err := json.Unmarshal(raw, &head); err != nil {
		return err
	}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, head.Index, head.Term, head.Configuration, head.ConfiguredAt, transport)
	if err != nil {
		return err
	}
	if err := copyFrames(sink, conn); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

// frameSize of a streamed state; an empty frame ends it, so that a stream that
// was cut is not taken for a whole one.
const frameSize = 256 << 10

func copyFrames(w io.Writer, r io.Reader) error {
	for {
		frame, err := readFrame(r)
		if err != nil {
			return err
		}
		if len(frame) == 0 {
			return nil
		}
		if _, err := w.Write(frame); err != nil {
			return err
		}
	}
}

// framed cuts what is written into frames.
type framed struct{ w io.Writer }

func (f framed) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 {
		n := min(len(p), frameSize)
		if err := writeFrame(f.w, p[:n]); err != nil {
			return written, err
		}
		written, p = written+n, p[n:]
	}
	return written, nil
}

// serveState streams this node's state to a node that lost its own.
func (c *Cluster) serveState(conn net.Conn) {
	conn.SetDeadline(time.Now().Add(refillTimeout))
	if err := c.sendState(conn); err != nil {
		c.log.Warn("the state could not be streamed", "to", conn.RemoteAddr(), "error", err)
	}
}

func (c *Cluster) sendState(w io.Writer) error {
	ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
	defer cancel()
	// The state must hold everything that the asking node may have voted for.
	index, err := c.ReadIndex(ctx)
	if err != nil {
		return err
	}
	if err := c.WaitApplied(ctx, index); err != nil {
		return err
	}
	configuration := c.raft.GetConfiguration()
	if err := configuration.Error(); err != nil {
		return err
	}
	s, err := c.cfg.Machine.Snapshot()
	if err != nil {
		return err
	}
	head, err := json.Marshal(stateHead{
		Index: s.Index(), Term: s.Term(),
		Configuration: configuration.Configuration(), ConfiguredAt: min(configuration.Index(), s.Index()),
	})
	if err != nil {
		return err
	}
	if err := writeFrame(w, head); err != nil {
		return err
	}
	if _, err := s.WriteTo(framed{w}); err != nil {
		return err
	}
	return writeFrame(w, nil)
}

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Timings and sizes of the log, each measured before it was chosen
// (DESIGN.md): a killed leader costs about a second, a follower sees a write
// about 8 ms after its acknowledgement.
const (
	heartbeatTimeout  = 500 * time.Millisecond
	leaderLease       = 300 * time.Millisecond
	commitTimeout     = 5 * time.Millisecond
	snapshotInterval  = 30 * time.Second
	snapshotThreshold = 49152
	trailingLogs      = 16384
	snapshotsKept     = 2
	logCache          = 512
	// appendEntriesMax entries at most are in one message, and one message at most is
	// under way. A follower whose answer was lost is ahead of what the leader knows by
	// that many, and must still have the entry before them. If it had cut its log above
	// that, the library would go back entry by entry to the first and stay there: the
	// follower would get nothing until the leader has cut its own log, too.
	appendEntriesMax = 64
	rpcTimeout       = 5 * time.Second
	boltTimeout      = time.Second
)

// Config is what a node's part of the cluster needs.
type Config struct {
	NodeID    string
	Dir       string
	Listen    string // peer address to listen on
	Advertise string // peer address that the others dial; empty means Listen
	Identity  *Identity
	Machine   StateMachine
	Bootstrap bool // this node begins the cluster; ignored once there is a log
	Logger    *slog.Logger

	// WriteAllowed refuses proposals with ErrReadOnly, before they are made, while it
	// returns an error at the leader; a leader then hands over to a node where it
	// does not. nil means always.
	WriteAllowed func() error
	// LogAllowed keeps the log from growing while it returns an error: this node
	// falls behind. nil means always.
	LogAllowed func() error
	// AdmitJoin redeems a join token through the log; nil refuses every join.
	AdmitJoin func(ctx context.Context, tokenID string, secret []byte, nodeID string) error
	// Secrets are bytes of the layer above that a joining node receives.
	Secrets func() []byte

	// Pulse counts the steps of a start and of the work after it; nil: nobody looks.
	Pulse *Pulse
	// Network carries what nodes say to each other; nil is TCP.
	Network Network
	// Log keeps the log; nil is one in Dir, in the format that follows.
	Log LogStore
	// LogFormat is that of the log in Dir. One of another format is copied at the start;
	// empty is the format of what is there, or LogWAL.
	LogFormat LogFormat
	// Trailing is how many entries below a snapshot stay in the log, for nodes that are
	// a little behind; 0 is as many as a node of the product keeps. It must
	// be more than appendEntriesMax.
	Trailing uint64
}

// LogStore is where a log is kept: what it has answered for is durable.
type LogStore interface {
	raft.LogStore
	raft.StableStore
	Close() error
}

// Cluster is this node's part. Run serves it; Close may be called twice.
type Cluster struct {
	cfg  Config
	log  *slog.Logger
	raft *raft.Raft
	// transport is raft's own way to the others.
	transport guardedTransport
	adapter   *adapter
	store     LogStore
	guard     *stallGuard
	peers     *peers
	proposer  *proposer
	reader    *reader
	applied   *position
	calls     *calls
	known     *acquaintances
	standing  *standing
	// suspecting is true while a leader that may be dead is asked after.
	suspecting atomic.Bool

	closing   chan struct{}
	closeOnce sync.Once
	running   sync.WaitGroup
}

// Open starts the node's log. The peer port answers from now on; a restarted
// node replays what its machine does not hold yet.
func Open(cfg Config) (*Cluster, error) {
	if cfg.Advertise == "" {
		cfg.Advertise = cfg.Listen
	}
	if cfg.Network == nil {
		cfg.Network = TCP{}
	}
	if cfg.Pulse == nil {
		cfg.Pulse = new(Pulse)
	}
	if cfg.Trailing == 0 {
		cfg.Trailing = trailingLogs
	}
	if cfg.Trailing <= appendEntriesMax {
		return nil, fmt.Errorf("a log that keeps %d entries is too short: one message has %d, and follows on another", cfg.Trailing, appendEntriesMax)
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "raft"), 0o700); err != nil {
		return nil, fmt.Errorf("raft directory: %w", err)
	}
	c := &Cluster{cfg: cfg, log: cfg.Logger, closing: make(chan struct{})}
	c.adapter = newAdapter(cfg.Machine)
	c.adapter.pulse = cfg.Pulse
	c.applied = newPosition(cfg.Machine.Applied())
	c.adapter.moved = func(applied uint64, _ bool) { c.applied.set(applied) }
	c.adapter.remember = c.rememberMembers
	c.known = loadAcquaintances(cfg.Dir)
	var err error
	if c.peers, err = listen(cfg, c.log); err != nil {
		return nil, err
	}
	if err := c.openRaft(); err != nil {
		if c.standing != nil {
			close(c.standing.done)
			err = errors.Join(err, c.transport.Close())
		}
		if c.store != nil {
			err = errors.Join(err, c.store.Close())
		}
		return nil, errors.Join(err, c.peers.close())
	}
	c.calls = &calls{c: c, handlers: map[string]Handler{}, idle: map[string][]*link{}}
	c.peers.rpc, c.peers.join, c.peers.state, c.peers.gone = c.calls.serve, c.serveJoin, c.serveState, c.gone
	c.peers.ended = func(nodeID string) { go c.suspect(nodeID) }
	c.adapter.moved = c.moved
	c.proposer = newProposer(c)
	c.reader = newReader(c)
	c.handlePeers()
	c.running.Go(c.peers.serve)
	c.running.Go(c.proposer.run)
	c.running.Go(c.reader.run)
	c.running.Go(c.lead)
	c.running.Go(c.yield)
	return c, nil
}

// moved follows the machine. Who was removed by what it applied is sent away.
func (c *Cluster) moved(applied uint64, members bool) {
	c.applied.set(applied)
	if members {
		c.expel()
	}
}

func (c *Cluster) openRaft() error {
	store, err := c.openLog()
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	c.store = store
	checked := checkedLog{store}
	stalled := newStallGuard(boundedLog{checked, c.cfg.LogAllowed})
	c.guard = stalled
	cached, err := raft.NewLogCache(logCache, stalled)
	if err != nil {
		return err
	}
	hl := hclog.New(&hclog.LoggerOptions{Name: "raft", Level: hclog.Warn, Output: logWriter{c.log}})
	files, err := raft.NewFileSnapshotStoreWithLogger(filepath.Join(c.cfg.Dir, "raft"), snapshotsKept, hl)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	snapshots := countedSnapshots{files, &c.cfg.Pulse.received}
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream:                  c.peers.stream,
		MaxPool:                 3,
		MaxRPCsInFlight:         1, // pipelining was seen to wedge a follower for good
		Timeout:                 rpcTimeout,
		Logger:                  hl,
		MsgpackUseNewTimeFormat: true,
	})
	c.standing = newStanding(inner.Consumer())
	transport := guardedTransport{inner, stalled, c.standing}
	c.transport = transport
	damaged, err := c.needsRefill(cached, snapshots)
	if err != nil {
		return err
	}
	if damaged {
		if err := c.refill(snapshots, transport); err != nil {
			return err
		}
	}
	newest, err := newestSnapshot(snapshots)
	if err != nil {
		return err
	}
	if err := follows(cached, newest, c.cfg.Machine.Applied()); err != nil {
		return err
	}
	config, err := c.raftConfig(snapshots, hl)
	if err != nil {
		return err
	}
	if err := c.bootstrap(config, cached, store, snapshots, transport); err != nil {
		return err
	}
	if c.raft, err = raft.NewRaft(config, c.adapter, cached, store, snapshots, transport); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	if members := c.raft.GetConfiguration(); members.Error() == nil && len(members.Configuration().Servers) > 0 {
		c.rememberMembers(members.Configuration())
	}
	return nil
}

func (c *Cluster) openLog() (LogStore, error) {
	if c.cfg.Log != nil {
		return c.cfg.Log, nil
	}
	return openLog(filepath.Join(c.cfg.Dir, "raft"), c.cfg.LogFormat)
}

func (c *Cluster) raftConfig(snapshots raft.SnapshotStore, hl hclog.Logger) (*raft.Config, error) {
	config := raft.DefaultConfig()
	config.LocalID = raft.ServerID(c.cfg.NodeID)
	config.HeartbeatTimeout, config.ElectionTimeout = heartbeatTimeout, heartbeatTimeout
	config.LeaderLeaseTimeout, config.CommitTimeout = leaderLease, commitTimeout
	config.MaxAppendEntries, config.BatchApplyCh = appendEntriesMax, true
	config.SnapshotInterval, config.SnapshotThreshold = snapshotInterval, snapshotThreshold
	config.TrailingLogs = c.cfg.Trailing
	config.NoLegacyTelemetry = true
	config.Logger = hl
	newest, err := newestSnapshot(snapshots)
	if err != nil {
		return nil, err
	}
	// A machine that is at or beyond the newest snapshot keeps its state; one
	// that was wiped takes the snapshot and replays the log after it.
	config.NoSnapshotRestoreOnStart = c.cfg.Machine.Applied() >= newest
	return config, nil
}

func newestSnapshot(snapshots raft.SnapshotStore) (uint64, error) {
	list, err := snapshots.List()
	if err != nil {
		return 0, fmt.Errorf("list snapshots: %w", err)
	}
	if len(list) == 0 {
		return 0, nil
	}
	return list[0].Index, nil
}

func (c *Cluster) bootstrap(config *raft.Config, logs raft.LogStore, stable raft.StableStore, snapshots raft.SnapshotStore, transport raft.Transport) error {
	exists, err := raft.HasExistingState(logs, stable, snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if exists || !c.cfg.Bootstrap {
		return nil
	}
	self := raft.Server{ID: config.LocalID, Address: raft.ServerAddress(c.cfg.Advertise)}
	err = raft.BootstrapCluster(config, logs, stable, snapshots, transport, raft.Configuration{Servers: []raft.Server{self}})
	if err != nil {
		return fmt.Errorf("begin cluster: %w", err)
	}
	return nil
}

// lead puts an entry of this node's own into the log whenever it becomes the
// leader. Until that entry is applied the node answers no linearizable read:
// its commit index may still be that of an earlier term.
func (c *Cluster) lead() {
	for {
		select {
		case leads := <-c.raft.LeaderCh():
			c.reader.lost()
			if leads {
				c.begin()
			}
		case <-c.closing:
			return
		}
	}
}

func (c *Cluster) begin() {
	term := c.raft.CurrentTerm()
	future := c.raft.Apply(encodeEntry(nil), rpcTimeout)
	if err := future.Error(); err != nil {
		c.log.Warn("leadership was lost before its first entry", "error", err)
		return
	}
	c.reader.ready(term)
}

// Close leaves the log. A leader hands over first, so that a planned stop costs
// milliseconds instead of an election.
func (c *Cluster) Close() error {
	var err error
	c.closeOnce.Do(func() {
		if c.IsLeader() && len(c.Members()) > 1 {
			if failed := c.raft.LeadershipTransfer().Error(); failed != nil {
				c.log.Warn("could not hand over leadership", "error", failed)
			}
		}
		close(c.closing)
		defer close(c.standing.done) // the library takes messages until it has stopped
		err = errors.Join(c.raft.Shutdown().Error(), c.peers.close())
		c.running.Wait()
		err = errors.Join(err, c.store.Close())
	})
	return err
}

// Leader names the leader that this node knows of.
func (c *Cluster) Leader() (id string, ok bool) {
	_, server := c.raft.LeaderWithID()
	return string(server), server != ""
}

// IsLeader reports what this node believes; only ReadIndex proves it.
func (c *Cluster) IsLeader() bool { return c.raft.State() == raft.Leader }

// Transfer hands leadership to another voter.
func (c *Cluster) Transfer(ctx context.Context) error {
	return wait(ctx, c.raft.LeadershipTransfer())
}

// Applied is the index that this node's machine has published.
func (c *Cluster) Applied() uint64 { return c.applied.get() }

// Snapshot writes a snapshot now instead of at the next interval.
func (c *Cluster) Snapshot(ctx context.Context) error { return wait(ctx, c.raft.Snapshot()) }

// WaitApplied returns once this node's machine has published index.
func (c *Cluster) WaitApplied(ctx context.Context, index uint64) error {
	return c.applied.wait(ctx, c.closing, index)
}

// wait waits for a raft future no longer than the context allows.
func wait(ctx context.Context, future raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- future.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// logWriter sends the library's lines to our logger.
type logWriter struct{ log *slog.Logger }

func (w logWriter) Write(p []byte) (int, error) {
	w.log.Debug(string(p))
	return len(p), nil
}

var _ io.Writer = logWriter{}

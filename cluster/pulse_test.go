package cluster

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// proofWait is long for a part that goes on, and short for one that does not.
const proofWait = 500 * time.Millisecond

// proves asks one part.
func proves(t *testing.T, c *Cluster, part string) bool {
	t.Helper()
	prove, ok := c.Proofs()[part]
	if !ok {
		t.Fatalf("there is no part %q", part)
	}
	ctx, cancel := context.WithTimeout(t.Context(), proofWait)
	defer cancel()
	err := prove(ctx)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	return err == nil
}

func allProve(t *testing.T, when string, c *Cluster) {
	t.Helper()
	for part := range c.Proofs() {
		if !proves(t, c, part) {
			t.Errorf("%s: the %s does not prove that it goes on", when, part)
		}
	}
}

// TestProofsWithAndWithoutAQuorum: a leader, a follower and a node that the others have
// left go on.
func TestProofsWithAndWithoutAQuorum(t *testing.T) {
	nodes := trio(t)
	for _, n := range nodes {
		n.propose(t, "a line")
		allProve(t, n.cfg.NodeID, n.Cluster)
	}
	nodes[1].Close()
	nodes[2].Close()
	allProve(t, "just left", nodes[0].Cluster)
	until(t, func() bool { return !nodes[0].IsLeader() })
	allProve(t, "without a quorum", nodes[0].Cluster)
	nodes[1].open(t)
	nodes[0].propose(t, "another line")
	allProve(t, "again", nodes[0].Cluster)
}

// TestHangingMachineProvesNothing, and its node is otherwise sound.
func TestHangingMachineProvesNothing(t *testing.T) {
	nodes := trio(t)
	follower := nodes[2]
	follower.journal.mu.Lock()
	nodes[0].propose(t, "a line")
	until(t, follower.cfg.Pulse.applying.Load)
	if proves(t, follower.Cluster, "state machine") {
		t.Error("a machine that hangs goes on")
	}
	if !proves(t, follower.Cluster, "main loop of the log") || !proves(t, follower.Cluster, "writes to the log") {
		t.Error("the log waits for the machine")
	}
	follower.journal.mu.Unlock()
	allProve(t, "afterwards", follower.Cluster)
}

// hangingLog hangs while it is held.
type hangingLog struct {
	LogStore
	held sync.Mutex
}

func (h *hangingLog) StoreLogs(logs []*raft.Log) error {
	h.held.Lock()
	defer h.held.Unlock()
	return h.LogStore.StoreLogs(logs)
}

// TestHangingDiskProvesNothing: the log of a leader does not come back from a write.
func TestHangingDiskProvesNothing(t *testing.T) {
	cfg := testConfigs(t, "n1")[0]
	id, err := InitIdentity(cfg.Dir, cfg.NodeID, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(cfg.Dir, "raft"), 0o700); err != nil {
		t.Fatal(err)
	}
	store, err := openLog(filepath.Join(cfg.Dir, "raft"), LogBolt)
	if err != nil {
		t.Fatal(err)
	}
	log := &hangingLog{LogStore: store}
	cfg.Identity, cfg.Bootstrap, cfg.Log = id, true, log
	n := &testNode{journal: &journal{}, cfg: cfg}
	n.cfg.Machine = n.journal
	n.open(t)
	n.propose(t, "a line")
	allProve(t, "before", n.Cluster)

	log.held.Lock()
	proposed := make(chan error, 1)
	go func() {
		_, _, err := n.Propose(within(t), []byte("another"))
		proposed <- err
	}()
	until(t, func() bool { return n.guard.since.Load() != 0 })
	for _, part := range []string{"writes to the log", "main loop of the log"} {
		if proves(t, n.Cluster, part) {
			t.Errorf("%s: go on while the disk hangs", part)
		}
	}
	log.held.Unlock()
	if err := <-proposed; err != nil {
		t.Error(err)
	}
	allProve(t, "afterwards", n.Cluster)
}

// TestBusyMachineIsProgress: a main loop that waits for the machine is excused as long as
// the machine goes on.
func TestBusyMachineIsProgress(t *testing.T) {
	nodes := trio(t)
	n := nodes[1]
	done := n.cfg.Pulse.work()
	defer done()
	if proves(t, n.Cluster, "state machine") {
		t.Error("a batch that does not end is progress")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	proved := make(chan error, 1)
	go func() { proved <- n.Proofs()["state machine"](ctx) }()
	for {
		n.cfg.Pulse.applied.Add(1)
		select {
		case err := <-proved:
			if err != nil {
				t.Error(err)
			}
			return
		case <-time.After(lookEvery / 2):
		}
	}
}

// TestReceivedStateIsCounted: pieces of a state are steps, when they arrive and when they
// are taken over.
func TestReceivedStateIsCounted(t *testing.T) {
	quiet := hclog.New(&hclog.LoggerOptions{Level: hclog.Off})
	files, err := raft.NewFileSnapshotStoreWithLogger(t.TempDir(), 1, quiet)
	if err != nil {
		t.Fatal(err)
	}
	var p Pulse
	_, transport := raft.NewInmemTransport("")
	sink, err := countedSnapshots{files, &p.received}.Create(raft.SnapshotVersionMax, 1, 1, raft.Configuration{}, 1, transport)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := sink.Write([]byte("a piece")); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil || p.Steps() != 3 {
		t.Errorf("%d steps of 3, %v", p.Steps(), err)
	}
	a := newAdapter(&journal{})
	if err := a.Restore(io.NopCloser(strings.NewReader("nothing that a machine knows"))); err == nil {
		t.Error("nonsense is a state")
	}
	if a.pulse.Steps() < 3 || a.pulse.applying.Load() { // begin, at least one piece, end
		t.Errorf("%d steps, at work: %v", a.pulse.Steps(), a.pulse.applying.Load())
	}
}

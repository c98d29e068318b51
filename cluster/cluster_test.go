package cluster

import (
	"bytes"
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// journal is a machine that keeps every command in order; its result is the
// command's place. It survives a closed node, and a crash as far as it was synced.
type journal struct {
	mu      sync.Mutex
	applied uint64
	term    uint64
	lines   []string
	synced  captured
	broken  error // what Sync answers
}

// crash forgets what was not synced.
func (j *journal) crash() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.applied, j.term, j.lines = j.synced.Applied, j.synced.At, slices.Clone(j.synced.Lines)
}

func (j *journal) ApplyBatch(batches []Batch) [][]any {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([][]any, len(batches))
	for i, b := range batches {
		for _, c := range b.Commands {
			j.lines = append(j.lines, string(c))
			out[i] = append(out[i], len(j.lines))
		}
		j.applied, j.term = b.Index, b.Term
	}
	return out
}

func (j *journal) Applied() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.applied
}

type captured struct {
	Applied uint64
	At      uint64 // term
	Lines   []string
	journal *journal
}

func (c captured) Sync() error {
	c.journal.mu.Lock()
	defer c.journal.mu.Unlock()
	if c.journal.broken == nil {
		c.journal.synced = c
	}
	return c.journal.broken
}

func (c captured) Index() uint64 { return c.Applied }
func (c captured) Term() uint64  { return c.At }

func (c captured) WriteTo(w io.Writer) (int64, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(c); err != nil {
		return 0, err
	}
	return b.WriteTo(w)
}

func (j *journal) Snapshot() (Snapshot, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return captured{j.applied, j.term, slices.Clone(j.lines), j}, nil
}

func (j *journal) Restore(r io.Reader) error {
	var c captured
	if err := gob.NewDecoder(r).Decode(&c); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.applied, j.term, j.lines = c.Applied, c.At, c.Lines
	return nil
}

func (j *journal) count(line string) (n int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, l := range j.lines {
		if l == line {
			n++
		}
	}
	return n
}

type testNode struct {
	*Cluster
	cfg     Config
	journal *journal
	low     atomic.Bool // its disk is short of space
	full    atomic.Bool // its log must not grow
}

func (n *testNode) space(short *atomic.Bool) func() error {
	return func() error {
		if short.Load() {
			return errors.New("no space")
		}
		return nil
	}
}

// trio is three real nodes on loopback; nodes 2 and 3 join with tokens.
func trio(t testing.TB) []*testNode {
	t.Helper()
	nodes := make([]*testNode, 3)
	for i, cfg := range testConfigs(t, "n1", "n2", "n3") {
		nodes[i] = &testNode{journal: &journal{}, cfg: cfg}
		nodes[i].cfg.Machine = nodes[i].journal
		nodes[i].cfg.WriteAllowed, nodes[i].cfg.LogAllowed = nodes[i].space(&nodes[i].low), nodes[i].space(&nodes[i].full)
	}
	first := nodes[0]
	id, err := InitIdentity(first.cfg.Dir, first.cfg.NodeID, []string{"127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	first.cfg.Identity, first.cfg.Bootstrap = id, true
	token := NewJoinToken(id.CASPKI())
	first.cfg.AdmitJoin = func(_ context.Context, tokenID string, secret []byte, _ string) error {
		if tokenID != token.ID || !bytes.Equal(secret, token.Secret) {
			return errors.New("unknown token")
		}
		return nil
	}
	first.cfg.Secrets = func() []byte { return []byte("keyring") }
	first.open(t)
	for _, n := range nodes[1:] {
		id, secrets, err := Join(t.Context(), n.cfg.Dir, n.cfg.NodeID, n.cfg.Listen, first.cfg.Listen, token.String())
		if err != nil || string(secrets) != "keyring" {
			t.Fatalf("join: %v, secrets %q", err, secrets)
		}
		n.cfg.Identity = id
		n.open(t)
		if err := n.EnsureVoter(within(t)); err != nil {
			t.Fatal(err)
		}
	}
	return nodes
}

// testConfigs finds an address for each node. All are held until the last is found:
// one that was let go was found again for the next node.
func testConfigs(t testing.TB, ids ...string) (configs []Config) {
	t.Helper()
	for _, id := range ids {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		configs = append(configs, Config{NodeID: id, Dir: t.TempDir(), Listen: l.Addr().String(), Logger: slog.New(slog.DiscardHandler)})
	}
	return configs
}

func (n *testNode) open(t testing.TB) {
	t.Helper()
	n.cfg.Pulse = new(Pulse)
	c, err := Open(n.cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Cluster = c
	t.Cleanup(func() { c.Close() })
}

func within(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func (n *testNode) propose(t testing.TB, line string) any {
	t.Helper()
	_, result, err := n.Propose(within(t), []byte(line))
	if err != nil {
		t.Fatalf("%s proposes %q: %v", n.cfg.NodeID, line, err)
	}
	return result
}

func TestAnyNodeTakesAWriteAndAnswersFromItself(t *testing.T) {
	nodes := trio(t)
	for i, n := range nodes {
		line := fmt.Sprintf("line %d", i)
		place := n.propose(t, line).(int)
		n.journal.mu.Lock()
		got := n.journal.lines[place-1]
		n.journal.mu.Unlock()
		if got != line {
			t.Fatalf("%s answers with place %d, where its own machine holds %q", n.cfg.NodeID, place, got)
		}
	}
}

// TestTellingTellsNoLies: a node that is told of what it does not have, of an entry of
// another term, or by a leader of before, applies nothing and goes on as it was. What it
// has, it applies when it is told.
func TestTellingTellsNoLies(t *testing.T) {
	nodes := trio(t)
	leader, follower := nodes[0], nodes[1]
	follower.propose(t, "first")
	at := place{leader.raft.LastIndex(), leader.raft.CurrentTerm()}
	address, _ := leader.address(follower.cfg.NodeID)
	self := leader.transport.EncodePeer(raft.ServerID(leader.cfg.NodeID), raft.ServerAddress(leader.cfg.Advertise))
	takes := func(at place, term uint64) bool {
		t.Helper()
		request := told(self, leader.cfg.NodeID, at)
		request.Term = term
		var answer raft.AppendEntriesResponse
		if err := leader.transport.AppendEntries(raft.ServerID(follower.cfg.NodeID), raft.ServerAddress(address), request, &answer); err != nil {
			t.Fatal(err)
		}
		return answer.Success
	}
	for about, lie := range map[string]struct {
		at   place
		term uint64
	}{
		"an entry that is not there": {place{at.index + 5, at.term}, at.term},
		"an entry of another term":   {place{at.index, at.term - 1}, at.term},
		"by a leader of an old term": {at, at.term - 1},
		"an entry of a term to come": {place{at.index, at.term + 1}, at.term},
	} {
		if takes(lie.at, lie.term) {
			t.Errorf("%s: taken for true", about)
		}
	}
	if !takes(at, at.term) {
		t.Error("what is there is taken for untrue")
	}
	leader.tell(follower.cfg.NodeID, place{at.index + 5, at.term}) // says nothing
	leader.tell("nobody", at)
	follower.tell(leader.cfg.NodeID, at) // is no leader
	follower.propose(t, "second")
	for _, n := range nodes[:2] {
		if n.journal.count("first") != 1 || n.journal.count("second") != 1 {
			t.Errorf("%s holds %q", n.cfg.NodeID, n.journal.lines)
		}
	}
}

func TestLinearizableReadSeesEveryAcknowledgedWrite(t *testing.T) {
	nodes := trio(t)
	for i := range 30 {
		line := fmt.Sprintf("line %d", i)
		nodes[i%3].propose(t, line)
		reader := nodes[(i+1)%3]
		index, err := reader.ReadIndex(within(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.WaitApplied(within(t), index); err != nil {
			t.Fatal(err)
		}
		if reader.journal.count(line) != 1 {
			t.Fatalf("%s at index %d does not hold %q", reader.cfg.NodeID, index, line)
		}
	}
}

// TestKilledLeaderLosesAndDoublesNothing closes the leader under concurrent
// writers of both other nodes.
func TestKilledLeaderLosesAndDoublesNothing(t *testing.T) {
	nodes := trio(t)
	leader := slices.IndexFunc(nodes, func(n *testNode) bool { return n.IsLeader() })
	var survivors []*testNode
	for i, n := range nodes {
		if i != leader {
			survivors = append(survivors, n)
		}
	}
	var mu sync.Mutex
	var acknowledged []string
	var writers sync.WaitGroup
	half := make(chan struct{})
	for w := range 8 {
		writers.Go(func() {
			for i := range 40 {
				line := fmt.Sprintf("w%d-%d", w, i)
				if _, _, err := survivors[w%2].Propose(within(t), []byte(line)); err == nil {
					mu.Lock()
					acknowledged = append(acknowledged, line)
					if len(acknowledged) == 80 {
						close(half)
					}
					mu.Unlock()
				}
			}
		})
	}
	<-half
	nodes[leader].raft.Shutdown() // without handing over, as a crash
	nodes[leader].peers.close()
	writers.Wait()
	if len(acknowledged) < 200 {
		t.Fatalf("only %d writes were acknowledged", len(acknowledged))
	}
	for _, n := range survivors {
		index, err := n.ReadIndex(within(t))
		if err == nil {
			err = n.WaitApplied(within(t), index)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range acknowledged {
			if c := n.journal.count(line); c != 1 {
				t.Fatalf("%s holds %q %d times", n.cfg.NodeID, line, c)
			}
		}
	}
}

func TestWithoutAQuorumNothingIsAcknowledged(t *testing.T) {
	nodes := trio(t)
	nodes[1].Close()
	nodes[2].Close()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if _, _, err := nodes[0].Propose(ctx, []byte("lonely")); !errors.Is(err, ErrUnknownOutcome) && !errors.Is(err, ErrNoLeader) {
		t.Fatalf("proposal ended with %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := nodes[0].ReadIndex(ctx); err == nil {
		t.Fatal("a linearizable read was answered")
	}
}

// TestWipedMachineIsFilledAgain restarts a node whose machine lost everything:
// with its own snapshot and log, with a damaged snapshot, and without one
// although the log does not reach back.
func TestWipedMachineIsFilledAgain(t *testing.T) {
	nodes := trio(t)
	for i := range 20 {
		nodes[0].propose(t, fmt.Sprintf("before %d", i))
	}
	n := nodes[2]
	snapshots := filepath.Join(n.cfg.Dir, "raft", "snapshots")
	damage := map[string]func() error{
		"the machine alone": func() error { return nil },
		"a damaged snapshot": func() error {
			files, err := filepath.Glob(filepath.Join(snapshots, "*", "state.bin"))
			for _, f := range files {
				err = errors.Join(err, os.WriteFile(f, []byte("not a state"), 0o600))
			}
			return err
		},
		"no snapshot and a short log": func() error {
			store, err := openLog(filepath.Join(n.cfg.Dir, "raft"), "")
			if err != nil {
				return err
			}
			return errors.Join(store.DeleteRange(1, 15), store.Close(), os.RemoveAll(snapshots))
		},
	}
	for _, name := range []string{"the machine alone", "a damaged snapshot", "no snapshot and a short log"} {
		if err := n.Snapshot(within(t)); err != nil && !errors.Is(err, raft.ErrNothingNewToSnapshot) {
			t.Fatal(err)
		}
		nodes[0].propose(t, "after "+name)
		n.Close()
		if err := damage[name](); err != nil {
			t.Fatal(err)
		}
		n.journal = &journal{}
		n.cfg.Machine = n.journal
		n.open(t)
		index, err := n.ReadIndex(within(t))
		if err == nil {
			err = n.WaitApplied(within(t), index)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if n.journal.count("after "+name) != 1 || n.journal.count("before 0") != 1 {
			t.Fatalf("%s: the node holds %v", name, n.journal.lines)
		}
	}
}

func TestRestartedNodeAppliesNothingTwice(t *testing.T) {
	nodes := trio(t)
	nodes[0].propose(t, "once")
	n := nodes[1]
	n.Close()
	nodes[0].propose(t, "meanwhile")
	n.open(t)
	n.propose(t, "again")
	for _, line := range []string{"once", "meanwhile", "again"} {
		if c := n.journal.count(line); c != 1 {
			t.Fatalf("%q was applied %d times", line, c)
		}
	}
}

// TestCrashedMachineTakesTheRestFromTheLog: what it had made durable is applied no
// second time, what it had not is there again.
func TestCrashedMachineTakesTheRestFromTheLog(t *testing.T) {
	nodes := trio(t)
	n := nodes[2]
	nodes[0].propose(t, "stored")
	n.propose(t, "stored too")
	if err := n.Snapshot(within(t)); err != nil {
		t.Fatal(err)
	}
	n.propose(t, "only logged")
	n.Close()
	n.journal.crash()
	if n.journal.count("stored too") != 1 || n.journal.count("only logged") != 0 {
		t.Fatalf("a crash leaves %v", n.journal.lines)
	}
	n.open(t)
	n.propose(t, "afterwards")
	for _, line := range []string{"stored", "stored too", "only logged", "afterwards"} {
		if c := n.journal.count(line); c != 1 {
			t.Fatalf("%q is there %d times", line, c)
		}
	}
}

// TestLogIsNotCutBeforeTheMachineIsDurable: no snapshot is made that would allow it.
func TestLogIsNotCutBeforeTheMachineIsDurable(t *testing.T) {
	nodes := trio(t)
	n := nodes[1]
	n.propose(t, "a")
	n.journal.mu.Lock()
	n.journal.broken = errors.New("the disk is gone")
	n.journal.mu.Unlock()
	if err := n.Snapshot(within(t)); err == nil || !strings.Contains(err.Error(), n.journal.broken.Error()) {
		t.Fatalf("a snapshot was made: %v", err)
	}
	made, err := filepath.Glob(filepath.Join(n.cfg.Dir, "raft", "snapshots", "*", "state.bin"))
	if err != nil || len(made) != 0 {
		t.Fatalf("snapshots %v, %v", made, err)
	}
}

func TestJoinWithoutTheRightTokenIsRefused(t *testing.T) {
	nodes := trio(t)
	stranger := testConfigs(t, "n4")[0]
	other, err := InitIdentity(t.TempDir(), "elsewhere", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, token := range map[string]JoinToken{
		"a secret that was never made": NewJoinToken(nodes[0].cfg.Identity.CASPKI()),
		"a pin of another cluster":     NewJoinToken(other.CASPKI()),
	} {
		_, _, err := Join(within(t), stranger.Dir, "n4", stranger.Listen, nodes[0].cfg.Listen, token.String())
		if err == nil {
			t.Fatalf("joined with %s", name)
		}
	}
	if len(nodes[0].Members()) != 3 {
		t.Fatalf("members %v", nodes[0].Members())
	}
}

func TestPeerPortSurvivesGarbage(t *testing.T) {
	nodes := trio(t)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\xff\xff", string(make([]byte, 4096))} {
		conn, err := net.Dial("tcp", nodes[0].cfg.Listen)
		if err != nil {
			t.Fatal(err)
		}
		conn.Write([]byte(garbage))
		conn.Close()
	}
	nodes[1].propose(t, "still here")
}

func TestCallOfAnUnknownMethodIsRefused(t *testing.T) {
	nodes := trio(t)
	if _, err := nodes[0].Call(within(t), "n2", "no.such", nil); err == nil {
		t.Fatal("answered")
	}
	nodes[1].Handle("echo", func(_ context.Context, from string, body []byte) ([]byte, error) {
		return append([]byte(from+" "), body...), nil
	})
	if got, err := nodes[0].Call(within(t), "n2", "echo", []byte("hello")); err != nil || string(got) != "n1 hello" {
		t.Fatalf("%q, %v", got, err)
	}
}

package node

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/authfi/authfi/bench/history"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/cluster/clustertest"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
	"github.com/authfi/authfi/node/feed"
)

// The simulation is cluster and machine, replica between them, peers over TLS, in one
// process and a bubble of its own time: only network, log and storage are of memory.
// The schedule of faults, delays and clients follows from the seed. The order in which
// goroutines run does not, nor do the election timeouts of the library, so a seed that
// found something is to be run several times.
var (
	histories = flag.Int("histories", 60, "how many histories the simulation plays")
	firstSeed = flag.Uint64("seed", 0, "of the first history; 0 takes it from the clock")
)

const (
	simulated    = 20 * time.Second // under faults
	simUsers     = 3
	simClients   = 5
	simDelay     = 15 * time.Millisecond
	simTrailing  = 65 // the fewest that a cluster takes
	simRequest   = 3 * time.Second
	simSettle    = 60 * time.Second
	simLinger    = 60 * time.Second // after the end, for what nobody waits for and gives up by itself; in a bubble that is no time
	leadLostMost = 5 * time.Second
	forgotten    = 3 // entries
)

func TestSimulation(t *testing.T) {
	seed := *firstSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	began, operations := time.Now(), 0
	for i := range uint64(*histories) {
		count, err := play(t, seed+i, mistakes{})
		if operations += count; err != nil {
			t.Errorf("%v", err)
		}
		if t.Failed() {
			t.Fatalf("seed %d: repeat with -run TestSimulation$ -args -histories 10 -seed %d", seed+i, seed+i)
		}
	}
	t.Logf("seeds %d to %d: %d operations, %s simulated in %s", seed, seed+uint64(*histories)-1, operations,
		time.Duration(*histories)*simulated, time.Since(began).Round(time.Millisecond))
}

// mistakes are of a product that is wrong, or of a disk that lies.
type mistakes struct {
	stale     bool // reads do not ask the cluster
	forgetful bool // the log loses what it has taken last, in a crash
}

// TestSimulationFindsMistakes: what the simulation is for, it finds.
func TestSimulationFindsMistakes(t *testing.T) {
	const tries = 20
	for name, m := range map[string]mistakes{"reads of what a node has": {stale: true}, "a log that forgets": {forgetful: true}} {
		found := false
		for seed := uint64(1); seed <= tries && !found; seed++ {
			_, err := play(t, seed, m)
			found = err != nil
		}
		if !found {
			t.Errorf("%s: not found in %d histories", name, tries)
		}
	}
}

// platter is a disk on which entries become durable some time after they were taken,
// in their order, with or without the newest of them when the process is gone.
type platter struct {
	mu      sync.Mutex
	random  *rand.Rand
	durable *disk.Memory
	waiting []func() error
	off     *bool // of the process that writes
}

// writer is a process's hold on the platter.
type writer struct {
	*platter
	off *bool
}

func (p *platter) writer() *writer {
	off := new(bool)
	p.off = off
	return &writer{p, off}
}

// crash loses what waits.
func (p *platter) crash() {
	p.mu.Lock()
	defer p.mu.Unlock()
	*p.off, p.waiting = true, nil
}

func (w *writer) Load(row func(key, value []byte) error) (state.Meta, error) {
	return w.durable.Load(row)
}

func (w *writer) Commit(meta state.Meta, writes []state.Write) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *w.off {
		return nil
	}
	w.waiting = append(w.waiting, func() error { return w.durable.Commit(meta, writes) })
	if w.random.IntN(8) == 0 {
		return w.flush(w.random.IntN(len(w.waiting) + 1))
	}
	return nil
}

func (w *writer) flush(count int) (err error) {
	for _, write := range w.waiting[:count] {
		err = errors.Join(err, write())
	}
	w.waiting = w.waiting[count:]
	return err
}

func (w *writer) Sync() error {
	w.mu.Lock()
	slow := time.Duration(w.random.IntN(50)) * time.Millisecond
	w.mu.Unlock()
	<-time.After(slow)
	w.mu.Lock()
	defer w.mu.Unlock()
	if *w.off {
		return nil
	}
	return w.flush(len(w.waiting))
}

func (w *writer) Replace(fill func(put func(key, value []byte) error) (state.Meta, error)) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if *w.off {
		_, err := fill(func(_, _ []byte) error { return nil })
		return err
	}
	w.waiting = nil
	return w.durable.Replace(fill)
}

func (w *writer) Close() error { return nil }

var _ state.Storage = (*writer)(nil)

// simNode is one machine.
type simNode struct {
	id, dir  string
	identity *cluster.Identity
	log      *clustertest.Log
	platter  *platter
	host     *clustertest.Host // of the process

	mu      sync.Mutex
	up      bool
	life    int // counts starts
	cluster *cluster.Cluster
	machine *fsm.Machine
}

// now is the process of this moment, or false.
func (n *simNode) now() (c *cluster.Cluster, m *fsm.Machine, life int, up bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cluster, n.machine, n.life, n.up
}

type simulation struct {
	t       *testing.T
	seed    uint64
	random  *rand.Rand // of the schedule
	net     *clustertest.Network
	nodes   []*simNode
	token   cluster.JoinToken
	history *history.History
	made    mistakes

	mu      sync.Mutex
	digests map[directory.Index][32]byte // guarded by mu
	found   error                        // guarded by mu
}

// violated notes what must not be.
func (s *simulation) violated(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found = errors.Join(s.found, fmt.Errorf("seed %d: "+format, append([]any{s.seed}, args...)...))
}

// observed compares the digest of every entry with that of the other nodes, and of the
// same node before it crashed.
type observed struct {
	*replica
	s  *simulation
	id string
}

func (o observed) ApplyBatch(batches []cluster.Batch) [][]any {
	out := o.replica.ApplyBatch(batches)
	for _, b := range batches {
		if root, ok := o.machine.RootAt(directory.Index(b.Index)); ok {
			o.s.compare(o.id, root)
		}
	}
	return out
}

func (o observed) Restore(from io.Reader) error {
	err := o.replica.Restore(from)
	if err == nil {
		o.s.compare(o.id, o.machine.Root())
	}
	return err
}

func (s *simulation) compare(id string, root *state.Root) {
	digest := fsm.Digest(root)
	s.mu.Lock()
	known, ok := s.digests[root.Applied()]
	s.digests[root.Applied()] = digest
	s.mu.Unlock()
	if ok && known != digest {
		s.violated("%s has another state at index %d", id, root.Applied())
	}
}

func newSimulation(t *testing.T, seed uint64, made mistakes) *simulation {
	return &simulation{
		made: made,
		t:    t, seed: seed, random: rand.New(rand.NewPCG(seed, 0)), net: clustertest.NewNetwork(seed, simDelay),
		history: history.New(), digests: map[directory.Index][32]byte{},
	}
}

// play simulates one history in a bubble of its own. That of a bubble which does not end
// is named, too.
func play(t *testing.T, seed uint64, made mistakes) (operations int, found error) {
	defer func() {
		if p := recover(); p != nil {
			panic(fmt.Sprintf("seed %d: %v", seed, p))
		}
	}()
	synctest.Test(t, func(t *testing.T) { operations, found = simulate(t, seed, made) })
	return operations, found
}

func simulate(t *testing.T, seed uint64, made mistakes) (operations int, found error) {
	s := newSimulation(t, seed, made)
	s.begin()
	working, stop := context.WithTimeout(t.Context(), simulated)
	defer stop()
	var clients sync.WaitGroup
	for i := range simClients {
		clients.Go(func() { s.client(working, i) })
	}
	s.faults(working)
	clients.Wait()
	s.settle()
	if err := s.history.Check(time.Minute); err != nil {
		s.violated("%w", err)
	}
	operations, _ = s.history.Len()
	for _, n := range s.nodes {
		s.stop(n)
	}
	s.pass(simLinger)
	return operations, s.found
}

// begin makes the cluster: the first node begins it, the others join.
func (s *simulation) begin() {
	for i := range 3 {
		pace := rand.New(rand.NewPCG(s.seed, uint64(10+i)))
		var mu sync.Mutex
		s.nodes = append(s.nodes, &simNode{
			id: fmt.Sprintf("n%d", i+1), dir: s.t.TempDir(),
			log: clustertest.NewLog(func() time.Duration {
				mu.Lock()
				defer mu.Unlock()
				return time.Duration(pace.IntN(3000)) * time.Microsecond
			}),
			platter: &platter{random: rand.New(rand.NewPCG(s.seed, uint64(20+i))), durable: disk.NewMemory()},
		})
	}
	first := s.nodes[0]
	var err error
	first.identity, err = cluster.InitIdentity(first.dir, first.id, nil)
	s.must(err)
	s.token = cluster.NewJoinToken(first.identity.CASPKI())
	s.start(first)
	for _, n := range s.nodes[1:] {
		n.identity, _, err = cluster.JoinThrough(s.t.Context(), s.net.Host(n.id), n.dir, n.id, n.id+":1", "n1:1", s.token.String())
		s.must(err)
		s.start(n)
		s.must(n.cluster.EnsureVoter(s.t.Context()))
	}
	s.must(s.propose(s.t.Context(), first, directory.Actor{Kind: directory.ActorNode}, directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{ID: simOperator, Name: "root", Token: [32]byte{1}}}))
	s.must(s.change(s.t.Context(), first, &fsm.CreateOrganization{
		Organization: directory.Organization{ID: simOrg, Slug: "sim", Name: "Sim"}, Key: directory.SigningKey{ID: "kid"},
	}))
	for i := range simUsers {
		s.must(s.change(s.t.Context(), first, &fsm.CreateUser{User: simUser(i, "")}))
	}
	s.must(s.change(s.t.Context(), first, &fsm.CreateGroup{Group: directory.Group{ID: simGroup, Name: "group"}}))
}

var (
	simOperator = directory.OperatorID{1}
	simOrg      = directory.OrgID{1}
	simGroup    = directory.GroupID{1}
)

func simUser(i int, title string) directory.User {
	name := fmt.Sprintf("u%d@sim.example", i)
	return directory.User{ID: directory.UserID{byte(i + 1)}, UserName: name, Email: name, DisplayName: name, Active: true, Title: title}
}

func (s *simulation) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("seed %d: %v", s.seed, err)
	}
}

func (s *simulation) start(n *simNode) {
	n.host = s.net.Host(n.id)
	machine, err := fsm.Open(n.platter.writer())
	s.must(err)
	r := observed{&replica{
		machine: machine, feed: feed.New(machine.Applied()), timing: feed.NewTiming(), changed: func([]directory.Delta, bool) {},
	}, s, n.id}
	c, err := cluster.Open(cluster.Config{
		NodeID: n.id, Dir: n.dir, Listen: n.id + ":1", Identity: n.identity, Machine: r, Bootstrap: n == s.nodes[0],
		Logger:    slog.New(slog.DiscardHandler),
		AdmitJoin: func(context.Context, string, []byte, string) error { return nil },
		Network:   n.host, Log: n.log, Trailing: simTrailing,
	})
	if err != nil && s.made.forgetful { // the node has seen that its log ends before its state
		s.violated("%s does not start: %w", n.id, errors.Join(err, machine.Close()))
		return
	}
	s.must(err)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cluster, n.machine, n.up = c, machine, true
	n.life++
}

// crash is the end of a process with all that was not synced. What of it still runs
// reaches nobody and keeps nothing.
func (s *simulation) crash(n *simNode) {
	n.mu.Lock()
	n.up = false
	c, m := n.cluster, n.machine
	n.mu.Unlock()
	n.host.Kill()
	n.log = n.log.Crash()
	if s.made.forgetful {
		s.must(n.log.Forget(forgotten))
	}
	n.platter.crash()
	c.Close()
	m.Close()
}

func (s *simulation) stop(n *simNode) {
	if c, m, _, up := n.now(); up {
		s.must(c.Close())
		s.must(m.Close())
	}
}

func (s *simulation) propose(ctx context.Context, n *simNode, actor directory.Actor, org directory.OrgID, command fsm.Command) error {
	c, _, life, up := n.now()
	if !up {
		return cluster.ErrClosed
	}
	entry, err := wire.Encode(&fsm.Envelope{Org: org, Actor: actor, Source: "api", Now: directory.TimeOf(time.Now()), Command: command})
	s.must(err)
	_, result, err := c.Propose(ctx, entry)
	if err != nil {
		return err
	}
	if _, _, now, up := n.now(); !up || now != life {
		return cluster.ErrUnknownOutcome // a process that is gone answers nobody
	}
	return result.(fsm.Result).Err
}

func (s *simulation) change(ctx context.Context, n *simNode, command fsm.Command) error {
	org := simOrg
	if _, ok := command.(fsm.SystemCommand); ok {
		org = directory.OrgID{}
	}
	return s.propose(ctx, n, directory.Actor{Kind: directory.ActorOperator, ID: simOperator}, org, command)
}

func (s *simulation) client(ctx context.Context, client int) {
	random := rand.New(rand.NewPCG(s.seed, uint64(100+client)))
	for i := 0; ; i++ {
		select {
		case <-time.After(time.Duration(5+random.IntN(60)) * time.Millisecond):
		case <-ctx.Done():
			return
		}
		s.operate(s.nodes[random.IntN(len(s.nodes))], client, i, random)
	}
}

func (s *simulation) operate(n *simNode, client, i int, random *rand.Rand) {
	user := random.IntN(simUsers)
	title, set := fmt.Sprintf("title-%d", user), "set"
	switch random.IntN(6) {
	case 0, 1:
		value := fmt.Sprintf("c%d-%d", client, i)
		s.write(n, client, history.Call{Kind: history.Write, Key: title, Value: value}, &fsm.UpdateUser{User: simUser(user, value)})
	case 2:
		s.write(n, client, history.Call{Kind: history.Add, Key: set, Member: user}, &fsm.ChangeGroup{Group: simGroup, Add: []directory.UserID{simUser(user, "").ID}})
	case 3:
		s.write(n, client, history.Call{Kind: history.Remove, Key: set, Member: user}, &fsm.ChangeGroup{Group: simGroup, Remove: []directory.UserID{simUser(user, "").ID}})
	case 4:
		s.read(n, client, history.Call{Kind: history.Read, Key: title, Member: user})
	case 5:
		s.read(n, client, history.Call{Kind: history.Has, Key: set, Member: user})
	}
}

func (s *simulation) write(n *simNode, client int, call history.Call, command fsm.Command) {
	ctx, cancel := context.WithTimeout(context.Background(), simRequest)
	defer cancel()
	pending := s.history.Begin(client, call)
	switch err := s.change(ctx, n, command); {
	case err == nil:
		pending.Answered(history.Answer{})
	case errors.Is(err, cluster.ErrUnknownOutcome):
		pending.Unknown()
	case errors.Is(err, cluster.ErrNoLeader), errors.Is(err, cluster.ErrClosed), errors.Is(err, cluster.ErrOverloaded):
	default:
		s.violated("%s: %w", n.id, err)
	}
}

func (s *simulation) read(n *simNode, client int, call history.Call) bool {
	c, m, life, up := n.now()
	if !up {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), simRequest)
	defer cancel()
	pending := s.history.Begin(client, call)
	if !s.made.stale {
		index, err := c.ReadIndex(ctx)
		if err != nil || c.WaitApplied(ctx, index) != nil {
			return false
		}
	}
	org, ok := m.Root().Org(simOrg)
	if _, _, now, up := n.now(); !ok || !up || now != life {
		return false
	}
	id := simUser(call.Member, "").ID
	user, _ := org.User(id)
	pending.Answered(history.Answer{Value: user.Title, Has: slices.Contains(org.Permissions().Groups(id), simGroup)})
	return true
}

// settle ends all trouble, and demands that the nodes come back and agree.
func (s *simulation) settle() {
	s.net.Heal()
	deadline := time.Now().Add(simSettle)
	for _, n := range s.nodes {
		if _, _, _, up := n.now(); !up {
			return // and why is noted
		}
		for !s.read(n, simClients, history.Call{Kind: history.Read, Key: "title-0"}) {
			if time.Now().After(deadline) {
				s.violated("%s does not come back", n.id)
				return
			}
		}
		for user := range simUsers {
			s.read(n, simClients, history.Call{Kind: history.Read, Key: fmt.Sprintf("title-%d", user), Member: user})
			s.read(n, simClients, history.Call{Kind: history.Has, Key: "set", Member: user})
		}
	}
}

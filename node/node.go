package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/api"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/eventstream"
	"github.com/authfi/authfi/api/issuer"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/api/scim/journal"
	"github.com/authfi/authfi/api/watch"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/acme"
	"github.com/authfi/authfi/node/feed"
	"github.com/authfi/authfi/node/logbook"
)

// Node is one running node. Open starts its parts in the order in which they
// need each other; Run serves until the context ends; Close stops them in
// reverse.
type Node struct {
	cfg      Config
	log      *slog.Logger
	book     *logbook.Book
	identity *cluster.Identity
	ring     *keyring.Keyring
	machine  *fsm.Machine
	feed     *feed.Feed
	timing   *feed.Timing
	cluster  *cluster.Cluster
	gate     *access.Gate
	tokens   *login.Tokens
	sessions *login.Sessions
	enforcer *enforcer
	watcher  *watch.Watcher
	journal  *journal.Journal
	issuers  *issuer.Issuers
	streams  *eventstream.Streams
	expires  expiries                   // of certificates
	signed   *cluster.ServerCertificate // of the API; nil: it has one of another making
	acme     *acme.Certificate          // of the API; nil: none is wanted
	unshown  bool                       // a change of the CAs; of whoever follows rotations: Open, then one goroutine
	ended    chan error                 // holds one: why the node ends by itself
	server   *http.Server
	listener net.Listener
	figures  http.Handler // of Prometheus
	support  *supportDoor // nil: it could not be opened
	pulse    cluster.Pulse
	settled  settled

	background sync.WaitGroup
	stop       context.CancelFunc
	draining   atomic.Bool
	closeOnce  sync.Once
}

// Open starts a node. It serves nothing yet.
func Open(ctx context.Context, cfg Config, log *slog.Logger) (n *Node, err error) {
	n = &Node{cfg: cfg, ended: make(chan error, 1)}
	n.log, n.book = bookOf(log)
	log = n.log
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	defer n.watchStart()()
	n.settle(cfg)
	// 1. What this node is: certificates and keyring.
	if err = checkLeft(cfg.Dir); err != nil {
		return n, err
	}
	if n.identity, err = cluster.LoadIdentity(cfg.Dir); err != nil {
		return n, err
	}
	if n.ring, err = openKeyring(cfg, log); err != nil {
		return n, err
	}
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	n.stop = stop
	if os.Getenv("GOGC") == "" { // who sets it has decided
		n.background.Go(func() { watchHeap(background, rand.Float64()) })
	}
	// 2. The state, as it was stored; damaged state starts empty and is filled
	// again from the log and the snapshots.
	if err = n.openMachine(); err != nil {
		return n, err
	}
	if err = n.followRotation(); err != nil { // before peers see this node
		return n, err
	}
	// 3. The enforcer, before anything can be applied that it must follow.
	n.feed, n.timing = feed.New(n.machine.Applied()), feed.NewTiming()
	n.timing.Applied(n.machine.Applied(), time.Now())
	if n.enforcer, err = openEnforcer(cfg, n.machine, n.ring, log); err != nil {
		return n, err
	}
	// 4. The log. From here on entries are applied.
	if err = n.openCluster(); err != nil {
		return n, err
	}
	n.background.Go(func() { n.enforcer.run(background, n.cluster) })
	n.background.Go(func() { n.timing.Follow(background, n.enforcer) })
	// 5. Who may call, and the faces.
	if err = n.openIssuers(); err != nil {
		return n, err
	}
	n.openGate()
	n.background.Go(func() { n.sweep(background) }) // proposes through the gate
	n.background.Go(func() { n.watchRemoved(background) })
	n.background.Go(func() { n.watchSpace(background) })
	n.background.Go(func() { n.announce(background) })
	if err = n.openServer(background); err != nil {
		return n, err
	}
	n.background.Go(func() { n.followRotations(background) })
	n.background.Go(func() { n.streams.Run(background, n.cluster.IsLeader) })
	n.openSupport()
	return n, nil
}

// stateDir is the storage's, below the data directory.
const stateDir = "state"

func (n *Node) openMachine() error {
	storage, err := disk.Open(filepath.Join(n.cfg.Dir, stateDir), rand.Float64())
	if err != nil {
		return err
	}
	if n.machine, err = fsm.Open(countedRows{storage, &n.pulse}); err == nil {
		return nil
	}
	if !errors.Is(err, fsm.ErrDamaged) {
		return err
	}
	n.log.Error("the stored state is damaged and will be filled again", "error", err)
	return nil
}

func (n *Node) openCluster() error {
	r := &replica{machine: n.machine, feed: n.feed, timing: n.timing, changed: n.enforcer.changed}
	var err error
	n.cluster, err = cluster.Open(cluster.Config{
		NodeID: n.cfg.NodeID, Dir: n.cfg.Dir, Listen: n.cfg.Peer, Identity: n.identity,
		LogFormat: n.cfg.LogFormat, Machine: r, Bootstrap: n.cfg.First != nil, Logger: n.log,
		WriteAllowed: n.mayPropose, LogAllowed: n.mayGrow,
		AdmitJoin: n.admitJoin,
		Secrets:   n.ring.Secret,
		Pulse:     &n.pulse,
	})
	return err
}

func (n *Node) openGate() {
	n.tokens = login.NewTokens(n.ring, n.cfg.Issuer, time.Now)
	n.gate = access.NewGate(log{n.cluster}, n.machine.Root, n.tokens, time.Now)
	n.sessions = login.NewSessions(n.gate, n.tokens, n.ring, n.awaitEnforced)
	n.gate.Keep(n.machine.RootAt)
	n.gate.Trust(n.issuers)
	n.gate.Observe(func(o *access.Origin) { n.timing.Received(o.Trace, o.Received) })
	n.cluster.Handle(methodAges, n.serveAges)
	n.cluster.Handle(methodEnforced, n.serveEnforced)
	n.cluster.Handle(methodApplied, n.serveApplied)
	n.cluster.Handle(methodEnforcement, n.serveEnforcement)
	n.cluster.Handle(methodBuild, n.serveBuild)
	n.cluster.Handle(methodAuthority, n.serveAuthority)
	n.journal = journal.New(n.cfg.NodeID, n.ring.Derive, time.Now())
	n.cluster.Handle(methodJournal, n.serveJournal)
}

// openServer listens, and writes the CA to where clients of this machine find
// it.
func (n *Node) openServer(background context.Context) error {
	certificate, err := n.openCertificates(background)
	if err != nil {
		return err
	}
	if err := n.writeTrust(); err != nil {
		return err
	}
	handler, err := n.handler()
	if err != nil {
		return err
	}
	n.server = api.NewHTTPServer(handler, n.log)
	n.server.RegisterOnShutdown(n.watcher.Close)
	n.server.RegisterOnShutdown(n.streams.Close)
	n.server.TLSConfig = &tls.Config{
		GetCertificate: certificate,
		MinVersion:     tls.VersionTLS12, // Entra's provisioning service speaks nothing newer
	}
	if n.acme != nil {
		n.acme.Secure(n.server, certificate)
	}
	listener := n.cfg.Listener
	if listener == nil {
		if listener, err = net.Listen("tcp", n.cfg.API); err != nil {
			return fmt.Errorf("listen for the API: %w", err)
		}
	}
	n.listener = api.Arrivals(listener)
	if n.acme != nil { // orders when the authority can be answered
		n.background.Go(func() { n.acme.Run(background) })
	}
	return nil
}

// Run serves until the context ends, then closes the node.
func (n *Node) Run(ctx context.Context) error {
	failed := make(chan error, 2)
	go func() {
		err := n.server.ServeTLS(n.listener, "", "")
		if !errors.Is(err, http.ErrServerClosed) {
			failed <- fmt.Errorf("serve the API: %w", err)
		}
	}()
	go func() {
		if err := n.begin(ctx); err != nil && ctx.Err() == nil {
			failed <- err
		}
	}()
	n.tell(Ready)
	unwatched := n.beWatched()
	n.log.Info("serving", "api", n.listener.Addr().String(), "peer", n.cfg.Peer, "applied", n.machine.Applied())
	var err error
	select {
	case <-ctx.Done():
		n.tell(Stopping)
		n.drain()
	case err = <-failed:
	case err = <-n.ended:
	}
	unwatched() // the unit bounds the rest of a stop
	return errors.Join(err, n.Close())
}

// begin finishes what a first start leaves to the running cluster: the first
// node puts operator and token secret into the log, a joined one gets its vote.
func (n *Node) begin(ctx context.Context) error {
	if n.cfg.First == nil {
		return n.cluster.EnsureVoter(ctx)
	}
	return n.found(ctx)
}

// shutdownWait is what requests under way get before they are cut. Streams do not
// take part: they end when the shutdown begins.
const shutdownWait = 5 * time.Second

// Close stops the node: the server first, the enforcer with its last verdicts
// left in the kernel, then the log after handing over leadership, and the
// storage last. It may be called twice.
func (n *Node) Close() (err error) {
	n.closeOnce.Do(func() {
		if n.server != nil {
			ctx, cancel := context.WithTimeout(context.Background(), shutdownWait)
			if late := n.server.Shutdown(ctx); late != nil {
				err = errors.Join(err, ignoreDeadline(late), n.server.Close())
			}
			cancel()
		}
		n.support.close()
		if n.stop != nil {
			n.stop()
		}
		if n.cluster != nil {
			err = errors.Join(err, n.cluster.Close())
		}
		n.background.Wait()
		if n.enforcer != nil {
			err = errors.Join(err, n.enforcer.close())
		}
		if n.machine != nil {
			err = errors.Join(err, n.machine.Close())
		}
	})
	return err
}

// ignoreDeadline: a request that is still under way at shutdown is cut, as announced.
func ignoreDeadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// Applied is the index of this node's state.
func (n *Node) Applied() directory.Index { return n.machine.Applied() }

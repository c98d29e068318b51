package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/fsm/state"
)

// Supervisor is who started the process of a node, and ends one that does not go on.
type Supervisor interface {
	// Patience is how long the node may go without a proof that it goes on; 0: for ever.
	Patience() time.Duration
	// Tell is told what happens in the node's life.
	Tell(Life)
	// Status is told in a line what the node does.
	Status(line string)
}

// Life is what happens in the life of a node.
type Life int

// What a supervisor is told.
const (
	Starting  Life = iota + 1 // a start that is not over has made progress
	Ready                     // it listens, and goes by the settings that it has read
	Alive                     // each of its parts has proved that it goes on
	Reloading                 // it reads its settings again
	Stopping                  // it drains, and then ends
)

func (n *Node) tell(l Life) {
	if n.cfg.Supervisor != nil {
		n.cfg.Supervisor.Tell(l)
	}
}

const (
	// startEvery is how often a start is looked at.
	startEvery = 5 * time.Second
	// roundsInTime is how many rounds of proofs begin within the patience of a
	// supervisor: one may take two thirds of it, as on a disk that is slow.
	roundsInTime = 3
	// proveAgainAfter is the wait after a proof that failed.
	proveAgainAfter = 500 * time.Millisecond
	// answerWait bounds one request of a node to itself; then it is sent again.
	answerWait = 10 * time.Second
	// statusEvery is how often the line of the status may change.
	statusEvery = 2 * time.Second
	// watchdogFile is written to see whether the disk answers.
	watchdogFile = "watchdog"
)

// watchdog proves, round by round, that all parts of a node go on. A round is over when
// each part has given its proof, however long that takes; whoever waits for rounds is
// the one who loses patience. The quorum is no part: without one nothing can be
// written, and a restart would mend nothing and end the reads that are still answered.
type watchdog struct {
	every time.Duration // a round begins
	parts map[string]func(context.Context) error
	alive func()
	log   *slog.Logger
}

func (w watchdog) run(ctx context.Context) {
	ticker := time.NewTicker(w.every)
	defer ticker.Stop()
	for {
		if w.round(ctx) {
			w.alive()
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// round is false if the context ended it.
func (w watchdog) round(ctx context.Context) bool {
	var mu sync.Mutex
	missing := maps.Clone(w.parts) // guarded by mu
	late := time.AfterFunc(w.every, func() {
		mu.Lock()
		defer mu.Unlock()
		w.log.Warn("parts of this node have not proved yet that they go on", "parts", strings.Join(slices.Sorted(maps.Keys(missing)), ", "))
	})
	defer late.Stop()
	var all sync.WaitGroup
	for part, prove := range w.parts {
		all.Go(func() {
			if !w.proved(ctx, part, prove) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			delete(missing, part)
		})
	}
	all.Wait()
	return ctx.Err() == nil
}

// proved asks a part until it gives its proof.
func (w watchdog) proved(ctx context.Context, part string, prove func(context.Context) error) bool {
	for {
		err := prove(ctx)
		if err == nil {
			return true
		}
		w.log.Debug("a part of this node does not prove that it goes on", "part", part, "error", err)
		select {
		case <-time.After(proveAgainAfter):
		case <-ctx.Done():
			return false
		}
	}
}

// beWatched tells the supervisor, if there is one, what it waits for, until over is called.
func (n *Node) beWatched() (over func()) {
	s := n.cfg.Supervisor
	if s == nil {
		return func() {}
	}
	ctx, stop := context.WithCancel(context.Background())
	var telling sync.WaitGroup
	telling.Go(func() { n.tellStatus(ctx, s) })
	if s.Patience() > 0 {
		w := watchdog{every: s.Patience() / roundsInTime, parts: n.parts(), alive: func() { s.Tell(Alive) }, log: n.log}
		telling.Go(func() { w.run(ctx) })
	}
	return func() {
		stop()
		telling.Wait()
	}
}

// parts are how the parts of this node prove that they go on.
func (n *Node) parts() map[string]func(context.Context) error {
	parts := n.cluster.Proofs()
	parts["API"], parts["disk"] = n.proveAPI, n.proveDisk
	return parts
}

// proveAPI sends the server a request as a client would: over the network, by TLS, on a
// connection of its own.
func (n *Node) proveAPI(ctx context.Context) error {
	listen := n.listener.Addr().String() // an address of all is dialed as this machine's
	client := http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}, // only whether it answers is asked
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", listen)
		},
	}}
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://localhost/healthz", nil)
	if err != nil {
		return err
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the API answers %s", answer.Status)
	}
	return nil
}

// proveDisk writes a file and waits until it is on the disk, or the disk says that it
// cannot be: a full or a failing one is no reason for a restart, one that hangs is.
func (n *Node) proveDisk(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := writeThrough(filepath.Join(n.cfg.Dir, watchdogFile), time.Now().UTC().Format(time.RFC3339)+"\n"); err != nil {
			n.log.Debug("the disk answers with an error", "error", err)
		}
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// writeThrough replaces the content of a file in place.
func writeThrough(file, content string) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(content); err != nil {
		return err
	}
	return f.Sync()
}

// tellStatus keeps the supervisor's line about the node up to date.
func (n *Node) tellStatus(ctx context.Context, s Supervisor) {
	ticker := time.NewTicker(statusEvery)
	defer ticker.Stop()
	told := ""
	for {
		if line := n.statusLine(); line != told {
			told = line
			s.Status(line)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// statusLine asks nobody: it is what this node believes.
func (n *Node) statusLine() string {
	place, applied := n.cluster.Place(), n.machine.Applied()
	line := "without a leader: reads only"
	if leader, ok := n.cluster.Leader(); ok {
		line = "follows " + leader
	}
	if n.cluster.IsLeader() {
		line = "leads"
	}
	line = fmt.Sprintf("%s; %d members, index %d", line, len(n.cluster.Members()), applied)
	if behind := place.Committed; behind > uint64(applied)+entriesBehind {
		line += fmt.Sprintf(" of %d", behind)
	}
	if n.draining.Load() {
		line = "draining; " + line
	}
	return line
}

// entriesBehind are no backlog: entries of the library's own never reach the machine.
const entriesBehind = 16

// countedRows makes a step of each row that is loaded: at a start, and when a state came
// from another node.
type countedRows struct {
	state.Storage
	pulse *cluster.Pulse
}

func (c countedRows) Load(row func(key, value []byte) error) (state.Meta, error) {
	return c.Storage.Load(func(key, value []byte) error {
		c.pulse.Step()
		return row(key, value)
	})
}

// watchStart tells the supervisor, until the start is over, when it has made progress:
// a state of a million users is loaded, or received from another node, in the time that
// the disk and the network need for it.
func (n *Node) watchStart() (over func()) {
	s := n.cfg.Supervisor
	if s == nil {
		return func() {}
	}
	done := make(chan struct{})
	go tellProgress(done, n.pulse.Steps, func() { s.Tell(Starting) })
	return func() { close(done) }
}

func tellProgress(done <-chan struct{}, steps func() uint64, tell func()) {
	ticker := time.NewTicker(startEvery)
	defer ticker.Stop()
	before := steps()
	for {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
		if now := steps(); now != before {
			before = now
			tell()
		}
	}
}

package eventstream

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
)

// Config is what delivery needs of a node.
type Config struct {
	Gate   *access.Gate
	Tokens *login.Tokens
	Ring   *keyring.Keyring
	Issuer string // https://HOST as clients know the cluster
	// Wait blocks until the applied index is beyond after, or the context ends.
	Wait func(ctx context.Context, after directory.Index) (directory.Index, error)
	Log  *slog.Logger
	// Private allows pushes to addresses that are not of the public internet; Roots are
	// the CAs of receivers, nil for those of the machine.
	Private bool
	Roots   *x509.CertPool
}

// bounds are the times of delivery; only tests make them shorter.
type bounds struct {
	// poll is how long a receiver waits for an event: half of what proxies and clients
	// wait before they call a connection dead.
	poll time.Duration
	// pace is the shortest time between two looks at the state.
	pace time.Duration
	// acknowledge is the shortest time between two acknowledgements of one stream on one
	// node: each is an entry of the log, for at most StreamWindow tokens.
	acknowledge time.Duration
	// write is how long a receiver may take for an answer of batchBytes.
	write time.Duration
	// note is how often the progress of a push is committed while there is more.
	note time.Duration
	// retry is the first pause after a failed push.
	retry time.Duration
	// giveUp is how long a receiver may fail before its stream is paused. Whoever looks
	// after it lets it go on from where it stands.
	giveUp time.Duration
}

var standard = bounds{
	poll:        30 * time.Second,
	pace:        25 * time.Millisecond,
	acknowledge: 100 * time.Millisecond,
	write:       20 * time.Second,
	note:        time.Second,
	retry:       retryMin,
	giveUp:      24 * time.Hour,
}

// Streams delivers the event streams of all organizations on one node.
type Streams struct {
	Config
	bounds  bounds
	client  *http.Client
	seats   seats
	closing context.Context
	close   context.CancelFunc
}

// New makes the delivery of a node. It starts no goroutine.
func New(config Config) *Streams {
	closing, stop := context.WithCancel(context.Background())
	return &Streams{Config: config, bounds: standard, client: newClient(config.Private, config.Roots), closing: closing, close: stop}
}

// Close answers every receiver that waits. It may be called twice.
func (s *Streams) Close() { s.close() }

// rest waits until the organization may have changed since view, or the context ends.
// What others do wakes nobody.
func (s *Streams) rest(ctx context.Context, view *state.Org) {
	for seen := view.Applied(); ; {
		timer := time.NewTimer(s.bounds.pace)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		applied, err := s.Wait(ctx, seen)
		if now, ok := s.Gate.Root().Org(view.ID()); err != nil || !ok || now.Sum() != view.Sum() {
			return
		}
		seen = applied
	}
}

// seats counts the polls under way, and paces acknowledgements by stream.
type seats struct {
	mu    sync.Mutex
	taken map[directory.EventStreamID]*seat // guarded by mu
	all   int                               // guarded by mu
}

// Bounds of polls under way on a node. A receiver needs one, or two while one that it
// has given up is not over.
const (
	pollsPerStream = 4
	pollsPerNode   = 1_024
)

// seat is of one stream while it is polled.
type seat struct {
	polls int           // guarded by seats.mu
	turn  chan struct{} // holds one token: whose turn it is to acknowledge
	last  time.Time     // of the last acknowledgement; of whoever holds the turn
}

// take gives a seat to a poll; leave gives it back.
func (s *seats) take(id directory.EventStreamID) (held *seat, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.taken == nil {
		s.taken = map[directory.EventStreamID]*seat{}
	}
	held, ok := s.taken[id]
	if !ok {
		held = &seat{turn: make(chan struct{}, 1)}
	}
	if held.polls == pollsPerStream || s.all == pollsPerNode {
		return nil, nil, directory.Exhausted("", "there are too many polls under way")
	}
	held.polls++
	s.all++
	s.taken[id] = held
	return held, func() { s.leave(id, held) }, nil
}

func (s *seats) leave(id directory.EventStreamID, held *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held.polls--
	s.all--
	if held.polls == 0 && time.Since(held.last) > time.Minute { // whoever polls again finds the pace
		delete(s.taken, id)
	}
	if len(s.taken) > pollsPerNode {
		for other, idle := range s.taken {
			if idle.polls == 0 {
				delete(s.taken, other)
			}
		}
	}
}

// pace waits for the turn of an acknowledgement; done passes it on.
func (held *seat) pace(ctx context.Context, between time.Duration) (done func(), err error) {
	select {
	case held.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	timer := time.NewTimer(between - time.Since(held.last))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		<-held.turn
		return nil, ctx.Err()
	}
	return func() {
		held.last = time.Now()
		<-held.turn
	}, nil
}

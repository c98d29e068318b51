package authfi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Times of the connection to the cluster.
const (
	keyWait     = 2 * time.Second // for a key that is being fetched
	replyLife   = time.Second     // of a node's word on a token, while the feed is behind
	backoffMin  = 200 * time.Millisecond
	backoffMax  = 5 * time.Second
	jitterRange = 0.2
	startMax    = 100 * time.Millisecond // processes that start together do not fetch together
	skewWarning = 2 * time.Second
)

// Auth verifies tokens of one organization. Its goroutines end with the context
// that New was given, or with Close.
type Auth struct {
	config Config
	nodes  *nodes
	now    func() time.Time
	cancel context.CancelFunc
	done   sync.WaitGroup
	wake   chan struct{} // asks for the keys at once

	looking chan struct{} // asks for a look at the watches at once

	mu       sync.Mutex // of everything below
	keys     *keys
	feed     *feed
	seen     cache
	watches  map[*watch]struct{} // calls under way
	waiting  *beat               // a heartbeat whose key is to be fetched
	toLook   bool                // something has changed since they were looked at
	fetching chan struct{}       // closed when the fetch under way has ended; nil: none is
	skewed   bool                // said that the clocks are apart
	ready    chan struct{}       // closed when keys are known and the feed is followed
	isReady  bool
}

// New begins to fetch keys and to follow the feed. It does not wait for either:
// until there are keys, requests are answered with 503.
func New(ctx context.Context, config Config) (*Auth, error) {
	test := config.rehearsal()
	if test == nil {
		return newAuth(ctx, config, time.Now)
	}
	a, err := newAuth(ctx, config, test.Now)
	if err == nil {
		test.Serve(service{a})
	}
	return a, err
}

func newAuth(ctx context.Context, config Config, now func() time.Time) (*Auth, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	a := &Auth{
		config: config, nodes: &nodes{client: config.Client, bases: config.Nodes}, now: now,
		wake: make(chan struct{}, 1), looking: make(chan struct{}, 1),
		keys: newKeys(now()), feed: newFeed(), watches: map[*watch]struct{}{}, ready: make(chan struct{}),
	}
	if config.KeySet != nil {
		if _, err := parseSet(config.KeySet); err != nil {
			return nil, fmt.Errorf("authfi: the key set given: %w", err)
		}
		a.keys.take(answer{status: 200, body: config.KeySet}, now(), 0)
		a.keys.due = time.Time{}
	}
	ctx, a.cancel = context.WithCancel(ctx)
	a.done.Go(func() { a.keepKeys(ctx) })
	a.done.Go(func() { a.keepWatches(ctx) })
	if config.Posture != Offline {
		a.done.Go(func() { a.keepFeed(ctx) })
	}
	return a, nil
}

// Close ends what New has begun.
func (a *Auth) Close() {
	a.cancel()
	a.done.Wait()
}

// Ready waits until the keys are known and the feed is followed, for those who do
// not want to serve before.
func (a *Auth) Ready(ctx context.Context) error {
	select {
	case <-a.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("authfi: not ready: %w", ctx.Err())
	}
}

// markReady is called with the lock held.
func (a *Auth) markReady() {
	if !a.isReady && !a.keys.fetched.IsZero() && (a.config.Posture == Offline || !a.feed.beat.IsZero()) {
		a.isReady = true
		close(a.ready)
	}
}

// Verify says who a token speaks of, or the Refusal. mutating tells of what the
// token is to permit: while nobody can be asked, reading goes on longer.
func (a *Auth) Verify(ctx context.Context, token string, mutating bool) (*User, error) {
	held, refusal := a.verified(ctx, token)
	if refusal != nil {
		return nil, refusal
	}
	user, code := a.decide(ctx, held, mutating)
	if code != "" {
		return nil, &Refusal{Code: code}
	}
	return user, nil
}

// verified holds a token against keys, rules and clock.
func (a *Auth) verified(ctx context.Context, token string) (*held, *Refusal) {
	now := a.now()
	a.mu.Lock()
	h := a.seen.get(token)
	trusted := now.Sub(a.keys.fetched) <= staleMax
	a.mu.Unlock()
	if h == nil || !trusted {
		e, ok := open(token, typeAccess)
		if !ok {
			return nil, &Refusal{Code: InvalidToken}
		}
		k, set, found := a.key(ctx, e.kid)
		if found == keyUnavailable {
			return nil, &Refusal{Code: AuthUnavailable}
		}
		if !e.verifies(k) {
			return nil, &Refusal{Code: InvalidToken}
		}
		user, ok := e.read(a.config.rules(), token)
		if !ok {
			return nil, &Refusal{Code: InvalidToken}
		}
		h = a.remember(&held{user: user}, set)
		now = a.now()
	}
	if !h.user.current(now, a.config.Skew) {
		return nil, &Refusal{Code: InvalidToken}
	}
	return h, nil
}

// remember keeps what was verified, unless the keys have changed meanwhile.
func (a *Auth) remember(h *held, set map[string]*key) *held {
	a.mu.Lock()
	defer a.mu.Unlock()
	if sameKeys(set, a.keys.known) && h.user.current(a.now(), a.config.Skew) {
		a.seen.put(h.user.Token, h)
	}
	return h
}

// decide asks a node where the posture says so. Requests with one token share one
// question. The user is who the token speaks of by what is known then.
func (a *Auth) decide(ctx context.Context, h *held, mutating bool) (*User, Code) {
	s := a.judge(h)
	code := a.config.Posture.decide(s.age, s.verdict, mutating, replyNone)
	if code != ask {
		return s.user, code
	}
	h.asking.Lock()
	defer h.asking.Unlock()
	s = a.judge(h) // others may have asked
	if code = a.config.Posture.decide(s.age, s.verdict, mutating, replyNone); code != ask {
		return s.user, code
	}
	overtaken := h.reply == replyLive && (s.verdict == tokenUnknown || s.verdict == tokenReferred)
	if h.asked.IsZero() || a.now().Sub(h.asked) > replyLife || overtaken {
		a.inquire(ctx, h, s.atLeast)
	}
	s = a.judge(h)
	return s.user, a.config.Posture.decide(s.age, s.verdict, mutating, h.reply)
}

// inquire asks a node about a token and takes in what it says, unless that is older
// than what is known. It is called with h.asking held.
func (a *Auth) inquire(ctx context.Context, h *held, atLeast uint64) {
	asked := a.now()
	r, t := a.nodes.vouch(context.WithoutCancel(ctx), a.config.Issuer, h.user) // others wait for it, too
	a.mu.Lock()
	defer a.mu.Unlock()
	h.reply, h.asked = r, asked
	if r != replyLive || t.index < atLeast {
		return
	}
	if h.confirmed = t.index; h.user.referred {
		h.told = h.user.with(t)
	}
}

// standing is the feed's word on a token.
type standing struct {
	user    *User
	age     time.Duration // of the last heartbeat
	verdict verdict
	atLeast uint64 // index that a node must have reached to know more
}

func (a *Auth) judge(h *held) standing {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := standing{user: h.user, age: a.beatAge(), atLeast: a.feed.at}
	if h.told != nil {
		s.user = h.told
	}
	s.verdict = a.feed.judge(s.user, h.confirmed)
	return s
}

// beatAge is called with the lock held.
func (a *Auth) beatAge() time.Duration {
	if a.feed.beat.IsZero() {
		return never
	}
	return a.now().Sub(a.feed.beat)
}

// key finds a key, and waits for a fetch where one may help.
func (a *Auth) key(ctx context.Context, kid string) (*key, map[string]*key, finding) {
	a.mu.Lock()
	k, found := a.keys.find(kid, a.now())
	set, fetching := a.keys.known, a.fetching
	a.mu.Unlock()
	if found == keyKnown {
		return k, set, found
	}
	if found == keyFetch && fetching == nil {
		fetching = a.fetch()
	}
	if fetching == nil {
		return nil, nil, found
	}
	timeout := time.NewTimer(keyWait)
	defer timeout.Stop()
	select {
	case <-fetching:
	case <-timeout.C:
		return nil, nil, keyUnavailable
	case <-ctx.Done():
		return nil, nil, keyUnavailable
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	k, found = a.keys.settle(kid, a.now())
	return k, a.keys.known, found
}

// fetch joins the fetch under way or begins one.
func (a *Auth) fetch() chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fetching == nil {
		a.fetching = make(chan struct{})
		a.poke()
	}
	return a.fetching
}

// poke has the keys fetched once more, also after a fetch under way, which may
// have begun too early.
func (a *Auth) poke() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// keepKeys fetches the keys when they are due or somebody waits for one.
func (a *Auth) keepKeys(ctx context.Context) {
	select {
	case <-a.wake: // somebody waits already
	case <-time.After(rand.N(startMax)):
	case <-ctx.Done():
		return
	}
	for {
		a.fetchKeys(ctx)
		a.heartbeatAgain()
		a.mu.Lock()
		wait := a.keys.due.Sub(a.now())
		a.mu.Unlock()
		select {
		case <-a.wake:
		case <-time.After(max(wait, backoffMin)):
		case <-ctx.Done():
			return
		}
	}
}

func (a *Auth) fetchKeys(ctx context.Context) {
	a.mu.Lock()
	etag := a.keys.etag
	if a.fetching == nil {
		a.fetching = make(chan struct{})
	}
	a.mu.Unlock()
	got, err := a.nodes.keySet(ctx, keyPath(a.config.Issuer), etag)
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.now()
	if a.keys.take(got, now, jitterRange*(2*rand.Float64()-1)) {
		a.seen = cache{} // what another key has signed is to be verified anew
		a.look()
	}
	if ctx.Err() == nil && !a.keys.fetched.Equal(now) {
		a.config.Log.Warn("authfi: keys not refreshed; those there are stay", "status", got.status, "error", err, "since", a.keys.fetched)
	}
	if apart := now.Sub(got.date).Abs(); !got.date.IsZero() && apart > skewWarning && !a.skewed {
		a.skewed = true
		a.config.Log.Warn("authfi: this machine's clock and the issuer's are apart", "by", apart)
	}
	close(a.fetching)
	a.fetching = nil
	a.markReady()
}

// Status is for gauges.
type Status struct {
	KeysAge time.Duration // since the issuer has vouched for the keys; negative: never
	FeedAge time.Duration // of the last heartbeat; negative: none
	Index   uint64        // up to which the feed has been followed
}

// Status says how old what is known is. Keys that are older than an hour, or a
// heartbeat older than 15 seconds, want somebody to look.
func (a *Auth) Status() Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := Status{KeysAge: -1, FeedAge: -1, Index: a.feed.at}
	if !a.keys.fetched.IsZero() {
		s.KeysAge = a.now().Sub(a.keys.fetched)
	}
	if !a.feed.beat.IsZero() {
		s.FeedAge = a.now().Sub(a.feed.beat)
	}
	return s
}

// keepFeed follows the feed, on one node after the other.
func (a *Auth) keepFeed(ctx context.Context) {
	for backoff := backoffMin; ; {
		begun := a.now()
		err := a.followFeed(ctx)
		if ctx.Err() != nil {
			return
		}
		a.config.Log.Warn("authfi: the feed broke off", "node", a.nodes.base(), "error", err)
		a.nodes.next()
		if backoff = min(2*backoff, backoffMax); a.now().Sub(begun) > backoffMax {
			backoff = backoffMin
		}
		select {
		case <-time.After(time.Duration(float64(backoff) * (1 + jitterRange*(2*rand.Float64()-1)))):
		case <-ctx.Done():
			return
		}
	}
}

func (a *Auth) followFeed(ctx context.Context) error {
	a.mu.Lock()
	from := events{org: a.config.Org, after: a.feed.at, ordinal: a.feed.ordinal}
	a.waiting = nil // it was of another stream
	a.mu.Unlock()
	if from.after == 0 {
		index, err := a.nodes.now(ctx, a.config.Org, a.config.APIKey)
		if err != nil {
			return err
		}
		a.mu.Lock()
		a.feed.start(index)
		a.mu.Unlock()
		from.after, from.ordinal = index, nil
	}
	return a.nodes.follow(ctx, from, a.config.APIKey, a.hear)
}

// hear takes in a message and reports whether it tells that the stream is alive, which
// a heartbeat must prove.
func (a *Auth) hear(m message) (alive bool) {
	if m.Type == "heartbeat" {
		return a.heartbeat(beat{m, a.now()})
	}
	a.mu.Lock()
	if m.Type == "resync" {
		a.waiting = nil
	}
	keysChanged := a.feed.hear(m, a.now())
	a.look()
	a.mu.Unlock()
	if keysChanged {
		a.poke()
	}
	return true
}

package gate

import (
	"bytes"
	"context"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

const (
	readSize = 32 << 10
	// pipelineMax is how many requests a client may send ahead of their
	// answers. The record of each is some 200 bytes.
	pipelineMax = 128
)

// conn is one client's connection of HTTP/1.1 and, once a request was let
// through, the service's end of it, which no other client shares.
type conn struct {
	gate    *Gate
	client  net.Conn
	from    *origin
	machine *policy.Machine
	program *policy.Program // of the request that is being read
	flow    *policy.Flow    // of the request that is decided, nil before it could be read
	subject policy.Subject  // of that request
	opaque  atomic.Bool     // in a dry run: what comes can no longer be read
	held    []byte          // the header block that is being read
	out     []byte          // the block as the service gets it
	last    bool            // the request that was let through is the connection's last
	over    chan struct{}   // closed when the service has sent its last byte; nil before it is reached
	quiet   chan struct{}   // told when everything has been answered

	blockSince atomic.Int64 // when the block that is being read began, 0 between blocks
	lastActive atomic.Int64 // the last byte of either side
	toClient   atomic.Int64 // since when the client is being written to, 0 if it is not
	toService  atomic.Int64
	leaving    atomic.Bool // ends after the answers that are under way

	mu       sync.Mutex
	upstream net.Conn       // guarded by mu
	pending  []exchange     // guarded by mu: let through and not answered, the oldest first
	whose    policy.Subject // guarded by mu: whose request was let through last
	outcome  ending         // guarded by mu: of the service's end
	ending   bool           // guarded by mu: nothing more is let through
	closed   bool           // guarded by mu
}

func newConn(g *Gate, client net.Conn, from *origin) *conn {
	c := &conn{gate: g, client: client, from: from, machine: policy.NewMachine(), quiet: make(chan struct{}, 1)}
	c.active()
	return c
}

// serve relays until either side ends or a request is refused. The first bytes
// may have been read already. Whoever releases the connection resets it, if it has
// not ended in order.
func (c *conn) serve(ctx context.Context, first []byte) {
	if c.relayRequests(ctx, first) {
		c.part()
	}
}

func (c *conn) relayRequests(ctx context.Context, first []byte) (ordered bool) {
	if err := c.take(ctx, first); err != nil {
		return c.stopped(err)
	}
	buffer := make([]byte, readSize)
	for {
		n, err := c.client.Read(buffer)
		if n > 0 {
			c.active()
			if failed := c.take(ctx, buffer[:n]); failed != nil {
				return c.stopped(failed)
			}
		}
		if err != nil {
			return c.clientEnded(err)
		}
	}
}

func (c *conn) active() { c.lastActive.Store(time.Now().UnixNano()) }

// take reads what arrived, request by request.
func (c *conn) take(ctx context.Context, p []byte) error {
	if c.opaque.Load() {
		return c.takeUnread(p)
	}
	for len(p) > 0 {
		if c.machine.Idle() {
			if c.last {
				return nil // nobody would answer it, RFC 9112 section 9.6
			}
			k0, k1 := c.gate.config.Keys()
			c.program = c.gate.config.Program()
			c.machine.Begin(c.program, k0, k1)
			c.flow, c.subject = nil, policy.Subject{}
		}
		inHeader := c.machine.Idle() || c.machine.InHeader()
		n, complete, refusal := c.machine.Feed(p)
		if refusal != policy.ReasonAllowed {
			if c.gate.dryRun() {
				return c.passUnread(ctx, refusal, p)
			}
			return c.refuse(refusal)
		}
		block := p[:n]
		switch {
		case !inHeader:
			if err := c.forward(block); err != nil {
				return err
			}
		case !complete || len(c.held) > 0:
			c.held = append(c.held, block...)
			block = c.held
		}
		p = p[n:]
		if complete {
			if err := c.decide(ctx, block, p); err != nil {
				return err
			}
			c.held = c.held[:0]
			if c.opaque.Load() {
				return c.takeUnread(p)
			}
		}
	}
	c.timeBlock()
	return nil
}

// timeBlock starts or stops the clock of a header block.
func (c *conn) timeBlock() {
	switch {
	case !c.machine.InHeader():
		c.blockSince.Store(0)
	case c.blockSince.Load() == 0:
		c.blockSince.Store(time.Now().UnixNano())
	}
}

// decide lets a header block go, or refuses it. rest has been read behind it.
func (c *conn) decide(ctx context.Context, block, rest []byte) error {
	flow := c.machine.Flow()
	reason, grant := c.gate.config.Decide(c.program, flow)
	c.flow, c.subject = &flow, grant.Subject
	h, against := readHead(block)
	switch {
	case against != policy.ReasonAllowed:
	case c.full():
		against = policy.ReasonTooMany
	case flow.Upgrade:
		against = h.upgradable(flow, c.gate.config.Backend.HTTP2)
	}
	if reason.Allows() && against != policy.ReasonAllowed {
		reason = against
	}
	if !reason.Allows() && !c.gate.dryRun() {
		return c.refuse(reason)
	}
	if against != policy.ReasonAllowed || flow.Upgrade && !reason.Allows() {
		return c.passRaw(ctx, reason, block)
	}
	e := exchange{line: bytes.Clone(h.methodAndTarget()), flow: flow, program: c.program, grant: grant}
	if flow.Upgrade {
		return c.upgrade(ctx, &h, block, rest, e, reason)
	}
	if err := c.reach(ctx); err != nil {
		c.gate.unreachable(err)
		return c.refuse(policy.ReasonUpstream)
	}
	if err := c.admit(e, reason); err != nil {
		return err
	}
	c.last = h.close || h.is10() && !h.keepAlive
	user := ""
	if reason.Allows() { // in a dry run a refused request is nobody's
		user = c.gate.userOf(grant)
	}
	c.out = h.finish(h.write(c.out[:0], block, c.from, user))
	if err := c.forward(c.out); err != nil {
		return err
	}
	c.machine.Allow()
	return nil
}

// admit records what is let through, before it goes, and decides once more: a
// review between the first verdict and the record did not see it. In a dry run it
// goes whatever the verdict is.
func (c *conn) admit(e exchange, reason policy.Reason) error {
	c.mu.Lock()
	if c.closed || c.ending {
		c.mu.Unlock()
		return errEnded
	}
	c.pending = append(c.pending, e)
	c.whose = e.grant.Subject
	c.mu.Unlock()
	if !c.gate.dryRun() {
		if reason, _ = c.gate.config.Decide(e.program, e.flow); !reason.Allows() {
			c.mu.Lock()
			c.pending = c.pending[:len(c.pending)-1]
			c.mu.Unlock()
			return c.refuse(reason)
		}
	}
	c.told(reason)
	return nil
}

// full reports whether the client is as far ahead of the answers as it may be.
func (c *conn) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) >= pipelineMax
}

func (c *conn) forward(p []byte) error {
	if write(c.upstream, p, &c.toService) != nil {
		return errDeaf
	}
	return nil
}

// write marks when it began, for the patrol: a deadline for every write costs
// more than the write of a small request.
func write(to net.Conn, p []byte, since *atomic.Int64) error {
	since.Store(time.Now().UnixNano())
	_, err := to.Write(p)
	since.Store(0)
	return err
}

// reach opens the service's end with the first request that is let through.
func (c *conn) reach(ctx context.Context) error {
	if c.over != nil {
		return nil
	}
	upstream, err := c.gate.backend.dial(ctx, c.from)
	if err != nil {
		return err
	}
	if !c.adopt(upstream) {
		return net.ErrClosed
	}
	over := make(chan struct{})
	c.over = over
	c.gate.relays.Go(func() { c.answer(upstream, over) })
	return nil
}

// adopt makes a connection the service's end, unless all is over.
func (c *conn) adopt(upstream net.Conn) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		sever(upstream)
		return false
	}
	if c.upstream != nil {
		c.upstream.Close()
	}
	c.upstream = upstream
	return true
}

// answer copies the service's bytes back until it ends.
func (c *conn) answer(upstream net.Conn, over chan<- struct{}) {
	// The reader of the client may be waiting for a request that nobody would
	// answer any more.
	defer close(over)
	defer func() { c.client.SetReadDeadline(time.Now()) }()
	var f follower
	answered := false
	buffer := make([]byte, readSize)
	for {
		n, err := upstream.Read(buffer)
		if n > 0 {
			if c.unreadEnded() {
				c.close()
				return
			}
			answered = true
			c.active()
			done := f.feed(buffer[:n], c.bodyless)
			if failed := write(c.client, buffer[:n], &c.toClient); failed != nil {
				c.close()
				return
			}
			c.finished(done)
		}
		if err != nil {
			c.serviceEnded(answered, &f, err)
			return
		}
	}
}

// answerFor tells the client that the service did not.
func (c *conn) answerFor(e *exchange) {
	c.gate.told(e, policy.ReasonUpstream)
	write(c.client, policy.Response(policy.ReasonUpstream, e.flow.Method == policy.MethodHead), &c.toClient)
}

// bodyless says of the n-th request that waits whether it was HEAD.
func (c *conn) bodyless(n int) (head, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n >= len(c.pending) {
		return false, false
	}
	return c.pending[n].flow.Method == policy.MethodHead, true
}

// finished forgets the oldest exchanges, whose answers are over.
func (c *conn) finished(done int) {
	if done == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending = append(c.pending[:0], c.pending[min(done, len(c.pending)):]...)
	if len(c.pending) > 0 {
		return
	}
	select {
	case c.quiet <- struct{}{}:
	default:
	}
	if c.leaving.Load() {
		c.endIdle()
	}
}

// refuse answers for the gate and ends the connection. The answers to earlier
// requests of the connection come first, or the client would take the refusal
// for one of theirs.
func (c *conn) refuse(reason policy.Reason) error {
	c.told(reason)
	if err := c.settle(); err != nil {
		return err
	}
	if err := write(c.client, policy.Response(reason, c.machine.Head()), &c.toClient); err != nil {
		return err
	}
	return errEnded
}

// review implements holder. The verdicts are asked for without the lock: those
// who write the rows may be about to close this connection.
func (c *conn) review(about func(*exchange) bool) {
	if c.unreadEnded() {
		c.close()
		return
	}
	var affected []exchange
	c.mu.Lock()
	for i := range c.pending {
		if about(&c.pending[i]) {
			affected = append(affected, c.pending[i])
		}
	}
	c.mu.Unlock()
	for i := range affected {
		if stands, reason := c.gate.stands(&affected[i]); !stands {
			c.gate.told(&affected[i], reason)
			c.close()
			return
		}
	}
}

// patrol implements holder.
func (c *conn) patrol(now int64) {
	c.mu.Lock()
	idleMax := c.gate.limits.Idle
	if len(c.pending) > 0 || c.opaque.Load() {
		idleMax = c.gate.limits.Answer
	}
	c.mu.Unlock()
	limits := &c.gate.limits
	if past(now, c.blockSince.Load(), limits.Header) || past(now, c.toClient.Load(), limits.Write) ||
		past(now, c.toService.Load(), limits.Write) || past(now, c.lastActive.Load(), idleMax) {
		c.close()
	}
}

func past(now, since int64, limit Duration) bool { return since != 0 && now-since > int64(limit) }

// leave implements holder.
func (c *conn) leave() {
	c.leaving.Store(true)
	if c.opaque.Load() {
		c.close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.pending) == 0 && c.blockSince.Load() == 0 {
		c.endIdle()
	}
}

// sweep implements holder. An answer that is under way and still allowed is the last.
func (c *conn) sweep(subject policy.Subject) {
	if c.gate.dryRun() {
		c.orphan(subject)
		return
	}
	c.mu.Lock()
	if c.whose == subject {
		c.leaving.Store(true) // before finished looks, which forgets the answer under the lock
		if len(c.pending) == 0 {
			c.endIdle()
		}
	}
	pending := slices.Clone(c.pending)
	c.mu.Unlock()
	if slices.ContainsFunc(pending, func(e exchange) bool { return c.gate.orphaned(&e, subject) }) {
		c.close()
	}
}

// close implements holder: every goroutine of the connection returns.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	sever(c.client)
	if c.upstream != nil {
		sever(c.upstream)
	}
}

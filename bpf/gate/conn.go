package gate

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

const readSize = 32 << 10

// errRefused ends a connection whose refusal has been answered.
var errRefused = errors.New("refused")

// conn is one client's connection and, once a request was allowed, the
// service's end of it.
type conn struct {
	gate    *Gate
	client  net.Conn
	machine *policy.Machine
	program *policy.Program // of the request that is being read
	flow    *policy.Flow    // of the request that is decided, nil before it could be read
	subject policy.Subject  // of that request
	opaque  atomic.Bool     // in a dry run: what comes can no longer be read
	held    []byte          // the header block that is being read
	answers chan struct{}   // closed when the service has sent its last byte

	headerDeadline time.Time    // of the block that is being read, zero between blocks
	lastActive     atomic.Int64 // wall clock of the last byte of either side
	refusing       atomic.Bool  // the client is read for a moment longer

	mu       sync.Mutex
	upstream net.Conn
	subjects map[policy.Subject]struct{} // whose requests were let through
	closed   bool
}

// serve relays until either side ends or a request is refused.
func (c *conn) serve(ctx context.Context) {
	buffer := make([]byte, readSize)
	c.active()
	for {
		if !c.machine.InHeader() {
			c.headerDeadline = time.Time{}
		} else if c.headerDeadline.IsZero() {
			c.headerDeadline = time.Now().Add(headerTimeout)
		}
		deadline := c.headerDeadline
		if deadline.IsZero() {
			deadline = time.Unix(0, c.lastActive.Load()).Add(idleTimeout)
		}
		c.client.SetReadDeadline(deadline)
		if c.answered() {
			return
		}
		n, err := c.client.Read(buffer)
		if n > 0 {
			c.active()
			if c.take(ctx, buffer[:n]) != nil {
				return
			}
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && c.headerDeadline.IsZero() && c.idle() < idleTimeout {
			continue // the client waits for a long answer
		}
		if err != nil {
			c.clientEnded(err)
			return
		}
	}
}

func (c *conn) active() { c.lastActive.Store(time.Now().UnixNano()) }

func (c *conn) idle() time.Duration { return time.Since(time.Unix(0, c.lastActive.Load())) }

// answered reports that the service has ended its side. It is asked after every
// new deadline, which would otherwise undo the one that answer sets.
func (c *conn) answered() bool {
	select {
	case <-c.answers:
		return true
	default:
		return false // also without a service's side: the channel is nil
	}
}

// clientEnded passes a half-close on, so that a client that has said everything
// still gets its answers.
func (c *conn) clientEnded(err error) {
	if !errors.Is(err, io.EOF) || c.answers == nil || c.machine.InHeader() {
		return
	}
	c.drain(idleTimeout)
}

// take reads what arrived, request by request.
func (c *conn) take(ctx context.Context, p []byte) error {
	if c.opaque.Load() {
		return c.takeUnread(p)
	}
	for len(p) > 0 {
		if c.machine.Idle() {
			k0, k1 := c.gate.config.Keys()
			c.program = c.gate.config.Program()
			c.machine.Begin(c.program, k0, k1)
			c.flow, c.subject = nil, policy.Subject{}
		}
		inHeader := c.machine.Idle() || c.machine.InHeader()
		n, complete, refusal := c.machine.Feed(p)
		if refusal != policy.ReasonAllowed {
			if c.dryRun() {
				return c.passUnread(ctx, refusal, p)
			}
			return c.refuse(refusal)
		}
		if !inHeader {
			if err := c.forward(p[:n]); err != nil {
				return err
			}
		} else {
			c.held = append(c.held, p[:n]...)
		}
		if complete {
			if err := c.decide(ctx); err != nil {
				return err
			}
			if c.opaque.Load() {
				return c.takeUnread(p[n:])
			}
		}
		p = p[n:]
	}
	return nil
}

// decide lets the held header block go, or refuses it.
func (c *conn) decide(ctx context.Context) error {
	flow := c.machine.Flow()
	reason, subject := c.gate.config.Decide(c.program, flow)
	if reason.Allows() && flow.Upgrade {
		reason = policy.ReasonNotImplemented // the gate does not follow other protocols
	}
	c.flow, c.subject = &flow, subject
	if !reason.Allows() && !c.dryRun() {
		return c.refuse(reason)
	}
	if err := c.connect(ctx); err != nil {
		c.gate.config.Logger.Warn("service unreachable", "upstream", c.gate.config.Upstream, "error", err)
		return c.refuse(policy.ReasonInternal)
	}
	if c.dryRun() {
		return c.passRefused(reason)
	}
	if !c.carry(subject) {
		return net.ErrClosed
	}
	// A sweep between the first verdict and carry did not see this connection.
	if reason, _ = c.gate.config.Decide(c.program, flow); !reason.Allows() {
		return c.refuse(reason)
	}
	c.told(reason)
	return c.pass()
}

// pass sends the held header block on.
func (c *conn) pass() error {
	if err := c.forward(c.held); err != nil {
		return err
	}
	c.held, c.headerDeadline = c.held[:0], time.Time{}
	c.machine.Allow()
	return nil
}

func (c *conn) forward(p []byte) error {
	c.upstream.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := c.upstream.Write(p)
	return err
}

// connect opens the service's end with the first allowed request.
func (c *conn) connect(ctx context.Context) error {
	if c.answers != nil {
		return nil
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	upstream, err := dialer.DialContext(ctx, "tcp", c.gate.config.Upstream)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		upstream.Close()
		return net.ErrClosed
	}
	c.upstream = upstream
	c.answers = make(chan struct{})
	c.gate.relays.Go(func() { c.answer(upstream) })
	return nil
}

// answer copies the service's bytes back until it ends.
func (c *conn) answer(upstream net.Conn) {
	// The reader of the client may be waiting for a request that nobody would
	// answer any more.
	defer func() {
		close(c.answers)
		if !c.refusing.Load() {
			c.client.SetReadDeadline(time.Now())
		}
	}()
	buffer := make([]byte, readSize)
	for {
		n, err := upstream.Read(buffer)
		if n > 0 {
			if c.unreadEnded() {
				c.close()
				return
			}
			c.active()
			c.client.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, failed := c.client.Write(buffer[:n]); failed != nil {
				c.close()
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// refuse answers for the gate and ends the connection. The answers to earlier
// requests of the connection come first, or the client would take the refusal
// for one of theirs.
func (c *conn) refuse(reason policy.Reason) error {
	c.refusing.Store(true)
	c.told(reason)
	if c.answers != nil && !c.drain(drainTimeout) {
		return errRefused
	}
	c.client.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := c.client.Write(policy.Response(reason, c.machine.Head())); err != nil {
		return err
	}
	c.linger()
	return errRefused
}

// linger reads what the client is still sending, for a moment: closing with
// unread bytes resets the connection and may destroy the answer on its way.
func (c *conn) linger() {
	if half, ok := c.client.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	c.client.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.CopyN(io.Discard, c.client, lingerMax)
}

const (
	lingerTimeout = time.Second
	lingerMax     = 256 << 10
)

// drain tells the service that nothing follows and waits for its last answer.
// It reports false if the service did not end in time.
func (c *conn) drain(limit time.Duration) bool {
	if half, ok := c.upstream.(*net.TCPConn); ok {
		half.CloseWrite()
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-c.answers:
		return true
	case <-timer.C:
		return false
	}
}

// carry notes whose request goes through; false if the connection was ended.
func (c *conn) carry(subject policy.Subject) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if subject != (policy.Subject{}) {
		c.subjects[subject] = struct{}{}
	}
	return !c.closed
}

func (c *conn) carries(subject policy.Subject) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, ok := c.subjects[subject]
	return ok
}

// close ends both sides; every goroutine of the connection returns.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.client.Close()
	if c.upstream != nil {
		c.upstream.Close()
	}
}

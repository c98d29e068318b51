package gate

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// A connection ends in one of two ways. Where every answer that has begun is whole it
// ends in order: the client is told that nothing follows, has its time to take what
// lies in the kernel's buffer, and sees an end. Everything else is a reset: what was
// revoked, and what was cut, which an end would make look whole.

const (
	// lingerTimeout is how long the gate still reads from a client that has
	// everything and does not close.
	lingerTimeout = time.Second
	// lingerMax is how much it reads from such a client at the most.
	lingerMax = 256 << 10
	// lingerPoll is how often it looks whether a slow client has room for the end of TLS.
	lingerPoll = 20 * time.Millisecond
)

var (
	// errEnded ends a connection in order.
	errEnded = errors.New("ended")
	// errCut ends a connection whose last answer is not whole.
	errCut = errors.New("an answer is not whole")
	// errDeaf means that the service takes no more; it may have answered nevertheless.
	errDeaf = errors.New("the service takes no more")
)

// ending is how the service's side has ended; the zero value is the one that resets.
type ending uint8

const (
	endCut   ending = iota // in the middle of an answer
	endWhole               // between two answers
	endFinal               // whole, but a further answer would be read as a part of it
)

// ended says how a connection may end after the service has ended it with err, and
// how many answers that finished.
func (f *follower) ended(err error) (how ending, done int) {
	switch {
	case f.between():
		return endWhole, 0
	case f.state == untilClose && errors.Is(err, io.EOF):
		return endFinal, 1
	}
	return endCut, 0
}

// serviceEnded answers for a service that took a first request and said nothing. On a
// connection that had answers before, the client knows that a kept connection may end
// at any time, and may ask again.
func (c *conn) serviceEnded(answered bool, f *follower, err error) {
	how, done := f.ended(err)
	c.mu.Lock()
	waiting := len(c.pending) > 0 && !c.closed && !c.ending
	var first exchange
	if waiting {
		first = c.pending[0]
	}
	c.mu.Unlock()
	if waiting && !answered {
		c.answerFor(&first)
		how = endFinal
	}
	c.mu.Lock()
	c.outcome = how
	c.mu.Unlock()
	c.finished(done)
}

// conclude waits until what was let through has been answered or the service has
// ended. Silence is the patrol's business. It leaves nobody to write to the client.
func (c *conn) conclude() ending {
	if c.over == nil {
		return endWhole
	}
	for ended := false; !ended && !c.answered(); {
		select {
		case <-c.quiet:
		case <-c.over:
			ended = true
		}
	}
	c.dismiss()
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.outcome
}

// answered reports that nothing is owed to the client. Where requests can no longer be
// read, nobody knows.
func (c *conn) answered() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.pending) == 0 && !c.opaque.Load()
}

// dismiss ends the service's side.
func (c *conn) dismiss() {
	if c.over == nil {
		return
	}
	c.mu.Lock()
	upstream := c.upstream
	c.mu.Unlock()
	upstream.Close()
	<-c.over
}

// settle waits for the earlier answers before the gate itself says something.
func (c *conn) settle() error {
	if c.over == nil {
		return nil
	}
	switch how := c.conclude(); {
	case how == endCut:
		return errCut
	case how == endFinal || !c.answered():
		return errEnded
	}
	return nil
}

// endIdle ends a connection on which nothing is under way; the caller holds mu. The
// goroutine that reads the client does it, and lets no further request through.
func (c *conn) endIdle() {
	c.ending = true
	c.client.SetReadDeadline(time.Now())
}

// stopped reports whether a connection that takes no more requests ends in order.
func (c *conn) stopped(err error) bool {
	switch {
	case errors.Is(err, errEnded):
		return true
	case errors.Is(err, errDeaf):
		return c.conclude() != endCut
	}
	return false
}

// clientEnded does so for one whose client cannot be read any more. A half-close is
// passed on, and a client that has said everything still gets its answers.
func (c *conn) clientEnded(err error) bool {
	var failed net.Error
	switch {
	case errors.Is(err, io.EOF):
		c.mu.Lock()
		upstream := c.upstream
		c.mu.Unlock()
		if upstream != nil {
			closeWrite(upstream)
		}
		return c.conclude() != endCut
	case errors.As(err, &failed) && failed.Timeout(): // woken: by endIdle, or as the service has ended
		return c.conclude() != endCut
	}
	return false
}

// part ends a connection in order. After this, closing it once more does nothing.
func (c *conn) part() {
	c.dismiss()
	c.blockSince.Store(0)
	if c.linger() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.closed {
			return
		}
		c.closed = true
		plain(c.client).Close()
		if c.upstream != nil {
			c.upstream.Close()
		}
	}
}

// linger says goodbye and reads what the client is still sending until it has taken
// everything: closing with bytes unread resets a connection and destroys what is on
// its way. It reports false if the client takes nothing.
func (c *conn) linger() bool {
	raw := plain(c.client)
	if c.client != raw {
		// The standard library gives the end of TLS five seconds, so there must be room.
		if !c.discard(raw, lingerPoll, func() bool { return queued(raw, unix.SIOCOUTQNSD) == 0 }) {
			return false
		}
		c.toClient.Store(time.Now().UnixNano())
		closeWrite(c.client)
		c.toClient.Store(0)
	}
	closeWrite(raw)
	return c.discard(raw, lingerTimeout, nil)
}

// discard reads until the client ends, or enough has happened: enough is asked at
// once and then after every piece and every pause; nil is a pause in which nothing
// was left to be taken. It reports false if the client takes nothing for too long.
func (c *conn) discard(raw net.Conn, wait time.Duration, enough func() bool) bool {
	if enough != nil && enough() {
		return true
	}
	buffer := make([]byte, readSize)
	left, moved := queued(raw, unix.SIOCOUTQ), time.Now()
	for read := 0; ; {
		raw.SetReadDeadline(time.Now().Add(wait))
		n, err := raw.Read(buffer)
		var failed net.Error
		if err != nil && !(errors.As(err, &failed) && failed.Timeout()) {
			return true // the kernel delivers the rest to a client that has ended itself
		}
		read += n
		was := left
		left = queued(raw, unix.SIOCOUTQ)
		silent := time.Since(moved)
		switch {
		case enough != nil && enough():
			return true
		case enough == nil && left == 0 && (silent >= wait || read > lingerMax):
			return true
		case left < was:
			moved = time.Now()
			c.active()
		case left > 0 && silent > time.Duration(c.gate.limits.Write):
			return false
		}
	}
}

// queued is how many bytes the kernel still holds for the other side: those that it has
// not acknowledged, its end included, or those that have not been sent.
func queued(raw net.Conn, which uint) (n int) {
	tcp, ok := raw.(*net.TCPConn)
	if !ok {
		return 0
	}
	control, err := tcp.SyscallConn()
	if err != nil {
		return 0
	}
	control.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), which) })
	if err != nil {
		return 0
	}
	return n
}

// plain is the connection below TLS.
func plain(conn net.Conn) net.Conn {
	if secure, ok := conn.(*tls.Conn); ok {
		return secure.NetConn()
	}
	return conn
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// sever ends a connection without a word: the other side sees a reset, and
// nothing waits for it.
func sever(conn net.Conn) {
	conn = plain(conn)
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
}

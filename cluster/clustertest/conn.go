package clustertest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// conn is one end of a connection.
type conn struct {
	network       *Network
	from, to      string
	local, remote place
	in, out       *stream
	deadlines     [2]deadline // of reading and of writing
}

func (c *conn) Read(p []byte) (int, error) { return c.in.read(p, c.deadlines[0].passed()) }

// Write never waits: as much as anybody sends fits the buffers.
func (c *conn) Write(p []byte) (int, error) {
	select {
	case <-c.deadlines[1].passed():
		return 0, os.ErrDeadlineExceeded
	default:
	}
	return c.out.write(p)
}

func (c *conn) Close() error {
	c.in.fail(net.ErrClosed)
	c.out.end()
	c.deadlines[0].set(time.Time{})
	c.deadlines[1].set(time.Time{})
	c.network.mu.Lock()
	defer c.network.mu.Unlock()
	delete(c.network.conns, c)
	return nil
}

func (c *conn) LocalAddr() net.Addr  { return c.local }
func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) SetDeadline(t time.Time) error {
	c.deadlines[0].set(t)
	c.deadlines[1].set(t)
	return nil
}

func (c *conn) SetReadDeadline(t time.Time) error {
	c.deadlines[0].set(t)
	return nil
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.deadlines[1].set(t)
	return nil
}

// deadline is a channel that is closed when it has passed.
type deadline struct {
	mu    sync.Mutex
	timer *time.Timer
	done  chan struct{}
}

func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done == nil {
		d.done = make(chan struct{})
	}
	return d.done
}

// set wakes who waits, to wait for the new one.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() || d.done == nil {
		d.done = make(chan struct{})
	}
	d.timer = nil
	select {
	case <-d.done:
		d.done = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return
	}
	done := d.done
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(done) })
		return
	}
	close(done)
}

// stream is one direction of a connection.
type stream struct {
	network  *Network
	from, to string

	mu      sync.Mutex
	queue   []piece
	last    time.Time // when the newest piece arrives: pieces keep their order
	err     error     // of either end
	changed chan struct{}
}

// piece arrives at a time; one without data is the end.
type piece struct {
	at   time.Time
	data []byte
}

func newStream(n *Network, from, to string) *stream {
	return &stream{network: n, from: from, to: to, changed: make(chan struct{})}
}

func (s *stream) announce() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *stream) write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	delay := s.network.delay()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	s.push(delay, append([]byte(nil), p...))
	return len(p), nil
}

// end arrives like data.
func (s *stream) end() {
	delay := s.network.delay()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(delay, nil)
}

func (s *stream) push(delay time.Duration, data []byte) {
	at := time.Now().Add(delay)
	if at.Before(s.last) {
		at = s.last
	}
	s.last = at
	s.queue = append(s.queue, piece{at, data})
	s.announce()
}

// fail ends both directions at once.
func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
	s.announce()
}

func (s *stream) read(p []byte, deadline <-chan struct{}) (int, error) {
	for {
		cut, healed := s.network.blocked(s.from, s.to)
		s.mu.Lock()
		if s.err != nil {
			defer s.mu.Unlock()
			return 0, s.err
		}
		wait := time.Duration(-1)
		if len(s.queue) > 0 && !cut {
			if wait = time.Until(s.queue[0].at); wait <= 0 {
				defer s.mu.Unlock()
				return s.take(p)
			}
		}
		changed := s.changed
		s.mu.Unlock()
		if err := await(wait, changed, healed, deadline); err != nil {
			return 0, err
		}
	}
}

// take copies what has arrived; the lock is held.
func (s *stream) take(p []byte) (int, error) {
	head := &s.queue[0]
	if head.data == nil {
		return 0, io.EOF // and stays the end
	}
	n := copy(p, head.data)
	if head.data = head.data[n:]; len(head.data) == 0 {
		s.queue = s.queue[1:]
	}
	return n, nil
}

// await returns when there may be something to read, after wait if that is not negative.
func await(wait time.Duration, changed, healed, deadline <-chan struct{}) error {
	var arrived <-chan time.Time
	if wait >= 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		arrived = timer.C
	}
	select {
	case <-arrived:
	case <-changed:
	case <-healed:
	case <-deadline:
		return os.ErrDeadlineExceeded
	}
	return nil
}

package cluster

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Methods of the cluster itself; the layers above register others.
const (
	methodAppend    = "cluster.append"
	methodReadIndex = "cluster.read-index"
	methodAddVoter  = "cluster.add-voter"
)

// Bounds of one call. An entry of group commit is the largest honest body.
const (
	methodMax   = 64
	bodyMax     = commandMax + entryBytesMax + entryCommandsMax*32
	idleConnMax = 64 // kept per peer
)

// First byte of an answer.
const (
	answerOK byte = iota
	answerNoLeader
	answerReadOnly
	answerUnknownOutcome
	answerFailed     // the body is the text
	answerDistrusted // the connection was opened by a CA that is trusted no more: the call was not heard
)

// errDistrusted ends the use of a connection.
var errDistrusted = errors.New("the connection is of a CA that is trusted no more")

// Handler answers a call of another node.
type Handler func(ctx context.Context, from string, body []byte) ([]byte, error)

// calls is both ends of node-to-node calls: frames of method and body over
// pooled connections, one call at a time on each. HTTP would cost more than
// the call itself.
type calls struct {
	c        *Cluster
	mu       sync.Mutex
	handlers map[string]Handler // guarded by mu
	idle     map[string][]*link // by node id, guarded by mu
}

// Handle registers a handler before or while the cluster runs.
func (c *Cluster) Handle(method string, h Handler) {
	c.calls.mu.Lock()
	defer c.calls.mu.Unlock()
	c.calls.handlers[method] = h
}

func (c *Cluster) handlePeers() {
	c.Handle(methodAppend, c.serveAppend)
	c.Handle(methodReadIndex, c.serveReadIndex)
	c.Handle(methodAddVoter, c.serveAddVoter)
	c.Handle(methodSpace, c.serveSpace)
	c.Handle(methodMoved, c.serveMoved)
	c.handleLeaving()
}

// Call asks another node. ErrNoLeader means that the call surely did not reach
// its handler or that the handler said so; ErrUnknownOutcome that it may have.
func (c *Cluster) Call(ctx context.Context, nodeID, method string, body []byte) ([]byte, error) {
	for attempt := 0; ; attempt++ {
		link, pooled, err := c.calls.get(nodeID)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
		answer, sent, err := exchange(ctx, link, method, body)
		if err == nil && answer[0] == answerDistrusted {
			sent, err = false, errDistrusted
		}
		if err == nil {
			c.calls.put(nodeID, link)
			return decodeAnswer(answer)
		}
		c.peers.forget(link.Conn)
		// A pooled connection may have died while it was idle, which is known only if
		// nothing of the call was taken, or is not trusted any more.
		if !sent && pooled && attempt <= idleConnMax {
			continue
		}
		if !sent {
			return nil, fmt.Errorf("%w: %w", ErrNoLeader, err)
		}
		return nil, fmt.Errorf("%w: %w", ErrUnknownOutcome, err)
	}
}

func decodeAnswer(answer []byte) ([]byte, error) {
	switch answer[0] {
	case answerOK:
		return answer[1:], nil
	case answerNoLeader:
		return nil, ErrNoLeader
	case answerReadOnly:
		return nil, ErrReadOnly
	case answerFailed:
		return nil, errors.New(string(answer[1:]))
	}
	return nil, ErrUnknownOutcome
}

func encodeAnswer(body []byte, err error) []byte {
	switch {
	case err == nil:
		return append([]byte{answerOK}, body...)
	case errors.Is(err, ErrNoLeader):
		return []byte{answerNoLeader}
	case errors.Is(err, ErrReadOnly):
		return []byte{answerReadOnly}
	case errors.Is(err, ErrUnknownOutcome):
		return []byte{answerUnknownOutcome}
	}
	return append([]byte{answerFailed}, err.Error()...)
}

// exchange makes one call on a connection. sent is true once the peer may have
// read the whole call.
func exchange(ctx context.Context, conn net.Conn, method string, body []byte) (answer []byte, sent bool, err error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(rpcTimeout)
	}
	conn.SetDeadline(deadline)
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Now()) })
	defer stop()
	frame := append([]byte{byte(len(method))}, method...)
	frame = binary.BigEndian.AppendUint32(frame, uint32(len(body)))
	if _, err := conn.Write(append(frame, body...)); err != nil {
		return nil, false, err
	}
	answer, err = readFrame(conn)
	if err == nil && len(answer) == 0 {
		err = errors.New("empty answer")
	}
	return answer, true, err
}

func writeFrame(w io.Writer, b []byte) error {
	_, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func readFrame(r io.Reader) ([]byte, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > bodyMax {
		return nil, fmt.Errorf("frame of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return b, err
}

// serve answers the calls of one connection until it ends, or is trusted no more.
func (s *calls) serve(from string, conn *tls.Conn) {
	in, link := bufio.NewReader(conn), &link{Conn: conn, peers: s.c.peers}
	for {
		method, body, err := readCall(in)
		if err != nil {
			return
		}
		if !link.trusted() {
			_ = writeFrame(conn, []byte{answerDistrusted}) // it ends in any case
			return
		}
		s.mu.Lock()
		h := s.handlers[method]
		s.mu.Unlock()
		answer := []byte{answerNoLeader}
		if method != methodMember && s.c.gone(from) {
			answer = encodeAnswer(nil, errGone(from))
		} else if h != nil {
			ctx, cancel := context.WithTimeout(context.Background(), rpcTimeout)
			answer = encodeAnswer(h(ctx, from, body))
			cancel()
		}
		if err := writeFrame(conn, answer); err != nil {
			return
		}
	}
}

func readCall(in *bufio.Reader) (method string, body []byte, err error) {
	n, err := in.ReadByte()
	if err != nil {
		return "", nil, err
	}
	if n > methodMax {
		return "", nil, fmt.Errorf("method of %d bytes", n)
	}
	name := make([]byte, n)
	if _, err := io.ReadFull(in, name); err != nil {
		return "", nil, err
	}
	body, err = readFrame(in)
	return string(name), body, err
}

func (s *calls) get(nodeID string) (l *link, pooled bool, err error) {
	for l = s.idled(nodeID); l != nil; l = s.idled(nodeID) {
		if alive(l.Conn) && l.trusted() {
			return l, true, nil
		}
		s.c.peers.forget(l.Conn)
	}
	address, ok := s.c.address(nodeID)
	if !ok {
		return nil, false, fmt.Errorf("%s is not a member", nodeID)
	}
	conn, err := s.c.peers.dial(address, nodeID, protocolRPC, rpcTimeout)
	if err != nil {
		return nil, false, err
	}
	if !s.c.peers.track(conn) {
		return nil, false, ErrClosed
	}
	return &link{Conn: conn, peers: s.c.peers}, false, nil
}

// idled takes the connection that was used last; nil when there is none.
func (s *calls) idled(nodeID string) *link {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.idle[nodeID]
	if len(idle) == 0 {
		return nil
	}
	l := idle[len(idle)-1]
	s.idle[nodeID] = idle[:len(idle)-1]
	return l
}

func (s *calls) put(nodeID string, l *link) {
	s.mu.Lock()
	full := len(s.idle[nodeID]) >= idleConnMax
	if !full {
		s.idle[nodeID] = append(s.idle[nodeID], l)
	}
	s.mu.Unlock()
	if full {
		s.c.peers.forget(l.Conn)
	}
}

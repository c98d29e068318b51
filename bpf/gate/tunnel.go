package gate

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/bpf/policy"
)

// upgradable says whether a request may leave HTTP/1.1: with the option that
// asks for it, no body, and one protocol that is not HTTP itself, since a tunnel
// of HTTP would carry requests that nobody decides.
func (h *head) upgradable(flow policy.Flow, http2 bool) policy.Reason {
	protocol := strings.ToLower(string(h.protocol))
	switch {
	case !h.upgrade || h.is10() || flow.Body || len(protocol) == 0:
		return policy.ReasonMalformed
	case http2, strings.ContainsAny(protocol, ", \t"), strings.HasPrefix(protocol, "h2"),
		strings.HasPrefix(protocol, "http"), strings.HasPrefix(protocol, "tls"), strings.HasPrefix(protocol, "connect-"):
		return policy.ReasonNotImplemented
	}
	return policy.ReasonAllowed
}

// upgrade lets the request through on a connection of its own to the service,
// holds whatever the client sends behind it until the service has agreed, and
// then relays both ways. If the service does not agree, its answer is the
// connection's last: what a service takes for the next request after it has
// ignored an upgrade is not what the gate would have read.
func (c *conn) upgrade(ctx context.Context, h *head, block, rest []byte, e exchange, reason policy.Reason) error {
	if err := c.settle(); err != nil {
		return err
	}
	c.client.SetReadDeadline(time.Time{}) // set by the end of the connection before
	upstream, err := c.gate.backend.dial(ctx, c.from)
	if err != nil {
		c.gate.unreachable(err)
		c.over = nil
		return c.refuse(policy.ReasonUpstream)
	}
	c.over = nil // the refusals that follow have nothing to wait for
	if !c.adopt(upstream) {
		return net.ErrClosed
	}
	if err := c.admit(e, reason); err != nil {
		return err
	}
	c.blockSince.Store(0)
	out := h.write(c.out[:0], block, c.from, c.gate.userOf(e.grant))
	out = fmt.Appendf(out, "connection: Upgrade\r\nupgrade: %s\r\n\r\n", h.protocol)
	if err := c.forward(out); err != nil {
		return err
	}
	agreed, answer, err := c.switched(upstream, h.protocol)
	if err != nil {
		c.gate.unreachable(err)
		return c.refuse(policy.ReasonUpstream)
	}
	if !agreed {
		return c.lastAnswer(upstream, answer)
	}
	if err := write(c.client, answer, &c.toClient); err != nil {
		return err
	}
	if err := c.forward(rest); err != nil {
		return err
	}
	c.tunnel(upstream)
	return errEnded
}

// switched reads the head of the answer, and with it what came behind.
func (c *conn) switched(upstream net.Conn, protocol []byte) (agreed bool, answer []byte, err error) {
	buffer := make([]byte, policy.HeaderMax)
	n := 0
	for {
		end := bytes.Index(buffer[:n], []byte("\r\n\r\n"))
		if end < 0 {
			if n == len(buffer) {
				return false, nil, errors.New("the head of the answer is too long")
			}
			more, err := upstream.Read(buffer[n:])
			n += more
			c.active()
			if more == 0 && err != nil {
				return false, nil, err
			}
			continue
		}
		response, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(buffer[:end+4])), nil)
		if err != nil {
			return false, nil, err
		}
		response.Body.Close()
		if response.StatusCode >= 200 {
			return false, buffer[:n], nil
		}
		if response.StatusCode == http.StatusSwitchingProtocols {
			if !strings.EqualFold(response.Header.Get("Upgrade"), string(protocol)) {
				return false, nil, errors.New("the service switched to a protocol that nobody asked for")
			}
			return true, buffer[:n], nil
		}
		n = copy(buffer, buffer[end+4:n]) // 100 Continue and the like
	}
}

// lastAnswer relays an answer that is not a switch and ends the connection.
func (c *conn) lastAnswer(upstream net.Conn, answer []byte) error {
	var f follower
	buffer := make([]byte, readSize)
	for {
		done := f.feed(answer, c.bodyless)
		if err := write(c.client, answer, &c.toClient); err != nil {
			return err
		}
		if done > 0 {
			c.finished(done)
			return errEnded
		}
		n, err := upstream.Read(buffer)
		if n == 0 && err != nil {
			if how, _ := f.ended(err); how == endCut {
				return errCut
			}
			return errEnded
		}
		c.active()
		answer = buffer[:n]
	}
}

// tunnel relays until both sides have ended, or one of them fails.
func (c *conn) tunnel(upstream net.Conn) {
	var back sync.WaitGroup
	back.Go(func() { c.relay(c.client, upstream, &c.toClient) })
	c.relay(upstream, c.client, &c.toService)
	back.Wait()
}

func (c *conn) relay(to, from net.Conn, since *atomic.Int64) {
	buffer := make([]byte, readSize)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			c.active()
			if write(to, buffer[:n], since) != nil {
				c.close()
				return
			}
		}
		if err != nil {
			closeWrite(to)
			return
		}
	}
}

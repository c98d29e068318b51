package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/authfi/authfi/dev"
)

const (
	leanMax    = 1 << 20 // bytes of an answer's body
	leanReader = 64 << 10
)

// lean is one HTTP/1.1 connection over TLS that stays open, for figures of some
// 100 us: net/http's client moves each exchange through three goroutines, and
// waking them on the CPUs of the nodes is as long as the answer. The driver in
// bench/peers has one like it, for it is a module of its own that knows no other.
type lean struct {
	conn   net.Conn
	reader *bufio.Reader
	head   string // of every get, after its path
	buffer []byte
	idle   time.Time // since when, in a pool
}

// leanEach is a connection to each node.
func (c *cluster) leanEach(ctx context.Context) (nodes []*lean, err error) {
	transport, err := c.Transport()
	if err != nil {
		return nil, err
	}
	config := leanConfig(transport)
	for i := range dev.Nodes {
		at, err := url.Parse(c.API(i))
		if err != nil {
			return nodes, err
		}
		l, err := dialLean(ctx, config, at.Host)
		if err != nil {
			return nodes, err
		}
		l.head = " HTTP/1.1\r\nHost: " + at.Host + "\r\nAuthorization: Bearer " + c.OperatorToken() + "\r\n\r\n"
		nodes = append(nodes, l)
	}
	return nodes, nil
}

func dialLean(ctx context.Context, config *tls.Config, host string) (*lean, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: requestWait}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		return nil, err
	}
	return &lean{conn: conn, reader: bufio.NewReaderSize(conn, leanReader)}, nil
}

func closeAll(nodes []*lean) (err error) {
	for _, l := range nodes {
		err = errors.Join(err, l.conn.Close())
	}
	return err
}

// get gives the body of an answer, which is good until the next one.
func (l *lean) get(path string) ([]byte, error) {
	if err := l.conn.SetDeadline(time.Now().Add(requestWait)); err != nil {
		return nil, err
	}
	l.buffer = append(append(append(l.buffer[:0], "GET "...), path...), l.head...)
	if _, err := l.conn.Write(l.buffer); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(l.reader, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.ContentLength < 0 || res.ContentLength > leanMax {
		return nil, fmt.Errorf("%s: an answer of %d bytes", path, res.ContentLength)
	}
	l.buffer = slices.Grow(l.buffer[:0], int(res.ContentLength))[:res.ContentLength]
	if _, err := io.ReadFull(res.Body, l.buffer); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %.300s", path, res.Status, l.buffer)
	}
	return l.buffer, nil
}

func leanConfig(transport *http.Transport) *tls.Config {
	config := transport.TLSClientConfig.Clone()
	config.NextProtos = nil // no HTTP/2
	return config
}

// leanPool is an http.RoundTripper of such connections, so many to each node at most.
// A request waits for one, as that of an identity provider does.
type leanPool struct {
	config *tls.Config
	conns  int // per host
	mu     sync.Mutex
	hosts  map[string]*leanHost
}

type leanHost struct {
	slots chan struct{}
	mu    sync.Mutex
	idle  []*lean
}

func (p *leanPool) host(name string) *leanHost {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts == nil {
		p.hosts = map[string]*leanHost{}
	}
	h := p.hosts[name]
	if h == nil {
		h = &leanHost{slots: make(chan struct{}, p.conns)}
		p.hosts[name] = h
	}
	return h
}

// RoundTrip implements http.RoundTripper. The answer is read whole.
func (p *leanPool) RoundTrip(req *http.Request) (*http.Response, error) {
	h := p.host(req.URL.Host)
	select {
	case h.slots <- struct{}{}:
	case <-req.Context().Done():
		return nil, req.Context().Err()
	}
	defer func() { <-h.slots }()
	l := h.take()
	if l == nil {
		var err error
		if l, err = dialLean(req.Context(), p.config, req.URL.Host); err != nil {
			return nil, err
		}
	}
	res, err := l.exchange(req)
	if err != nil || res.Close {
		return res, errors.Join(err, l.conn.Close())
	}
	h.give(l)
	return res, nil
}

// take prefers what was used last, and closes what a node may be closing.
func (h *leanHost) take() *lean {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.idle) > 0 {
		l := h.idle[len(h.idle)-1]
		h.idle = h.idle[:len(h.idle)-1]
		if time.Since(l.idle) < idleTimeout {
			return l
		}
		l.conn.Close()
	}
	return nil
}

func (h *leanHost) give(l *lean) {
	h.mu.Lock()
	defer h.mu.Unlock()
	l.idle = time.Now()
	h.idle = append(h.idle, l)
}

func (l *lean) exchange(req *http.Request) (*http.Response, error) {
	if err := l.conn.SetDeadline(time.Now().Add(requestWait)); err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(l.buffer[:0])
	if err := req.Write(out); err != nil {
		return nil, err
	}
	l.buffer = out.Bytes()
	if _, err := l.conn.Write(l.buffer); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(l.reader, req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, leanMax+1))
	if err == nil && len(body) > leanMax {
		err = fmt.Errorf("%s: an answer of more than %d bytes", req.URL.Path, leanMax)
	}
	if err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(body))
	return res, nil
}

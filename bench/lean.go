package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/authfi/authfi/dev"
)

// leanMax bounds the body of an answer in bytes.
const leanMax = 1 << 20

// lean is one HTTP/1.1 connection over TLS that stays open, for figures of some
// 100 us: net/http's client moves each exchange through three goroutines, and
// waking them on the CPUs of the nodes is as long as the answer. The driver in
// bench/peers has one like it, for it is a module of its own that knows no other.
type lean struct {
	conn   net.Conn
	reader *bufio.Reader
	head   string // of every request, after its path
	buffer []byte
}

// leanEach is a connection to each node.
func (c *cluster) leanEach(ctx context.Context) (nodes []*lean, err error) {
	transport, err := c.Transport()
	if err != nil {
		return nil, err
	}
	config := transport.TLSClientConfig.Clone()
	config.NextProtos = nil // no HTTP/2
	for i := range dev.Nodes {
		at, err := url.Parse(c.API(i))
		if err != nil {
			return nodes, err
		}
		dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: requestWait}, Config: config}
		conn, err := dialer.DialContext(ctx, "tcp", at.Host)
		if err != nil {
			return nodes, err
		}
		head := " HTTP/1.1\r\nHost: " + at.Host + "\r\nAuthorization: Bearer " + c.OperatorToken() + "\r\n\r\n"
		nodes = append(nodes, &lean{conn: conn, reader: bufio.NewReaderSize(conn, 64<<10), head: head})
	}
	return nodes, nil
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

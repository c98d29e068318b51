package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

// Bounds of one answer. One that is late is a failed run.
const (
	answerWait = 30 * time.Second
	answerMax  = 64 << 10 // bytes, with its headers
)

// lean asks one service over HTTPS: HTTP/1.1 on connections that stay open, one for
// each client, who keeps to one of the service's addresses as a connection through a
// load balancer does.
//
// The clients share the CPUs with what they measure, and a service that answers in
// little time is measured with more of theirs than one that takes long. So they do
// no more than they must, and the same for everybody: every request is written out
// before the measuring, an answer is looked at for its status, its length and its
// verdict, and neither net/http nor encoding/json has a part in it.
type lean struct {
	config    *tls.Config
	addresses []string
	requests  [][]byte // by the number of the question
	verdict   func(body []byte) (bool, error)
	slots     []leanConn // by client; each belongs to one goroutine at a time
}

// leanConn is the connection of one client.
type leanConn struct {
	conn   *tls.Conn // nil before the first question
	until  time.Time // the deadline that it has
	buffer []byte
}

// leanRequest is a POST of JSON, written out.
func leanRequest(host, path, token string, body []byte) []byte {
	b := append([]byte("POST "), path...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), host...)
	if token != "" {
		b = append(append(b, "\r\nAuthorization: Bearer "...), token...)
	}
	b = append(b, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	return append(b, body...)
}

func (l *lean) check(ctx context.Context, client, question int) (bool, error) {
	c := &l.slots[client]
	if c.conn == nil {
		if err := c.dial(ctx, l.addresses[client%len(l.addresses)], l.config); err != nil {
			return false, err
		}
	}
	body, err := c.ask(l.requests[question])
	if err != nil {
		return false, err
	}
	return l.verdict(body)
}

func (c *leanConn) dial(ctx context.Context, address string, config *tls.Config) error {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: answerWait}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	c.conn, c.buffer = conn.(*tls.Conn), make([]byte, answerMax)
	return nil
}

// ask sends one request and gives the body of the answer, which is good until the
// next one.
func (c *leanConn) ask(request []byte) ([]byte, error) {
	if now := time.Now(); c.until.Before(now.Add(answerWait)) { // a timer is not set for each question
		c.until = now.Add(2 * answerWait)
		if err := c.conn.SetDeadline(c.until); err != nil {
			return nil, err
		}
	}
	if _, err := c.conn.Write(request); err != nil {
		return nil, err
	}
	have := 0
	for {
		n, err := c.conn.Read(c.buffer[have:])
		have += n
		if body, whole, malformed := answerIn(c.buffer[:have]); whole || malformed != nil {
			return body, malformed
		}
		if err != nil {
			return nil, err
		}
		if have == len(c.buffer) {
			return nil, fmt.Errorf("an answer of more than %d bytes", answerMax)
		}
	}
}

// What an answer of success begins with, what ends its headers, and the one header
// that is read, as the libraries of all services write it.
var (
	success      = []byte("HTTP/1.1 200 ")
	endOfHeaders = []byte("\r\n\r\n")
	lengthHeader = []byte("\r\nContent-Length: ")
)

// answerIn finds the body of an answer in what has come of it, and whether it is
// whole.
func answerIn(text []byte) (body []byte, whole bool, err error) {
	head, body, ok := bytes.Cut(text, endOfHeaders)
	if !ok {
		return nil, false, nil
	}
	_, rest, ok := bytes.Cut(head, lengthHeader)
	if !ok {
		return nil, false, fmt.Errorf("an answer without a length: %.300q", text)
	}
	digits, _, _ := bytes.Cut(rest, []byte("\r\n"))
	length, err := strconv.Atoi(string(digits))
	switch {
	case err != nil:
		return nil, false, err
	case len(body) < length:
		return nil, false, nil
	case len(body) > length:
		return nil, false, errors.New("more than one answer")
	case !bytes.HasPrefix(text, success):
		return nil, false, fmt.Errorf("%.500s", text)
	}
	return body, true, nil
}

// verdictOf reads the verdict where the value of a member of an object begins with
// one of two texts.
func verdictOf(member, yes, no string) func(body []byte) (bool, error) {
	name := []byte(`"` + member + `":`)
	return func(body []byte) (bool, error) {
		_, value, ok := bytes.Cut(body, name)
		value = bytes.TrimLeft(value, " ") // the services' library writes one now and then
		switch {
		case ok && bytes.HasPrefix(value, []byte(yes)):
			return true, nil
		case ok && bytes.HasPrefix(value, []byte(no)):
			return false, nil
		}
		return false, fmt.Errorf("not an answer: %.200s", body)
	}
}

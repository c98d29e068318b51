package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"time"
)

// caller is one keep-alive connection that sends the same GET again and again.
// It is thinner than net/http's client, whose own time would drown the gate's.
type caller struct {
	conn    net.Conn
	answers *bufio.Reader
	request []byte
}

// answerWait bounds one answer of the demo service.
const answerWait = 10 * time.Second

// dial connects to the demo service.
func dial(base, token string) (*caller, error) { return dialTo(base, "/api/patients/7", token) }

func dialTo(base, path, token string) (*caller, error) {
	u, err := url.Parse(base)
	if err != nil {
		return nil, err
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		return nil, err
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n\r\n", path, u.Host, token)
	return &caller{conn, bufio.NewReader(conn), []byte(request)}, nil
}

func (c *caller) close() { c.conn.Close() }

func (c *caller) get() (status int, took time.Duration, err error) {
	began := time.Now()
	if err := c.conn.SetDeadline(began.Add(answerWait)); err != nil {
		return 0, 0, err
	}
	if _, err := c.conn.Write(c.request); err != nil {
		return 0, 0, err
	}
	res, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		return 0, 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, time.Since(began), err
}

// served is get for a request that must be served.
func (c *caller) served() (time.Duration, error) {
	status, took, err := c.get()
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("the service answers %d to a legal request", status)
	}
	return took, err
}

// unprotected runs the demo service that nothing guards, until stop.
func (b *bench) unprotected(ctx context.Context) (base string, stop func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	cmd := exec.CommandContext(ctx, b.program, "demo-service", "--listen", address)
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	for deadline := time.Now().Add(answerWait); ; {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return "http://" + address, stop, nil
		}
		if time.Now().After(deadline) {
			stop()
			return "", nil, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"
)

// answerWait bounds one answer; one that late is a failed run.
const answerWait = 30 * time.Second

// answerMax bounds the body of an answer in bytes.
const answerMax = 1 << 20

// authfiClients ask over HTTPS, HTTP/1.1 and connections that stay open. Each
// keeps to one node, as a connection through a load balancer does.
//
// They share the CPUs with what they measure, so they do no more than they must:
// with net/http's client, which moves each exchange through three goroutines, the
// clients took more of the machine than the nodes. The peers' clients are those of
// gRPC, which keep all exchanges on one connection without TLS.
type authfiClients struct {
	plan  *Plan
	tls   *tls.Config
	slots []authfiClient // by client; each belongs to one goroutine at a time
}

type authfiClient struct {
	conn   *tls.Conn // nil before the first question
	reader *bufio.Reader
	host   string
	buffer []byte
}

func newAuthFI(plan *Plan) (*service, error) {
	pem, err := os.ReadFile(plan.AuthFI.CA)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", plan.AuthFI.CA)
	}
	a := &authfiClients{
		plan:  plan,
		tls:   &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		slots: make([]authfiClient, slices.Max(plan.Clients)),
	}
	setting := fmt.Sprintf("%d nodes over HTTPS, each client keeping one HTTP/1.1 connection, every answer with its sources and from the newest state", len(plan.AuthFI.Bases))
	return newService("authfi", setting, a.check, plan.AuthFI.PIDs), nil
}

func (a *authfiClients) check(ctx context.Context, client int, q Question) (bool, error) {
	c := &a.slots[client]
	if c.conn == nil {
		if err := c.dial(ctx, a.plan.AuthFI.Bases[client%len(a.plan.AuthFI.Bases)], a.tls); err != nil {
			return false, err
		}
	}
	text, err := c.ask(a.plan.AuthFI.Token, a.plan.AuthFI.Users[q.User], a.plan.Permissions[q.Permission])
	if err != nil {
		return false, err
	}
	var answer struct {
		Allowed *bool `json:"allowed"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return false, err
	}
	if answer.Allowed == nil {
		return false, fmt.Errorf("not an answer: %.200s", text)
	}
	return *answer.Allowed, nil
}

func (c *authfiClient) dial(ctx context.Context, base string, config *tls.Config) error {
	at, err := url.Parse(base)
	if err != nil {
		return err
	}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: answerWait}, Config: config}
	conn, err := dialer.DialContext(ctx, "tcp", at.Host)
	if err != nil {
		return err
	}
	c.conn, c.reader, c.host = conn.(*tls.Conn), bufio.NewReader(conn), at.Host
	return nil
}

// ask sends one request and gives the body of the answer, which is good until the
// next one. Ids and permissions need no escaping in JSON.
func (c *authfiClient) ask(token, user, permission string) ([]byte, error) {
	if err := c.conn.SetDeadline(time.Now().Add(answerWait)); err != nil {
		return nil, err
	}
	body := len(`{"user_id":"","permission":""}`) + len(user) + len(permission)
	b := append(c.buffer[:0], "POST /api/v1/check HTTP/1.1\r\nHost: "...)
	b = append(append(b, c.host...), "\r\nAuthorization: Bearer "...)
	b = append(append(b, token...), "\r\nContent-Type: application/json\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(body), 10), "\r\n\r\n{\"user_id\":\""...)
	b = append(append(b, user...), `","permission":"`...)
	b = append(append(b, permission...), `"}`...)
	c.buffer = b
	if _, err := c.conn.Write(b); err != nil {
		return nil, err
	}
	res, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.ContentLength < 0 || res.ContentLength > answerMax {
		return nil, fmt.Errorf("an answer of %d bytes", res.ContentLength)
	}
	c.buffer = slices.Grow(c.buffer[:0], int(res.ContentLength))[:res.ContentLength]
	if _, err := io.ReadFull(res.Body, c.buffer); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, errors.New(res.Status + ": " + string(c.buffer))
	}
	return c.buffer, nil
}

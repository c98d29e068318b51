package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/dev"
)

// Shape of the hostile run.
const (
	hostileClients = 8
	hostileChunk   = 50_000 // with one token
	slowClients    = 4      // besides, sending a header byte by byte
	slowPause      = 2 * time.Millisecond
	legalEvery     = 20 // one legal request among so many hostile ones
	hostileWait    = 2 * time.Second
	oversizeEvery  = 500 // one of 40 KB among so many
)

// siege is a hostile run against the three services of a cluster.
type siege struct {
	cluster      *cluster
	token        string // of a user who may read, and may not write
	seed         uint64 // of the requests: no chunk repeats another
	left         atomic.Int64
	sent         atomic.Int64
	unanswered   atomic.Int64
	legal        atomic.Int64
	legalRefused atomic.Int64
}

// hostileRun sends so many requests that the policy does not let through, and legal
// ones between them. Whatever the services count beyond the legal ones was served to
// a hostile one. A token lives for minutes, so every chunk has one of its own; what
// came of it is added to sum and kept.
func (c *cluster) hostileRun(ctx context.Context, role string, log *siegeLog, sum *siegeFigures, n int) error {
	for ; n > 0; n -= hostileChunk {
		user, err := c.userOf(ctx, c.operator(), role, fmt.Sprint("besieged-", sum.Sent))
		if err != nil {
			return err
		}
		token, err := c.signIn(ctx, user)
		if err != nil {
			return err
		}
		if err := c.awaitServed(ctx, token); err != nil {
			return err
		}
		one, err := c.hostileChunk(ctx, token, min(n, hostileChunk), uint64(sum.Sent))
		if err != nil {
			return err
		}
		sum.add(one)
		if err := log.keep(); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) hostileChunk(ctx context.Context, token string, n int, seed uint64) (f siegeFigures, err error) {
	s := &siege{cluster: c, token: token, seed: seed}
	s.left.Store(int64(n))
	before, err := c.demoServed()
	if err != nil {
		return f, err
	}
	var all sync.WaitGroup
	errs := make([]error, hostileClients+slowClients)
	for i := range errs {
		all.Go(func() { errs[i] = s.client(ctx, i) })
	}
	all.Wait()
	after, err := c.demoServed()
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return f, err
	}
	legal, refused := s.legal.Load(), s.legalRefused.Load()
	return siegeFigures{s.sent.Load(), after - before - (legal - refused), legal, refused, s.unanswered.Load()}, nil
}

// demoServed is what all services of the cluster have counted.
func (c *cluster) demoServed() (sum int64, err error) {
	for i := range dev.Nodes {
		n, err := servedBy(c.Service(i))
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

func (s *siege) client(ctx context.Context, i int) error {
	random := rand.New(rand.NewPCG(s.seed, uint64(i)))
	for n := 0; s.left.Add(-1) >= 0 && ctx.Err() == nil; n++ {
		base := s.cluster.Service(random.IntN(dev.Nodes))
		slow := i >= hostileClients
		if err := s.attack(base, random, slow, n%oversizeEvery == oversizeEvery-1); err != nil {
			return err
		}
		if n%legalEvery == 0 {
			status, err := getOnce(base, s.token)
			if err != nil {
				return err
			}
			s.legal.Add(1)
			if status != http.StatusOK {
				s.legalRefused.Add(1)
			}
		}
	}
	return nil
}

// attack sends one hostile request over a connection of its own, and waits for its
// refusal, or for the end.
func (s *siege) attack(base string, random *rand.Rand, slow, oversize bool) error {
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	if err != nil {
		return err
	}
	defer conn.Close()
	// A reset frees the port at once: there are more of these than ports.
	conn.(*net.TCPConn).SetLinger(0)
	conn.SetDeadline(time.Now().Add(hostileWait))
	text := s.text(random, oversize)
	switch {
	case slow:
		for i := range len(text) {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				break
			}
			time.Sleep(slowPause)
		}
	case random.IntN(3) == 0:
		at := 1 + random.IntN(len(text)-1)
		io.WriteString(conn, text[:at])
		io.WriteString(conn, text[at:])
	default:
		io.WriteString(conn, text)
	}
	s.sent.Add(1)
	answer := make([]byte, 1024)
	if n, _ := conn.Read(answer); n == 0 {
		s.unanswered.Add(1)
	}
	return nil
}

// text is a request of which no part may be served. What it hides behind is the one
// public route that does not count.
func (s *siege) text(random *rand.Rand, oversize bool) string {
	pick := func(from ...string) string { return from[random.IntN(len(from))] }
	lines := func(ls ...string) string { return strings.Join(ls, "\r\n") + "\r\n\r\n" }
	good, bad := "Authorization: Bearer "+s.token, "Authorization: Bearer "+s.token[:len(s.token)-4]+"AAAA"
	hidden := lines("GET /api/patients/7 HTTP/1.1", "Host: x")
	if oversize {
		return lines("GET /api/patients/7 HTTP/1.1", "Host: x", good, "X: "+strings.Repeat("a", 40_000))
	}
	switch random.IntN(10) {
	case 0:
		return hidden
	case 1:
		return lines("GET /api/patients/7 HTTP/1.1", "Host: x", bad)
	case 2:
		return lines(pick("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "get", "CONNECT")+" /api/patients/7 HTTP/1.1", "Host: x", good)
	case 3:
		return lines("GET "+pick("/admin", "/api/patients", "/api/patients/7/notes", "/API/patients/7", "/api/patients/7/", "/")+" HTTP/1.1", "Host: x", good)
	case 4:
		return lines("GET "+pick("/health/../api/patients/7", "//api/patients/7", "/api/./patients/7", "/api/%2e%2e/api/patients/7", "/api%2fpatients/7",
			"/api/patients/%00", "/api/patients/7;x", `/api\patients/7`, "http://x/api/patients/7", "/api/patients/7#x")+" HTTP/1.1", "Host: x", good)
	case 5: // pipelined behind what is open
		return lines("GET /demo/served HTTP/1.1", "Host: x") + hidden
	case 6: // smuggled in a body that two parsers end in different places
		return lines("POST /health HTTP/1.1", "Host: x", pick("Content-Length: 4", "Content-Length: +4", "Content-Length : 4"), "Transfer-Encoding: "+pick("chunked", "xchunked", "chunked, identity")) + "0\r\n\r\n" + hidden
	case 7:
		return lines("GET /api/patients/7 HTTP/1.1", "Host: x", good, pick(good, bad, "Content-Length: 5", "X: a\r\n b", "A\x00: b", "X-HTTP-Method-Override: DELETE", "X-Original-URL: /health", "Upgrade: websocket", "Host: y"))
	case 8:
		return lines("GET /api/patients/7 HTTP/1.1", "Host: x", pick("Authorization: Basic eDp5", "Authorization : Bearer "+s.token, "Authorization: Bearer  "+s.token, "Authorization_: Bearer "+s.token, "Proxy-Authorization: Bearer "+s.token))
	}
	return pick("\x16\x03\x01\x02\x00\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /api/patients/7 HTTP/1.1\nHost: x\n\n", "GET /api/patients/7\r\n\r\n", "\r\n\r\n"+hidden)
}

func servedBy(base string) (int64, error) {
	res, err := http.Get(base + "/demo/served")
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	var counted struct{ Served int64 }
	return counted.Served, json.NewDecoder(res.Body).Decode(&counted)
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/authfi/authfi/dev"
)

// Shape of the hostile run.
const (
	hostileClients = 8
	hostileChunk   = 100_000 // with one token
	slowClients    = 16      // besides, sending a header byte by byte, each of three seconds
	slowPause      = 2 * time.Millisecond
	legalEvery     = 20 // one legal request among so many hostile ones
	hostileWait    = 2 * time.Second
	oversizeEvery  = 500 // one of them among so many
)

// siege is a hostile run against the three services of a cluster.
type siege struct {
	cluster      *cluster
	services     [dev.Nodes]netip.AddrPort
	token        string // of a user who may read, and may not write
	arsenal      *arsenal
	seed         uint64 // of the requests: no chunk repeats another
	slowUntil    int64  // what is left when no slow one is begun any more, or all would wait for it
	left         atomic.Int64
	sent         atomic.Int64
	unanswered   atomic.Int64
	succeeded    atomic.Int64
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
	s := &siege{cluster: c, token: token, arsenal: newArsenal(token), seed: seed, slowUntil: int64(n) / 2}
	for i := range s.services {
		if s.services[i], err = netip.ParseAddrPort(strings.TrimPrefix(c.Service(i), "http://")); err != nil {
			return f, err
		}
	}
	s.left.Store(int64(n))
	before, err := c.demoServed()
	if err != nil {
		return f, err
	}
	began := time.Now()
	var all sync.WaitGroup
	errs := make([]error, hostileClients+slowClients)
	for i := range errs {
		all.Go(func() { errs[i] = s.client(ctx, i) })
	}
	all.Wait()
	took := time.Since(began)
	after, err := c.demoServed()
	if err := errors.Join(append(errs, err, ctx.Err())...); err != nil {
		return f, err
	}
	legal, refused := s.legal.Load(), s.legalRefused.Load()
	return siegeFigures{
		Sent: s.sent.Load(), Served: after - before - (legal - refused), Succeeded: s.succeeded.Load(),
		Legal: legal, Refused: refused, Unanswered: s.unanswered.Load(), Seconds: took.Seconds(),
	}, nil
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
	slow := i >= hostileClients
	for n := 0; ctx.Err() == nil; n++ {
		if slow && s.left.Load() < s.slowUntil {
			return nil
		}
		if s.left.Add(-1) < 0 {
			return nil
		}
		node, with := random.IntN(dev.Nodes), s.arsenal.pick(random)
		if !slow && n%oversizeEvery == oversizeEvery-1 {
			with = &s.arsenal.oversize
		}
		if err := s.strike(node, random, slow, with); err != nil {
			return err
		}
		if n%legalEvery == 0 {
			status, err := getOnce(s.cluster.Service(node), s.token)
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

// strike sends one hostile request over a connection of its own, and waits for its
// refusal, or for the end.
func (s *siege) strike(node int, random *rand.Rand, slow bool, with *weapon) error {
	conn, err := dialWire(s.services[node], hostileWait)
	if err != nil {
		return err
	}
	defer conn.close()
	text := with.text
	switch {
	case slow:
		for i := range len(text) {
			if conn.write(text[i:i+1]) != nil {
				break // refused before its end
			}
			time.Sleep(slowPause)
		}
	case random.IntN(3) == 0:
		at := 1 + random.IntN(len(text)-1)
		if conn.write(text[:at]) == nil {
			conn.write(text[at:])
		}
	default:
		conn.write(text)
	}
	s.sent.Add(1)
	var answer [1024]byte
	switch n := conn.read(answer[:]); {
	case n == 0:
		s.unanswered.Add(1)
	case !with.behind && bytes.HasPrefix(answer[:n], []byte("HTTP/1.1 2")):
		s.succeeded.Add(1)
	}
	return nil
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

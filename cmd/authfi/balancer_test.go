package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer sends requests to nodes as a load balancer does: to those that say at
// /readyz that they may serve, asked every few milliseconds. It never sends a request
// twice, and neither does its transport: what fails has failed.
type balancer struct {
	t      *testing.T
	client *http.Client
	nodes  []*balanced
	next   atomic.Uint64
	done   chan struct{}
	all    sync.WaitGroup

	// paused stops the traffic while the states of the nodes are compared.
	paused sync.RWMutex

	mu       sync.Mutex
	sent     map[string]int      // by kind; guarded by mu
	failed   map[string][]string // guarded by mu
	slowest  time.Duration       // guarded by mu
	unproved int                 // served although nobody was authorized; guarded by mu
}

// balanced is one node as the balancer knows it.
type balanced struct {
	id, api, service string
	ready            atomic.Bool
	out              atomic.Bool // taken out by hand
	underWay         atomic.Int64
}

const (
	checkEvery   = 50 * time.Millisecond
	checkTimeout = 5 * time.Second // an election is no reason to take everybody out
	requestWait  = 20 * time.Second
	trafficPace  = 10 * time.Millisecond
)

func newBalancer(t *testing.T, trusted *tls.Config, nodes ...*balanced) *balancer {
	b := &balancer{
		t: t, nodes: nodes, done: make(chan struct{}), sent: map[string]int{}, failed: map[string][]string{},
		client: &http.Client{Timeout: requestWait, Transport: &http.Transport{TLSClientConfig: trusted, MaxIdleConnsPerHost: 8}},
	}
	check := &http.Client{Timeout: checkTimeout, Transport: &http.Transport{TLSClientConfig: trusted.Clone(), DisableKeepAlives: true}}
	for _, n := range nodes {
		b.all.Go(func() { b.every(checkEvery, func() { n.check(check) }) })
	}
	t.Cleanup(b.close)
	return b
}

func (b *balancer) close() {
	select {
	case <-b.done:
	default:
		close(b.done)
	}
	b.all.Wait()
}

func (b *balancer) every(pace time.Duration, do func()) {
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			do()
		case <-b.done:
			return
		}
	}
}

func (n *balanced) check(client *http.Client) {
	res, err := client.Get("https://" + n.api + "/readyz")
	if err != nil {
		n.ready.Store(false)
		return
	}
	res.Body.Close()
	n.ready.Store(res.StatusCode == http.StatusOK)
}

// pick takes the next node that may serve; the caller gives it back.
func (b *balancer) pick() *balanced {
	for range b.nodes {
		n := b.nodes[int(b.next.Add(1))%len(b.nodes)]
		n.underWay.Add(1)
		if n.ready.Load() && !n.out.Load() {
			return n
		}
		n.underWay.Add(-1)
	}
	return nil
}

// takeOut sends no more to a node and returns when nothing is under way there.
func (b *balancer) takeOut(n *balanced) {
	n.out.Store(true)
	for n.underWay.Load() > 0 {
		<-time.After(time.Millisecond)
	}
}

// post sends one request that no transport repeats.
func (b *balancer) post(url, token, body string) (status int, answer []byte, err error) {
	req, err := http.NewRequest(http.MethodPost, url, bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, nil, err
	}
	req.GetBody = nil
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := b.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	return res.StatusCode, answer, err
}

// drive sends requests of one kind until the end. request says what to send to a node
// and whether the answer is the right one.
func (b *balancer) drive(kind string, request func(n *balanced, i int) (url, token, body string), right func(status int, answer []byte) bool) {
	i := 0
	b.all.Go(func() {
		b.every(trafficPace, func() {
			b.paused.RLock()
			defer b.paused.RUnlock()
			i++
			n := b.pick()
			if n == nil {
				b.fail(kind, "no node is ready")
				return
			}
			defer n.underWay.Add(-1)
			url, token, body := request(n, i)
			began := time.Now()
			status, answer, err := b.post(url, token, body)
			took := time.Since(began)
			if err != nil || !right(status, answer) {
				b.fail(kind, fmt.Sprintf("%s at %s after %s: %d %.200s %v", n.id, began.Format("05.000"), took, status, answer, err))
				return
			}
			b.mu.Lock()
			defer b.mu.Unlock()
			b.sent[kind]++
			b.slowest = max(b.slowest, took)
		})
	})
}

// besiege asks every node for what nobody is authorized to, whether it is ready or not.
// A node that is gone serves nobody, which is as good as a refusal.
func (b *balancer) besiege(token string) {
	for _, n := range b.nodes {
		b.all.Go(func() {
			b.every(trafficPace, func() {
				status, _, err := b.post("http://"+n.service+"/records", token, "{}")
				b.mu.Lock()
				defer b.mu.Unlock()
				if err == nil {
					b.sent["refused"]++
				}
				if err == nil && status/100 == 2 {
					b.unproved++
				}
			})
		})
	}
}

// attempts counts what was sent by who may, whatever became of it.
func (b *balancer) attempts() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, sent := range b.sent {
		if kind != "refused" {
			n += sent
		}
	}
	for _, failures := range b.failed {
		n += len(failures)
	}
	return n
}

func (b *balancer) fail(kind, how string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[kind] = append(b.failed[kind], how)
}

// judge reports what failed since the last time.
func (b *balancer) judge(after string) {
	b.t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	for kind, failures := range b.failed {
		b.t.Errorf("%s: %d of %s failed, the first: %s", after, len(failures), kind, failures[0])
	}
	if b.unproved > 0 {
		b.t.Errorf("%s: %d requests that nobody was authorized to were served", after, b.unproved)
	}
	b.failed, b.unproved = map[string][]string{}, 0
	b.t.Logf("%s: %v sent, the slowest took %s", after, b.sent, b.slowest.Round(time.Millisecond))
	b.slowest = 0
}

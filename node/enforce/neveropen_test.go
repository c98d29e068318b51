package enforce

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// world is a user-space gate between a service and callers who never stop. It
// counts what reaches the service without a right to: callers say in a field
// whether they had one when they began, and nobody believes it but this count.
type world struct {
	t          *testing.T
	gate       *UserSpace
	listen     string
	settings   Settings
	service    *httptest.Server
	reached    atomic.Int64 // requests with a right
	unrightful atomic.Int64 // requests without
	refused    atomic.Int64
	allowed    atomic.Int64
	turned     atomic.Int64 // calls without an answer: the address is shut, or full
	over       atomic.Bool  // the good token is good no longer
	stop       func()
}

const (
	goodToken  = "good-token"
	otherToken = "other-token"
)

var (
	holder = policy.Subject{1}
	// protected lets through who has a token, and nobody else.
	protected = []policy.Route{{Path: "/data/**"}}
)

func newWorld(t *testing.T) *world {
	w := &world{t: t, settings: Settings{H2C: true}}
	w.service = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Claims") == "good" {
			w.reached.Add(1)
		} else {
			w.unrightful.Add(1)
		}
	}))
	t.Cleanup(w.service.Close)
	// Callers have another IP address: one that dialled its own port while nobody
	// listens there would take it.
	free, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	w.listen = free.Addr().String()
	free.Close()
	w.open()
	t.Cleanup(func() { w.gate.Close() })
	return w
}

// open starts a gate, also in the place of one that has ended: without a lease.
func (w *world) open() {
	w.t.Helper()
	w.gate = NewUserSpace(map[string]Settings{w.listen: w.settings}, slog.New(slog.DiscardHandler))
	w.fill()
}

// fill writes the rows of one good token and of one whose user is gone.
func (w *world) fill() {
	w.t.Helper()
	w.gate.SetKey(1, 2)
	if err := w.gate.SetService(w.listen, w.service.Listener.Addr().String(), 1, program(w.t, protected)); err != nil {
		w.t.Fatal(err)
	}
	w.gate.PutSubject(holder, policy.SubjectEntry{Org: 1})
	w.gate.PutToken(rowKey(goodToken), policy.TokenEntry{
		ExpiresNs: ^uint64(0), Subject: holder, Org: 1, Length: uint32(len(goodToken)),
	})
}

func rowKey(token string) policy.TokenKey { return policy.SipHash128(1, 2, []byte(token)) }

func program(t *testing.T, routes []policy.Route) *policy.Program {
	t.Helper()
	p, err := policy.Compile(1, routes, policy.NewNumbering(routes))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w *world) lease(life time.Duration) { w.gate.ExtendLease(bpf.BootNow() + uint64(life)) }

// drive starts callers of both protocols, with the good token and with others,
// until the test ends.
func (w *world) drive() {
	ctx, cancel := context.WithCancel(w.t.Context())
	var callers sync.WaitGroup
	for i := range 8 {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(i%2 == 0)
		protocols.SetUnencryptedHTTP2(i%2 == 1)
		transport := &http.Transport{Protocols: protocols}
		client := &http.Client{Transport: transport, Timeout: 5 * time.Second}
		callers.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				w.call(ctx, client, i/2)
			}
		})
	}
	w.stop = sync.OnceFunc(func() { cancel(); callers.Wait() })
	w.t.Cleanup(w.stop)
}

func (w *world) call(ctx context.Context, client *http.Client, kind int) {
	path, token, claims := "/data/a", goodToken, "good"
	switch {
	case kind == 1:
		token, claims = "", "nothing"
	case kind == 2:
		token, claims = otherToken, "another"
	case kind == 3:
		path, claims = "/elsewhere", "a path"
	case w.over.Load():
		claims = "late"
	}
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.listen+path, nil)
	if err != nil {
		w.t.Error(err)
		return
	}
	r.Header.Set("Claims", claims)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(r)
	if err != nil {
		w.turned.Add(1)
		return
	}
	io.Copy(io.Discard, answer.Body)
	answer.Body.Close()
	if answer.StatusCode == 200 {
		w.allowed.Add(1)
	} else {
		w.refused.Add(1)
	}
}

// await waits until so many more of a count have been seen.
func (w *world) await(what string, count *atomic.Int64, more int64) {
	w.t.Helper()
	from := count.Load()
	for deadline := time.Now().Add(20 * time.Second); count.Load() < from+more; {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: only %d of %d", what, count.Load()-from, more)
		}
		pause(w.t.Context(), time.Millisecond)
	}
}

// nobody says that who begins from now on has no right.
func (w *world) nobody() {
	w.t.Helper()
	w.over.Store(true)
	w.await("refusals after the event", &w.refused, 300)
}

func (w *world) check() {
	w.t.Helper()
	w.stop()
	if n := w.unrightful.Load(); n != 0 {
		w.t.Errorf("%d unauthorised requests reached the service", n)
	}
	if w.reached.Load() == 0 || w.refused.Load() == 0 {
		w.t.Errorf("%d let through, %d refused: the traffic proves nothing", w.reached.Load(), w.refused.Load())
	}
	w.t.Logf("%d let through, %d refused, %d unauthorised reached the service", w.reached.Load(), w.refused.Load(), w.unrightful.Load())
}

// crowded has eight callers and room for five. Two of them have the token: the others
// have room, too.
func crowded(_ *testing.T, w *world) {
	w.gate.Close()
	w.settings.Limits.Connections = 5
	w.open()
	w.lease(time.Minute)
	w.await("calls without room", &w.turned, 100)
	w.await("calls with room", &w.reached, 50)
	w.await("refusals", &w.refused, 100)
}

func TestNeverOpen(t *testing.T) {
	for event, happen := range map[string]func(*testing.T, *world){
		"lease lapses": func(t *testing.T, w *world) {
			w.gate.lease.Store(bpf.BootNow())
			w.nobody()
		},
		"tables are filled anew": func(t *testing.T, w *world) {
			w.gate.Reset()
			w.nobody()
			w.fill() // no lease yet
			w.await("refusals without a lease", &w.refused, 300)
		},
		"policy that does not compile": func(t *testing.T, w *world) {
			// As the projection does: the empty program refuses.
			empty, err := policy.Compile(1, nil, policy.NewNumbering(nil))
			if err != nil {
				t.Fatal(err)
			}
			w.gate.SetService(w.listen, w.service.Listener.Addr().String(), 1, empty)
			w.nobody()
		},
		"policies change all the time": func(t *testing.T, w *world) {
			for range 200 {
				w.gate.SetService(w.listen, w.service.Listener.Addr().String(), 1, program(t, protected))
				w.await("a call between two policies", &w.refused, 1)
			}
			w.gate.SetService(w.listen, w.service.Listener.Addr().String(), 1, program(t, []policy.Route{{Path: "/other"}}))
			w.nobody()
		},
		"user is deactivated": func(t *testing.T, w *world) {
			w.gate.PutSubject(holder, policy.SubjectEntry{Org: 1, Disabled: 1})
			w.nobody()
		},
		"session ends": func(t *testing.T, w *world) {
			w.gate.PutToken(rowKey(goodToken), policy.TokenEntry{ExpiresNs: ^uint64(0), Subject: holder, Org: 1, Length: uint32(len(goodToken)), Revoked: 1})
			w.nobody()
		},
		"service is down": func(t *testing.T, w *world) {
			w.gate.SetService(w.listen, "127.0.0.1:1", 1, program(t, protected))
			w.await("calls while the service is down", &w.refused, 300)
		},
		"service is removed": func(t *testing.T, w *world) {
			w.gate.RemoveService(w.listen)
			w.over.Store(true)
			if conn, err := net.Dial("tcp", w.listen); err == nil {
				conn.Close()
				t.Error("somebody listens on an address that was let go")
			}
		},
		"more connections than there is room for": crowded,
		"gate restarts": func(t *testing.T, w *world) {
			for range 5 {
				w.gate.Close()
				w.open()
				w.await("refusals before the lease", &w.refused, 50)
				w.lease(time.Minute)
				w.await("calls after it", &w.reached, 50)
			}
			w.gate.Close()
			w.over.Store(true)
			w.open()
			w.await("refusals before the lease", &w.refused, 300)
		},
	} {
		t.Run(event, func(t *testing.T) {
			w := newWorld(t)
			w.drive()
			w.await("refusals before the first lease", &w.refused, 50)
			if w.reached.Load() != 0 {
				t.Fatal("a node without a lease lets through")
			}
			w.lease(time.Minute)
			w.await("calls with a lease", &w.reached, 50)
			happen(t, w)
			w.check()
		})
	}
}

// prover says how far the log has come, or that nobody knows.
type prover struct {
	index atomic.Uint64
	cut   atomic.Bool
}

func (p *prover) ReadIndex(context.Context) (uint64, error) {
	if p.cut.Load() {
		return 0, errors.New("no quorum")
	}
	return p.index.Load(), nil
}

// A node that cannot prove that it is current, because it has no quorum or is
// behind, refuses once its lease is over, and lets through again when it can.
func TestNeverOpenWithoutProof(t *testing.T) {
	for event, happen := range map[string]func(*prover){
		"quorum is lost":  func(p *prover) { p.cut.Store(true) },
		"state is behind": func(p *prover) { p.index.Store(1 << 40) },
	} {
		t.Run(event, func(t *testing.T) {
			w := newWorld(t)
			e, _ := start(t, w.gate)
			fill(t, e)
			w.fill() // start's state has no service of its own
			var log prover
			log.index.Store(1)
			ctx, cancel := context.WithCancel(t.Context())
			leased := make(chan struct{})
			go func() {
				defer close(leased)
				e.Lease(ctx, &log, 300*time.Millisecond, 20*time.Millisecond)
			}()
			defer func() { cancel(); <-leased }()
			w.drive()
			w.await("calls with a lease", &w.reached, 50)
			happen(&log)
			w.await("calls until the lease is over", &w.refused, 1)
			for bpf.BootNow() < w.gate.lease.Load() {
				pause(ctx, time.Millisecond)
			}
			w.nobody()
			w.check()
		})
	}
}

// What was let through ends with the lease, even if nothing else happens.
func TestStreamsEndWithTheLease(t *testing.T) {
	for _, unencrypted2 := range []bool{false, true} {
		t.Run(fmt.Sprint("HTTP/2 ", unencrypted2), func(t *testing.T) {
			w := newWorld(t)
			w.service.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				http.NewResponseController(rw).Flush()
				<-r.Context().Done()
			})
			w.lease(400 * time.Millisecond)
			protocols := new(http.Protocols)
			protocols.SetHTTP1(!unencrypted2)
			protocols.SetUnencryptedHTTP2(unencrypted2)
			client := &http.Client{Transport: &http.Transport{Protocols: protocols}, Timeout: 10 * time.Second}
			r, err := http.NewRequest("GET", "http://"+w.listen+"/data/a", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+goodToken)
			answer, err := client.Do(r)
			if err != nil || answer.StatusCode != 200 {
				t.Fatal(answer, err)
			}
			defer answer.Body.Close()
			if _, err := answer.Body.Read(make([]byte, 1)); err == nil {
				t.Fatal("the service said something")
			}
			late := time.Duration(bpf.BootNow() - w.gate.lease.Load())
			t.Logf("ended %v after the lease", late)
			if late < 0 || late > time.Second {
				t.Errorf("ended %v after the lease", late)
			}
		})
	}
}

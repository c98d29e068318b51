package eventstream

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// inbox is a receiver that is called.
type inbox struct {
	w      *world
	server *httptest.Server

	mu      sync.Mutex
	answer  func(w http.ResponseWriter, r *http.Request) // guarded by mu; nil: takes the token
	taken   []*set                                       // guarded by mu
	headers []http.Header                                // guarded by mu
	calls   int                                          // guarded by mu
}

func newInbox(w *world) *inbox {
	b := &inbox{w: w}
	b.server = httptest.NewTLSServer(b)
	w.t.Cleanup(b.server.Close)
	return b
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	b.headers = append(b.headers, r.Header)
	if b.answer != nil {
		b.answer(w, r)
		return
	}
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/secevent+jwt" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.taken = append(b.taken, b.w.verify(0, string(body)))
	w.WriteHeader(http.StatusAccepted)
}

// does says how the receiver answers from now on.
func (b *inbox) does(answer func(http.ResponseWriter, *http.Request)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

func (b *inbox) counts() (taken, calls int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.taken), b.calls
}

// subjects are those of the tokens, in the order in which they came.
func (b *inbox) subjects() (all []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.taken {
		all = append(all, strings.TrimPrefix(s.Subject.URI, "/Users/"))
	}
	return all
}

// committed: nothing in the log is outstanding.
func (r *receiver) committed() bool {
	org, _ := r.w.gate.Root().Org(r.w.orgs[r.org])
	head := org.AuditLog().Head
	return r.stored().Progress.Position == directory.EventPlace{Index: head.Index, Ordinal: head.Ordinal}
}

// until waits for what a worker does.
func (w *world) until(what string, yes func() bool) {
	w.t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.After(testWait); !yes(); {
		select {
		case <-ticker.C:
		case <-deadline:
			w.t.Fatalf("waited %s, and %s", testWait, what)
		}
	}
}

// pushing makes a stream to the receiver, and pushes it until stop.
func (b *inbox) pushing(change func(*directory.EventStream), adjust ...func(*bounds)) (r *receiver, stop func()) {
	b.w.t.Helper()
	r = b.w.stream(0, func(s *directory.EventStream) {
		s.Delivery, s.Token, s.URL = directory.DeliveryPush, [32]byte{}, b.server.URL+"/events"
		if change != nil {
			change(s)
		}
	})
	return r, b.push(r, adjust...)
}

func (b *inbox) push(r *receiver, adjust ...func(*bounds)) (stop func()) {
	quick := func(b *bounds) { b.retry, b.note = time.Millisecond, 0 }
	streams := b.w.newStreams(true, b.server, append([]func(*bounds){quick}, adjust...)...)
	ctx, cancel := context.WithCancel(b.w.t.Context())
	var ended sync.WaitGroup
	ended.Go(func() { streams.push(ctx, streamName{b.w.orgs[0], r.id}) })
	stop = func() { cancel(); ended.Wait() }
	b.w.t.Cleanup(stop)
	return stop
}

// TestPush: every token once, in order, and committed; the authorization as it was
// given; what comes later, too.
func TestPush(t *testing.T) {
	w := newWorld(t)
	b := newInbox(w)
	r, _ := b.pushing(func(s *directory.EventStream) {
		sealed, err := w.ring.Seal(access.AuthorizationPurpose(w.orgs[0], s.ID), []byte("Bearer for-the-receiver"))
		must(t, err)
		s.Authorization = sealed
	})
	ids := w.users(0, 40, 7)
	w.until("not everything came", func() bool { n, _ := b.counts(); return n == len(ids) })
	ids = append(ids, w.users(0, 3, 1)...)
	w.until("not everything came", func() bool { n, _ := b.counts(); return n == len(ids) })
	if got := b.subjects(); !slices.Equal(got, ids) {
		t.Errorf("%v came, %v was made", got, ids)
	}
	w.until("the position was not committed", r.committed)
	for _, h := range b.headers {
		if h.Get("Authorization") != "Bearer for-the-receiver" || h.Get("Accept") != "application/json" {
			t.Fatalf("%v", h)
		}
	}
}

// TestPushFails: in whatever way, the state says since when and how; nothing is left
// out when the receiver is there again.
func TestPushFails(t *testing.T) {
	for what, row := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   string
	}{
		"503":            {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }, "503 Service Unavailable"},
		"another answer": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201) }, "201 Created"},
		"a redirect": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		}, "307 Temporary Redirect"},
		"an error of RFC 8935": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			json.NewEncoder(w).Encode(setError{"invalid_audience", "who\x07 is that"})
		}, "400 invalid_audience: who  is that"},
		"a long answer": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(400)
			fmt.Fprintf(w, `{"err":"%s"}`, strings.Repeat("x", responseMax))
		}, "400 Bad Request"},
		"no answer": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the receiver cannot be reached"},
	} {
		w := newWorld(t)
		b := newInbox(w)
		b.does(row.answer)
		r, _ := b.pushing(nil)
		ids := w.users(0, 3, 1)
		w.until(what+": the failure is not noted", func() bool { _, calls := b.counts(); return calls > 2 && r.stored().Progress.Failing != 0 })
		if is := r.stored().Progress; is.Failure != row.want {
			t.Errorf("%s: %+v", what, is)
		}
		b.does(nil)
		w.until(what+": not everything came", func() bool { n, _ := b.counts(); return n == len(ids) })
		w.until(what+": it still fails", func() bool { return r.stored().Progress.Failing == 0 })
		if got := b.subjects(); !slices.Equal(got, ids) || r.stored().Progress.Failure != "" {
			t.Errorf("%s: %v came, %v was made", what, got, ids)
		}
	}
}

// TestPushGivesUp after a long time, says so, and goes on from there when it is told to.
func TestPushGivesUp(t *testing.T) {
	w := newWorld(t)
	b := newInbox(w)
	b.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) })
	r, stop := b.pushing(nil, func(b *bounds) { b.giveUp = 20 * time.Millisecond })
	ids := w.users(0, 2, 1)
	w.until("the stream is not paused", func() bool { return r.stored().Paused })
	if reason := r.stored().Reason; reason != "the receiver has failed for 20ms: 503 Service Unavailable" {
		t.Error(reason)
	}
	stop()
	b.does(nil)
	r.put(func(s *directory.EventStream) { s.Paused = false })
	b.push(r)
	w.until("not everything came", func() bool { n, _ := b.counts(); return n == len(ids) })
}

// TestAnotherLeaderGoesOn: what one has committed does not come from the next, and
// nothing is left out.
func TestAnotherLeaderGoesOn(t *testing.T) {
	w := newWorld(t)
	b := newInbox(w)
	r, stop := b.pushing(nil)
	ids := w.users(0, 5, 1)
	w.until("not everything came", func() bool {
		n, _ := b.counts()
		return n == len(ids) && r.committed()
	})
	stop()
	ids = append(ids, w.users(0, 5, 1)...)
	b.push(r)
	w.until("not everything came", func() bool { n, _ := b.counts(); return n == len(ids) })
	if got := b.subjects(); !slices.Equal(got, ids) {
		t.Errorf("%v came, %v was made", got, ids)
	}
}

// TestPushEnds with the stream's end and pause.
func TestPushEnds(t *testing.T) {
	for what, end := range map[string]func(w *world, r *receiver){
		"deleted": func(w *world, r *receiver) { w.change(0, &fsm.DeleteEventStream{ID: r.id}) },
		"paused":  func(_ *world, r *receiver) { r.put(func(s *directory.EventStream) { s.Paused = true }) },
		"suspended": func(w *world, _ *receiver) {
			w.change(0, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		},
	} {
		w := newWorld(t)
		b := newInbox(w)
		r := w.stream(0, func(s *directory.EventStream) {
			s.Delivery, s.Token, s.URL = directory.DeliveryPush, [32]byte{}, b.server.URL
		})
		ended := make(chan struct{})
		streams := w.newStreams(true, b.server)
		go func() {
			defer close(ended)
			streams.push(t.Context(), streamName{w.orgs[0], r.id})
		}()
		w.users(0, 1, 1)
		w.until("nothing came", func() bool { n, _ := b.counts(); return n == 1 })
		end(w, r)
		select {
		case <-ended:
		case <-time.After(testWait):
			t.Errorf("%s: the stream is pushed all the same", what)
		}
	}
}

// TestReceiverIsPublic: without leave, no address that is not of the public internet is
// called, whatever name it has; with leave, only one that shows a good certificate.
func TestReceiverIsPublic(t *testing.T) {
	w := newWorld(t)
	b := newInbox(w)
	_, port, err := net.SplitHostPort(b.server.Listener.Addr().String())
	must(t, err)
	for what, row := range map[string]struct {
		streams *Streams
		url     string
		want    string
	}{
		"loopback":               {w.newStreams(false, b.server), b.server.URL, errPrivate.Error()},
		"a name of loopback":     {w.newStreams(false, b.server), "https://localhost:" + port, errPrivate.Error()},
		"loopback in IPv6":       {w.newStreams(false, b.server), "https://[::ffff:127.0.0.1]:" + port, errPrivate.Error()},
		"an unknown certificate": {w.newStreams(true, nil), b.server.URL, "the certificate of the receiver is not trusted"},
		"another's certificate":  {w.newStreams(true, b.server), "https://localhost:" + port, "the certificate of the receiver is not trusted"},
	} {
		if got := row.streams.send(t.Context(), row.url, "", "token"); got != row.want {
			t.Errorf("%s: %q", what, got)
		}
	}
	if _, calls := b.counts(); calls != 0 {
		t.Errorf("the receiver was called %d times", calls)
	}
}

func TestPublic(t *testing.T) {
	for text, want := range map[string]bool{
		"1.1.1.1": true, "192.0.1.1": true, "172.32.0.1": true, "100.128.0.1": true, "2606:4700::1111": true, "::ffff:1.1.1.1": true,
		"127.0.0.1": false, "10.0.0.1": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "255.255.255.255": false, "224.0.0.1": false, "198.18.0.1": false,
		"192.0.2.1": false, "::": false, "::1": false, "fe80::1": false, "fc00::1": false, "fd00:ec2::254": false, "ff02::1": false,
		"::ffff:10.0.0.1": false, "::127.0.0.1": false, "64:ff9b::a00:1": false, "2002:7f00:1::": false, "2001:0:7f00:1::": false,
		"2001:db8::1": false, "fe80::1%eth0": false, "fec0::1": false,
	} {
		if got := public(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: public %v", text, got)
		}
	}
}

// TestBackoff doubles and has an end.
func TestBackoff(t *testing.T) {
	for retries, want := range map[int]time.Duration{0: time.Second, 1: 2 * time.Second, 8: 256 * time.Second, 9: retryMax, 1000: retryMax} {
		if got := standard.backoff(retries); got != want {
			t.Errorf("after %d: %s", retries, got)
		}
	}
}

// TestRun employs a worker for every stream that is pushed while the node leads.
func TestRun(t *testing.T) {
	w := newWorld(t)
	b := newInbox(w)
	w.stream(0, nil)
	w.stream(0, func(s *directory.EventStream) {
		s.Delivery, s.Token, s.URL = directory.DeliveryPush, [32]byte{}, b.server.URL
	})
	streams := w.newStreams(true, b.server)
	ctx, stop := context.WithCancel(t.Context())
	var leads sync.Map
	var ended sync.WaitGroup
	ended.Go(func() {
		streams.Run(ctx, func() bool { _, yes := leads.Load("leads"); return yes })
	})
	w.users(0, 1, 1)
	leads.Store("leads", true)
	w.until("nothing came", func() bool { n, _ := b.counts(); return n == 1 })
	w.users(0, 1, 1)
	w.until("nothing came", func() bool { n, _ := b.counts(); return n == 2 })
	stop()
	ended.Wait()
}

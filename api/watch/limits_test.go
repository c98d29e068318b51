package watch

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	sources "github.com/authfi/authfi/proto"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// narrowBytes is how much a narrow connection holds on its way, at each end.
const narrowBytes = 16 << 10

// blockingRows are more rows than a narrow connection takes, several times over.
const blockingRows = 10 * batchEvents

// narrow makes a server's connections hold little, so that a test can show what
// happens to a follower who does not read.
func narrow(s *http.Server) {
	inner := s.ConnContext
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		under := c.(*tls.Conn).NetConn()
		if err := under.(*net.TCPConn).SetWriteBuffer(narrowBytes); err != nil {
			panic(err)
		}
		return inner(ctx, c)
	}
}

// narrow2 is a client of HTTP/2 that takes as little ahead of its reader; one of
// HTTP/1 takes nothing.
func narrow2(at *httptest.Server) *http.Client {
	transport := at.Client().Transport.(*http.Transport).Clone()
	transport.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: narrowBytes, MaxReceiveBufferPerConnection: 64 << 10}
	return &http.Client{Transport: transport}
}

// slowFollowers are followers on narrow connections, in both versions of HTTP.
var slowFollowers = map[string]func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower{
	"server-sent events": func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followEvents(t, http1(at), at.URL, token, ask)
	},
	"server-sent events over HTTP/2": func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followEvents(t, narrow2(at), at.URL, token, ask)
	},
	"Connect": func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, http1(at), at.URL, token, ask)
	},
	"Connect over HTTP/2": func(t testing.TB, at *httptest.Server, token string, ask *authfiv1.WatchRequest) follower {
		return followProcedure(t, narrow2(at), at.URL, token, ask)
	},
}

// TestSlowFollowerIsCutOff: one that reads nothing loses its stream and its seat,
// while the machine goes on and another follower gets what happens.
func TestSlowFollowerIsCutOff(t *testing.T) {
	for name, follow := range slowFollowers {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, short, func(b *bounds) { b.write = 500 * time.Millisecond })
			org := w.orgs[0]
			w.users(org, "many", blockingRows)
			server := w.serve(w.watcher, narrow)
			slow := follow(t, server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true})
			take(t, slow, 1) // it has begun
			quick := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(w.log.machine.Applied())})
			takeUntil(t, quick, typeHeartbeat)
			for i := range 20 {
				w.change(org, newUser(fmt.Sprint("quick", i)))
				take(t, quick, 1)
			}
			w.streamEnds()
			taken, err := ends(slow)
			if len(taken) > blockingRows/2 {
				t.Errorf("it got %d of %d rows: it was not slow enough to show anything", len(taken), blockingRows)
			}
			if slices.ContainsFunc([]string{"unauthenticated", "permission_denied", "unavailable"}, func(code string) bool { return codeOf(err) == code }) {
				t.Errorf("it ends with %v", err)
			}
			if open := w.watcher.Streams(); open != 1 {
				t.Errorf("%d seats are taken", open)
			}
		})
	}
}

// TestRowsHaveAnEnd: a follower that takes every batch in time, and too long for
// all of them, does not hold a root for ever.
func TestRowsHaveAnEnd(t *testing.T) {
	w := newWorld(t, short, func(b *bounds) { b.snapshot = -1 })
	org := w.orgs[0]
	w.users(org, "many", batchEvents)
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true})
	taken, err := ends(f)
	if codeOf(err) != "resource_exhausted" || len(taken) != batchEvents {
		t.Errorf("%d rows, then %v", len(taken), err)
	}
}

// TestStreamsPerCaller: at the limit, one past it, and again when one has ended.
func TestStreamsPerCaller(t *testing.T) {
	for _, d := range []int{1, 2, 4} {
		t.Run(dialects[d].name, func(t *testing.T) {
			w := newWorld(t, short)
			u, other := w.reader(w.orgs[0], "ines"), w.reader(w.orgs[0], "omar")
			open := func(token string) (follower, error) {
				f := dialects[d].follow(t, w.server, token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
				_, err := f.next()
				return f, err
			}
			var last follower
			for i := range streamsPerCaller {
				var err error
				if last, err = open(u.grant.AccessToken); err != nil {
					t.Fatalf("stream %d: %v", i+1, err)
				}
			}
			refused, err := open(u.grant.AccessToken)
			if codeOf(err) != "resource_exhausted" {
				t.Errorf("one past the limit: %v", err)
			}
			if events, ok := refused.(*eventsFollower); ok && events.answer.StatusCode != http.StatusTooManyRequests {
				t.Errorf("one past the limit has the status %d", events.answer.StatusCode)
			}
			w.streamEnds()
			if _, err := open(other.grant.AccessToken); err != nil {
				t.Errorf("another caller: %v", err)
			}
			last.stop()
			w.streamEnds()
			if _, err := open(u.grant.AccessToken); err != nil {
				t.Errorf("after one has ended: %v", err)
			}
		})
	}
}

// TestSeats: the limits of an organization and of a node, each at the limit and
// one past it, and that nothing is kept of those who have left.
func TestSeats(t *testing.T) {
	caller := func(i int) directory.Actor {
		return directory.Actor{Kind: directory.ActorUser, ID: [16]byte{1, byte(i), byte(i >> 8)}}
	}
	org := func(i int) directory.OrgID { return directory.OrgID{1, byte(i)} }
	for what, c := range map[string]struct {
		limit int
		org   func(i int) directory.OrgID
	}{
		"an organization": {streamsPerOrganization, func(int) directory.OrgID { return org(0) }},
		"a node":          {streamsPerNode, func(i int) directory.OrgID { return org(i / streamsPerOrganization) }},
	} {
		var s seats
		var leave []func()
		for i := range c.limit {
			free, err := s.take(caller(i), c.org(i))
			if err != nil {
				t.Fatalf("%s: seat %d: %v", what, i+1, err)
			}
			leave = append(leave, free)
		}
		if _, err := s.take(caller(c.limit), c.org(c.limit)); directory.KindOf(err) != directory.KindExhausted {
			t.Errorf("%s: one past the limit: %v", what, err)
		}
		leave[0]()
		free, err := s.take(caller(c.limit), c.org(0))
		if err != nil {
			t.Fatalf("%s: after one has left: %v", what, err)
		}
		for _, f := range append(leave[1:], free) {
			f()
		}
		if s.all != 0 || len(s.caller) != 0 || len(s.org) != 0 {
			t.Errorf("%s: when all have left: %d, %v, %v", what, s.all, s.caller, s.org)
		}
	}
}

// TestDocumentedLimits: what the definition of the API promises is what is counted.
func TestDocumentedLimits(t *testing.T) {
	said := sources.Comments()["EventService.Watch"]
	for _, want := range []string{
		fmt.Sprintf("at most %d streams", streamsPerCaller), fmt.Sprintf("an organization %d", streamsPerOrganization),
		fmt.Sprintf("a node 1,%03d", streamsPerNode-1000),
	} {
		if !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("%q is not in %q", want, said)
		}
	}
}

// TestRefusals: what is wrong with a request is said the way that REST says it.
func TestRefusals(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0].String()
	types := func(n int) string { return strings.Repeat("&type=user.", n) }
	for query, field := range map[string]string{
		"org_id=" + org + "&afterr=1":                                        "afterr",
		"org_id=" + org + "&after=x":                                         "after",
		"org_id=" + org + "&after=-1":                                        "after",
		"org_id=" + org + "&after=1&after=2":                                 "after",
		"org_id=" + org + "&after_ordinal=1":                                 "after_ordinal",
		"org_id=" + org + "&after=1&after_ordinal=4294967296":                "after_ordinal",
		"org_id=" + org + "&snapshot=yes":                                    "snapshot",
		"org_id=" + org + "&snapshot=true&after=1":                           "after",
		"org_id=" + org + types(typesMax+1):                                  "type",
		"org_id=" + org + "&type=":                                           "type",
		"org_id=" + org + "&type=" + strings.Repeat("a", typeMax+1):          "type",
		"org_id=" + org + "&object=" + strings.Repeat("a", objectMax+1):      "object",
		"org_id=" + org + "&object=%ff":                                      "object",
		"org_id=usr-1":                                                       "org_id",
		"org_id=" + org + "&a;b=1":                                           "",
		"org_id=" + org + types(typesMax) + "&after=1&after_ordinal=0":       "-",
		"org_id=" + org + "&type=" + strings.Repeat("a", typeMax):            "-",
		"org_id=" + org + "&object=" + strings.Repeat("a", objectMax):        "-",
		"org_id=" + org + "&after=1&after_ordinal=4294967295&snapshot=false": "-",
		"org_id=" + access.NewID[directory.OrgID](w.now()).String() + "&x=1": "x",
	} {
		f := openEvents(t, w.server.Client(), w.server.URL+"/api/v1/events?"+query, "Authorization", "Bearer "+w.token)
		_, err := f.next()
		if field == "-" {
			if err != nil {
				t.Errorf("%s: %v", query, err)
			}
		} else if p, ok := err.(*failure); !ok || f.answer.StatusCode != http.StatusBadRequest || p.code != "invalid_argument" || p.field != field {
			t.Errorf("%s: %d %v, want field %q", query, f.answer.StatusCode, err, field)
		}
		f.stop()
	}
}

// TestLastEventID: it replaces where the URL says to begin, since a browser comes
// back with the same URL.
func TestLastEventID(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	w.applied(w.envelope(org, newUser("a")), w.envelope(org, newUser("b")))
	index := w.log.machine.Applied()
	all := w.logged(org)
	for id, want := range map[string][]string{
		fmt.Sprintf("%d.0", index): all[len(all)-1:],
		fmt.Sprintf("%d.1", index): nil,
		fmt.Sprint(index):          nil,
		fmt.Sprint(index - 1):      all[len(all)-2:],
		"0.0":                      nil,
		"x":                        nil,
		"1.":                       nil,
		"1.2.3":                    nil,
		"1.2":                      all,
	} {
		f := openEvents(t, w.server.Client(), w.server.URL+"/api/v1/events?snapshot=true&org_id="+org.String(),
			"Authorization", "Bearer "+w.token, headerLast, id)
		got, err := f.next()
		if refused := f.answer.StatusCode != http.StatusOK; refused {
			if codeOf(err) != "invalid_argument" || want != nil {
				t.Errorf("%q: %v", id, err)
			}
			continue
		}
		messages := []*authfiv1.Event{got}
		if got.GetType() != typeHeartbeat {
			messages = append(messages, takeUntil(t, f, typeHeartbeat)...)
		}
		w.sameNames(id, names(messages[:len(messages)-1]), want)
		if f.id != fmt.Sprint(index) {
			t.Errorf("%q: after the heartbeat at %d the id is %q", id, index, f.id)
		}
		f.stop()
	}
}

// TestIDs: one behind each message that is a place, none behind the rows.
func TestIDs(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	w.change(org, newUser("alice"))
	f := openEvents(t, w.server.Client(), w.server.URL+"/api/v1/events?after=999999&org_id="+org.String(), "Authorization", "Bearer "+w.token)
	f.id = "as before"
	for m, err := f.next(); ; m, err = f.next() {
		must(t, err)
		want := fmt.Sprint(m.GetIndex())
		if m.GetType() == typeResync || m.GetType() == typeRow {
			want = ""
		}
		if f.id != want {
			t.Errorf("at %v the id is %q, want %q", m, f.id, want)
		}
		if m.GetType() == typeHeartbeat {
			break
		}
	}
	w.change(org, newUser("bob"))
	if m := take(t, f, 1)[0]; f.id != fmt.Sprintf("%d.%d", m.GetIndex(), m.GetOrdinal()) {
		t.Errorf("at %v the id is %q", m, f.id)
	}
}

// TestHead has the headers and no stream.
func TestHead(t *testing.T) {
	w := newWorld(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodHead, w.server.URL+"/api/v1/events?org_id="+w.orgs[0].String(), nil)
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := w.server.Client().Do(req)
	must(t, err)
	res.Body.Close()
	w.streamEnds()
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("%d %s", res.StatusCode, res.Header.Get("Content-Type"))
	}
}

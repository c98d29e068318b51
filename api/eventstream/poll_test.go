package eventstream

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// places are those of tokens, in the order of the log.
func (r *receiver) places(sets map[string]*set) (all []directory.EventPlace) {
	for id := range sets {
		p, ok := placeOf(r.id, id)
		if !ok {
			r.w.t.Fatalf("the id %s is not of the stream %s", id, r.id)
		}
		all = append(all, p)
	}
	slices.SortFunc(all, directory.EventPlace.Compare)
	return all
}

// TestTokensComeUntilAcknowledged: again and again, then never.
func TestTokensComeUntilAcknowledged(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	w.users(0, 5, 2)
	first, again := r.now(), r.now()
	if len(first) != 5 || !slices.Equal(r.places(first), r.places(again)) {
		t.Fatalf("%v, then %v", r.places(first), r.places(again))
	}
	p := r.places(first)
	r.acknowledge(tokenID(r.id, p[1]), tokenID(r.id, p[3]))
	if got := r.places(r.now()); !slices.Equal(got, []directory.EventPlace{p[0], p[2], p[4]}) {
		t.Errorf("of %v the second and the fourth are acknowledged, and %v comes", p, got)
	}
	entries := w.log.entries.Load()
	r.acknowledge(tokenID(r.id, p[1]), "no-id", tokenID(r.id, directory.EventPlace{Index: 1}), tokenID(r.id, directory.EventPlace{Index: 1 << 60}))
	if w.log.entries.Load() != entries {
		t.Error("what says nothing new made an entry")
	}
	r.acknowledge(tokenID(r.id, p[0]), tokenID(r.id, p[2]), tokenID(r.id, p[4]))
	if got := r.now(); len(got) > 0 {
		t.Errorf("%v is acknowledged and comes", r.places(got))
	}
	if is := r.stored().Progress; is.Position.Compare(p[4]) < 0 || len(is.Acknowledged) > 0 {
		t.Errorf("%+v", is)
	}
}

// TestRandomReceiver loses answers, acknowledges what it likes in any order, and has
// everything in the end, each time in the order of the log.
func TestRandomReceiver(t *testing.T) {
	for seed := range uint64(5) {
		w := newWorld(t)
		r := w.stream(0, nil)
		rng := rand.New(rand.NewPCG(seed, 1))
		var seen, acknowledged []directory.EventPlace
		const users = 400
		made := 0
		for len(acknowledged) < users {
			if made < users && rng.IntN(3) == 0 {
				n := min(1+rng.IntN(30), users-made)
				w.users(0, n, 1+rng.IntN(5))
				w.users(1, 1, 1)
				made += n
			}
			var ack []string
			for _, p := range seen {
				if rng.IntN(3) > 0 {
					ack = append(ack, tokenID(r.id, p))
					acknowledged = append(acknowledged, p)
				}
			}
			rng.Shuffle(len(ack), func(i, j int) { ack[i], ack[j] = ack[j], ack[i] })
			body, err := json.Marshal(map[string]any{"ack": ack, "maxEvents": 1 + rng.IntN(60), "returnImmediately": true})
			must(t, err)
			slices.SortFunc(acknowledged, directory.EventPlace.Compare)
			acknowledged = slices.Compact(acknowledged)
			sets, _ := r.poll(string(body))
			got := r.places(sets)
			for _, p := range got {
				if _, again := slices.BinarySearchFunc(acknowledged, p, directory.EventPlace.Compare); again {
					t.Fatalf("seed %d: %v is acknowledged and comes", seed, p)
				}
			}
			if seen = got; rng.IntN(4) == 0 {
				seen = nil // the answer was lost
			}
		}
		if got := r.now(); len(got) > 0 || len(acknowledged) != users {
			t.Errorf("seed %d: %d tokens are left, %d of %d came", seed, len(got), len(acknowledged), users)
		}
	}
}

// TestBoundsOfAPoll: at the limits and one past them.
func TestBoundsOfAPoll(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	w.users(0, directory.StreamWindow+1, 50)
	for _, row := range []struct {
		body string
		want int
		more bool
	}{
		{`{"returnImmediately":true}`, eventsDefault, true},
		{`{"maxEvents":0}`, 0, true},
		{`{"maxEvents":1}`, 1, true},
		{fmt.Sprintf(`{"maxEvents":%d}`, directory.StreamWindow), directory.StreamWindow, true},
		{fmt.Sprintf(`{"maxEvents":%d}`, directory.StreamWindow+1), directory.StreamWindow, true},
	} {
		if sets, more := r.poll(row.body); len(sets) != row.want || more != row.more {
			t.Errorf("%s: %d tokens, more %v", row.body, len(sets), more)
		}
	}
	sets, _ := r.poll(fmt.Sprintf(`{"maxEvents":%d}`, directory.StreamWindow))
	p := r.places(sets)
	var all []string
	for _, place := range p[1:] { // all of the window but the first
		all = append(all, tokenID(r.id, place))
	}
	r.acknowledge(all...)
	if got, more := r.poll(`{"maxEvents":9}`); len(got) != 1 || !more || len(r.stored().Progress.Acknowledged) != directory.StreamWindow-1 {
		t.Errorf("behind a window that waits for its first: %v, more %v", r.places(got), more)
	}
	r.acknowledge(tokenID(r.id, p[0]))
	if got, more := r.poll(`{"maxEvents":9}`); len(got) != 1 || more {
		t.Errorf("the last one: %v, more %v", r.places(got), more)
	}
}

// TestLargeTokensAreFewer: an answer is not larger than its bound and one token.
func TestLargeTokensAreFewer(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, func(s *directory.EventStream) { s.Full = true })
	const each = 60_000
	for range 25 {
		w.made++
		w.provision(0, "POST", "/Users", fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"u-%d","title":"%s"}`, w.made, strings.Repeat("x", each)))
	}
	sets, more := r.poll(`{}`)
	if want := batchBytes/(each*4/3) + 1; len(sets) > want || len(sets) < want-2 || !more {
		t.Errorf("%d tokens of %d bytes, more %v", len(sets), each, more)
	}
}

// TestRefusedPolls: each for one reason, in the words of RFC 8935.
func TestRefusedPolls(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	w.users(0, 1, 1)
	pushed := w.stream(0, func(s *directory.EventStream) {
		s.Delivery, s.Token, s.URL = directory.DeliveryPush, [32]byte{}, "https://receiver.example/"
	})
	provider := *r
	provider.token = w.provider[0]
	none, wrong, neighbour, nobody := *r, *r, *r, *r
	none.token, wrong.token = "", r.token[:len(r.token)-2]+"AA"
	neighbour.slug, nobody.slug = slugs[1], "nobody"
	for _, row := range []struct {
		what   string
		by     *receiver
		body   string
		header []string
		status int
		err    string
	}{
		{"no token", &none, `{}`, nil, 401, "authentication_failed"},
		{"a wrong token", &wrong, `{}`, nil, 401, "authentication_failed"},
		{"the token of a connection", &provider, `{}`, nil, 401, "authentication_failed"},
		{"the neighbour's slug", &neighbour, `{}`, nil, 401, "authentication_failed"},
		{"nobody's slug", &nobody, `{}`, nil, 401, "authentication_failed"},
		{"a stream that is pushed", pushed, `{}`, nil, 401, "authentication_failed"},
		{"no JSON", r, `maxEvents=1`, nil, 400, "invalid_request"},
		{"a list", r, `[]`, nil, 400, "invalid_request"},
		{"nothing", r, ``, nil, 400, "invalid_request"},
		{"two objects", r, `{}{}`, nil, 400, "invalid_request"},
		{"a negative number", r, `{"maxEvents":-1}`, nil, 400, "invalid_request"},
		{"half a token", r, `{"maxEvents":0.5}`, nil, 400, "invalid_request"},
		{"ids that are no texts", r, `{"ack":[1]}`, nil, 400, "invalid_request"},
		{"another type", r, `{}`, []string{"Content-Type", "text/plain"}, 400, "invalid_request"},
		{"one byte too long", r, `{"x":"` + strings.Repeat("x", requestMax-7) + `"}`, nil, 400, "invalid_request"},
		{"as long as it may be", r, `{"maxEvents":0,"x":"` + strings.Repeat("x", requestMax-22) + `"}`, nil, 200, ""},
	} {
		res, raw := row.by.ask(row.body, row.header...)
		var why setError
		must(t, json.Unmarshal(raw, &why))
		if res.StatusCode != row.status || why.Err != row.err || (res.StatusCode == 401) != (res.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: %d %s", row.what, res.StatusCode, raw)
		}
	}
	res, err := http.Get(w.server.URL + "/o/north/events/poll")
	must(t, err)
	res.Body.Close()
	if res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %d", res.StatusCode)
	}
}

// TestTokenEnds: with its rotation, with the organization's suspension, and with the
// stream, also for a receiver that waits.
func TestTokenEnds(t *testing.T) {
	for what, end := range map[string]func(w *world, r *receiver){
		"rotated": func(w *world, r *receiver) {
			r.put(func(s *directory.EventStream) { _, s.Token = access.NewEventStreamToken(w.orgs[0], r.id) })
		},
		"suspended": func(w *world, _ *receiver) {
			w.change(0, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		},
		"deleted": func(w *world, r *receiver) { w.change(0, &fsm.DeleteEventStream{ID: r.id}) },
	} {
		w := newWorld(t)
		r := w.stream(0, nil)
		status := make(chan int, 1)
		go func() {
			res, _ := r.ask(`{}`)
			status <- res.StatusCode
		}()
		w.waiting(r)
		end(w, r)
		if got := <-status; got != http.StatusUnauthorized {
			t.Errorf("%s while it waited: %d", what, got)
		}
		if res, raw := r.ask(`{}`); res.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, res.StatusCode, raw)
		}
	}
}

// waiting returns once a poll of the receiver is under way.
func (w *world) waiting(r *receiver) {
	w.t.Helper()
	for deadline := time.After(testWait); w.streams.seats.count(r.id) == 0; {
		select {
		case <-deadline:
			w.t.Fatal("nobody polls")
		case <-time.After(time.Millisecond):
		}
	}
}

func (s *seats) count(id directory.EventStreamID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if held, ok := s.taken[id]; ok {
		return held.polls
	}
	return 0
}

// TestWaitingReceiver hears of an event when it happens, of nothing when nothing
// happens, and of the node's end.
func TestWaitingReceiver(t *testing.T) {
	w := newWorld(t, func(b *bounds) { b.poll = testWait })
	r := w.stream(0, nil)
	type heard struct {
		sets map[string]*set
		took time.Duration
	}
	ask := func() chan heard {
		answers := make(chan heard, 1)
		go func() {
			began := time.Now()
			sets, _ := r.poll(`{}`)
			answers <- heard{sets, time.Since(began)}
		}()
		w.waiting(r)
		return answers
	}
	answers := ask()
	w.users(1, 3, 1)
	w.change(0, &fsm.CreateRole{Role: directory.Role{ID: access.NewID[directory.RoleID](time.Now()), Name: "r"}})
	w.users(0, 1, 1)
	if got := <-answers; len(got.sets) != 1 || got.took > testWait/2 {
		t.Errorf("%d tokens after %s", len(got.sets), got.took)
	}
	r.taken()
	answers = ask()
	w.streams.Close()
	if got := <-answers; len(got.sets) != 0 || got.took > testWait/2 {
		t.Errorf("at the node's end: %d tokens after %s", len(got.sets), got.took)
	}
}

// TestNothingComes: a receiver that waits is answered, and its connection serves the
// next request.
func TestNothingComes(t *testing.T) {
	w := newWorld(t, func(b *bounds) { b.poll, b.write = 50*time.Millisecond, 100*time.Millisecond })
	r := w.stream(0, nil)
	for range 5 {
		if sets, more := r.poll(`{}`); len(sets) > 0 || more {
			t.Errorf("%d tokens, more %v", len(sets), more)
		}
	}
}

// TestPausedStream keeps what happens, and takes acknowledgements.
func TestPausedStream(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	w.users(0, 1, 1)
	first := slices.Collect(maps.Keys(r.now()))
	r.put(func(s *directory.EventStream) { s.Paused = true })
	w.users(0, 1, 1)
	if got := r.now(); len(got) != 0 {
		t.Errorf("%d tokens of a paused stream", len(got))
	}
	r.acknowledge(first...)
	r.put(func(s *directory.EventStream) { s.Paused = false })
	if got := r.now(); len(got) != 1 || got[first[0]] != nil {
		t.Errorf("after the pause: %v", r.places(got))
	}
}

// TestUnusableTokens: what the receiver cannot use does not come again, and is counted.
func TestUnusableTokens(t *testing.T) {
	w := newWorld(t)
	r := w.stream(0, nil)
	w.users(0, 2, 1)
	ids := slices.Sorted(maps.Keys(r.now()))
	body := fmt.Sprintf(`{"maxEvents":0,"ack":[%q],"setErrs":{%q:{"err":"invalid_key","description":"who\u0007 are you"},"other":{"err":"x"}}}`, ids[0], ids[1])
	for range 2 {
		r.poll(body)
	}
	if is := r.stored().Progress; is.Refused != 1 || is.LastRefusal != ids[1]+": invalid_key: who  are you" {
		t.Errorf("%+v", is)
	}
	if got := r.now(); len(got) != 0 {
		t.Errorf("%v", r.places(got))
	}
}

// TestSeats: a receiver has as many polls under way as it may have, and not one more.
func TestSeats(t *testing.T) {
	var s seats
	id := directory.EventStreamID{1}
	var leave []func()
	for range pollsPerStream {
		_, done, err := s.take(id)
		must(t, err)
		leave = append(leave, done)
	}
	if _, _, err := s.take(id); directory.KindOf(err) != directory.KindExhausted {
		t.Errorf("one more: %v", err)
	}
	leave[0]()
	if _, _, err := s.take(id); err != nil {
		t.Error(err)
	}
	for n := pollsPerStream; n < pollsPerNode; n++ {
		if _, _, err := s.take(directory.EventStreamID{2, byte(n), byte(n >> 8)}); err != nil {
			t.Fatalf("poll %d of the node: %v", n, err)
		}
	}
	if _, _, err := s.take(directory.EventStreamID{3}); directory.KindOf(err) != directory.KindExhausted {
		t.Errorf("one more on the node: %v", err)
	}
}

// TestAcknowledgementsArePaced: those of one stream are entries of the log, and do not
// come faster than the bound.
func TestAcknowledgementsArePaced(t *testing.T) {
	const between = 40 * time.Millisecond
	w := newWorld(t, func(b *bounds) { b.acknowledge = between })
	r := w.stream(0, nil)
	w.users(0, 5, 1)
	ids := slices.Sorted(maps.Keys(r.now()))
	began := time.Now()
	for _, id := range ids {
		r.acknowledge(id)
	}
	if took := time.Since(began); took < 4*between {
		t.Errorf("5 acknowledgements took %s", took)
	}
}

// TestGap: a receiver that comes when the log has forgotten gets what there is, and the
// stream's state says what there is not.
func TestGap(t *testing.T) {
	w := newWorld(t)
	w.change(0, &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	late := w.stream(0, nil)
	w.users(0, directory.RetentionCountMin+50, 100)
	w.streams.Advance(t.Context(), time.Now())
	if gap := late.stored().Progress.Gap; gap.Noted == 0 || gap.Until != late.stored().Progress.Position {
		t.Errorf("%+v", gap)
	}
	got := 0
	for all := late.taken(); len(all) > 0; all = late.taken() {
		got += len(all)
	}
	if got != directory.RetentionCountMin {
		t.Errorf("%d tokens, the log has %d events", got, directory.RetentionCountMin)
	}
}

// TestAdvance: a stream whose receiver has everything is taken along with the log, so
// that nothing is a gap that is none, and one that waits for its receiver is not.
func TestAdvance(t *testing.T) {
	w := newWorld(t)
	w.change(0, &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin, Days: directory.RetentionDaysMin}})
	idle := w.stream(0, func(s *directory.EventStream) { s.Events = []string{"prov:delete"} })
	behind := w.stream(0, nil)
	began := idle.stored().Progress.Position
	w.users(0, advanceEvents-10, 100)
	w.streams.Advance(t.Context(), time.Now())
	if idle.stored().Progress.Position != began {
		t.Error("taken along after few events")
	}
	w.streams.Advance(t.Context(), time.Now().Add(advanceAge+time.Hour))
	if idle.stored().Progress.Position == began {
		t.Error("not taken along after a day")
	}
	for range 4 {
		w.users(0, advanceEvents, 100)
		w.streams.Advance(t.Context(), time.Now())
	}
	if is := idle.stored().Progress; is.Gap != (directory.EventGap{}) {
		t.Errorf("a gap that is none: %+v", is)
	}
	if is := behind.stored().Progress; is.Gap.Noted == 0 {
		t.Errorf("no gap: %+v", is)
	}
}

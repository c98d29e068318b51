package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
)

var start = time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)

func newJournal() *Journal {
	return New("node-1", func(purpose string) [32]byte { return sha256.Sum256([]byte(purpose)) }, start)
}

func connectionID(n int) (id directory.ConnectionID) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

// seen is a request of the first connection.
func seen(at time.Time, method, path string, status int) *Seen {
	return &Seen{
		Connection: connectionID(1), Token: directory.TokenName{1}, Received: at.Add(-time.Millisecond), Answered: at,
		Method: method, Path: path, Status: status,
	}
}

func (j *Journal) state(now time.Time) State {
	return j.Answer(Question{Connection: connectionID(1)}, now).State
}

func TestState(t *testing.T) {
	j, now := newJournal(), start
	step := func(s *Seen) State {
		s.Received, s.Answered = now, now
		j.Record(s)
		now = now.Add(time.Minute)
		return j.state(now)
	}
	probe := seen(now, "GET", "/Users", 200)
	probe.Query = "filter=userName+eq+%223b2b0f3e-6f9e-4b4a-9f5b-0d5c6d7a8e90%22"
	probe.Answer.Add([]byte(`{"totalResults":0}`))
	if s := step(probe); s.LastProbe != start || s.ProbeStatus != 200 || !s.LastWrite.IsZero() || s.Tokens["0100000000000000"] != start {
		t.Errorf("a probe: %+v", s)
	}
	found := *probe
	found.Answer = Content{}
	found.Answer.Add([]byte(`{"totalResults":1}`))
	if s := step(&found); s.LastProbe != start {
		t.Error("a query that finds somebody is a probe")
	}
	wrote := now
	if s := step(seen(now, "PATCH", "/Users/x", 200)); s.LastWrite != wrote {
		t.Errorf("a write: %+v", s)
	}
	if s := step(seen(now, "POST", "/Users/.search", 200)); s.LastWrite != wrote {
		t.Error("a search is a write")
	}
	failed := now
	step(seen(now, "POST", "/Users", 409))
	if s := step(seen(now, "POST", "/Users", 503)); s.Consecutive != 2 || s.RunBegan != failed || s.LastWrite != wrote {
		t.Errorf("failures: %+v", s)
	}
	member := seen(now, "PATCH", "/Groups/x", 404)
	member.Body.Add([]byte(`{"Operations":[{"op":"Add","path":"members","value":[]}]}`))
	step(member)
	s := step(seen(now, "GET", "/Users/x", 304))
	want := Counts{Success: 4, Redirection: 1, ClientFailure: 2, ServerFailure: 1, Reference: 1}
	if s.Consecutive != 0 || s.Window != want {
		t.Errorf("%+v", s)
	}
}

// TestProbes knows the test queries of the providers from the rest.
func TestProbes(t *testing.T) {
	const guid = "3b2b0f3e-6f9e-4b4a-9f5b-0d5c6d7a8e90"
	for _, row := range []struct {
		method, path, query string
		status              int
		answer              string
		is                  bool
	}{
		{"GET", "/Users", "filter=userName+eq+%22" + guid + "%22", 200, `{"totalResults":0}`, true},
		{"GET", "/Groups", "excludedAttributes=members&filter=displayName%20eq%20%22" + guid + "%22", 200, `{"totalResults":0}`, true},
		{"GET", "/Users", "filter=externalId+eq+%22" + guid + "%22", 200, `{"totalResults":1}`, false},
		{"GET", "/Users", "filter=userName+eq+%22" + guid + "%22", 404, `{}`, true},
		{"GET", "/Users", "startIndex=1&count=2", 200, ``, true},
		{"GET", "/Users", "startIndex=1&count=100", 200, ``, false},
		{"GET", "/Users", "filter=userName+eq+%22ada%22", 200, `{"totalResults":0}`, false},
		{"GET", "/Users", "filter=userName+eq", 400, `{}`, false},
		{"GET", "/Users/x", "", 200, `{}`, false},
		{"POST", "/Users", "startIndex=1&count=2", 201, ``, false},
	} {
		s := seen(start, row.method, row.path, row.status)
		s.Query = row.query
		s.Answer.Add([]byte(row.answer))
		if s.probes() != row.is {
			t.Errorf("%s %s?%s %d: probe %v", row.method, row.path, row.query, row.status, !row.is)
		}
	}
}

// TestWindow forgets what is a day old, slice by slice, after silence, too.
func TestWindow(t *testing.T) {
	j := newJournal()
	j.Record(seen(start, "GET", "/Users", 200))
	j.Record(seen(start.Add(sliceLength), "GET", "/Users", 500))
	for _, row := range []struct {
		after    time.Duration
		requests uint64
	}{{sliceLength, 2}, {Window - time.Second, 2}, {Window, 1}, {Window + sliceLength, 0}, {3 * Window, 0}} {
		if got := j.state(start.Add(row.after)).Window.Requests(); got != row.requests {
			t.Errorf("after %v: %d requests, want %d", row.after, got, row.requests)
		}
	}
	j.Record(seen(start.Add(Window), "GET", "/Users", 200)) // stands where the first one stood
	if got := j.state(start.Add(Window)).Window; got != (Counts{Success: 1, ServerFailure: 1}) {
		t.Errorf("%+v", got)
	}
}

func TestQuarantined(t *testing.T) {
	ok := uint64(1_000_000)
	for _, row := range []struct {
		name   string
		state  State
		reason Reason
	}{
		{"nothing", State{}, ""},
		{"below the least", State{Window: Counts{ClientFailure: QuarantineFailuresMin - 1}}, ""},
		{"at the least, all failed", State{Window: Counts{ClientFailure: QuarantineFailuresMin}}, ReasonPercent},
		{"at the share", State{Window: Counts{ClientFailure: 10_000, Success: 15_000}}, ""},
		{"above the share", State{Window: Counts{ClientFailure: 10_000, Success: 14_999}}, ReasonPercent},
		{"references do not count to the share", State{Window: Counts{ClientFailure: 20_000, Reference: 10_000, Success: 5_001}}, ""},
		{"at the most", State{Window: Counts{ServerFailure: QuarantineFailuresMax, Success: ok}}, ""},
		{"above the most", State{Window: Counts{ServerFailure: QuarantineFailuresMax + 1, Success: ok}}, ReasonFailures},
		{"references do not count to the most", State{Window: Counts{ServerFailure: QuarantineAllMax, Reference: QuarantineAllMax, Success: ok}}, ""},
		{"but to the most of all", State{Window: Counts{ServerFailure: QuarantineAllMax + 1, Reference: QuarantineAllMax, Success: ok}}, ReasonAllFailures},
		{"a refused token", State{LastRequest: start, LastRefused: start.Add(1)}, ReasonCredentials},
		{"a good one since", State{LastRequest: start.Add(2), LastRefused: start.Add(1)}, ""},
		{"a probe that found nothing there", State{ProbeStatus: http.StatusNotFound}, ReasonNotFound},
	} {
		if got := row.state.Quarantined(); got != row.reason {
			t.Errorf("%s: %q, want %q", row.name, got, row.reason)
		}
	}
}

func TestMerge(t *testing.T) {
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	a := State{
		Since: at(0), LastRequest: at(9), LastSuccess: at(5), LastFailure: at(9), Consecutive: 3, RunBegan: at(6), LastProbe: at(1), ProbeStatus: 200,
		Tokens: map[string]time.Time{"a": at(9), "b": at(1)}, Window: Counts{Success: 1, ClientFailure: 3},
	}
	b := State{
		Since: at(2), LastRequest: at(7), LastSuccess: at(4), LastFailure: at(7), Consecutive: 1, RunBegan: at(7), LastWrite: at(4), LastProbe: at(3), ProbeStatus: 404,
		Tokens: map[string]time.Time{"b": at(7)}, Window: Counts{Success: 2, ClientFailure: 1},
	}
	c := State{Since: at(1), LastSuccess: at(3), LastFailure: at(4), Consecutive: 5, RunBegan: at(4)} // over: a has succeeded since
	got := Merge([]State{a, b, c})
	want := State{
		Since: at(2), LastRequest: at(9), LastSuccess: at(5), LastFailure: at(9), LastWrite: at(4), LastProbe: at(3), ProbeStatus: 404,
		Consecutive: 4, RunBegan: at(6), Tokens: map[string]time.Time{"a": at(9), "b": at(7)}, Window: Counts{Success: 3, ClientFailure: 4},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("\n%+v, want\n%+v", got, want)
	}
}

// TestTokens: of the tokens those stay that were used last.
func TestTokens(t *testing.T) {
	j := newJournal()
	for i := range tokensMax + 1 {
		s := seen(start.Add(time.Duration(i)*time.Second), "GET", "/Users", 200)
		s.Token = directory.TokenName{byte(i + 1)}
		j.Record(s)
	}
	tokens := j.state(start).Tokens
	if _, there := tokens["0100000000000000"]; there || len(tokens) != tokensMax {
		t.Errorf("%v", tokens)
	}
}

// TestRequestBounds: one past each limit forgets the oldest, and nothing else.
func TestRequestBounds(t *testing.T) {
	j := newJournal()
	log := func(n int) []Request {
		return j.Answer(Question{Connection: connectionID(n), Requests: 2 * RequestsMax}, start).Requests
	}
	for i := range RequestsMax + 1 {
		j.Record(seen(start.Add(time.Duration(i)*time.Second), "GET", "/Users", 200))
		if i == RequestsMax-1 && len(log(1)) != RequestsMax {
			t.Errorf("%d of %d are kept", len(log(1)), RequestsMax)
		}
	}
	if kept := log(1); len(kept) != RequestsMax || kept[0].Number != RequestsMax+1 || kept[RequestsMax-1].Number != 2 {
		t.Errorf("%d are kept, of them the oldest is %d", len(kept), kept[len(kept)-1].Number)
	}

	body := []byte(`{"a":"` + strings.Repeat("x", BodyMax-8) + `"}`)
	for n := 2; n < 2+BytesMax/ConnectionBytesMax+2; n++ {
		for range 2 * ConnectionBytesMax / BodyMax {
			s := seen(start, "POST", "/Users", 201)
			s.Connection = connectionID(n)
			s.Body.Add(body)
			j.Record(s)
		}
		if c := j.of[connectionID(n)]; c.bytes > ConnectionBytesMax || c.bytes < ConnectionBytesMax-2*BodyMax {
			t.Fatalf("%d bytes of a connection", c.bytes)
		}
	}
	if j.bytes > BytesMax || j.bytes < BytesMax-2*BodyMax {
		t.Errorf("%d bytes of all", j.bytes)
	}
	if len(log(1)) != 0 || len(log(2)) == len(log(9)) {
		t.Errorf("the oldest of all are not what was forgotten: %d and %d are kept", len(log(1)), len(log(2)))
	}
	if j.state(start.Add(time.Hour)).Window.Requests() != RequestsMax+1 {
		t.Error("the counts went with the requests")
	}
}

// TestBodyBound keeps the largest body and the size of one that is larger by a byte.
func TestBodyBound(t *testing.T) {
	for _, size := range []int{BodyMax, BodyMax + 1} {
		j := newJournal()
		s := seen(start, "POST", "/Users", 201)
		s.Body.Add([]byte(`{"a":"`))
		s.Body.Add([]byte(strings.Repeat("x", size-8) + `"}`))
		j.Record(s)
		got := j.Answer(Question{Connection: connectionID(1), Requests: 1}, start).Requests[0]
		if kept := got.BodyOmitted == 0; kept != (size <= BodyMax) || kept != (len(got.Body) == size) || !kept && got.BodyOmitted != size {
			t.Errorf("%d bytes: %d kept, %d omitted", size, len(got.Body), got.BodyOmitted)
		}
	}
}

// TestSecrets: of a request that holds one nothing is kept as it came, and it reads
// like any other.
func TestSecrets(t *testing.T) {
	for _, body := range []string{`{"userName":"ada"}`, `{"userName":"ada","password":"hunter2"}`} {
		j := newJournal()
		s := seen(start, "POST", "/Users", 201)
		s.Query = "filter=userName+eq+%22ada%22"
		s.Body.Add([]byte(body))
		s.Answer.Add([]byte(`{"id":"usr-0123456789abcdef0123456789abcdef"}`))
		j.Record(s)
		if l := j.of[connectionID(1)].kept[0].log; strings.Contains(body, "password") && strings.Contains(fmt.Sprintf("%s %+s", l.seen.Body.Bytes, l.secret.Body), "hunter2") {
			t.Error("the password is kept")
		}
		want := s.redacted(j.of[connectionID(1)].redactor)
		want.Node, want.Number = "node-1", 1
		if got := j.Answer(Question{Connection: connectionID(1), Requests: 1}, start).Requests[0]; got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// TestConnectionsBound forgets the connection that was silent for longest, and says of
// one that is new since then that nothing from before is known.
func TestConnectionsBound(t *testing.T) {
	j := newJournal()
	for n := 1; n <= ConnectionsMax; n++ {
		j.Refused(directory.OrgID{}, connectionID(n), start.Add(time.Second))
	}
	j.Record(seen(start.Add(2*time.Second), "GET", "/Users", 200)) // the first is not silent any more
	if s := j.state(start); s.Since != start || s.Window.Refused != 1 {
		t.Errorf("%+v", s)
	}
	last := start.Add(3 * time.Second)
	j.Refused(directory.OrgID{}, connectionID(ConnectionsMax+1), last)
	if len(j.of) != ConnectionsMax || j.of[connectionID(2)] != nil || j.of[connectionID(1)] == nil {
		t.Errorf("%d connections", len(j.of))
	}
	if s := j.of[connectionID(ConnectionsMax+1)].state; s.Since != last {
		t.Errorf("%+v", s)
	}
	if s := j.Answer(Question{Connection: connectionID(2)}, last).State; s.Since != last {
		t.Errorf("%+v", s)
	}
}

// TestOrganization: an organization is not told of another's connection.
func TestOrganization(t *testing.T) {
	j := newJournal()
	j.Record(seen(start, "GET", "/Users", 200))
	q := Question{Org: directory.OrgID{1}, Connection: connectionID(1)}
	if a := j.Answer(q, start); a.State.Window.Requests() != 0 || a.State.Tokens != nil {
		t.Errorf("%+v", a)
	}
	if q.Requests = 1; len(j.Answer(q, start).Requests) != 0 {
		t.Error("requests of another organization")
	}
}

// TestPages walks the requests of two nodes page by page.
func TestPages(t *testing.T) {
	nodes := []*Journal{newJournal(), newJournal()}
	nodes[1].node = "node-2"
	for i := range 25 {
		nodes[i%2].Record(seen(start.Add(time.Duration(i/3)*time.Second), "GET", "/Users", 200)) // three at a time
	}
	var all []Place
	for place := (Place{}); ; {
		q := Question{Connection: connectionID(1), Requests: 4, Before: place}
		page := MergeRequests([]Answer{nodes[0].Answer(q, start), nodes[1].Answer(q, start)}, 4)
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			place = r.Place()
			all = append(all, place)
		}
	}
	for i := range len(all) - 1 {
		if all[i].compare(all[i+1]) >= 0 {
			t.Errorf("%v before %v", all[i], all[i+1])
		}
	}
	if len(all) != 25 {
		t.Errorf("%d of 25 requests are listed", len(all))
	}
}

// TestConcurrent is for the race detector.
func TestConcurrent(t *testing.T) {
	j := newJournal()
	var all sync.WaitGroup
	for n := range 4 {
		all.Go(func() {
			for i := range 200 {
				s := seen(start.Add(time.Duration(i)*time.Second), "PATCH", "/Groups/x", 204)
				s.Connection = connectionID(1 + (n+i)%3)
				s.Body.Add([]byte(`{"Operations":[{"op":"add","path":"members","value":[{"value":"x"}]}]}`))
				j.Record(s)
				j.Answer(Question{Connection: connectionID(1), Requests: 5}, s.Answered)
				j.state(s.Answered)
			}
		})
	}
	all.Wait()
	total := uint64(0)
	for n := 1; n <= 3; n++ {
		total += j.Answer(Question{Connection: connectionID(n)}, start.Add(200*time.Second)).State.Window.Requests()
	}
	if total != 800 {
		t.Errorf("%d requests were counted", total)
	}
}

func BenchmarkRecord(b *testing.B) {
	j := newJournal()
	s := seen(start, "PATCH", "/Groups/grp-0123456789abcdef0123456789abcdef", 204)
	s.Body.Add([]byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"Add","path":"members","value":[{"$ref":null,"value":"usr-0123456789abcdef0123456789abcdef"}]}]}`))
	b.ReportAllocs()
	for b.Loop() {
		j.Record(s)
	}
}

// TestTallies has each connection once, in order, with its counts and without the names
// of its tokens.
func TestTallies(t *testing.T) {
	j, now := newJournal(), time.Unix(1_800_000_000, 0)
	for _, n := range []int{2, 1} {
		s := seen(now, "GET", "/Users", 200+200*(n-1))
		s.Connection, s.Token = connectionID(n), directory.TokenName{1}
		j.Record(s)
	}
	all := j.Tallies(now)
	if len(all) != 2 || all[0].Connection != connectionID(1) || all[1].Connection != connectionID(2) {
		t.Fatalf("%+v", all)
	}
	if first, second := all[0].State, all[1].State; first.Window.Success != 1 || second.Window.ClientFailure != 1 || first.Tokens != nil || second.Tokens != nil {
		t.Errorf("%+v", all)
	}
}

package fsm_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

var streamID = id[directory.EventStreamID](0)

// putStream makes a stream that is polled, or what change makes of it.
func putStream(change func(*directory.EventStream)) *fsm.PutEventStream {
	s := directory.EventStream{ID: streamID, Audience: "https://receiver.example", Delivery: directory.DeliveryPoll, Token: [32]byte{7}}
	if change != nil {
		change(&s)
	}
	return &fsm.PutEventStream{Stream: s}
}

func pushed(s *directory.EventStream) {
	s.Delivery, s.Token, s.URL = directory.DeliveryPush, [32]byte{}, "https://receiver.example/events"
}

func (w *ward) stream() *directory.EventStream {
	w.t.Helper()
	s, ok := w.view().EventStream(streamID)
	if !ok {
		w.t.Fatal("no event stream")
	}
	return s
}

// places are those of the events since the stream was made.
func (w *ward) places() (all []directory.EventPlace) {
	w.view().EachEvent(0, 0, func(e *directory.Event) bool {
		if e.Type == directory.UserCreated {
			all = append(all, e.Place())
		}
		return true
	})
	return all
}

func (w *ward) createUsers(from, to int) {
	for n := from; n < to; n++ {
		w.must(&fsm.CreateUser{User: user(n)})
	}
}

// TestEventStreamChecks: what no stream may be.
func TestEventStreamChecks(t *testing.T) {
	for what, change := range map[string]func(*directory.EventStream){
		"no audience":               func(s *directory.EventStream) { s.Audience = " " },
		"no delivery":               func(s *directory.EventStream) { s.Delivery = "" },
		"another delivery":          func(s *directory.EventStream) { s.Delivery = "pull" },
		"an event of no kind":       func(s *directory.EventStream) { s.Events = []string{"prov:rename"} },
		"feed:remove":               func(s *directory.EventStream) { s.Events = []string{"feed:remove"} },
		"an event twice":            func(s *directory.EventStream) { s.Events = []string{"prov:put", "prov:put"} },
		"poll without a token":      func(s *directory.EventStream) { s.Token = [32]byte{} },
		"poll with a URL":           func(s *directory.EventStream) { s.URL = "https://receiver.example" },
		"poll with a header":        func(s *directory.EventStream) { s.Authorization = []byte("x") },
		"push without a URL":        func(s *directory.EventStream) { pushed(s); s.URL = "" },
		"push with a token":         func(s *directory.EventStream) { pushed(s); s.Token = [32]byte{1} },
		"push in clear":             func(s *directory.EventStream) { pushed(s); s.URL = "http://receiver.example/" },
		"push to no host":           func(s *directory.EventStream) { pushed(s); s.URL = "https:///events" },
		"push with a user":          func(s *directory.EventStream) { pushed(s); s.URL = "https://a:b@receiver.example/" },
		"push to a fragment":        func(s *directory.EventStream) { pushed(s); s.URL = "https://receiver.example/#a" },
		"push to what is no URL":    func(s *directory.EventStream) { pushed(s); s.URL = "https://receiver.example:port/" },
		"push with a long header":   func(s *directory.EventStream) { pushed(s); s.Authorization = make([]byte, 5000) },
		"a version of none":         func(s *directory.EventStream) { s.Version = 7 },
		"a name of control letters": func(s *directory.EventStream) { s.Name = "a\nb" },
	} {
		w := newWard(t)
		err := w.try(putStream(change))
		want := directory.KindInvalid
		if what == "a version of none" {
			want = directory.KindNotFound
		}
		if directory.KindOf(err) != want {
			t.Errorf("%s: %v", what, err)
		}
	}
	w := newWard(t)
	w.must(putStream(pushed))
}

// TestEventStreamIsReplaced: by who has read the newest, and never another's progress
// with it.
func TestEventStreamIsReplaced(t *testing.T) {
	w := newWard(t)
	w.must(putStream(nil))
	w.createUsers(0, 2)
	w.must(&fsm.AcknowledgeEvents{ID: streamID, Through: w.places()[0], Refused: 1, Refusal: "jws"})
	made := w.stream()
	again := func(change func(*directory.EventStream)) error {
		s := *made
		s.Progress = directory.StreamProgress{}
		change(&s)
		return w.try(&fsm.PutEventStream{Stream: s})
	}
	for what, row := range map[string]struct {
		change func(*directory.EventStream)
		want   directory.Kind
	}{
		"taken":            {func(s *directory.EventStream) { s.Version = 0 }, directory.KindConflict},
		"an old version":   {func(s *directory.EventStream) { s.Version-- }, directory.KindPrecondition},
		"another delivery": {pushed, directory.KindInvalid},
	} {
		if err := again(row.change); directory.KindOf(err) != row.want {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := again(func(*directory.EventStream) {}); err != nil || w.stream().Version != made.Version {
		t.Errorf("the same again: %v, version %d", err, w.stream().Version)
	}
	if err := again(func(s *directory.EventStream) { s.Audience = "b" }); err != nil {
		t.Fatal(err)
	}
	if is := w.stream(); is.Audience != "b" || is.Version == made.Version || is.Progress.Position != made.Progress.Position || is.Progress.Refused != 1 {
		t.Errorf("%+v", is)
	}
	if e := w.last(); e.Type != directory.EventStreamUpdated || !strings.Contains(e.After, `"audience":"b"`) {
		t.Errorf("the log says %+v", e)
	}
	w.must(&fsm.DeleteEventStream{ID: streamID})
	if err := w.try(&fsm.DeleteEventStream{ID: streamID}); directory.KindOf(err) != directory.KindNotFound {
		t.Errorf("deleted twice: %v", err)
	}
}

// TestAcknowledgementsAddUp: in whatever order they come, and however often, and
// without an entry in the log.
func TestAcknowledgementsAddUp(t *testing.T) {
	w := newWard(t)
	w.must(putStream(nil))
	w.createUsers(0, 6)
	p := w.places()
	events := w.view().Events()
	ack := func(through directory.EventPlace, places ...directory.EventPlace) *fsm.AcknowledgeEvents {
		return &fsm.AcknowledgeEvents{ID: streamID, Presented: [32]byte{7}, Through: through, Places: places}
	}
	w.must(ack(directory.EventPlace{}, p[4], p[2]))
	w.must(ack(p[1]))
	w.must(ack(p[0]))
	w.must(ack(directory.EventPlace{}, p[2], p[4], p[0]))
	is := w.stream().Progress
	if is.Position != p[1] || !slices.Equal(is.Acknowledged, []directory.EventPlace{p[2], p[4]}) {
		t.Errorf("%+v", is)
	}
	w.must(ack(p[3]))
	if is := w.stream().Progress; is.Position != p[3] || !slices.Equal(is.Acknowledged, p[4:5]) || is.Gap != (directory.EventGap{}) {
		t.Errorf("%+v", is)
	}
	if w.view().Events() != events {
		t.Error("an acknowledgement stands in the log")
	}
	for what, c := range map[string]*fsm.AcknowledgeEvents{
		"through what will be": ack(directory.EventPlace{Index: w.index + 9}),
		"a place that will be": ack(directory.EventPlace{}, directory.EventPlace{Index: w.index + 9}),
	} {
		if err := w.try(c); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestAcknowledgementNeedsTheToken that the stream has at apply.
func TestAcknowledgementNeedsTheToken(t *testing.T) {
	w := newWard(t)
	w.must(putStream(nil))
	w.createUsers(0, 1)
	ack := &fsm.AcknowledgeEvents{ID: streamID, Presented: [32]byte{7}, Through: w.places()[0]}
	node := directory.Actor{Kind: directory.ActorNode}
	s := *w.stream()
	s.Token = [32]byte{8}
	w.must(&fsm.PutEventStream{Stream: s})
	if err := w.by(node, ack); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("the token before: %v", err)
	}
	ack.Presented = s.Token
	w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	if err := w.by(node, ack); directory.KindOf(err) != directory.KindUnauthenticated {
		t.Errorf("a suspended organization: %v", err)
	}
	w.must(&fsm.SetOrganizationLimits{Status: directory.OrganizationActive})
	if err := w.by(node, ack); err != nil {
		t.Error(err)
	}
	w.must(&fsm.DeleteEventStream{ID: streamID})
	if err := w.by(node, ack); directory.KindOf(err) != directory.KindNotFound {
		t.Errorf("deleted: %v", err)
	}
}

// TestRetentionLeavesAGap: what the log has forgotten before it was acknowledged is
// said, and only that.
func TestRetentionLeavesAGap(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	w.must(putStream(nil))
	began := w.stream().Progress.Position
	var envs []*fsm.Envelope
	for n := range directory.RetentionCountMin + 100 {
		envs = append(envs, &fsm.Envelope{Command: &fsm.CreateUser{User: user(n)}})
	}
	w.send(envs...)
	anchor := w.view().AuditLog().Anchor
	lost := directory.EventPlace{Index: anchor.Index, Ordinal: anchor.Ordinal}
	w.must(&fsm.AcknowledgeEvents{ID: streamID})
	if is := w.stream().Progress; is.Position != lost || is.Gap != (directory.EventGap{After: began, Until: lost, Noted: w.now}) {
		t.Fatalf("%+v, the log has lost up to %v", is, lost)
	}
	gap := w.stream().Progress.Gap
	w.now += 1000
	w.must(&fsm.AcknowledgeEvents{ID: streamID, Through: w.places()[0]})
	if is := w.stream().Progress; is.Gap != gap || is.Position != w.places()[0] {
		t.Errorf("%+v, the gap was %+v", is, gap)
	}
}

// TestFailureAndPause: the state says since when pushes fail, and why a node has
// given up; settings begin anew.
func TestFailureAndPause(t *testing.T) {
	w := newWard(t)
	w.must(putStream(pushed))
	say := func(failure, pause string) {
		t.Helper()
		w.now += 1000
		w.must(&fsm.AcknowledgeEvents{ID: streamID, Failure: &failure, Pause: pause})
	}
	say("503", "")
	since := w.now
	say(strings.Repeat("x", 2*directory.StreamTextMax), "")
	if p := w.stream().Progress; p.Failing != since || len(p.Failure) != directory.StreamTextMax {
		t.Errorf("%+v", p)
	}
	say("", "")
	if p := w.stream().Progress; p.Failing != 0 || p.Failure != "" {
		t.Errorf("%+v", p)
	}
	say("503", "failed for a day")
	if s := w.stream(); !s.Paused || s.Reason != "failed for a day" || s.Version != w.index || w.last().Type != directory.EventStreamUpdated {
		t.Errorf("%+v", s)
	}
	s := *w.stream()
	s.Paused = false
	w.must(&fsm.PutEventStream{Stream: s})
	if s := w.stream(); s.Paused || s.Reason != "" || s.Progress.Failing != 0 {
		t.Errorf("%+v", s)
	}
}

// TestStreamShowsNoSecret: neither the log nor its detail.
func TestStreamShowsNoSecret(t *testing.T) {
	w := newWard(t)
	w.must(putStream(func(s *directory.EventStream) { pushed(s); s.Authorization = []byte("sealed-authorization") }))
	if text := fmt.Sprint(*w.last()); strings.Contains(text, "sealed-authorization") || !strings.Contains(text, `"authorization":true`) {
		t.Errorf("%s", text)
	}
}

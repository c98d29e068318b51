package watch

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/authfi/authfi/proto/gen/authfi/v1/authfiv1connect"
)

type follow = func(w *world, token string, ask *authfiv1.WatchRequest) follower

// TestOperation: the table of procedures and this package mean the same row.
func TestOperation(t *testing.T) {
	rule, ok := access.RuleOf(operation)
	if !ok || rule.Permission != directory.ReadAuditLogs {
		t.Errorf("%s has the rule %+v", operation, rule)
	}
	if named := admin.Operations()[authfiv1connect.EventServiceWatchProcedure]; named != operation {
		t.Errorf("the procedure is operation %q", named)
	}
}

// TestEveryEventOnceInOrder: what is there, what comes, and what the heartbeat
// says between the two.
func TestEveryEventOnceInOrder(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		w.change(org, newUser("alice"), newUser("bob"))
		ask := &authfiv1.WatchRequest{OrgId: org.String()}
		f := follow(w, w.token, ask)
		kept := takeUntil(t, f, typeHeartbeat)
		beat := kept[len(kept)-1]
		w.sameNames("what was there", names(kept[:len(kept)-1]), w.logged(org))
		if beat.GetProof() == "" || kept[0].GetProof() != "" {
			t.Error("heartbeats are signed, and nothing else is")
		}
		if beat.GetIndex() != uint64(w.log.machine.Applied()) {
			t.Errorf("the heartbeat names %d, applied is %d", beat.GetIndex(), w.log.machine.Applied())
		}
		before := len(w.logged(org))
		w.applied(w.envelope(org, newUser("carol")), w.envelope(org, newUser("dave")))
		w.change(org, newUser("erin"))
		w.sameNames("what came", names(take(t, f, 3)), w.logged(org)[before:])
	})
}

// TestFields: an event says what the audit log says of it.
func TestFields(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	alice := newUser("alice")
	env := w.envelope(org, alice)
	env.Trace, env.Operation = directory.TraceID{1}, "users.create"
	index := w.applied(env)
	twice := w.envelope(org, newUser("alice"))
	if _, err := w.log.apply(twice); err != nil {
		t.Fatal(err)
	}
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(index - 1)})
	got := take(t, f, 2)
	want := &authfiv1.Event{
		Index: uint64(index), Type: "user.created", Actor: w.operator.String(), Source: "api", Object: alice.User.ID.String(),
		Detail: "alice@example.org", Operation: "users.create", RequestId: directory.TraceID{1}.String(),
	}
	if e := got[0]; e.GetTime().AsTime().UnixMilli() != int64(env.Now) {
		t.Errorf("time %v, want %d", e.GetTime(), env.Now)
	}
	got[0].Time = nil
	if fmt.Sprint(got[0]) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got[0], want)
	}
	if e := got[1]; e.GetType() != "change.refused" || e.GetDetail() == "" {
		t.Errorf("a refused change is %v", e)
	}
}

// TestResume: from every place, a stream holds exactly what is behind it.
func TestResume(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		for i := range 3 { // entries with several events
			w.applied(w.envelope(org, newUser(fmt.Sprint("a", i))), w.envelope(org, newUser(fmt.Sprint("b", i))), w.envelope(org, newUser(fmt.Sprint("c", i))))
		}
		all := w.logged(org)
		var events []*directory.Event
		w.view(org).EachEvent(0, 0, func(e *directory.Event) bool {
			events = append(events, e)
			return true
		})
		for i, e := range events {
			whole := slices.IndexFunc(events, func(later *directory.Event) bool { return later.Index > e.Index })
			if whole < 0 {
				whole = len(events)
			}
			for what, from := range map[string]struct {
				ask  *authfiv1.WatchRequest
				want []string
			}{
				"an event": {&authfiv1.WatchRequest{After: uint64(e.Index), AfterOrdinal: &e.Ordinal}, all[i+1:]},
				"an index": {&authfiv1.WatchRequest{After: uint64(e.Index)}, all[whole:]},
			} {
				from.ask.OrgId = org.String()
				f := follow(w, w.token, from.ask)
				got := takeUntil(t, f, typeHeartbeat)
				w.sameNames(fmt.Sprintf("behind %s, %d.%d", what, e.Index, e.Ordinal), names(got[:len(got)-1]), from.want)
				f.stop()
				w.streamEnds() // gives its seat back
			}
		}
	})
}

// TestRandomBreaks: a follower that breaks off anywhere and goes on behind the last
// message it saw, while others write, has the log in the end.
func TestRandomBreaks(t *testing.T) {
	const changes = 400
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		rng := rand.New(rand.NewPCG(1, 2))
		written := make(chan struct{})
		go func() {
			defer close(written)
			for i := range changes {
				entry := []*fsm.Envelope{w.envelope(org, newUser(fmt.Sprint("u", i)))}
				if i%3 == 0 {
					entry = append(entry, w.envelope(org, newUser(fmt.Sprint("v", i))), w.envelope(w.orgs[1], newUser(fmt.Sprint("w", i))))
				}
				if _, err := w.log.apply(entry...); err != nil {
					t.Error(err)
				}
			}
		}()
		var seen []string
		ask := &authfiv1.WatchRequest{OrgId: org.String()}
		breaks := 0
		for done := false; !done; breaks++ {
			f := follow(w, w.token, ask)
			for range 1 + rng.IntN(60) {
				m, err := f.next()
				must(t, err)
				ask.After, ask.AfterOrdinal = m.GetIndex(), nil
				if m.GetType() != typeHeartbeat {
					seen = append(seen, names([]*authfiv1.Event{m})...)
					ask.AfterOrdinal = new(m.GetOrdinal())
					continue
				}
				select {
				case <-written:
					done = m.GetIndex() == uint64(w.log.machine.Applied())
				default:
				}
				if done {
					break
				}
			}
			f.stop()
			w.streamEnds()
		}
		w.sameNames("everything", seen, w.logged(org))
		if breaks < 5 {
			t.Errorf("only %d breaks: little was tried", breaks)
		}
	})
}

// TestNeighboursAreSilent: what others do is neither in a stream nor wakes it.
func TestNeighboursAreSilent(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		f := follow(w, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
		takeUntil(t, f, typeHeartbeat)
		other := w.change(w.orgs[1], newUser("alice"), newUser("bob"))
		for {
			m, err := f.next()
			must(t, err)
			if m.GetType() != typeHeartbeat {
				t.Fatalf("the neighbour's change arrives: %v", m)
			}
			if m.GetIndex() >= uint64(other) {
				break
			}
		}
	})
}

// TestFilter: types by name and by prefix, and objects.
func TestFilter(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	bob := newUser("bob")
	group := fsm.CreateGroup{Group: directory.Group{ID: access.NewID[directory.GroupID](w.now()), Name: "nurses", Source: directory.SourceAPI}}
	w.change(org, newUser("alice"), bob, &group, &fsm.SetUserActive{User: bob.User.ID}, &fsm.SetUserActive{User: bob.User.ID, Active: true})
	for what, c := range map[string]struct {
		types  []string
		object string
		want   []string
	}{
		"all":                 {nil, "", []string{"organization.created", "user.created", "user.created", "group.created", "user.deactivated", "user.activated"}},
		"a type":              {[]string{"user.created"}, "", []string{"user.created", "user.created"}},
		"a prefix":            {[]string{"user."}, "", []string{"user.created", "user.created", "user.deactivated", "user.activated"}},
		"no prefix":           {[]string{"user"}, "", nil},
		"several":             {[]string{"group.", "user.activated"}, "", []string{"group.created", "user.activated"}},
		"an object":           {nil, bob.User.ID.String(), []string{"user.created", "user.deactivated", "user.activated"}},
		"a type of an object": {[]string{"user.created"}, bob.User.ID.String(), []string{"user.created"}},
		"nobody's object":     {nil, access.NewID[directory.UserID](w.now()).String(), nil},
	} {
		for _, d := range []int{0, 2} {
			f := dialects[d].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Type: c.types, Object: c.object})
			var got []string
			for _, m := range takeUntil(t, f, typeHeartbeat) {
				if m.GetType() != typeHeartbeat {
					got = append(got, m.GetType())
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%s over %s: %v, want %v", what, dialects[d].name, got, c.want)
			}
			f.stop()
			w.streamEnds()
		}
	}
}

// TestSameJSON: a message is the same bytes in both dialects.
func TestSameJSON(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	w.change(org, newUser("alice"))
	ask := &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true}
	f := followEvents(t, http1(w.server), w.server.URL, w.token, ask)
	envelopes := rawConnect(t, w, ask)
	for i := range 10 {
		m, err := f.next()
		must(t, err)
		if f.data != envelopes[i] {
			t.Errorf("message %d, %s:\n%s\n%s", i, m.GetType(), f.data, envelopes[i])
		}
		if m.GetType() == typeSynced {
			return
		}
	}
	t.Error("nothing was compared to the end")
}

// TestEventsWakeTheStream: they do not wait for the next look at the clock.
func TestEventsWakeTheStream(t *testing.T) {
	w := newWorld(t, func(b *bounds) { b.heartbeat, b.recheck = time.Hour, time.Hour })
	org := w.orgs[0]
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String()})
	takeUntil(t, f, typeHeartbeat)
	for i := range 3 {
		w.change(w.orgs[1], newUser(fmt.Sprint("neighbour", i)))
		w.change(org, newUser(fmt.Sprint("own", i)))
		take(t, f, 1)
	}
}

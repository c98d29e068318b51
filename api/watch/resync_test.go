package watch

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// rowNames are the rows of an organization at one index.
func rowNames(view *state.Org) (all []string) {
	row := func(table string, id fmt.Stringer) bool {
		all = append(all, fmt.Sprintf("%d.0 row %s %s", view.Applied(), table, id))
		return true
	}
	view.EachUser(directory.UserID{}, func(u *directory.User) bool { return row("user", u.ID) })
	view.EachGroup(directory.GroupID{}, func(g *directory.Group) bool { return row("group", g.ID) })
	view.EachRole(func(r *directory.Role) bool { return row("role", r.ID) })
	view.EachAssignment(directory.AssignmentID{}, func(a *directory.Assignment) bool { return row("assignment", a.ID) })
	return all
}

// forget makes an organization with more events than are kept.
func (w *world) forget(org directory.OrgID) {
	w.t.Helper()
	w.change(org, &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	w.users(org, "many", directory.RetentionCountMin+100)
}

// TestResyncBehindRetention: rows instead of the events that are gone, and then
// the events after them.
func TestResyncBehindRetention(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		w.reader(org, "ines")
		first := w.log.machine.Applied()
		w.forget(org)
		f := follow(w, w.token, &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(first)})
		w.resynced(f, org)
		w.change(org, newUser("late"))
		w.sameNames("after it", names(take(t, f, 1)), w.logged(org)[directory.RetentionCountMin-1:])
	})
}

// resynced reads a resync to its end: the state is the newest one.
func (w *world) resynced(f follower, org directory.OrgID) {
	w.t.Helper()
	view := w.view(org)
	want := append([]string{fmt.Sprintf("%d.0 resync", view.Applied())}, rowNames(view)...)
	w.sameNames("the resync", names(takeUntil(w.t, f, typeSynced)), append(want, fmt.Sprintf("%d.0 synced", view.Applied())))
}

// TestOldestKept: whoever names no place begins at the oldest event that there
// still is, and misses nothing that they have seen.
func TestOldestKept(t *testing.T) {
	w := newWorld(t, short)
	w.forget(w.orgs[0])
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: w.orgs[0].String()})
	w.sameNames("from the oldest kept", names(take(t, f, directory.RetentionCountMin)), w.logged(w.orgs[0]))
}

// TestResyncInTheStream: one that was up to date falls behind in one entry.
func TestResyncInTheStream(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		w.change(org, &fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
		f := follow(w, w.token, &authfiv1.WatchRequest{OrgId: org.String()})
		takeUntil(t, f, typeHeartbeat)
		w.users(org, "many", directory.RetentionCountMin+1)
		for m, err := f.next(); ; m, err = f.next() {
			must(t, err)
			if m.GetType() == typeResync {
				break
			}
			if m.GetType() != typeHeartbeat {
				t.Fatalf("an event in spite of those that are missing: %v", m)
			}
		}
		rows := takeUntil(t, f, typeSynced)
		w.sameNames("the rows", names(rows[:len(rows)-1]), rowNames(w.view(org)))
	})
}

// TestAheadOfTheCluster: a follower of a cluster that was restored to an earlier
// state begins anew, since what it saw last never happened.
func TestAheadOfTheCluster(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		w.change(org, newUser("alice"))
		f := follow(w, w.token, &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(w.log.machine.Applied()) + 1})
		w.resynced(f, org)
	})
}

// TestSnapshotWhileOthersWrite: the rows are those of one index, although they
// come in several batches, and no event is missing behind it.
func TestSnapshotWhileOthersWrite(t *testing.T) {
	eachDialect(t, func(t *testing.T, follow follow) {
		w := newWorld(t, short)
		org := w.orgs[0]
		w.reader(org, "ines")
		w.users(org, "some", 5*batchEvents)
		f := follow(w, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true})
		written := make(chan struct{})
		go func() {
			defer close(written)
			for i := range 200 {
				if _, err := w.log.apply(w.envelope(org, newUser(fmt.Sprint("new", i)))); err != nil {
					t.Error(err)
				}
			}
		}()
		rows := takeUntil(t, f, typeSynced)
		at := directory.Index(rows[len(rows)-1].GetIndex())
		then, ok := w.log.root(at).Org(org)
		if !ok {
			t.Fatalf("synced names %d, where there is no such organization", at)
		}
		w.sameNames("the rows", names(rows[:len(rows)-1]), rowNames(then))
		<-written
		var want []string
		w.view(org).EachEvent(at, wholeIndex, func(e *directory.Event) bool {
			want = append(want, fmt.Sprintf("%d.%d %s", e.Index, e.Ordinal, e.Type))
			return true
		})
		w.sameNames("the events after them", names(take(t, f, len(want))), want)
	})
}

// TestRowsSayWhatTheyAre, of each kind, and a filter leaves those of its object.
func TestRowsSayWhatTheyAre(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	ines := w.reader(org, "ines")
	user, _ := w.view(org).User(ines.id)
	group := &fsm.CreateGroup{Group: directory.Group{ID: access.NewID[directory.GroupID](w.now()), Name: "nurses", Source: directory.SourceAPI}}
	w.change(org, group, &fsm.AssignRole{ID: access.NewID[directory.AssignmentID](w.now()), Role: ines.role, Group: group.Group.ID})
	details := map[string]string{}
	f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true})
	for _, m := range takeUntil(t, f, typeSynced) {
		details[m.GetRow()+" "+m.GetDetail()] = m.GetObject()
		if m.GetObject() == ines.id.String() && m.GetVersion() != uint64(user.Version) {
			t.Errorf("version %d of %v", m.GetVersion(), user)
		}
	}
	for _, want := range []string{"user ines@example.org", "group nurses", "role ines", "role owner", "assignment ines to ines@example.org", "assignment ines to nurses"} {
		if details[want] == "" {
			t.Errorf("no row %q in %v", want, details)
		}
	}
	one := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), Snapshot: true, Object: ines.id.String()})
	if rows := takeUntil(t, one, typeSynced); len(rows) != 2 || rows[0].GetObject() != ines.id.String() {
		t.Errorf("the rows of one object are %v", names(rows))
	}
}

// TestNoSecrets: what only the user's own clients may know is in no message.
func TestNoSecrets(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	ines := w.reader(org, "ines")
	private := newUser("carol")
	private.User.Attributes, private.User.Custom, private.User.Phone = []byte(`{"note":"sealed-note"}`), nil, "+49-sealed"
	connection := access.NewID[directory.ConnectionID](w.now())
	token, hash := access.NewConnectionToken(org, connection)
	w.change(org, private, &fsm.CreateConnection{Connection: directory.Connection{ID: connection, Provider: "entra", Token: hash}})
	for _, ask := range []*authfiv1.WatchRequest{{Snapshot: true}, {}} {
		ask.OrgId = org.String()
		f := followEvents(t, http1(w.server), w.server.URL, w.token, ask)
		var text strings.Builder
		for m, err := f.next(); m.GetType() != typeHeartbeat; m, err = f.next() {
			must(t, err)
			text.WriteString(f.data)
		}
		if text.Len() < 1000 {
			t.Fatalf("only %d bytes were looked at", text.Len())
		}
		refresh := access.Hash(ines.grant.RefreshToken)
		for _, secret := range []string{
			"sealed", token, hex.EncodeToString(hash[:]), ines.grant.AccessToken, ines.grant.RefreshToken, hex.EncodeToString(refresh[:]),
		} {
			if strings.Contains(text.String(), secret) {
				t.Errorf("%.20s… is in the feed", secret)
			}
		}
	}
}

// laggingLog is another node of the cluster, whose state is as old as it was left
// and moves when it has to wait for an index, unless it is cut off.
type laggingLog struct {
	*soloLog
	newest atomic.Pointer[state.Root]
	cut    bool
	asked  chan struct{} // one for each wait of a node that is cut off
}

func (l *laggingLog) WaitApplied(_ context.Context, index directory.Index) error {
	if l.cut {
		l.asked <- struct{}{}
		return directory.Unavailable("this node has not reached index %d yet", index)
	}
	l.newest.Store(l.machine.Root())
	return nil
}

// lagging starts a node whose state is that of now.
func (w *world) lagging(cut bool) (*laggingLog, string) {
	w.t.Helper()
	log := &laggingLog{soloLog: w.log, cut: cut, asked: make(chan struct{}, 1000)}
	log.newest.Store(w.log.machine.Root())
	_, _, watcher := w.node(log, log.newest.Load, w.log.feed.Wait, short)
	return log, w.serve(watcher, func(*http.Server) {}).URL
}

// TestNodeThatLags: a place, an index and an organization that another node has
// told the follower of are waited for.
func TestNodeThatLags(t *testing.T) {
	for what, ask := range map[string]func(w *world, org directory.OrgID) (ask *authfiv1.WatchRequest, headers []string){
		"a place": func(w *world, org directory.OrgID) (*authfiv1.WatchRequest, []string) {
			return &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(w.log.machine.Applied())}, nil
		},
		"an index": func(w *world, org directory.OrgID) (*authfiv1.WatchRequest, []string) {
			return &authfiv1.WatchRequest{OrgId: org.String()}, []string{headerIndex, fmt.Sprint(w.log.machine.Applied())}
		},
		"an organization": func(w *world, _ directory.OrgID) (*authfiv1.WatchRequest, []string) {
			return &authfiv1.WatchRequest{OrgId: w.organization("west").String()}, nil
		},
	} {
		for _, cut := range []bool{false, true} {
			w := newWorld(t, short)
			_, url := w.lagging(cut)
			w.change(w.orgs[0], newUser("alice"))
			message, headers := ask(w, w.orgs[0])
			f := openEvents(t, w.server.Client(), url+"/api/v1/events?"+queryOf(message), append(headers, "Authorization", "Bearer "+w.token)...)
			if !cut {
				got := takeUntil(t, f, typeHeartbeat)
				if beat := got[len(got)-1].GetIndex(); beat != uint64(w.log.machine.Applied()) || f.answer.Header.Get(headerIndex) != fmt.Sprint(beat) {
					t.Errorf("%s: the stream begins at %s, its heartbeat says %d, applied is %d", what, f.answer.Header.Get(headerIndex), beat, w.log.machine.Applied())
				}
				continue
			}
			if _, err := f.next(); f.answer.StatusCode != http.StatusServiceUnavailable || codeOf(err) != "unavailable" {
				t.Errorf("%s on a node that is cut off: %d %v", what, f.answer.StatusCode, err)
			}
		}
	}
}

// TestCutOffNodeIsSilent: it has sent all that it knows, and cannot say that this is
// all. Once it has caught up, what it has missed comes before a heartbeat.
func TestCutOffNodeIsSilent(t *testing.T) {
	w := newWorld(t, short)
	log, url := w.lagging(true)
	w.change(w.orgs[0], newUser("alice"))
	f := openEvents(t, w.server.Client(), url+"/api/v1/events?org_id="+w.orgs[0].String(), "Authorization", "Bearer "+w.token)
	for range 3 { // heartbeats that were due
		select {
		case <-log.asked:
		case <-time.After(testWait):
			t.Fatal("nobody asks whether the state is current")
		}
	}
	log.newest.Store(w.log.machine.Root())
	for kind := ""; kind != string(directory.UserCreated); {
		m, err := f.next()
		must(t, err)
		if kind = m.GetType(); kind == typeHeartbeat {
			t.Fatal("a node that was cut off has said that nothing is missing")
		}
	}
	takeUntil(t, f, typeHeartbeat)
}

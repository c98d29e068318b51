package fsm_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand"
	"strings"
	"testing"

	"github.com/authfi/authfi/audit"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// chronicle is what both an organization and the instance have of the log.
type chronicle interface {
	AuditLog() directory.AuditLog
	Events() int
	EachEvent(directory.Index, uint32, func(*directory.Event) bool)
}

// checkChain follows a log from its anchor to its head.
func checkChain(t *testing.T, name string, o chronicle) (events []*directory.Event) {
	t.Helper()
	log := o.AuditLog()
	chain, seq := log.Anchor.Chain, log.Anchor.Seq
	o.EachEvent(0, 0, func(e *directory.Event) bool {
		seq++
		if e.Seq != seq || e.Chain != audit.Link(chain, e) {
			t.Fatalf("%s: entry %d after %d does not follow", name, e.Seq, seq-1)
		}
		chain = e.Chain
		events = append(events, e)
		return true
	})
	if log.Head.Seq != seq || log.Head.Chain != chain || o.Events() != len(events) {
		t.Fatalf("%s: the head is entry %d, the last one is %d of %d", name, log.Head.Seq, seq, len(events))
	}
	return events
}

// TestChainHoldsOverRandomHistories: whatever is applied, refused, repeated,
// rolled back or removed by retention.
func TestChainHoldsOverRandomHistories(t *testing.T) {
	for seed := int64(1); seed <= 6; seed++ {
		m := open(t, disk.NewMemory())
		begin(t, m)
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		refused := 0
		for i := range 500 {
			apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: []*fsm.Envelope{h.next(), h.next(), h.next()}})
		}
		checkChain(t, "instance", m.Root().System())
		m.Root().EachOrg(directory.OrgID{}, func(o *state.Org) bool {
			for _, e := range checkChain(t, o.ID().String(), o) {
				if e.Refused {
					refused++
				}
			}
			return true
		})
		if refused == 0 {
			t.Errorf("seed %d: no refusal was recorded", seed)
		}
	}
}

// ward is one organization of one machine.
type ward struct {
	t     *testing.T
	m     *fsm.Machine
	org   directory.OrgID
	now   directory.Time
	index directory.Index
}

func newWard(t *testing.T) *ward {
	w := &ward{t: t, m: open(t, disk.NewMemory()), org: id[directory.OrgID](0), now: 1_700_000_000_000, index: 1}
	begin(t, w.m)
	w.must(&fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.org, Slug: "a", Name: "a", UserQuota: 100_000},
		Key:          directory.SigningKey{ID: "kid", Sealed: []byte("sealed-secret")},
	})
	return w
}

// send applies commands as one entry of the log.
func (w *ward) send(envelopes ...*fsm.Envelope) []fsm.Result {
	w.t.Helper()
	w.index++
	for _, env := range envelopes {
		if env.Actor.Kind == 0 {
			env.Actor = operator
		}
		if _, system := env.Command.(fsm.SystemCommand); !system {
			env.Org = w.org
		}
		env.Now = w.now
	}
	return apply(w.t, w.m, fsm.Entry{Index: w.index, Term: 1, Envelopes: envelopes})[0]
}

func (w *ward) try(c fsm.Command) error { return w.send(&fsm.Envelope{Command: c})[0].Err }

func (w *ward) must(c fsm.Command) {
	w.t.Helper()
	if err := w.try(c); err != nil {
		w.t.Fatal(err)
	}
}

func (w *ward) view() *state.Org {
	o, ok := w.m.Root().Org(w.org)
	if !ok {
		w.t.Fatal("no organization")
	}
	return o
}

func (w *ward) last() *directory.Event {
	events := checkChain(w.t, "ward", w.view())
	return events[len(events)-1]
}

func user(n int) directory.User {
	return directory.User{ID: id[directory.UserID](n), UserName: fmt.Sprintf("user-%d", n), Active: true, Title: "nurse"}
}

func TestEntrySaysWhoWhatFromWhere(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(1)})
	changed := user(1)
	changed.Title, changed.Custom, changed.Active = "ward <sister>", nil, true
	w.send(&fsm.Envelope{
		Command: &fsm.UpdateUser{User: changed}, Source: "okta", Origin: "192.0.2.7", Operation: "users.update",
		Trace: directory.TraceID{1}, Received: w.now - 5,
	})
	e := w.last()
	if e.Type != directory.UserUpdated || e.Origin != "192.0.2.7" || e.Operation != "users.update" ||
		e.Trace != (directory.TraceID{1}) || e.Received != w.now-5 || e.Actor != operator ||
		e.Before != `{"title":"nurse"}` || e.After != `{"title":"ward <sister>"}` {
		t.Fatalf("%+v", e)
	}
	w.must(&fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](1), Name: "g"}, Members: []directory.UserID{changed.ID}})
	if e := w.last(); e.Type != directory.GroupMembersChanged || e.After != `{"members":["`+changed.ID.String()+`"]}` {
		t.Fatalf("%+v", e)
	}
	w.must(&fsm.CreateRole{Role: directory.Role{ID: id[directory.RoleID](1), Name: "r", Permissions: []directory.Permission{"read:a"}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: id[directory.RoleID](1), User: changed.ID})
	if e := w.last(); e.Type != directory.RoleAssigned || !strings.Contains(e.After, `"user_id":"`+changed.ID.String()) {
		t.Fatalf("%+v", e)
	}
	w.must(&fsm.DeleteUser{User: changed.ID})
	if e := w.last(); e.Type != directory.UserDeleted || e.After != "" || !strings.Contains(e.Before, `"rows":{"`) ||
		!strings.Contains(e.Before, `"title":"ward <sister>"`) || !strings.Contains(e.Before, id[directory.GroupID](1).String()) {
		t.Fatalf("%+v", e)
	}
}

// TestOriginIsCut: at the bound it stays, beyond it is cut between characters.
func TestOriginIsCut(t *testing.T) {
	w := newWard(t)
	for n, want := range map[int]int{directory.OriginMax: directory.OriginMax, directory.OriginMax + 2: directory.OriginMax} {
		env := &fsm.Envelope{Command: &fsm.CreateUser{User: user(n)}, Origin: strings.Repeat("é", n/2)}
		w.send(env)
		if e := w.last(); len(e.Origin) != want {
			t.Errorf("%d bytes became %d", n, len(e.Origin))
		}
	}
}

// TestNoSecretInTheLog: commands that carry credentials leave entries that hold
// none of their bytes, in no usual spelling.
func TestNoSecretInTheLog(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(1)})
	w.must(&fsm.CreateRole{Role: directory.Role{ID: id[directory.RoleID](1), Name: "r", Permissions: []directory.Permission{"a:b"}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: id[directory.RoleID](1), User: id[directory.UserID](1)})
	secret := [32]byte(bytes.Repeat([]byte("\xA7s3cr"), 8)[:32])
	key := [16]byte(secret[:])
	for _, c := range []fsm.Command{
		&fsm.CreateOperator{Operator: directory.Operator{ID: id[directory.OperatorID](5), Name: "o", Token: secret}},
		&fsm.PutTokenSecret{Secret: directory.TokenSecret{Sealed: secret[:]}},
		&fsm.CreateJoinToken{Token: directory.JoinToken{ID: "j", Secret: secret, Expires: w.now + 1000}},
		&fsm.RedeemJoinToken{ID: "j", Secret: secret, Node: "n"},
		&fsm.CreateConnection{Connection: directory.Connection{ID: id[directory.ConnectionID](1), Provider: "okta", Token: secret}},
		&fsm.CreateAPIKey{Key: directory.APIKey{ID: id[directory.APIKeyID](1), Name: "k", Owner: id[directory.UserID](1), Permissions: []directory.Permission{"a:b"}, Token: secret}},
		&fsm.PutKey{Key: directory.SigningKey{ID: "k2", State: directory.KeyActive, Public: []byte("p"), Sealed: secret[:]}},
		&fsm.StartSession{ID: id[directory.SessionID](1), User: id[directory.UserID](1), Refresh: secret, Successor: secret[:], Token: directory.AccessToken{Key: key, Expires: w.now + 1000}},
	} {
		w.must(c)
	}
	refresh := &fsm.RefreshSession{ID: id[directory.SessionID](1), Presented: secret, Refresh: secret, Successor: secret[:], Token: directory.AccessToken{Key: key}}
	w.send(&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: refresh})
	for _, o := range []chronicle{w.view(), w.m.Root().System()} {
		for _, e := range checkChain(t, "log", o) {
			text := fmt.Sprintf("%+v", *e)
			for _, spelling := range []string{"s3cr", "sealed-secret", hex.EncodeToString(secret[:8]), fmt.Sprint(secret[:8])[1:20]} {
				if strings.Contains(text, spelling) {
					t.Errorf("%s holds a secret: %s", e.Type, text)
				}
			}
		}
	}
	if n := w.m.Root().System().Events(); n != 5 { // the first operator's was made at time 0 and has aged out
		t.Errorf("the instance's log has %d entries: an organization, an operator, a secret, a join token made and used", n)
	}
}

func TestRetentionByCountKeepsAnAnchor(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin}})
	for i := range directory.RetentionCountMin + 200 {
		w.must(&fsm.CreateUser{User: user(i)})
	}
	events := checkChain(t, "ward", w.view())
	log := w.view().AuditLog()
	if len(events) != directory.RetentionCountMin || log.Anchor.Seq+uint64(len(events)) != log.Head.Seq {
		t.Fatalf("%d entries after %d", len(events), log.Anchor.Seq)
	}
	var size uint64
	for _, e := range events {
		size += uint64(len(encoded(e)))
	}
	if size != log.Bytes {
		t.Errorf("%d bytes are counted, %d are there", log.Bytes, size)
	}
}

func TestRetentionByAgeOfTheEntryThatIsApplied(t *testing.T) {
	const day = directory.Time(24 * 60 * 60 * 1000)
	w := newWard(t)
	w.must(&fsm.SetRetention{Retention: directory.Retention{Count: directory.RetentionCountMin, Days: directory.RetentionDaysMin}})
	for i := range 20 {
		w.must(&fsm.CreateUser{User: user(i)})
		w.now += day
	}
	w.must(&fsm.CreateUser{User: user(20)})
	events := checkChain(t, "ward", w.view())
	if age := w.now - events[0].Time; age != directory.RetentionDaysMin*day {
		t.Errorf("the oldest is %d days old", age/day)
	}
	w.now += 100 * day
	if w.must(&fsm.CreateUser{User: user(21)}); len(checkChain(t, "ward", w.view())) != 1 {
		t.Error("entries of 100 days ago are still there")
	}
}

func TestRetentionBounds(t *testing.T) {
	w := newWard(t)
	ok := directory.Retention{Count: directory.RetentionCountMin, Days: directory.RetentionDaysMin}
	for _, row := range []struct {
		count, days uint32
		kind        directory.Kind
	}{
		{directory.RetentionCountMin, 0, 0},
		{directory.RetentionCountMin - 1, 0, directory.KindInvalid},
		{directory.RetentionCountMax, 0, 0},
		{directory.RetentionCountMax + 1, 0, directory.KindInvalid},
		{ok.Count, directory.RetentionDaysMin, 0},
		{ok.Count, directory.RetentionDaysMin - 1, directory.KindInvalid},
		{ok.Count, directory.RetentionDaysMax, 0},
		{ok.Count, directory.RetentionDaysMax + 1, directory.KindInvalid},
	} {
		err := w.try(&fsm.SetRetention{Retention: directory.Retention{Count: row.count, Days: row.days}})
		if directory.KindOf(err) != row.kind {
			t.Errorf("%d entries, %d days: %v", row.count, row.days, err)
		}
	}
}

// TestRefusalsAreRecordedAndBounded: at the bound they are, one past it they are
// counted, and the next window says how many.
func TestRefusalsAreRecordedAndBounded(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(1)})
	taken := user(1)
	taken.ID = id[directory.UserID](2)
	before := w.view().Events()
	for range state.RefusalsPerWindow {
		if err := w.try(&fsm.CreateUser{User: taken}); directory.KindOf(err) != directory.KindConflict {
			t.Fatal(err)
		}
	}
	e := w.last()
	if w.view().Events() != before+state.RefusalsPerWindow || !e.Refused || e.Type != directory.ChangeRefused ||
		e.Error != `user_name: "user-1" is taken` || e.Before+e.After != "" {
		t.Fatalf("%d entries, the last %+v", w.view().Events()-before, e)
	}
	for range 3 {
		w.try(&fsm.CreateUser{User: taken})
	}
	if w.view().Events() != before+state.RefusalsPerWindow {
		t.Error("refusals beyond the bound were recorded")
	}
	w.now += 60 * 60 * 1000
	w.try(&fsm.CreateUser{User: taken})
	if e := w.last(); e.Detail != " (3 earlier ones were not recorded)" {
		t.Errorf("%q", e.Detail)
	}
}

// TestRepeatedRequestLeavesNoSecondEntry, be it one that was done or refused, and
// is answered as before.
func TestRepeatedRequestLeavesNoSecondEntry(t *testing.T) {
	w := newWard(t)
	taken := user(1)
	taken.ID = id[directory.UserID](2)
	for n, u := range []directory.User{user(1), taken} {
		env := func() *fsm.Envelope {
			return &fsm.Envelope{Command: &fsm.CreateUser{User: u}, Request: id[directory.RequestID](n)}
		}
		first := w.send(env())[0]
		entries := w.view().Events()
		again := w.send(env())[0]
		if fmt.Sprint(again.Err) != fmt.Sprint(first.Err) || again.Outcome.Object != first.Outcome.Object || w.view().Events() != entries {
			t.Errorf("%v then %v, %d entries more", first, again, w.view().Events()-entries)
		}
	}
}

func TestRecordRefusal(t *testing.T) {
	w := newWard(t)
	con := directory.Actor{Kind: directory.ActorConnection, ID: id[directory.ConnectionID](1)}
	refusal := func(status uint16) error {
		return w.send(&fsm.Envelope{Actor: con, Source: "okta", Command: &fsm.RecordRefusal{
			Method: "PATCH", Class: "Users/{id}", Status: status, Detail: strings.Repeat("ü", 400),
		}})[0].Err
	}
	if directory.KindOf(refusal(400)) != directory.KindDenied {
		t.Error("a connection that is not there recorded a refusal")
	}
	w.must(&fsm.CreateConnection{Connection: directory.Connection{ID: con.ID, Provider: "okta"}})
	for status, want := range map[uint16]directory.Kind{399: directory.KindInvalid, 400: 0, 499: 0, 500: directory.KindInvalid} {
		if err := refusal(status); directory.KindOf(err) != want {
			t.Errorf("%d: %v", status, err)
		}
	}
	refusal(404)
	if e := w.last(); !e.Refused || e.Detail != "PATCH Users/{id}" || len(e.Error) != 512 || e.Actor != con || e.Source != "okta" {
		t.Errorf("%+v", e)
	}
	if err := w.try(&fsm.RecordRefusal{Status: 400}); err != nil {
		t.Error(err)
	}
}

func encoded(e *directory.Event) []byte { return codec.Encode(e) }

package fsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
)

func open(t *testing.T, storage state.Storage) *fsm.Machine {
	t.Helper()
	m, err := fsm.Open(storage)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// begin applies the entry that every cluster starts with: the first operator.
func begin(t *testing.T, m *fsm.Machine) {
	t.Helper()
	apply(t, m, fsm.Entry{Index: 1, Term: 1, Envelopes: []*fsm.Envelope{{
		Actor:   directory.Actor{Kind: directory.ActorNode},
		Command: &fsm.CreateOperator{Operator: directory.Operator{ID: operator.ID, Name: "root"}},
	}}})
}

// apply sends the entry through its bytes, as the log does.
func apply(t *testing.T, m *fsm.Machine, entries ...fsm.Entry) [][]fsm.Result {
	t.Helper()
	decoded := make([]fsm.Entry, len(entries))
	for i, e := range entries {
		decoded[i] = fsm.Entry{Index: e.Index, Term: e.Term}
		for _, env := range e.Envelopes {
			b, err := wire.Encode(env)
			if err != nil {
				t.Fatal(err)
			}
			back, err := wire.Decode(b)
			if err != nil {
				t.Fatal(err)
			}
			decoded[i].Envelopes = append(decoded[i].Envelopes, back)
		}
	}
	results, err := m.Apply(decoded)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// restore fills a machine with the stream of a root.
func restore(t *testing.T, m *fsm.Machine, root *state.Root) {
	t.Helper()
	var stream bytes.Buffer
	if err := fsm.WriteSnapshot(&stream, root); err != nil {
		t.Fatal(err)
	}
	if err := m.Restore(&stream); err != nil {
		t.Fatal(err)
	}
}

func sameDigest(t *testing.T, seed int64, ms ...*fsm.Machine) {
	t.Helper()
	for i, m := range ms[1:] {
		if m.Applied() != ms[0].Applied() || fsm.Digest(m.Root()) != fsm.Digest(ms[0].Root()) {
			t.Fatalf("seed %d: machine %d at %d differs from machine 0 at %d", seed, i+1, m.Applied(), ms[0].Applied())
		}
	}
}

// TestThreeMachinesAgree: one applies entry by entry, one in batches, one is
// closed and opened again or filled from another's stream at random points.
func TestThreeMachinesAgree(t *testing.T) {
	for seed := int64(1); seed <= 12; seed++ {
		rng := rand.New(rand.NewSource(seed))
		h := &history{rng: rng, now: 1_700_000_000_000}
		storage := disk.NewMemory()
		single, batched, reborn := open(t, disk.NewMemory()), open(t, disk.NewMemory()), open(t, storage)
		for _, m := range []*fsm.Machine{single, batched, reborn} {
			begin(t, m)
		}
		index := directory.Index(1)
		for range 60 {
			var entries []fsm.Entry
			for range 1 + rng.Intn(3) {
				index += directory.Index(1 + rng.Intn(2)) // the log has entries of its own
				e := fsm.Entry{Index: index, Term: 1}
				for range 1 + rng.Intn(4) {
					e.Envelopes = append(e.Envelopes, h.next())
				}
				entries = append(entries, e)
			}
			for _, e := range entries {
				apply(t, single, e)
			}
			apply(t, batched, entries...)
			apply(t, reborn, entries...)
			switch rng.Intn(4) {
			case 0:
				reborn = open(t, storage)
			case 1:
				restore(t, reborn, single.Root())
			}
			sameDigest(t, seed, single, batched, reborn)
			samePermissions(t, seed, single.Root(), reborn.Root())
		}
	}
}

// samePermissions: the index kept up in apply equals the one rebuilt from rows.
func samePermissions(t *testing.T, seed int64, a, b *state.Root) {
	t.Helper()
	a.EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		other, ok := b.Org(org.ID())
		if !ok {
			t.Fatalf("seed %d: %s is missing", seed, org.ID())
		}
		org.EachUser(directory.UserID{}, func(u *directory.User) bool {
			left, right := fmt.Sprint(org.Permissions().List(u.ID)), fmt.Sprint(other.Permissions().List(u.ID))
			if left != right {
				t.Fatalf("seed %d: %s has %s and after a reload %s", seed, u.UserName, left, right)
			}
			return true
		})
		return true
	})
}

func TestStreamThatWasCutOrChangedIsRefused(t *testing.T) {
	m := open(t, disk.NewMemory())
	begin(t, m)
	h := &history{rng: rand.New(rand.NewSource(3)), now: 1}
	for i := range 30 {
		apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: []*fsm.Envelope{h.next(), h.next()}})
	}
	var stream bytes.Buffer
	if err := fsm.WriteSnapshot(&stream, m.Root()); err != nil {
		t.Fatal(err)
	}
	whole := stream.Bytes()
	for range 200 {
		bad := bytes.Clone(whole)
		if h.rng.Intn(2) == 0 {
			bad = bad[:h.rng.Intn(len(bad))]
		} else {
			bad[h.rng.Intn(len(bad))] ^= byte(1 + h.rng.Intn(255))
		}
		fresh := open(t, disk.NewMemory())
		if err := fresh.Restore(bytes.NewReader(bad)); err == nil && fsm.Digest(fresh.Root()) != fsm.Digest(m.Root()) {
			t.Fatal("a changed stream was taken for the state")
		}
	}
}

func TestDamagedRowsAreFound(t *testing.T) {
	storage := disk.NewMemory()
	m := open(t, storage)
	begin(t, m)
	meta := m.Root().Meta()
	if err := storage.Commit(meta, []state.Write{{Key: append(make([]byte, 16), "jx"...), Value: []byte{0xa0}}}); err != nil {
		t.Fatal(err)
	}
	again, err := fsm.Open(storage)
	if !errors.Is(err, fsm.ErrDamaged) || again.Applied() != 0 {
		t.Fatalf("opened at %d with %v", again.Applied(), err)
	}
	begin(t, again) // replayed from the log
	sameDigest(t, 0, m, again)
	if reopened, err := fsm.Open(storage); err != nil || fsm.Digest(reopened.Root()) != fsm.Digest(m.Root()) {
		t.Fatalf("rows of the damaged state are still there: %v", err)
	}
}

func TestRightLostAtAnEntryIsNotUsableByTheNext(t *testing.T) {
	m := open(t, disk.NewMemory())
	begin(t, m)
	org := id[directory.OrgID](0)
	admin, role := id[directory.UserID](0), id[directory.RoleID](0)
	as := func(actor directory.Actor, c fsm.Command) *fsm.Envelope {
		return &fsm.Envelope{Org: org, Actor: actor, Required: directory.ManageUsers, Now: 1, Command: c}
	}
	user := directory.Actor{Kind: directory.ActorUser, ID: admin}
	setup := []*fsm.Envelope{
		{Actor: operator, Command: &fsm.CreateOrganization{Organization: directory.Organization{ID: org, Slug: "a", Name: "a"}, Key: directory.SigningKey{ID: "k"}}},
		as(operator, &fsm.CreateUser{User: directory.User{ID: admin, UserName: "admin", Active: true}}),
		as(operator, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "admin", Permissions: []directory.Permission{directory.ManageUsers}}}),
		as(operator, &fsm.AssignRole{ID: id[directory.AssignmentID](0), Role: role, User: admin}),
		as(user, &fsm.CreateUser{User: directory.User{ID: id[directory.UserID](1), UserName: "one", Active: true}}),
		as(operator, &fsm.SetUserActive{User: admin}),
		as(user, &fsm.CreateUser{User: directory.User{ID: id[directory.UserID](2), UserName: "two", Active: true}}),
	}
	results := apply(t, m, fsm.Entry{Index: 2, Term: 1, Envelopes: setup})[0]
	for i, r := range results[:6] {
		if r.Err != nil {
			t.Fatalf("step %d: %v", i, r.Err)
		}
	}
	if directory.KindOf(results[6].Err) != directory.KindDenied {
		t.Fatalf("a deactivated administrator created a user: %v", results[6].Err)
	}
}

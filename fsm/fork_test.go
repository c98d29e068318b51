package fsm_test

import (
	"fmt"
	"math/rand"
	"sync"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestForkIsWhatHappens: on random histories, a fork that is given the commands of
// the next entry has the same answers and the same sum as the machine after it, and
// the root that it was started from stays as it was.
func TestForkIsWhatHappens(t *testing.T) {
	for seed := int64(1); seed <= 8; seed++ {
		h := &history{rng: rand.New(rand.NewSource(seed)), now: 1_700_000_000_000}
		m := open(t, disk.NewMemory())
		begin(t, m)
		tried, refused := 0, 0
		for i := range 400 {
			var entry []*fsm.Envelope
			for range 1 + h.rng.Intn(3) {
				env := h.next()
				env.Request = directory.RequestID{}
				entry = append(entry, env)
			}
			root := m.Root()
			before := root.Meta().Sum
			org := entry[0].Org
			fork, ok := fsm.NewFork(root, org)
			var answers []string
			for _, env := range entry {
				switch env.Command.(type) {
				case fsm.SystemCommand, *fsm.VerifyDomain: // whether a domain is free, a fork cannot see
					ok = false
				}
				if env.Org != org {
					ok = false
				}
				if ok {
					answers = append(answers, fmt.Sprint(fork.Apply(env)))
				}
			}
			results := apply(t, m, fsm.Entry{Index: directory.Index(i + 2), Term: 1, Envelopes: entry})[0]
			if root.Meta().Sum != before {
				t.Fatalf("seed %d: the root moved", seed)
			}
			if !ok {
				continue
			}
			tried++
			after, _ := m.Root().Org(org)
			for n, r := range results {
				if r.Err != nil {
					refused++
				}
				if answers[n] != fmt.Sprint(r.Outcome, r.Err) {
					t.Fatalf("seed %d: %T answered %s in the fork and %v %v for real", seed, entry[n].Command, answers[n], r.Outcome, r.Err)
				}
			}
			if fork.View().Sum() != after.Sum() {
				t.Fatalf("seed %d: %T left another sum in the fork", seed, entry[0].Command)
			}
			sameOrg(t, fork.View(), after)
		}
		if tried < 50 || refused < 20 {
			t.Errorf("seed %d: %d entries were tried, %d commands refused", seed, tried, refused)
		}
	}
}

// sameOrg compares what two views of one organization give to everybody.
func sameOrg(t *testing.T, a, b *state.Org) {
	t.Helper()
	a.EachUser(directory.UserID{}, func(u *directory.User) bool {
		left, right := fmt.Sprint(a.Permissions().List(u.ID)), fmt.Sprint(b.Permissions().List(u.ID))
		if left != right {
			t.Fatalf("%s has %s and %s", u.UserName, left, right)
		}
		return true
	})
}

func TestForkKeepsToItsOrganization(t *testing.T) {
	w := newWard(t)
	fork, ok := fsm.NewFork(w.m.Root(), w.org)
	if !ok {
		t.Fatal("no fork of an organization that is there")
	}
	if _, ok := fsm.NewFork(w.m.Root(), id[directory.OrgID](9)); ok {
		t.Error("a fork of an organization that is not there")
	}
	if _, ok := fsm.NewFork(w.m.Root(), directory.OrgID{}); ok {
		t.Error("a fork of the instance")
	}
	command := &fsm.CreateUser{User: user(1)}
	if _, err := fork.Apply(&fsm.Envelope{Org: id[directory.OrgID](9), Actor: operator, Command: command}); directory.KindOf(err) != directory.KindNotFound {
		t.Errorf("another organization: %v", err)
	}
	if _, err := fork.Apply(&fsm.Envelope{Actor: operator, Command: &fsm.DeleteOrganization{ID: w.org}}); directory.KindOf(err) != directory.KindInvalid {
		t.Errorf("a command of the instance: %v", err)
	}
	nobody := directory.Actor{Kind: directory.ActorOperator, ID: id[directory.OperatorID](9)}
	if _, err := fork.Apply(&fsm.Envelope{Org: w.org, Actor: nobody, Command: command}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("an operator who is not there: %v", err)
	}
	if n := fork.View().Users(); n != 0 {
		t.Errorf("%d users", n)
	}
}

// TestForksWhileTheWriterApplies is for the race detector: many forks of the same
// roots, each with its views read by others, and a writer that goes on. A machine
// that saw no fork ends in the same digest.
func TestForksWhileTheWriterApplies(t *testing.T) {
	w, alone := newWard(t), newWard(t)
	for i := range 20 {
		w.must(&fsm.CreateUser{User: user(i)})
		alone.must(&fsm.CreateUser{User: user(i)})
	}
	var readers sync.WaitGroup
	done := make(chan struct{})
	for n := range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
					tryOut(t, w, n, i)
				}
			}
		})
	}
	for i := range 200 {
		group := directory.Group{ID: id[directory.GroupID](i), Name: fmt.Sprint("group ", i)}
		for _, ward := range []*ward{w, alone} {
			ward.must(&fsm.CreateGroup{Group: group, Members: []directory.UserID{user(i % 20).ID}})
			ward.must(&fsm.SetUserActive{User: user(i % 20).ID, Active: i%3 == 0})
		}
	}
	close(done)
	readers.Wait()
	sameDigest(t, 0, w.m, alone.m)
}

// tryOut changes a fork and reads it from another goroutine while it goes on.
func tryOut(t *testing.T, w *ward, n, i int) {
	root := w.m.Root()
	before := root.Meta().Sum
	fork, _ := fsm.NewFork(root, w.org)
	var reading sync.WaitGroup
	for step := range 4 {
		u := user(1_000 + 100*n + step)
		if _, err := fork.Apply(&fsm.Envelope{Org: w.org, Actor: operator, Now: w.now, Command: &fsm.CreateUser{User: u}}); err != nil {
			t.Errorf("fork %d: %v", i, err)
		}
		if _, err := fork.Apply(&fsm.Envelope{Org: w.org, Actor: operator, Now: w.now, Command: &fsm.DeleteUser{User: user(step).ID}}); err != nil {
			t.Errorf("fork %d: %v", i, err)
		}
		view := fork.View()
		reading.Go(func() {
			users := 0
			view.EachUser(directory.UserID{}, func(*directory.User) bool { users++; return true })
			if users != 20 || view.Users() != 20 {
				t.Errorf("a fork has %d users", users)
			}
		})
	}
	reading.Wait()
	if o, _ := root.Org(w.org); o.Users() != 20 || root.Meta().Sum != before {
		t.Error("a fork reached the root that it was started from")
	}
}

package fsm_test

import (
	"math/rand"
	"sync"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// TestRootAtAnswersForItsOwnStateOnly: whatever the batches, what is found at an
// index is what a machine that applies entry by entry had there.
func TestRootAtAnswersForItsOwnStateOnly(t *testing.T) {
	for seed := int64(1); seed <= 6; seed++ {
		rng := rand.New(rand.NewSource(seed))
		h := &history{rng: rng, now: 1_700_000_000_000}
		single, batched := open(t, disk.NewMemory()), open(t, disk.NewMemory())
		begin(t, single)
		begin(t, batched)
		sums := map[directory.Index]state.Sum{0: {}, 1: single.Root().Meta().Sum}
		index := directory.Index(1)
		for range 80 {
			var entries []fsm.Entry
			for range 1 + rng.Intn(3) {
				for range rng.Intn(3) { // indexes that the machine never sees
					index++
					sums[index] = single.Root().Meta().Sum
				}
				index++
				e := fsm.Entry{Index: index, Term: 1}
				for range rng.Intn(3) { // none: the log's own
					e.Envelopes = append(e.Envelopes, h.next())
				}
				apply(t, single, e)
				sums[index] = single.Root().Meta().Sum
				entries = append(entries, e)
			}
			apply(t, batched, entries...)
		}
		for i := range index + 3 {
			for _, m := range []*fsm.Machine{single, batched} {
				root, ok := m.RootAt(i)
				if ok != (i <= index) {
					t.Fatalf("seed %d: index %d of %d: found %v", seed, i, index, ok)
				}
				if ok && (root.Meta().Sum != sums[i] || root.Applied() > i) {
					t.Fatalf("seed %d: index %d is answered from another state, of index %d", seed, i, root.Applied())
				}
			}
		}
	}
}

// countingStorage remembers how many rows each commit wrote.
type countingStorage struct {
	*disk.Memory
	applied []directory.Index
	writes  []int
}

func (c *countingStorage) Commit(meta state.Meta, writes []state.Write) error {
	c.applied = append(c.applied, meta.Applied)
	c.writes = append(c.writes, len(writes))
	return c.Memory.Commit(meta, writes)
}

// TestKeptRootsAreBounded: the oldest root that is kept has at most so many writes
// after it, and the one before it had more.
func TestKeptRootsAreBounded(t *testing.T) {
	storage := &countingStorage{Memory: disk.NewMemory()}
	w := &ward{t: t, m: open(t, storage), org: id[directory.OrgID](0), now: 1_700_000_000_000, index: 1}
	begin(t, w.m)
	w.must(&fsm.CreateOrganization{
		Organization: directory.Organization{ID: w.org, Slug: "a", Name: "a", UserQuota: 100_000}, Key: directory.SigningKey{ID: "k"},
	})
	check := func() (kept int) {
		after := 0
		for i := len(storage.applied) - 1; i >= 0; i-- {
			_, ok := w.m.RootAt(storage.applied[i])
			if want := after <= fsm.KeptRowWritesMax && kept < fsm.RootsKept; ok != want {
				t.Fatalf("the root with %d roots and %d writes after it: kept %v", kept, after, ok)
			}
			if !ok {
				return kept
			}
			kept++
			after += storage.writes[i]
		}
		return kept
	}
	for i := range fsm.RootsKept + 10 { // three rows each: a description, its event and the log's place
		w.must(&fsm.DescribePermission{Permission: "read:a", Description: string(rune('a' + i%26))})
	}
	if kept := check(); kept != fsm.RootsKept {
		t.Fatalf("%d roots are kept", kept)
	}
	for size := 1; size < 3*fsm.KeptRowWritesMax; size *= 3 { // rows of one entry
		var members []directory.UserID
		var create []*fsm.Envelope
		for i := range size {
			u := user(1_000*size + i)
			members = append(members, u.ID)
			create = append(create, &fsm.Envelope{Command: &fsm.CreateUser{User: u}})
		}
		w.send(create...)
		check()
		w.must(&fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](size), Name: string(rune('a'+size%26)) + members[0].String()}, Members: members})
		check()
	}
	if kept := check(); kept >= 10 {
		t.Errorf("%d roots are kept after entries of %d rows", kept, fsm.KeptRowWritesMax)
	}
	if _, ok := w.m.RootAt(w.m.Applied()); !ok {
		t.Error("the newest root is not kept")
	}
}

// TestRestoredMachineKeepsNoRootOfBefore: what was there before a stream of
// another node's state came in is not this state's past.
func TestRestoredMachineKeepsNoRootOfBefore(t *testing.T) {
	w := newWard(t)
	other := newWard(t)
	for i := range 5 {
		w.must(&fsm.CreateUser{User: user(i)})
		other.must(&fsm.CreateUser{User: user(10 + i)})
	}
	before := w.m.Applied()
	restore(t, w.m, other.m.Root())
	if _, ok := w.m.RootAt(before - 1); ok {
		t.Error("a root of the replaced state is still answered from")
	}
	if root, ok := w.m.RootAt(before); !ok || fsm.Digest(root) != fsm.Digest(other.m.Root()) {
		t.Error("the restored root is not the newest")
	}
}

// TestRootAtWhileTheWriterApplies is for the race detector.
func TestRootAtWhileTheWriterApplies(t *testing.T) {
	w := newWard(t)
	w.must(&fsm.CreateUser{User: user(0)})
	var readers sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				newest := w.m.Applied()
				for back := range directory.Index(20) {
					root, ok := w.m.RootAt(newest - back)
					if !ok {
						continue
					}
					if o, ok := root.Org(w.org); ok && o.Users() > int(newest) {
						t.Errorf("%d users at index %d", o.Users(), newest-back)
					}
				}
			}
		})
	}
	for i := range 300 {
		w.must(&fsm.CreateUser{User: user(i + 1)})
	}
	close(done)
	readers.Wait()
}

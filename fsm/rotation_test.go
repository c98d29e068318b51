package fsm_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

func rotation(previous, next string) *fsm.StartRotation {
	return &fsm.StartRotation{Rotation: directory.Rotation{
		ID: next, Replaces: previous, Previous: []byte(previous), Next: []byte(next), Cross: []byte("cross"), Sealed: []byte("sealed"), Keep: time.Hour,
	}}
}

// TestRotation goes from phase to phase and leaves out none.
func TestRotation(t *testing.T) {
	w := newWard(t)
	w.must(rotation("a", "b"))
	refused := func(c fsm.Command, want directory.Kind) {
		t.Helper()
		if err := w.try(c); directory.KindOf(err) != want {
			t.Errorf("%+v: %v", c, err)
		}
	}
	move := func(id string, to directory.RotationPhase, early bool) *fsm.MoveRotation {
		return &fsm.MoveRotation{ID: id, To: to, Early: early}
	}
	refused(rotation("a", "c"), directory.KindConflict)
	refused(rotation("b", "c"), directory.KindConflict)
	refused(move("c", directory.RotationTrusted, false), directory.KindNotFound)
	for _, to := range []directory.RotationPhase{0, directory.RotationAnnounced, directory.RotationSigning, directory.RotationDone, directory.RotationDone + 1} {
		refused(move("b", to, true), directory.KindPrecondition)
	}
	w.must(move("b", directory.RotationTrusted, false))
	refused(move("b", directory.RotationDone, true), directory.KindPrecondition)
	w.must(move("b", directory.RotationSigning, false))
	r, ok := w.m.Root().System().Rotation()
	if !ok {
		t.Fatal("there is no rotation")
	}
	ends, _ := r.Ends()
	w.now = ends - 1
	refused(move("b", directory.RotationDone, false), directory.KindPrecondition)
	w.now = ends
	w.must(move("b", directory.RotationDone, false))
	r, _ = w.m.Root().System().Rotation()
	if r.Phase != directory.RotationDone || len(r.Sealed) > 0 || !bytes.Equal(r.Next, []byte("b")) {
		t.Errorf("%+v", r)
	}
	refused(move("b", directory.RotationDone+1, true), directory.KindPrecondition)
	w.must(rotation("b", "c")) // and again
	w.must(move("c", directory.RotationTrusted, false))
	w.must(move("c", directory.RotationSigning, false))
	w.must(move("c", directory.RotationDone, true)) // an operator does not wait
}

// TestRotationOfAnotherCluster: a rotation that came with a backup holds up none of the
// new cluster, whose CA has no part in it.
func TestRotationOfAnotherCluster(t *testing.T) {
	w := newWard(t)
	w.must(rotation("a", "b"))
	w.must(rotation("x", "y"))
	if r, _ := w.m.Root().System().Rotation(); r.ID != "y" || r.Phase != directory.RotationAnnounced {
		t.Errorf("%+v", r)
	}
}

func TestRotationLimits(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*directory.Rotation)
		sound  bool
	}{
		"at the limits": {func(r *directory.Rotation) {
			r.Previous, r.Keep = make([]byte, directory.AuthorityBytesMax), directory.RotationKeepMax
		}, true},
		"no time for clients":     {func(r *directory.Rotation) { r.Keep = 0 }, true},
		"no name":                 {func(r *directory.Rotation) { r.ID = "" }, false},
		"a long certificate":      {func(r *directory.Rotation) { r.Next = make([]byte, directory.AuthorityBytesMax+1) }, false},
		"no certificate":          {func(r *directory.Rotation) { r.Cross = nil }, false},
		"no key":                  {func(r *directory.Rotation) { r.Sealed = nil }, false},
		"too much time":           {func(r *directory.Rotation) { r.Keep = directory.RotationKeepMax + 1 }, false},
		"less than no time":       {func(r *directory.Rotation) { r.Keep = -1 }, false},
		"a name that is too long": {func(r *directory.Rotation) { r.ID = string(bytes.Repeat([]byte("x"), directory.AuthorityIDMax+1)) }, false},
	} {
		r := rotation("a", "b")
		c.change(&r.Rotation)
		if err := newWard(t).try(r); (err == nil) != c.sound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package effective

import (
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
)

func groups(t *testing.T, e *Editor, n int) {
	t.Helper()
	for i := range n {
		if err := e.PutGroup(id[directory.GroupID](i)); err != nil {
			t.Fatal(err)
		}
	}
}

func nest(e *Editor, parent, child int) error {
	_, err := e.Nest(id[directory.GroupID](parent), id[directory.GroupID](child))
	return err
}

func TestDepthOfNestingIsLimited(t *testing.T) {
	e := New().Edit()
	groups(t, e, NestingDepthMax+2)
	// Two chains that are joined in the middle, so that both sides count.
	middle := NestingDepthMax / 2
	for i := range NestingDepthMax {
		if i == middle {
			continue
		}
		if err := nest(e, i, i+1); err != nil {
			t.Fatal(err)
		}
	}
	if err := nest(e, middle, middle+1); err != nil {
		t.Fatalf("at the limit: %v", err)
	}
	if err := nest(e, NestingDepthMax, NestingDepthMax+1); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("one deeper: %v", err)
	}
	if got := e.Parents(id[directory.GroupID](NestingDepthMax + 1)); len(got) != 0 {
		t.Fatalf("a refused edge is there: %v", got)
	}
	if path := e.Path(id[directory.GroupID](NestingDepthMax), id[directory.GroupID](0)); len(path) != NestingDepthMax+1 {
		t.Fatalf("the path has %d groups", len(path))
	}
}

func TestNestingsAreLimitedAndCounted(t *testing.T) {
	e := New().Edit()
	groups(t, e, NestingsMax+2)
	for i := range NestingsMax {
		if err := nest(e, 0, i+1); err != nil {
			t.Fatal(err)
		}
	}
	last := NestingsMax + 1
	if err := nest(e, 0, last); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("one edge too many: %v", err)
	}
	mark := e.Mark()
	if err := e.DeleteGroup(id[directory.GroupID](1)); err != nil {
		t.Fatal(err)
	}
	if err := nest(e, 0, last); err != nil {
		t.Fatalf("the edges of a deleted group still count: %v", err)
	}
	e.Rollback(mark)
	if err := nest(e, 0, last); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("after the rollback: %v", err)
	}
}

// A group far below must not get more roles than a check can bear, and a refusal
// leaves every group as it was.
func TestInheritedRolesAreLimited(t *testing.T) {
	e := New().Edit()
	groups(t, e, 3)
	top, bottom := id[directory.GroupID](0), id[directory.GroupID](2)
	if err := nest(e, 0, 1); err != nil {
		t.Fatal(err)
	}
	if err := nest(e, 1, 2); err != nil {
		t.Fatal(err)
	}
	for i := range RolesPerGroupMax {
		r := id[directory.RoleID](i)
		e.PutRole(r, nil)
		holder := top
		if i%2 == 1 {
			holder = bottom
		}
		if _, err := e.AssignGroup(r, holder); err != nil {
			t.Fatalf("role %d: %v", i, err)
		}
	}
	more := id[directory.RoleID](RolesPerGroupMax)
	e.PutRole(more, nil)
	changed, err := e.AssignGroup(more, top)
	if changed || directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("one role too many below: changed %v, %v", changed, err)
	}
	if slices.Contains(e.GroupRoles(top), more) || slices.Contains(e.EffectiveGroupRoles(id[directory.GroupID](1)), more) {
		t.Fatal("a refused role was written")
	}
	if changed, err = e.AssignGroup(more, id[directory.GroupID](1)); changed || err == nil {
		t.Fatalf("in the middle: changed %v, %v", changed, err)
	}
	if _, err := e.Unnest(id[directory.GroupID](1), bottom); err != nil {
		t.Fatal(err)
	}
	if changed, err = e.AssignGroup(more, top); !changed || err != nil {
		t.Fatalf("without the lowest group: changed %v, %v", changed, err)
	}
	if err := nest(e, 1, 2); directory.KindOf(err) != directory.KindExhausted {
		t.Fatalf("nested again: %v", err)
	}
	if len(e.EffectiveGroupRoles(bottom)) != RolesPerGroupMax/2 {
		t.Fatal("a refused nesting gave roles")
	}
}

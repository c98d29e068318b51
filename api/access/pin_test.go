package access_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// Bounds of the package, which users of it rely on.
const (
	pinAge              = 10 * time.Minute
	pinsPerOrganization = 4
	pinsMax             = 128
)

// reader is one caller who reads a list of the first organization.
type reader struct {
	*world
	now time.Time
}

func newReader(t *testing.T) *reader {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	must(t, err)
	r := &reader{now: time.UnixMilli(1_700_000_000_000)}
	r.world = newWorldOn(t, machine, func() time.Time { return r.now })
	return r
}

func (r *reader) pass(i int) *access.Pass {
	r.t.Helper()
	pass, err := r.gate.Admit(r.t.Context(), r.caller(r.operator), r.orgs[i], "permissions.who", access.Freshness{})
	must(r.t, err)
	return pass
}

// write changes an organization and returns nothing that could pin it.
func (r *reader) write(i int) {
	r.t.Helper()
	pass, err := r.gate.Admit(r.t.Context(), r.caller(r.operator), r.orgs[i], "users.create", access.Freshness{})
	must(r.t, err)
	id := access.NewID[directory.UserID](time.Now())
	_, err = pass.Propose(r.t.Context(), &fsm.CreateUser{User: directory.User{ID: id, UserName: id.String(), Source: directory.SourceAPI}}, access.IdempotencyKey{})
	must(r.t, err)
}

// begin begins a list and returns the index that its cursor names.
func (r *reader) begin(i int) directory.Index {
	pass := r.pass(i)
	pass.Pin()
	return pass.View().Applied()
}

// TestPinnedViewAnswersItsIndex: later pages come from the state of the first,
// whatever is written meanwhile, until the pin is too old.
func TestPinnedViewAnswersItsIndex(t *testing.T) {
	r := newReader(t)
	index := r.begin(0)
	users := r.pass(0).View().Users()
	r.write(0)
	r.write(1)
	r.now = r.now.Add(pinAge)
	view, err := r.pass(0).At(index)
	if err != nil || view.Users() != users {
		t.Fatalf("at the limit of its age: %v, %v", view, err)
	}
	if _, err := r.pass(1).At(index); !errors.Is(err, access.ErrCursorExpired) {
		t.Errorf("another organization's pin: %v", err)
	}
	r.now = r.now.Add(1)
	if _, err := r.pass(0).At(index); !errors.Is(err, access.ErrCursorExpired) || directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("past its age: %v", err)
	}
	if _, err := r.pass(0).At(r.pass(0).View().Applied()); err != nil {
		t.Errorf("the newest index: %v", err)
	}
}

// TestPinsAreBounded: an organization pushes out its own oldest pin, never a
// neighbour's; one state is one pin, however many indexes it has.
func TestPinsAreBounded(t *testing.T) {
	r := newReader(t)
	neighbour := r.begin(1)
	var begun []directory.Index
	for range pinsPerOrganization {
		r.write(0)
		begun = append(begun, r.begin(0))
	}
	for range 20 { // the neighbour writes, so that the same state gets other indexes
		r.write(1)
		begun = append(begun, r.begin(0))
	}
	if pinned, dropped := r.gate.Pins(); pinned != pinsPerOrganization+1 || dropped != 0 {
		t.Fatalf("%d pinned, %d dropped", pinned, dropped)
	}
	for _, index := range begun {
		if _, err := r.pass(0).At(index); err != nil {
			t.Errorf("index %d: %v", index, err)
		}
	}
	r.write(0)
	r.begin(0)
	if _, err := r.pass(0).At(begun[0]); !errors.Is(err, access.ErrCursorExpired) {
		t.Errorf("the oldest beyond the limit: %v", err)
	}
	for _, index := range begun[1:] {
		if _, err := r.pass(0).At(index); err != nil {
			t.Errorf("index %d: %v", index, err)
		}
	}
	if _, err := r.pass(1).At(neighbour); err != nil {
		t.Errorf("the neighbour's: %v", err)
	}
	if pinned, dropped := r.gate.Pins(); pinned != pinsPerOrganization+1 || dropped != 1 {
		t.Errorf("%d pinned, %d dropped", pinned, dropped)
	}
	r.now = r.now.Add(pinAge + 1)
	r.gate.ForgetPins()
	if pinned, _ := r.gate.Pins(); pinned != 0 {
		t.Errorf("%d are pinned after their time", pinned)
	}
}

// TestPinsOfAllOrganizations: beyond the limit of all, the oldest goes.
func TestPinsOfAllOrganizations(t *testing.T) {
	r := newReader(t)
	first := r.begin(0)
	system, err := r.gate.AdmitSystem(t.Context(), r.caller(r.operator), "organizations.create", access.Freshness{})
	must(t, err)
	for i := range pinsMax {
		org, slug := access.NewID[directory.OrgID](time.Now()), fmt.Sprintf("other-%d", i)
		_, err := system.Propose(t.Context(), &fsm.CreateOrganization{
			Organization: directory.Organization{ID: org, Slug: slug, Name: slug},
			Key:          directory.SigningKey{ID: slug, State: directory.KeyActive},
		}, access.IdempotencyKey{}, "organizations.create")
		must(t, err)
		pass, err := r.gate.Admit(t.Context(), r.caller(r.operator), org, "permissions.who", access.Freshness{})
		must(t, err)
		pass.Pin()
	}
	if pinned, dropped := r.gate.Pins(); pinned != pinsMax || dropped != 1 {
		t.Errorf("%d pinned, %d dropped", pinned, dropped)
	}
	if _, err := r.pass(0).At(first); !errors.Is(err, access.ErrCursorExpired) {
		t.Errorf("the oldest: %v", err)
	}
}

// TestKeptRootAnswersAndIsPinned: a node that did not begin the list answers
// from a root that it keeps, and has it for the next page.
func TestKeptRootAnswersAndIsPinned(t *testing.T) {
	r := newReader(t)
	kept := map[directory.Index]*state.Root{r.gate.Root().Applied(): r.gate.Root()}
	r.gate.Keep(func(index directory.Index) (*state.Root, bool) { root, ok := kept[index]; return root, ok })
	index := r.gate.Root().Applied()
	r.write(0)
	for range 2 {
		if _, err := r.pass(0).At(index); err != nil {
			t.Fatal(err)
		}
		delete(kept, index) // the machine forgets it before the second page
	}
	if _, err := r.pass(1).At(index); !errors.Is(err, access.ErrCursorExpired) {
		t.Errorf("for another organization nothing was pinned: %v", err)
	}
}

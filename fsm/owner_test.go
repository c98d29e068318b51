package fsm_test

import (
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// estate is an organization whose owners are under test: user 0 owns lastingly.
func estate(t *testing.T) *ward {
	w := newWard(t)
	for n := range 4 {
		w.must(&fsm.CreateUser{User: user(n)})
	}
	w.must(&fsm.CreateUser{User: directory.User{ID: userID(5), UserName: "robot", Active: true, Service: true, Owner: userID(0)}})
	w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(1), Name: "boss", Permissions: []directory.Permission{
		directory.ManageOrganization, directory.ManageUsers, directory.ManageRoles, directory.ManageGroups,
	}}})
	w.must(&fsm.CreateGroup{Group: directory.Group{ID: groupID(1), Name: "board"}, Members: []directory.UserID{userID(3)}})
	w.own(0, 0)
	return w
}

// own makes a user an owner until a time.
func (w *ward) own(n int, until directory.Time) {
	w.t.Helper()
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](n), Role: roleID(1), User: userID(n), Expires: until})
}

// as tries a command of a user who manages everything.
func (w *ward) as(n int, c fsm.OrgCommand) error {
	w.t.Helper()
	actor := directory.Actor{Kind: directory.ActorUser, ID: userID(n)}
	return w.send(&fsm.Envelope{Actor: actor, Required: directory.ManageOrganization, Command: c})[0].Err
}

// TestTheLastLastingOwnerStays: who owns until some time, by a key's account or not
// at all is no reason to let the last other owner go.
func TestTheLastLastingOwnerStays(t *testing.T) {
	leave := func(n int) []fsm.OrgCommand {
		off := user(n)
		off.Active = false
		return []fsm.OrgCommand{
			&fsm.UnassignRole{Role: roleID(1), User: userID(n)},
			&fsm.SetUserActive{User: userID(n)},
			&fsm.UpdateUser{User: off},
			&fsm.DeleteUser{User: userID(n)},
			&fsm.AssignRole{ID: id[directory.AssignmentID](50), Role: roleID(1), User: userID(n), Expires: 1_800_000_000_000},
			&fsm.DeleteRole{Role: roleID(1)},
			&fsm.UpdateRole{Role: roleID(1), Remove: []directory.Permission{directory.ManageOrganization}},
		}
	}
	for _, row := range []struct {
		what   string
		others func(*ward)
		may    int // how many of the ways out are open: not the two that take it from everybody
	}{
		{"there is no other", func(*ward) {}, 0},
		{"another owns", func(w *ward) { w.own(1, 0) }, 5},
		{"another owns for now", func(w *ward) { w.own(1, w.now+1000) }, 0},
		{"another owns and is off", func(w *ward) { w.own(1, 0); w.must(&fsm.SetUserActive{User: userID(1)}) }, 0},
		{"a service account owns", func(w *ward) { w.own(5, 0) }, 0},
		{"a group owns", func(w *ward) {
			w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](9), Role: roleID(1), Group: groupID(1)})
		}, 5},
		{"a group owns for now", func(w *ward) {
			w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](9), Role: roleID(1), Group: groupID(1), Expires: w.now + 1000})
		}, 0},
		{"another owns for now and by a group", func(w *ward) {
			w.own(3, w.now+1000)
			w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](9), Role: roleID(1), Group: groupID(1)})
		}, 5},
	} {
		open := 0
		for i := range leave(0) {
			w := estate(t)
			row.others(w)
			switch err := w.as(0, leave(0)[i]); directory.KindOf(err) {
			case directory.KindPrecondition:
			case 0:
				if err == nil {
					open++
				}
			default:
				t.Errorf("%s: %v", row.what, err)
			}
		}
		if open != row.may {
			t.Errorf("%s: %d ways out are open, not %d", row.what, open, row.may)
		}
	}
}

// TestWhoOwnsForNowMayLetGoOnlyToSomebody: an organization that an operator has
// given to nobody for good is still owned.
func TestWhoOwnsForNowMayLetGoOnlyToSomebody(t *testing.T) {
	w := estate(t)
	w.own(1, w.now+1000)
	w.own(2, w.now+2000)
	w.must(&fsm.DeleteUser{User: userID(0)}) // an operator's word
	if err := w.as(1, &fsm.UnassignRole{Role: roleID(1), User: userID(1)}); err != nil {
		t.Errorf("one of two: %v", err)
	}
	if err := w.as(2, &fsm.UnassignRole{Role: roleID(1), User: userID(2)}); directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("the last one: %v", err)
	}
	w.now += 2000
	end := &fsm.ExpireGrants{Assignments: []directory.AssignmentID{id[directory.AssignmentID](2)}}
	if err := w.send(&fsm.Envelope{Actor: directory.Actor{Kind: directory.ActorNode}, Command: end})[0].Err; err != nil {
		t.Fatal(err)
	}
	if w.view().Permissions().Has(userID(2), directory.ManageOrganization) {
		t.Error("an end that an operator has set came and did not count")
	}
}

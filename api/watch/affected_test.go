package watch

import (
	"fmt"
	"slices"
	"testing"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// staff are n users of an organization.
func (w *world) staff(org directory.OrgID, n int) (ids []directory.UserID) {
	for i := range n {
		u := newUser(fmt.Sprint("staff-", i))
		ids = append(ids, u.User.ID)
		w.change(org, u)
	}
	return ids
}

// TestWhoseRightsAreTouched: an event names them, in groups that are in groups and by
// roles, up to 64; beyond, it says that it may be anybody.
func TestWhoseRightsAreTouched(t *testing.T) {
	w := newWorld(t, short)
	org := w.orgs[0]
	staff := w.staff(org, affectedMax+1)
	inner, outer, role := access.NewID[directory.GroupID](w.now()), access.NewID[directory.GroupID](w.now()), access.NewID[directory.RoleID](w.now())
	w.change(org, &fsm.CreateGroup{Group: directory.Group{ID: inner, Name: "inner"}, Members: staff[:2]})
	w.change(org, &fsm.CreateGroup{Group: directory.Group{ID: outer, Name: "outer"}, Members: staff[2:3]})
	w.change(org, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "reader", Permissions: []directory.Permission{"read:a"}}})
	some := func(ids ...directory.UserID) (texts []string) {
		for _, id := range ids {
			texts = append(texts, id.String())
		}
		slices.Sort(texts)
		return texts
	}
	steps := []struct {
		what      string
		change    fsm.OrgCommand
		want      []string
		everybody bool
	}{
		{"a group in a group", &fsm.NestGroup{Parent: outer, Child: inner}, some(staff[:2]...), false},
		{"a role for the outer group", &fsm.AssignRole{ID: directory.AssignmentID{1}, Role: role, Group: outer}, some(staff[:3]...), false},
		{"a role for a user", &fsm.AssignRole{ID: directory.AssignmentID{2}, Role: role, User: staff[3]}, some(staff[3]), false},
		{"the role has another permission", &fsm.UpdateRole{Role: role, Add: []directory.Permission{"read:b"}}, some(staff[:4]...), false},
		{"one leaves", &fsm.ChangeGroup{Group: inner, Remove: staff[:1]}, some(staff[0]), false},
		{"as many as can be named come", &fsm.ChangeGroup{Group: inner, Add: staff[1:]}, some(staff[2:]...), false},
		{"the role has one less, and all but one hold it", &fsm.UpdateRole{Role: role, Remove: []directory.Permission{"read:b"}}, some(staff[1:]...), false},
		{"the last comes back", &fsm.ChangeGroup{Group: inner, Add: staff[:1]}, some(staff[0]), false},
		{"the role has one less, and one too many hold it", &fsm.UpdateRole{Role: role, Remove: []directory.Permission{"read:a"}}, nil, true},
		{"nobody is touched", &fsm.DescribePermission{Permission: "read:a", Description: "a"}, nil, false},
		{"a group of too many is deleted", &fsm.DeleteGroup{Group: inner}, nil, true},
	}
	for _, step := range steps {
		index := w.change(org, step.change)
		f := dialects[0].follow(t, w.server, w.token, &authfiv1.WatchRequest{OrgId: org.String(), After: uint64(index - 1)})
		var named []string
		everybody := false
		for _, m := range takeUntil(t, f, typeHeartbeat) {
			named, everybody = append(named, m.GetUserIds()...), everybody || m.GetEverybody()
		}
		f.stop()
		w.streamEnds()
		if slices.Sort(named); everybody != step.everybody || !step.everybody && !slices.Equal(named, step.want) {
			t.Errorf("%s: %v, everybody %v, want %v", step.what, named, everybody, step.want)
		}
	}
}

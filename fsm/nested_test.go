package fsm_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// in lists the groups in a group by the numbers of their ids.
func (p *provision) in(parent int) (children []int) {
	for n := range 10 {
		if slices.Contains(p.view().Permissions().Children(id[directory.GroupID](parent)), id[directory.GroupID](n)) {
			children = append(children, n)
		}
	}
	return children
}

func groupIDs(numbers ...int) (ids []directory.GroupID) {
	for _, n := range numbers {
		ids = append(ids, id[directory.GroupID](n))
	}
	return ids
}

// TestGroupsAreMembersByDeltas: each row goes on where the one before has ended.
func TestGroupsAreMembersByDeltas(t *testing.T) {
	p := newProvision(t)
	idp, one := p.provider(), id[directory.GroupID](1)
	for n := 3; n <= 5; n++ {
		p.mustDo(idp, &fsm.CreateGroup{Group: directory.Group{
			ID: id[directory.GroupID](n), Name: fmt.Sprint(n), Source: directory.SourceSCIM, Connection: p.connection,
		}})
	}
	for _, row := range []struct {
		about  string
		change fsm.ChangeGroup
		in     []int
	}{
		{"added", fsm.ChangeGroup{AddNested: groupIDs(3, 4, 3)}, []int{3, 4}},
		{"added again", fsm.ChangeGroup{AddNested: groupIDs(3)}, []int{3, 4}},
		{"removed, and one that is not there", fsm.ChangeGroup{RemoveNested: groupIDs(3, 5, 9)}, []int{4}},
		{"replaced", fsm.ChangeGroup{SetNested: true, Nested: groupIDs(4, 5), RemoveNested: groupIDs(4), AddNested: groupIDs(3)}, []int{3, 5}},
		{"a new list of users leaves them", fsm.ChangeGroup{SetMembers: true}, []int{3, 5}},
		{"unknown, itself and a cycle are left out", fsm.ChangeGroup{SkipUnknown: true, AddNested: groupIDs(9, 1, 2, 4)}, []int{3, 4, 5}},
		{"replaced by nothing", fsm.ChangeGroup{SetNested: true}, nil},
	} {
		t.Run(row.about, func(t *testing.T) {
			if row.about == "unknown, itself and a cycle are left out" {
				p.mustDo(operator, &fsm.NestGroup{Parent: id[directory.GroupID](2), Child: one})
			}
			before := p.view()
			row.change.Group = one
			p.mustDo(idp, &row.change)
			if got := p.in(1); !slices.Equal(got, row.in) {
				t.Errorf("%v are in the group, want %v", got, row.in)
			}
			old, _ := before.Group(one)
			g, _ := p.view().Group(one)
			changed := !slices.Equal(before.Permissions().Children(one), p.view().Permissions().Children(one))
			if (g.Version != old.Version) != changed {
				t.Errorf("version %d became %d", old.Version, g.Version)
			}
		})
	}
	if slices.Contains(p.view().Permissions().Children(one), id[directory.GroupID](2)) {
		t.Error("a cycle was closed")
	}
}

func TestNestedMembersAreRefusedAsAWhole(t *testing.T) {
	p := newProvision(t)
	idp, one, two := p.provider(), id[directory.GroupID](1), id[directory.GroupID](2)
	user := []directory.UserID{id[directory.UserID](1)}
	p.refused("members", operator, &fsm.ChangeGroup{Group: one, AddNested: groupIDs(2)})
	p.refused("group_id", idp, &fsm.ChangeGroup{Group: one, Add: user, AddNested: groupIDs(2, 1)})
	for _, c := range []fsm.Command{
		&fsm.ChangeGroup{Group: one, Add: user, AddNested: groupIDs(9)},
		&fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](3), Name: "3"}, Groups: groupIDs(9)},
		&fsm.ChangeGroup{Group: one, AddNested: make([]directory.GroupID, fsm.MembersPerChangeMax+1)},
	} {
		if err := p.do(idp, c); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%T: %v", c, err)
		}
	}
	p.mustDo(idp, &fsm.ChangeGroup{Group: one, RemoveNested: make([]directory.GroupID, fsm.MembersPerChangeMax)})
	if p.view().Permissions().MemberCount(one) != 0 || p.in(1) != nil {
		t.Error("a refused change left a trace")
	}
	// Who is in a group that makes owners, an identity provider does not say.
	p.mustDo(operator, &fsm.CreateRole{Role: directory.Role{ID: id[directory.RoleID](2), Name: "owner", Permissions: []directory.Permission{directory.ManageOrganization}}})
	p.mustDo(operator, &fsm.AssignRole{ID: id[directory.AssignmentID](2), Role: id[directory.RoleID](2), Group: two})
	if err := p.do(idp, &fsm.ChangeGroup{Group: two, AddNested: groupIDs(1), SkipUnknown: true}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("got %v", err)
	}
	p.mustDo(operator, &fsm.NestGroup{Parent: two, Child: one})
	if err := p.do(idp, &fsm.ChangeGroup{Group: two, SetNested: true, SkipUnknown: true}); directory.KindOf(err) != directory.KindDenied {
		t.Errorf("got %v", err)
	}
}

func TestGroupIsCreatedWithGroupsInIt(t *testing.T) {
	p := newProvision(t)
	p.mustDo(p.provider(), &fsm.CreateGroup{
		Group:       directory.Group{ID: id[directory.GroupID](3), Name: "3", Source: directory.SourceSCIM, Connection: p.connection},
		SkipUnknown: true, Members: []directory.UserID{id[directory.UserID](1)}, Groups: groupIDs(1, 2, 9),
	})
	if got := p.in(3); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("%v are in the group", got)
	}
}

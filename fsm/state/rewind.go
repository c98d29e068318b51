package state

import (
	"fmt"
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
)

// PermissionsAt tells of an earlier index what one user was allowed, from the state
// and the organization's log: it undoes, newest first, what the entries since then
// say they changed. Of other users the result says nothing. An entry that does not
// tell enough of this user makes it refuse and name the entry: it never guesses.
func (o *Org) PermissionsAt(user directory.UserID, index directory.Index) (*effective.Index, error) {
	if index > o.applied {
		return nil, directory.Invalid("index", "the state is at index %d", o.applied)
	}
	log := o.AuditLog()
	if log.Anchor.Index > index {
		return nil, directory.Precondition("index", "the log reaches back to index %d", log.Anchor.Index)
	}
	r := rewind{editor: o.index.Edit(), user: user, groups: map[directory.GroupID]string{}, roles: map[directory.RoleID]string{}}
	_, r.there = o.User(user)
	var err error
	o.EachEventBefore(1<<64-1, 1<<32-1, func(e *directory.Event) bool {
		if e.Index <= index {
			return false
		}
		switch {
		case e.Type == directory.OrganizationCreated:
			err = directory.Precondition("index", "the organization is there since index %d", e.Index)
		case log.Telling == 0 || e.Seq < log.Telling:
			err = directory.Precondition("index", "entry %d of the log, index %d, is from before entries told of rights", e.Seq, e.Index)
		default:
			err = r.undo(e)
		}
		return err == nil
	})
	if err == nil {
		err = r.doubt()
	}
	if err != nil {
		return nil, err
	}
	return r.editor.Published(), nil
}

// rewind is on its way back.
type rewind struct {
	editor *effective.Editor
	user   directory.UserID
	there  bool // the user exists
	// Groups of which it is not known whether the user is in them, and roles whose
	// permissions are not known, with the reason.
	groups map[directory.GroupID]string
	roles  map[directory.RoleID]string
}

func (r *rewind) undo(e *directory.Event) error {
	var crowds []directory.Right // members who are not named
	for _, one := range e.Rights {
		if one.Kind == directory.RightMembers {
			crowds = append(crowds, one)
		}
	}
	for _, one := range slices.Backward(e.Rights) {
		if one.Kind == directory.RightUnnamed {
			return directory.Precondition("index", "entry %d of the log, index %d, does not name %d of its changes", e.Seq, e.Index, one.Count)
		}
		if err := r.undoOne(e, one, crowds); err != nil {
			return fmt.Errorf("entry %d of the log: undo %s: %w", e.Seq, one, err)
		}
	}
	return nil
}

func (r *rewind) undoOne(e *directory.Event, one directory.Right, crowds []directory.Right) error {
	switch one.Kind {
	case directory.RightUser, directory.RightActive:
		return r.undoUser(one)
	case directory.RightMember, directory.RightMembers:
		return r.undoMember(e, one, crowds)
	case directory.RightUserRole:
		if directory.UserID(one.To) != r.user {
			return nil
		}
		return undone(toggle(one.On, r.editor.UnassignUser, r.editor.AssignUser)(one.Of, one.To))
	case directory.RightGroupRole:
		return undone(toggle(one.On, r.editor.UnassignGroup, r.editor.AssignGroup)(one.Of, one.To))
	case directory.RightNested:
		return undone(toggle(one.On, r.editor.Unnest, r.editor.Nest)(one.Of, one.To))
	case directory.RightGroup:
		if !one.On {
			return r.editor.PutGroup(one.Of)
		}
		delete(r.groups, one.Of)
		return r.editor.DeleteGroup(one.Of)
	case directory.RightRole:
		if !one.On {
			return r.editor.PutRole(one.Of, nil)
		}
		delete(r.roles, one.Of)
		return r.editor.DeleteRole(one.Of)
	case directory.RightPermissions:
		return r.undoPermissions(e, one)
	}
	return fmt.Errorf("kind %d is not known", one.Kind)
}

// toggle chooses what undoes a change.
func toggle[F any](on bool, undoOn, undoOff F) F {
	if on {
		return undoOn
	}
	return undoOff
}

// undone wants that there was something to undo: what an entry says that it did
// must be there after it.
func undone(changed bool, err error) error {
	if err == nil && !changed {
		err = fmt.Errorf("it is not as the entry says")
	}
	return err
}

func (r *rewind) undoUser(one directory.Right) error {
	switch {
	case directory.UserID(one.Of) != r.user:
		return nil
	case one.Kind == directory.RightActive:
		return r.editor.SetActive(r.user, !one.On)
	case one.On:
		r.there = false
		clear(r.groups)
		return r.editor.DeleteUser(r.user)
	}
	r.there = true
	return r.editor.PutUser(r.user)
}

// undoMember looks at the rewound user alone. Of a crowd it is only known who is in
// the group afterwards: who is not has not joined, and who is has not left. Its
// changes and those of other members of the same group are in no known order.
func (r *rewind) undoMember(e *directory.Event, one directory.Right, crowds []directory.Right) error {
	group := directory.GroupID(one.Of)
	if one.Kind == directory.RightMember && directory.UserID(one.To) != r.user || !r.there {
		return nil
	}
	mixed := 0
	for _, crowd := range crowds {
		if crowd.Of == one.Of {
			mixed++
		}
	}
	if one.Kind == directory.RightMembers {
		mixed--
	}
	switch {
	case mixed > 0, one.Kind == directory.RightMembers && r.editor.IsMember(group, r.user) == one.On:
		r.groups[group] = fmt.Sprintf("entry %d of the log, index %d, does not name all whose membership of group %s it changed", e.Seq, e.Index, group)
		return nil
	case one.Kind == directory.RightMembers:
		return nil
	}
	_, uncertain := r.groups[group]
	delete(r.groups, group) // the entry says how it was
	changed, err := toggle(one.On, r.editor.RemoveMember, r.editor.AddMember)(group, r.user)
	return undone(changed || uncertain, err)
}

func (r *rewind) undoPermissions(e *directory.Event, one directory.Right) error {
	role := directory.RoleID(one.Of)
	if one.Count > 0 {
		r.roles[role] = fmt.Sprintf("entry %d of the log, index %d, does not name the %d permissions of role %s that it changed", e.Seq, e.Index, one.Count, role)
		return nil
	}
	now := r.editor.RolePermissions(role)
	if one.On {
		now = slices.DeleteFunc(now, func(p directory.Permission) bool { return slices.Contains(one.Permissions, p) })
	} else {
		now = append(now, one.Permissions...)
	}
	return r.editor.PutRole(role, now)
}

// doubt refuses when what is not known could matter to the user: a group that
// brings roles, or a role that the user has.
func (r *rewind) doubt() error {
	if !r.there {
		return nil
	}
	has := r.editor.DirectRoles(r.user)
	for _, g := range r.editor.Groups(r.user) {
		has = append(has, r.editor.EffectiveGroupRoles(g)...)
	}
	var reasons []string
	for group, why := range r.groups { // order-free: the reasons are sorted
		if len(r.editor.EffectiveGroupRoles(group)) > 0 {
			reasons = append(reasons, why)
		}
	}
	for role, why := range r.roles { // order-free: the reasons are sorted
		if slices.Contains(has, role) {
			reasons = append(reasons, why)
		}
	}
	if len(reasons) == 0 {
		return nil
	}
	slices.Sort(reasons)
	return directory.Precondition("index", "%s", reasons[0])
}

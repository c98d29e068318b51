package watch

import (
	"bytes"
	"maps"
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// affectedMax bounds the users that an event names: what costs a follower more than
// that is cheaper said of everybody.
const affectedMax = 64

// touched collects whose rights a change touches, and gives up beyond the bound.
type touched struct {
	view  *state.Org
	users map[directory.UserID]bool
	more  bool
}

// affected are the users whose rights an event touches, in the order of their ids, or
// everybody. It asks a view that is newer than the event: who has left a group since is
// named by the event of that, and who has come is named once too often.
func affected(view *state.Org, e *directory.Event) (users []directory.UserID, everybody bool) {
	if len(e.Rights) == 0 {
		return nil, false
	}
	t := &touched{view: view, users: map[directory.UserID]bool{}}
	for _, right := range e.Rights {
		if t.right(right); t.more {
			return nil, true
		}
	}
	users = slices.Collect(maps.Keys(t.users))
	slices.SortFunc(users, func(a, b directory.UserID) int { return bytes.Compare(a[:], b[:]) })
	return users, false
}

// right adds whom one change is about. A user who comes, goes or is switched off is the
// object of the event.
func (t *touched) right(r directory.Right) {
	switch r.Kind {
	case directory.RightMember, directory.RightUserRole:
		t.user(directory.UserID(r.To))
	case directory.RightNested, directory.RightGroupRole:
		t.group(directory.GroupID(r.To))
	case directory.RightPermissions:
		groups, users := t.view.Permissions().RoleHolders(directory.RoleID(r.Of))
		for _, u := range users {
			t.user(u)
		}
		for _, g := range groups {
			t.group(g)
		}
	case directory.RightUser, directory.RightActive, directory.RightGroup, directory.RightRole:
	default: // what is counted and not named
		t.more = true
	}
}

func (t *touched) user(id directory.UserID) {
	if t.users[id] = true; len(t.users) > affectedMax {
		t.more = true
	}
}

// group adds the members of a group and of those that are in it. One that is gone was
// said to have lost them.
func (t *touched) group(id directory.GroupID) {
	index := t.view.Permissions()
	for _, g := range append(index.Descendants(id), id) {
		if t.more = t.more || index.MemberCount(g) > affectedMax; t.more {
			return
		}
		index.EachMember(g, func(u directory.UserID) bool { t.user(u); return !t.more })
	}
}

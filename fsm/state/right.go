package state

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// rights collects what a command changes of who may do what, in order, within the
// bounds of an entry.
type rights struct {
	list    []directory.Right
	members map[side]uint32 // how many joined or left
	unnamed uint32
}

// side is one direction of the members of one group.
type side struct {
	group directory.GroupID
	on    bool
}

func (r *rights) add(one directory.Right) {
	if len(r.list) == directory.RightsPerEntryMax {
		r.unnamed++
		return
	}
	r.list = append(r.list, one)
}

// all are the changes. Where more members of a group changed than are named, the
// first of them stands for their number: a full push of a group is one line. The
// last line counts what is not there at all.
func (r *rights) all() (list []directory.Right) {
	counted := map[side]bool{}
	for _, one := range r.list {
		s := side{one.Of, one.On}
		if n := r.members[s]; one.Kind == directory.RightMember && n > directory.MembersPerRightsMax {
			if counted[s] {
				continue
			}
			counted[s] = true
			one = directory.Right{Kind: directory.RightMembers, On: one.On, Of: one.Of, Count: n}
		}
		list = append(list, one)
	}
	unnamed := r.unnamed
	for s, n := range r.members { // order-free: a sum
		if n > directory.MembersPerRightsMax && !counted[s] {
			unnamed += n - directory.MembersPerRightsMax // the others were added, and counted there
		}
	}
	if unnamed > 0 {
		list = append(list, directory.Right{Kind: directory.RightUnnamed, Count: unnamed})
	}
	return list
}

// row tells of a stored row before and after; nil where there was none.
func (r *rights) row(before, after any) {
	record := after
	if record == nil {
		record = before
	}
	switch now := record.(type) {
	case *directory.User, packedUser:
		r.user(userOf(before), userOf(after))
	case *directory.Group:
		r.begins(directory.RightGroup, now.ID, before, after)
		r.ends(directory.RightGroup, now.ID, after)
	case *directory.Role:
		r.begins(directory.RightRole, now.ID, before, after)
		r.permissions(now.ID, permissionsOf(before), permissionsOf(after))
		r.ends(directory.RightRole, now.ID, after)
	case *directory.Assignment:
		if (before == nil) == (after == nil) {
			return // another end
		}
		one := directory.Right{Kind: directory.RightUserRole, On: after != nil, Of: now.Role, To: now.User}
		if !now.Group.IsZero() {
			one.Kind, one.To = directory.RightGroupRole, now.Group
		}
		r.add(one)
	}
}

func (r *rights) user(before, after *directory.User) {
	was, is := before != nil && before.Active, after != nil && after.Active
	switch {
	case before == nil:
		r.add(directory.Right{Kind: directory.RightUser, On: true, Of: after.ID})
	case after == nil:
		defer r.add(directory.Right{Kind: directory.RightUser, Of: before.ID})
		after = before
	}
	if was != is {
		r.add(directory.Right{Kind: directory.RightActive, On: is, Of: after.ID})
	}
}

// userOf is a user's record as it is put or as it is kept; nil where there is none.
func userOf(record any) *directory.User {
	switch u := record.(type) {
	case *directory.User:
		return u
	case packedUser:
		return u.user()
	}
	return nil
}

// begins and ends frame what there is of an object: undone backwards, it is there
// for as long as something of it is.
func (r *rights) begins(kind directory.RightKind, id [16]byte, before, after any) {
	if before == nil && after != nil {
		r.add(directory.Right{Kind: kind, On: true, Of: id})
	}
}
func (r *rights) ends(kind directory.RightKind, id [16]byte, after any) {
	if after == nil {
		r.add(directory.Right{Kind: kind, Of: id})
	}
}

func permissionsOf(role any) []directory.Permission {
	if role == nil {
		return nil
	}
	return role.(*directory.Role).Permissions
}

// permissions tells what a role gained and lost; both lists are sorted.
func (r *rights) permissions(role directory.RoleID, before, after []directory.Permission) {
	for _, side := range []struct {
		on          bool
		list, other []directory.Permission
	}{{false, before, after}, {true, after, before}} {
		one := directory.Right{Kind: directory.RightPermissions, On: side.on, Of: role}
		size := 0
		for _, p := range side.list {
			if _, stays := slices.BinarySearch(side.other, p); !stays {
				one.Permissions = append(one.Permissions, p)
				size += len(p)
			}
		}
		if size > directory.PermissionsPerRightsMax {
			one.Count, one.Permissions = uint32(len(one.Permissions)), nil
		}
		if size > 0 {
			r.add(one)
		}
	}
}

// edge tells of a stored row that joins two objects.
func (r *rights) edge(key string, present bool) {
	one := directory.Right{Kind: directory.RightNested, On: present}
	copy(one.Of[:], key[1:])
	copy(one.To[:], key[1+len(one.Of):])
	if key[0] == tableNesting {
		r.add(one)
		return
	}
	one.Kind = directory.RightMember
	r.member(one)
}

// member adds as many members of a group as an entry names, and counts them.
func (r *rights) member(one directory.Right) {
	if r.members == nil {
		r.members = map[side]uint32{}
	}
	s := side{one.Of, one.On}
	if r.members[s]++; r.members[s] <= directory.MembersPerRightsMax {
		r.add(one)
	}
}

package effective

import (
	"cmp"
	"slices"

	"github.com/authfi/authfi/directory"
)

// ClosestLookedAtMax bounds the grants that one question compares: some
// milliseconds at 1,000 permissions each.
const ClosestLookedAtMax = 2_000

// Possible is a change that would give a user a permission: joining a group, or
// being given a role. Exactly one of Group and Role is set.
type Possible struct {
	Group  directory.GroupID
	Role   directory.RoleID
	Gained int // permissions that the user's roles would name then and do not now
}

// Closest names the changes that would give a permission to a user who lacks it,
// the least privilege first; of equal ones groups before roles, then by id. It
// answers as if the user were active. More says that there are further ones.
func (x *Index) Closest(id directory.UserID, p directory.Permission, limit int) (closest []Possible, more bool) {
	u := x.user(id)
	if u == nil || len(x.why(u, p)) > 0 {
		return nil, false
	}
	groups, roles := x.candidates(p)
	if len(groups) > ClosestLookedAtMax {
		groups, more = groups[:ClosestLookedAtMax], true
	}
	if room := ClosestLookedAtMax - len(groups); len(roles) > room {
		roles, more = roles[:room], true
	}
	held := newBits(x.perms.n)
	x.effectiveRoles(u, func(r uint32) { x.addPermissions(r, held) })
	for _, g := range groups {
		closest = append(closest, Possible{Group: g, Gained: x.gained(held, x.group(g).roles)})
	}
	for _, r := range roles {
		closest = append(closest, Possible{Role: r, Gained: x.gained(held, []uint32{x.role(r).ordinal})})
	}
	slices.SortStableFunc(closest, func(a, b Possible) int { return cmp.Compare(a.Gained, b.Gained) })
	if len(closest) > limit {
		closest, more = closest[:limit], true
	}
	return closest, more
}

// candidates are the groups whose effective roles grant a permission, and the
// roles that do, each in id order.
func (x *Index) candidates(p directory.Permission) (groups []directory.GroupID, roles []directory.RoleID) {
	granting, reached := newBits(x.roles.n), newBits(x.groups.n)
	for _, row := range x.granting(p) {
		if row != nil {
			bitSet(row.roles).each(granting.add)
		}
	}
	granting.each(func(r uint32) {
		row := x.roles.at(r)
		roles = append(roles, row.id)
		row.groups.each(func(g uint32) bool { reached.add(g); return true })
	})
	reached.each(func(g uint32) { groups = append(groups, x.groups.at(g).id) })
	return sorted(groups), sorted(roles)
}

func (x *Index) addPermissions(r uint32, to bitSet) {
	for _, p := range x.roles.at(r).perms {
		to.add(p)
	}
}

// gained counts what roles name and a set does not hold.
func (x *Index) gained(held bitSet, roles []uint32) (n int) {
	counted := bitSet(slices.Clone(held))
	for _, r := range roles {
		for _, p := range x.roles.at(r).perms {
			if !counted.has(p) {
				counted.add(p)
				n++
			}
		}
	}
	return n
}

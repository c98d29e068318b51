package effective

import (
	"slices"

	"github.com/authfi/authfi/directory"
)

// Nesting: everybody in a child has the roles of its parents. A group's row holds
// its effective roles, so that a check reads no more rows than without nesting; a
// change rewrites the rows of all groups below it, each from its own roles and its
// parents' rows. There are no counters that could drift.

// Nest makes child a member of parent and reports whether it was not before.
func (e *Editor) Nest(parentID, childID directory.GroupID) (bool, error) {
	parent, child, err := e.nestEnds(parentID, childID)
	if err != nil || hasOrdinal(child.parents, parent.ordinal) {
		return false, err
	}
	if err := e.mayNest(parent, child); err != nil {
		return false, err
	}
	return done(e.link(parent, child, true))
}

// Unnest takes child out of parent and reports whether it was in it.
func (e *Editor) Unnest(parentID, childID directory.GroupID) (bool, error) {
	parent, child, err := e.nestEnds(parentID, childID)
	if err != nil || !hasOrdinal(child.parents, parent.ordinal) {
		return false, err
	}
	return done(e.link(parent, child, false))
}

func (e *Editor) nestEnds(parentID, childID directory.GroupID) (parent, child *group, err error) {
	if parent, err = e.findGroup(parentID); err != nil {
		return nil, nil, err
	}
	child, err = e.findGroup(childID)
	return parent, child, err
}

// mayNest refuses a cycle, and what is above the limits.
func (e *Editor) mayNest(parent, child *group) error {
	cycle := false
	e.upwards(parent, func(g *group) bool {
		cycle = g.ordinal == child.ordinal
		return !cycle
	})
	switch {
	case cycle:
		return directory.Conflict("group_id", "%s contains %s already, and a group cannot contain itself", child.id, parent.id)
	case e.nestings >= NestingsMax:
		return directory.Exhausted("group_id", "the organization has %d nested groups", NestingsMax)
	case e.height(parent, (*group).above)+e.height(child, (*group).below)+1 > NestingDepthMax:
		return directory.Exhausted("group_id", "groups would be nested more than %d deep", NestingDepthMax)
	}
	return nil
}

// link writes both ends of an edge. The child's rewrite can be refused, so it
// comes first.
func (e *Editor) link(parent, child *group, on bool) error {
	if err := e.rewrite(child, func(changed *group) { changed.parents = with(changed.parents, parent.ordinal, on) }); err != nil {
		return err
	}
	changed := *e.groups.at(parent.ordinal)
	changed.children = with(changed.children, child.ordinal, on)
	e.setGroup(&changed)
	if on {
		e.nestings++
	} else {
		e.nestings--
	}
	return nil
}

// isolate takes a group out of all its parents and all its children out of it.
func (e *Editor) isolate(g *group) error {
	for _, c := range g.children {
		if _, err := e.Unnest(g.id, e.groups.at(c).id); err != nil {
			return err
		}
	}
	for _, p := range g.parents {
		if _, err := e.Unnest(e.groups.at(p).id, g.id); err != nil {
			return err
		}
	}
	return nil
}

// rewrite changes a group's own roles or parents and brings the effective roles of
// everything below up to that. It writes all rows or, when a group would have too
// many roles, none.
func (e *Editor) rewrite(g *group, change func(*group)) error {
	top := *g
	change(&top)
	rows := map[uint32]*group{g.ordinal: &top} // rows that will be written, by ordinal
	row := func(o uint32) *group {
		if changed, ok := rows[o]; ok {
			return changed
		}
		return e.groups.at(o)
	}
	for _, o := range e.belowInOrder(g) {
		old := row(o)
		if o != g.ordinal && !slices.ContainsFunc(old.parents, func(p uint32) bool { return rows[p] != nil }) {
			continue
		}
		roles := old.own
		for _, p := range old.parents {
			roles = union(roles, row(p).roles)
		}
		if o != g.ordinal && slices.Equal(roles, old.roles) {
			continue
		}
		if len(roles) > RolesPerGroupMax {
			return directory.Exhausted("roles", "group %s would have more than %d roles, with those that it inherits", old.id, RolesPerGroupMax)
		}
		changed := *old
		changed.roles = roles
		rows[o] = &changed
	}
	for o, changed := range rows { // order-free: each row is written once, and edges are sets
		before := e.groups.at(o)
		e.setGroup(changed)
		for _, r := range before.roles {
			if !hasOrdinal(changed.roles, r) {
				e.setRoleGroup(r, o, false)
			}
		}
		for _, r := range changed.roles {
			if !hasOrdinal(before.roles, r) {
				e.setRoleGroup(r, o, true)
			}
		}
	}
	return nil
}

// union of two sorted lists; one of them itself when the other adds nothing.
func union(a, b []uint32) []uint32 {
	if len(b) == 0 || slices.Equal(a, b) {
		return a
	}
	if len(a) == 0 {
		return b
	}
	both := make([]uint32, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			both, a = append(both, a[0]), a[1:]
		case a[0] > b[0]:
			both, b = append(both, b[0]), b[1:]
		default:
			both, a, b = append(both, a[0]), a[1:], b[1:]
		}
	}
	return append(append(both, a...), b...)
}

func (g *group) above() []uint32 { return g.parents }
func (g *group) below() []uint32 { return g.children }

// inOrder lists a group and all that is reached from it, each before whatever is
// reached from it.
func (x *Index) inOrder(g *group, next func(*group) []uint32) []uint32 {
	if len(next(g)) == 0 {
		return []uint32{g.ordinal}
	}
	// A walk with its own stack: depth is bounded by a limit, and not by what a
	// goroutine can hold.
	type place struct {
		g    *group
		next int
	}
	seen := map[uint32]bool{g.ordinal: true}
	stack, order := []place{{g: g}}, []uint32(nil)
	for len(stack) > 0 {
		at := &stack[len(stack)-1]
		if edges := next(at.g); at.next < len(edges) {
			o := edges[at.next]
			at.next++
			if !seen[o] {
				seen[o] = true
				stack = append(stack, place{g: x.groups.at(o)})
			}
			continue
		}
		order = append(order, at.g.ordinal)
		stack = stack[:len(stack)-1]
	}
	slices.Reverse(order)
	return order
}

func (x *Index) belowInOrder(g *group) []uint32 { return x.inOrder(g, (*group).below) }

// height is the number of edges on the longest way from a group.
func (x *Index) height(g *group, next func(*group) []uint32) (longest int) {
	if len(next(g)) == 0 {
		return 0
	}
	heights := map[uint32]int{}
	for _, o := range x.inOrder(g, next) {
		longest = max(longest, heights[o])
		for _, n := range next(x.groups.at(o)) {
			heights[n] = max(heights[n], heights[o]+1)
		}
	}
	return longest
}

// upwards walks a group and every group above it, each once, until visit says no.
// The nearest come first.
func (x *Index) upwards(g *group, visit func(*group) bool) {
	if !visit(g) || len(g.parents) == 0 {
		return
	}
	seen := map[uint32]bool{g.ordinal: true}
	for queue := g.parents; len(queue) > 0; {
		var further []uint32
		for _, o := range queue {
			if seen[o] {
				continue
			}
			seen[o] = true
			above := x.groups.at(o)
			if !visit(above) {
				return
			}
			further = append(further, above.parents...)
		}
		queue = further
	}
}

// Path is the shortest way from a group up to one that it is nested in, both of
// them on it; of equal ones the first by id. Nil when there is none.
func (x *Index) Path(member, group directory.GroupID) []directory.GroupID {
	from, to := x.group(member), x.group(group)
	if from == nil || to == nil {
		return nil
	}
	if from == to {
		return []directory.GroupID{member}
	}
	cameFrom := map[directory.GroupID]directory.GroupID{member: member}
	for queue := []directory.GroupID{member}; len(queue) > 0; {
		var further []directory.GroupID
		for _, at := range queue {
			for _, above := range x.Parents(at) {
				if _, seen := cameFrom[above]; seen {
					continue
				}
				cameFrom[above] = at
				further = append(further, above)
			}
		}
		if _, found := cameFrom[group]; found {
			return way(cameFrom, group)
		}
		queue = further
	}
	return nil
}

func way(cameFrom map[directory.GroupID]directory.GroupID, end directory.GroupID) []directory.GroupID {
	path := []directory.GroupID{end}
	for at := end; cameFrom[at] != at; {
		at = cameFrom[at]
		path = append(path, at)
	}
	slices.Reverse(path)
	return path
}

// Parents are the groups that a group is directly in, in id order.
func (x *Index) Parents(id directory.GroupID) []directory.GroupID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.groupIDs(g.parents)
}

// Children are the groups directly in a group, in id order.
func (x *Index) Children(id directory.GroupID) []directory.GroupID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.groupIDs(g.children)
}

// Descendants are all groups below a group, in id order.
func (x *Index) Descendants(id directory.GroupID) []directory.GroupID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.groupIDs(x.belowInOrder(g)[1:])
}

// Ancestors are all groups above a group, in id order.
func (x *Index) Ancestors(id directory.GroupID) (ids []directory.GroupID) {
	g := x.group(id)
	if g == nil {
		return nil
	}
	x.upwards(g, func(above *group) bool {
		if above != g {
			ids = append(ids, above.id)
		}
		return true
	})
	return sorted(ids)
}

func (x *Index) groupIDs(ordinals []uint32) []directory.GroupID {
	ids := make([]directory.GroupID, len(ordinals))
	for i, g := range ordinals {
		ids[i] = x.groups.at(g).id
	}
	return sorted(ids)
}

// EffectiveGroupRoles are a group's own roles and those of the groups above it, in
// id order.
func (x *Index) EffectiveGroupRoles(id directory.GroupID) []directory.RoleID {
	g := x.group(id)
	if g == nil {
		return nil
	}
	return x.roleIDs(g.roles)
}

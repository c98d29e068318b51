package state

import "github.com/authfi/authfi/directory"

// Groups of connections that share names may have one name. The group of the lowest
// id is found by it at once, and the others are rows of their own, which almost no
// organization has. Which is which follows from the groups alone, in whatever order
// they came.

func (tx *OrgTx) deriveGroupName(g *directory.Group) {
	name := directory.Fold(g.Name)
	first, taken := tx.firstNamed(name)
	switch {
	case !taken:
		tx.derive(textKey(derivedGroupName, name), g.ID)
	case compareIDs(g.ID, first) < 0:
		tx.derive(textKey(derivedGroupName, name), g.ID)
		tx.derive(textIDKey(derivedGroupNamed, name, first), nil)
	default:
		tx.derive(textIDKey(derivedGroupNamed, name, g.ID), nil)
	}
}

func (tx *OrgTx) underiveGroupName(g *directory.Group) {
	name := directory.Fold(g.Name)
	if first, _ := tx.firstNamed(name); first != g.ID {
		tx.underive(textIDKey(derivedGroupNamed, name, g.ID))
		return
	}
	var heir directory.GroupID
	tx.eachAlsoNamed(name, func(id directory.GroupID) bool { heir = id; return false })
	if heir.IsZero() {
		tx.underive(textKey(derivedGroupName, name))
		return
	}
	tx.underive(textIDKey(derivedGroupNamed, name, heir))
	tx.derive(textKey(derivedGroupName, name), heir)
}

// firstNamed is the group of the lowest id that has a folded name.
func (r *rows) firstNamed(name string) (directory.GroupID, bool) {
	v, ok := r.tree.Get(textKey(derivedGroupName, name))
	id, _ := v.(directory.GroupID)
	return id, ok
}

// eachAlsoNamed yields the others, in the order of their ids.
func (r *rows) eachAlsoNamed(name string, yield func(directory.GroupID) bool) {
	r.scan(textKey(derivedGroupNamed, name)+"\x00", "", func(key string, _ any) bool {
		return yield(idAtEnd[directory.GroupID](key))
	})
}

// GroupByName finds the first group of a name, without regard to case.
func (r *rows) GroupByName(name string) (*directory.Group, bool) {
	id, ok := r.firstNamed(directory.Fold(name))
	if !ok {
		return nil, false
	}
	return r.Group(id)
}

// EachGroupNamed walks all groups of a name, without regard to case, in the order of
// their ids.
func (r *rows) EachGroupNamed(name string, yield func(*directory.Group) bool) {
	if first, ok := r.GroupByName(name); !ok || !yield(first) {
		return
	}
	r.eachAlsoNamed(directory.Fold(name), func(id directory.GroupID) bool {
		g, ok := r.Group(id)
		return !ok || yield(g)
	})
}

// GroupNamesShared reports whether two groups have one name: then EachGroupByName
// does not show them all.
func (r *rows) GroupNamesShared() (shared bool) {
	r.scan(string(rune(derivedGroupNamed)), "", func(string, any) bool { shared = true; return false })
	return shared
}

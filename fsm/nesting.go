package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// NestGroup makes one group a member of another: everybody in the child gets
// the parent's roles. A cycle is refused here and not before the proposal: two
// edges, each fine alone, can close one together.
type NestGroup struct {
	Parent directory.GroupID `cbor:"1,keyasint"`
	Child  directory.GroupID `cbor:"2,keyasint"`
}

func (*NestGroup) Kind() Kind { return KindNestGroup }

func (c *NestGroup) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	parent, child, err := nested(tx, c.Parent, c.Child)
	if err != nil {
		return Outcome{}, err
	}
	if err := mayGiveGroup(tx, env, parent.ID); err != nil {
		return Outcome{}, err
	}
	added, err := tx.Nest(parent.ID, child.ID)
	if err != nil {
		return Outcome{}, err
	}
	if !added {
		return unchanged(parent.ID)
	}
	if err := mayChangeMembers(tx, env, parent, "id"); err != nil {
		return Outcome{}, err
	}
	return touchNesting(tx, env, e, parent, child, directory.GroupNested)
}

// UnnestGroup takes one group out of another.
type UnnestGroup struct {
	Parent directory.GroupID `cbor:"1,keyasint"`
	Child  directory.GroupID `cbor:"2,keyasint"`
}

func (*UnnestGroup) Kind() Kind { return KindUnnestGroup }

func (c *UnnestGroup) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	parent, child, err := nested(tx, c.Parent, c.Child)
	if err != nil {
		return Outcome{}, err
	}
	if err := mayTakeGroup(tx, env, parent.ID); err != nil {
		return Outcome{}, err
	}
	removed, err := tx.Unnest(parent.ID, child.ID)
	if err != nil {
		return Outcome{}, err
	}
	if !removed {
		return unchanged(parent.ID)
	}
	if err := mayChangeMembers(tx, env, parent, "id"); err != nil {
		return Outcome{}, err
	}
	return touchNesting(tx, env, e, parent, child, directory.GroupUnnested)
}

func nested(tx *state.OrgTx, parentID, childID directory.GroupID) (parent, child *directory.Group, err error) {
	parent, ok := tx.Group(parentID)
	if !ok {
		return nil, nil, directory.NotFound("group")
	}
	child, ok = tx.Group(childID)
	if !ok {
		return nil, nil, directory.Invalid("group_id", "no such group")
	}
	return parent, child, nil
}

// touchNesting names the child's row and those of all groups below it: the
// rights of everybody in them may have changed.
func touchNesting(tx *state.OrgTx, env *Envelope, e *effects, parent, child *directory.Group, typ directory.EventType) (Outcome, error) {
	g := *parent
	g.Modified, g.Version = env.Now, e.index
	if err := tx.PutGroup(&g); err != nil {
		return Outcome{}, err
	}
	e.event(typ, parent.ID, "%s in %s", child.Name, parent.Name)
	e.row(directory.RowGroup, parent.ID)
	groupRows(tx, e, child.ID)
	return changed(parent.ID)
}

// groupRows reports a group and everything nested in it.
func groupRows(tx *state.OrgTx, e *effects, id directory.GroupID) {
	e.row(directory.RowGroup, id)
	for _, g := range tx.Edges().Descendants(id) {
		e.row(directory.RowGroup, g)
	}
}

// nestedChange is memberChange for the groups in a group, in the same entry.
type nestedChange struct {
	group            *directory.Group
	env              *Envelope
	replace          bool
	set, remove, add []directory.GroupID
	skipUnknown      bool
	sentOnly         bool
	changed          int
}

func (n *nestedChange) apply(tx *state.OrgTx, e *effects) error {
	if len(n.set)+len(n.remove)+len(n.add) > MembersPerChangeMax {
		return directory.Invalid("members", "more than %d in one request", MembersPerChangeMax)
	}
	gone, joining := n.remove, n.add
	if n.replace {
		gone, joining = append(n.absent(tx), n.remove...), append(without(n.set, n.remove), n.add...)
	}
	for _, id := range gone {
		if err := n.drop(tx, e, id); err != nil {
			return err
		}
	}
	for _, id := range joining {
		if err := n.join(tx, e, id); err != nil {
			return err
		}
	}
	return nil
}

// absent are the groups in the group that a replacement does not name, in id order.
func (n *nestedChange) absent(tx *state.OrgTx) []directory.GroupID {
	return without(tx.Edges().Children(n.group.ID), n.set)
}

// without keeps the order of what is left.
func without(ids, out []directory.GroupID) (rest []directory.GroupID) {
	named := make(map[directory.GroupID]bool, len(out))
	for _, id := range out {
		named[id] = true
	}
	for _, id := range ids {
		if !named[id] {
			rest = append(rest, id)
		}
	}
	return rest
}

// join leaves out what would close a cycle where unknown members are left out, too:
// a provider that nests two groups in each other means no more than it says of
// either, and the rest of its push counts.
func (n *nestedChange) join(tx *state.OrgTx, e *effects, id directory.GroupID) error {
	child, ok := tx.Group(id)
	if !ok || n.sentOnly && !sentBy(n.env, child.Connection) {
		if n.skipUnknown {
			return nil
		}
		return directory.Invalid("members", "no such group %s", id)
	}
	if slices.Contains(tx.Edges().Parents(id), n.group.ID) {
		return nil
	}
	if err := mayGiveGroup(tx, n.env, n.group.ID); err != nil {
		return err
	}
	added, err := tx.Nest(n.group.ID, id)
	if n.skipUnknown && directory.KindOf(err) == directory.KindConflict {
		return nil
	}
	if added {
		n.note(tx, e, child, directory.GroupNested)
	}
	return err
}

func (n *nestedChange) drop(tx *state.OrgTx, e *effects, id directory.GroupID) error {
	child, ok := tx.Group(id)
	if !ok || !slices.Contains(tx.Edges().Parents(id), n.group.ID) {
		return nil
	}
	if err := mayTakeGroup(tx, n.env, n.group.ID); err != nil {
		return err
	}
	removed, err := tx.Unnest(n.group.ID, id)
	if removed {
		n.note(tx, e, child, directory.GroupUnnested)
	}
	return err
}

func (n *nestedChange) note(tx *state.OrgTx, e *effects, child *directory.Group, typ directory.EventType) {
	n.changed++
	e.event(typ, n.group.ID, "%s in %s", child.Name, n.group.Name)
	groupRows(tx, e, child.ID)
}

package fsm

import (
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

package fsm

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// SetConnectionMappings replaces which roles the groups of a connection have, and
// gives those of new mappings to its groups that are there already. It takes no role away
// from a group that has it: that is said by unassigning it.
type SetConnectionMappings struct {
	ID        directory.ConnectionID `cbor:"1,keyasint"`
	Mappings  []directory.Mapping    `cbor:"2,keyasint,omitempty"`
	IfVersion directory.Index        `cbor:"3,keyasint,omitempty"`
}

func (*SetConnectionMappings) Kind() Kind { return KindSetConnectionMappings }

func (c *SetConnectionMappings) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Connection(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("connection")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the connection has changed since it was read")
	}
	if len(c.Mappings) > directory.MappingsMax {
		return Outcome{}, directory.Invalid("mappings", "more than %d", directory.MappingsMax)
	}
	if slices.Equal(c.Mappings, old.Mappings) {
		return unchanged(c.ID)
	}
	for i := range c.Mappings {
		if err := mayMap(tx, env, old, &c.Mappings[i]); err != nil {
			return Outcome{}, err
		}
	}
	con := *old
	con.Mappings = slices.Clone(c.Mappings)
	out, err := replaceConnection(tx, e, &con, "mappings")
	if err != nil {
		return Outcome{}, err
	}
	for i := range con.Mappings {
		// One that stands has given its role, and who may keep it need not be able to
		// give it back to a group from which it was taken.
		if slices.Contains(old.Mappings, con.Mappings[i]) {
			continue
		}
		if err := mapPresent(tx, env, e, &con, &con.Mappings[i]); err != nil {
			return Outcome{}, err
		}
	}
	return out, nil
}

// mayMap: a mapping assigns a role, to people whom the provider chooses. So whoever
// writes one must be able to assign it, and nobody maps ownership. One that stands
// already may stay, whoever changes the others.
func mayMap(tx *state.OrgTx, env *Envelope, con *directory.Connection, m *directory.Mapping) error {
	if err := m.Check(); err != nil {
		return err
	}
	r, ok := tx.Role(m.Role)
	if !ok {
		return directory.Invalid("mappings", "no such role %s", m.Role)
	}
	if confers(r.Permissions) {
		return directory.Denied("an identity provider cannot make anybody an owner: %s cannot be mapped", r.Name)
	}
	if slices.Contains(con.Mappings, *m) {
		return nil
	}
	user, delegated := delegate(tx, env)
	if delegated && !holds(tx, env, user, directory.ManageRoles) && !holds(tx, env, user, directory.ManageOrganization) {
		return directory.Denied("a mapping assigns a role, which takes %s", directory.ManageRoles)
	}
	return mayGiveRole(tx, env, m.Role)
}

// mapPresent gives the role to the groups that a mapping names and the connection
// has sent before.
func mapPresent(tx *state.OrgTx, env *Envelope, e *effects, con *directory.Connection, m *directory.Mapping) error {
	var found []*directory.Group
	if m.ExternalID != "" {
		tx.EachGroupByExternalID(m.ExternalID, func(g *directory.Group) bool { found = append(found, g); return true })
	} else {
		tx.EachGroupNamed(m.Name, func(g *directory.Group) bool { found = append(found, g); return true })
	}
	for _, g := range found {
		if g.Connection != con.ID {
			continue
		}
		if err := giveMapped(tx, env, e, con, g, m.Role); err != nil {
			return err
		}
	}
	return nil
}

// mapped gives a group that its connection makes or renames the roles that the
// mappings name for what it is now, and takes those away that were mapped to the
// name which it had. What somebody else has assigned stays.
func mapped(tx *state.OrgTx, env *Envelope, e *effects, old, g *directory.Group) error {
	con, ok := tx.Connection(g.Connection)
	if !ok || env.Actor.Kind != directory.ActorConnection || directory.ConnectionID(env.Actor.ID) != con.ID {
		return nil
	}
	var now []directory.RoleID
	for i := range con.Mappings {
		if m := &con.Mappings[i]; m.Matches(g) {
			now = append(now, m.Role)
			if err := giveMapped(tx, env, e, con, g, m.Role); err != nil {
				return err
			}
		}
	}
	if old == nil {
		return nil
	}
	for i := range con.Mappings {
		m := &con.Mappings[i]
		if m.Name == "" || !m.Matches(old) || slices.Contains(now, m.Role) {
			continue
		}
		if err := takeMapped(tx, e, con, g, m.Role); err != nil {
			return err
		}
	}
	return nil
}

// giveMapped assigns a role to a group in the connection's name. A role that is
// gone, or has come to make owners, is left out: the provider's group must not wait
// for whoever looks after the mappings.
func giveMapped(tx *state.OrgTx, env *Envelope, e *effects, con *directory.Connection, g *directory.Group, role directory.RoleID) error {
	r, ok := tx.Role(role)
	if !ok || confers(r.Permissions) {
		return nil
	}
	if _, has := tx.AssignmentOf(role, directory.UserID{}, g.ID); has {
		return nil
	}
	a := &directory.Assignment{
		ID: mappedID(env, e, g.ID, role), Role: role, Group: g.ID, Created: env.Now, By: byConnection(con),
	}
	if err := tx.PutAssignment(a); err != nil {
		return err
	}
	e.event(directory.RoleAssigned, r.ID, "%s to %s, by a mapping of %s", r.Name, g.Name, con.ID)
	groupRows(tx, e, g.ID)
	return nil
}

func takeMapped(tx *state.OrgTx, e *effects, con *directory.Connection, g *directory.Group, role directory.RoleID) error {
	a, ok := tx.AssignmentOf(role, directory.UserID{}, g.ID)
	if !ok || a.By != byConnection(con) {
		return nil
	}
	if err := tx.DeleteAssignment(a); err != nil {
		return err
	}
	if r, ok := tx.Role(role); ok {
		e.event(directory.RoleUnassigned, r.ID, "%s from %s, which has another name", r.Name, g.Name)
	}
	groupRows(tx, e, g.ID)
	return nil
}

// byConnection is who has assigned what a mapping gives. A connection assigns
// nothing in any other way.
func byConnection(con *directory.Connection) directory.Actor {
	return directory.Actor{Kind: directory.ActorConnection, ID: con.ID}
}

// mappedID names an assignment that no proposal has named: a time in front as in
// all ids, then what no other assignment has, the same on every node.
func mappedID(env *Envelope, e *effects, g directory.GroupID, role directory.RoleID) (id directory.AssignmentID) {
	var seed []byte
	seed = binary.BigEndian.AppendUint64(seed, uint64(e.index))
	seed = binary.BigEndian.AppendUint32(seed, e.ordinal)
	sum := sha256.Sum256(append(append(seed, g[:]...), role[:]...))
	binary.BigEndian.PutUint64(id[:8], uint64(env.Now)<<16)
	copy(id[6:], sum[:])
	return id
}

package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// MembersPerChangeMax bounds one entry: 100,000 ids are 1.6 MB, the largest
// full push that facts have seen of one group.
const MembersPerChangeMax = 100_000

// CreateGroup adds a group whose name is free, with its first members.
type CreateGroup struct {
	Group       directory.Group    `cbor:"1,keyasint"`
	Members     []directory.UserID `cbor:"2,keyasint,omitempty"`
	SkipUnknown bool               `cbor:"3,keyasint,omitempty"`
	// Groups are nested in the new one.
	Groups []directory.GroupID `cbor:"4,keyasint,omitempty"`
	// SentOnly: who was not sent by the connection that asks is unknown to it.
	SentOnly bool `cbor:"5,keyasint,omitempty"`
}

func (*CreateGroup) Kind() Kind { return KindCreateGroup }

func (c *CreateGroup) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	g := c.Group
	if err := g.Check(); err != nil {
		return Outcome{}, err
	}
	if _, taken := tx.Group(g.ID); taken {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if _, taken := tx.GroupByName(g.Name); taken && !sharesNames(tx, env, &g) {
		return Outcome{}, directory.Conflict("name", "%q is taken", g.Name)
	}
	g.Created, g.Modified, g.Version = env.Now, env.Now, e.index
	if err := tx.PutGroup(&g); err != nil {
		return Outcome{}, err
	}
	e.event(directory.GroupCreated, g.ID, "%s", g.Name)
	e.row(directory.RowGroup, g.ID)
	if err := mapped(tx, env, e, nil, &g); err != nil {
		return Outcome{}, err
	}
	change := memberChange{group: &g, env: env, skipUnknown: c.SkipUnknown, sentOnly: c.SentOnly, add: c.Members}
	if err := change.apply(tx, e); err != nil {
		return Outcome{}, err
	}
	nested := nestedChange{group: &g, env: env, skipUnknown: c.SkipUnknown, sentOnly: c.SentOnly, add: c.Groups}
	if err := nested.apply(tx, e); err != nil {
		return Outcome{}, err
	}
	return changed(g.ID)
}

// ChangeGroup changes fields and members of a group as deltas against the state
// at apply: two changes that were made at the same time both count. Set, when
// SetMembers is true, replaces all users first; then Remove, then Add. SetNested and
// what belongs to it do the same for the groups that are nested in it.
type ChangeGroup struct {
	Group       directory.GroupID  `cbor:"1,keyasint"`
	Name        *string            `cbor:"2,keyasint,omitempty"`
	Description *string            `cbor:"3,keyasint,omitempty"`
	ExternalID  *string            `cbor:"4,keyasint,omitempty"`
	SetMembers  bool               `cbor:"5,keyasint,omitempty"`
	Set         []directory.UserID `cbor:"6,keyasint,omitempty"`
	Remove      []directory.UserID `cbor:"7,keyasint,omitempty"`
	Add         []directory.UserID `cbor:"8,keyasint,omitempty"`
	SkipUnknown bool               `cbor:"9,keyasint,omitempty"` // unknown users and groups, and what would close a cycle, are left out instead of refusing the change
	IfVersion   directory.Index    `cbor:"10,keyasint,omitempty"`

	SetNested    bool                `cbor:"11,keyasint,omitempty"`
	Nested       []directory.GroupID `cbor:"12,keyasint,omitempty"`
	RemoveNested []directory.GroupID `cbor:"13,keyasint,omitempty"`
	AddNested    []directory.GroupID `cbor:"14,keyasint,omitempty"`

	// SentOnly: who was not sent by the connection that asks is unknown to it. They can
	// be removed, for what takes rights away must not depend on who is seen.
	SentOnly bool `cbor:"15,keyasint,omitempty"`
}

func (*ChangeGroup) Kind() Kind { return KindChangeGroup }

func (c *ChangeGroup) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.Group(c.Group)
	if !ok {
		return Outcome{}, directory.NotFound("group")
	}
	if c.IfVersion != 0 && c.IfVersion != old.Version {
		return Outcome{}, directory.Precondition("version", "the group has changed since it was read")
	}
	g := *old
	c.fields(&g)
	renamed := g != *old
	if renamed {
		if err := g.Check(); err != nil {
			return Outcome{}, err
		}
		if !freeName(tx, env, old, &g) {
			return Outcome{}, directory.Conflict("name", "%q is taken", g.Name)
		}
		e.event(directory.GroupUpdated, g.ID, "%s", g.Name)
	}
	others, err := c.members(tx, env, e, &g)
	if err != nil {
		return Outcome{}, err
	}
	if !renamed && !others {
		return unchanged(g.ID)
	}
	if err := mayWriteGroup(tx, env, old, &g); err != nil {
		return Outcome{}, err
	}
	if others {
		if err := mayChangeMembers(tx, env, old, "members"); err != nil {
			return Outcome{}, err
		}
	}
	g.Modified, g.Version = env.Now, e.index
	if err := tx.PutGroup(&g); err != nil {
		return Outcome{}, err
	}
	if renamed {
		if err := mapped(tx, env, e, old, &g); err != nil {
			return Outcome{}, err
		}
	}
	e.row(directory.RowGroup, g.ID)
	return changed(g.ID)
}

// freeName reports whether a group may have the name that it is to have. What it is
// called already it may keep, even where that is shared and may not be any more.
func freeName(tx *state.OrgTx, env *Envelope, old, g *directory.Group) bool {
	if directory.Fold(g.Name) == directory.Fold(old.Name) {
		return true
	}
	_, taken := tx.GroupByName(g.Name)
	return !taken || sharesNames(tx, env, g)
}

// sharesNames reports whether a group may have the name of another: its connection
// says so of those that it sends.
func sharesNames(tx *state.OrgTx, env *Envelope, g *directory.Group) bool {
	con, ok := tx.Connection(g.Connection)
	return ok && con.Switches.SharesNames && sentBy(env, con.ID)
}

// sentBy reports whether the actor is the connection.
func sentBy(env *Envelope, by directory.ConnectionID) bool {
	return env.Actor.Kind == directory.ActorConnection && directory.ConnectionID(env.Actor.ID) == by
}

// members reports whether others are in the group now.
func (c *ChangeGroup) members(tx *state.OrgTx, env *Envelope, e *effects, g *directory.Group) (bool, error) {
	users := memberChange{
		group: g, env: env, skipUnknown: c.SkipUnknown, sentOnly: c.SentOnly,
		replace: c.SetMembers, set: c.Set, remove: c.Remove, add: c.Add,
	}
	if err := users.apply(tx, e); err != nil {
		return false, err
	}
	groups := nestedChange{
		group: g, env: env, skipUnknown: c.SkipUnknown, sentOnly: c.SentOnly,
		replace: c.SetNested, set: c.Nested, remove: c.RemoveNested, add: c.AddNested,
	}
	err := groups.apply(tx, e)
	return users.joined+users.left+groups.changed > 0, err
}

// mayWriteGroup is mayWrite for groups: a provider sends the name and its id of
// the group. Nobody but us has the description.
func mayWriteGroup(tx *state.OrgTx, env *Envelope, old, g *directory.Group) error {
	if !claimed(tx, env, old.Connection) {
		return nil
	}
	if g.Name != old.Name {
		return directory.Conflict("name", "is owned by %s; change it there", old.Connection)
	}
	if g.ExternalID != old.ExternalID {
		return directory.Conflict("external_id", "is owned by %s; change it there", old.Connection)
	}
	return nil
}

// mayChangeMembers: who is in a group, be it by a group in it, is the provider's
// that sends the group. The roles given to it are not, nor what it is itself
// nested in, nor whether it is there at all: what takes rights away never has to
// wait for the provider.
func mayChangeMembers(tx *state.OrgTx, env *Envelope, g *directory.Group, field string) error {
	if !claimed(tx, env, g.Connection) {
		return nil
	}
	return directory.Conflict(field, "the group's members are owned by %s; change them there", g.Connection)
}

func (c *ChangeGroup) fields(g *directory.Group) {
	if c.Name != nil {
		g.Name = *c.Name
	}
	if c.Description != nil {
		g.Description = *c.Description
	}
	if c.ExternalID != nil {
		g.ExternalID = *c.ExternalID
	}
}

// memberChange applies member deltas and counts what really changed.
type memberChange struct {
	group            *directory.Group
	env              *Envelope
	replace          bool
	set, remove, add []directory.UserID
	skipUnknown      bool
	sentOnly         bool
	joined, left     int
}

func (m *memberChange) apply(tx *state.OrgTx, e *effects) error {
	if len(m.set)+len(m.remove)+len(m.add) > MembersPerChangeMax {
		return directory.Invalid("members", "more than %d in one request", MembersPerChangeMax)
	}
	if err := m.replaceAll(tx, e); err != nil {
		return err
	}
	for _, u := range m.remove {
		if err := m.drop(tx, e, u); err != nil {
			return err
		}
	}
	for _, u := range m.add {
		if err := m.join(tx, e, u); err != nil {
			return err
		}
	}
	if m.joined+m.left > 0 {
		e.event(directory.GroupMembersChanged, m.group.ID, "%s: %d joined, %d left", m.group.Name, m.joined, m.left)
	}
	return nil
}

// replaceAll leaves members who stay untouched, so that a full push of an
// unchanged group changes nothing.
func (m *memberChange) replaceAll(tx *state.OrgTx, e *effects) error {
	if !m.replace {
		return nil
	}
	keep := make(map[directory.UserID]bool, len(m.set))
	for _, u := range m.set {
		keep[u] = true
	}
	var gone []directory.UserID
	tx.Edges().EachMember(m.group.ID, func(u directory.UserID) bool {
		if !keep[u] {
			gone = append(gone, u)
		}
		return true
	})
	for _, u := range gone {
		if err := m.drop(tx, e, u); err != nil {
			return err
		}
	}
	for _, u := range m.set {
		if err := m.join(tx, e, u); err != nil {
			return err
		}
	}
	return nil
}

func (m *memberChange) join(tx *state.OrgTx, e *effects, u directory.UserID) error {
	if !m.knows(tx, u) {
		if m.skipUnknown {
			return nil
		}
		return directory.Invalid("members", "no such user %s", u)
	}
	if m.joined == 0 && !tx.Edges().IsMember(m.group.ID, u) {
		if err := mayGiveGroup(tx, m.env, m.group.ID); err != nil { // before the actor could be in it
			return err
		}
	}
	joined, err := tx.AddMember(m.group.ID, u)
	if joined {
		m.joined++
		e.row(directory.RowMember, u)
	}
	return err
}

func (m *memberChange) knows(tx *state.OrgTx, id directory.UserID) bool {
	if !m.sentOnly {
		return tx.HasUser(id)
	}
	u, ok := tx.User(id)
	return ok && sentBy(m.env, u.Connection)
}

func (m *memberChange) drop(tx *state.OrgTx, e *effects, u directory.UserID) error {
	if err := m.mayDrop(tx, u); err != nil {
		return err
	}
	left, err := tx.RemoveMember(m.group.ID, u)
	if left {
		m.left++
		e.row(directory.RowMember, u)
	}
	return err
}

// mayDrop: a full push of a group that makes nobody an owner may leave out an owner
// of whom the identity provider does not know.
func (m *memberChange) mayDrop(tx *state.OrgTx, u directory.UserID) error {
	if m.env.Actor.Kind == directory.ActorConnection && !groupConfers(tx, m.group.ID) {
		return nil
	}
	return mayTouch(tx, m.env, u)
}

// DeleteGroup removes a group; its members stay, what it gave them is gone.
type DeleteGroup struct {
	Group     directory.GroupID `cbor:"1,keyasint"`
	IfVersion directory.Index   `cbor:"2,keyasint,omitempty"`
}

func (*DeleteGroup) Kind() Kind { return KindDeleteGroup }

func (c *DeleteGroup) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	g, ok := tx.Group(c.Group)
	if !ok {
		return Outcome{}, directory.NotFound("group")
	}
	if c.IfVersion != 0 && c.IfVersion != g.Version {
		return Outcome{}, directory.Precondition("version", "the group has changed since it was read")
	}
	if err := mayTakeGroup(tx, env, g.ID); err != nil {
		return Outcome{}, err
	}
	// The rows of the members are named one by one, because the group that
	// would expand to them is gone from the root of this index.
	var err error
	tx.Edges().EachMember(g.ID, func(u directory.UserID) bool {
		if env.Actor.Kind != directory.ActorConnection {
			err = mayTouch(tx, env, u)
		}
		e.row(directory.RowMember, u)
		return err == nil
	})
	if err != nil {
		return Outcome{}, err
	}
	for _, below := range tx.Edges().Descendants(g.ID) {
		e.row(directory.RowGroup, below)
	}
	if err := tx.DeleteGroup(g); err != nil {
		return Outcome{}, err
	}
	e.event(directory.GroupDeleted, g.ID, "%s", g.Name)
	e.row(directory.RowGroup, g.ID)
	return changed(g.ID)
}

package state

import (
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/tidwall/btree"
)

type tree = btree.Map[string, any]

// rows is one organization's tables, or the instance's under the zero id.
type rows struct {
	id     directory.OrgID
	tree   *tree
	index  *effective.Index // membership, assignments, roles: the edges live here
	sum    Sum
	counts [tables]int
}

// Org reads one organization at one applied index. It is immutable and safe
// for any number of readers; there is no way from it to another organization.
type Org struct {
	*rows   // of the root, which does not change: a copy would cost more than most questions
	applied directory.Index
}

// Applied is the index that every answer of this handle belongs to.
func (o *Org) Applied() directory.Index { return o.applied }

// ID is the organization that the handle is bound to.
func (o *Org) ID() directory.OrgID { return o.id }

// Permissions is the effective-permission index at Applied.
func (o *Org) Permissions() *effective.Index { return o.index }

// Held is what users hold at Applied: Permissions, and nothing while the
// organization is suspended.
func (o *Org) Held() *effective.Index {
	if !o.Record().Active() {
		return effective.New()
	}
	return o.index
}

// Sum is the digest of this organization's rows alone.
func (o *Org) Sum() Sum { return o.sum }

func get[T any](r *rows, key string) (*T, bool) {
	v, ok := r.tree.Get(key)
	if !ok {
		return nil, false
	}
	return v.(*T), true
}

// Record is the organization itself.
func (r *rows) Record() *directory.Organization {
	o, ok := get[directory.Organization](r, string(rune(tableOrganization)))
	if !ok {
		panic("state: organization without a record")
	}
	return o
}

// User and its siblings return the record; callers must not modify it.
func (r *rows) User(id directory.UserID) (*directory.User, bool) {
	v, ok := r.tree.Get(idKey(tableUser, id))
	if !ok {
		return nil, false
	}
	return v.(packedUser).user(), true
}

// HasUser is User for those who only want to know.
func (r *rows) HasUser(id directory.UserID) bool {
	_, ok := r.tree.Get(idKey(tableUser, id))
	return ok
}

func (r *rows) Group(id directory.GroupID) (*directory.Group, bool) {
	return get[directory.Group](r, idKey(tableGroup, id))
}
func (r *rows) Role(id directory.RoleID) (*directory.Role, bool) {
	return get[directory.Role](r, idKey(tableRole, id))
}
func (r *rows) Assignment(id directory.AssignmentID) (*directory.Assignment, bool) {
	return get[directory.Assignment](r, idKey(tableAssignment, id))
}
func (r *rows) Session(id directory.SessionID) (*directory.Session, bool) {
	return get[directory.Session](r, idKey(tableSession, id))
}
func (r *rows) Connection(id directory.ConnectionID) (*directory.Connection, bool) {
	return get[directory.Connection](r, idKey(tableConnection, id))
}
func (r *rows) EventStream(id directory.EventStreamID) (*directory.EventStream, bool) {
	return get[directory.EventStream](r, idKey(tableEventStream, id))
}
func (r *rows) Service(id directory.ServiceID) (*directory.Service, bool) {
	return get[directory.Service](r, idKey(tableService, id))
}
func (r *rows) Key(kid string) (*directory.SigningKey, bool) {
	return get[directory.SigningKey](r, textKey(tableKey, kid))
}

// UserByName finds by user name without regard to case.
func (r *rows) UserByName(name string) (*directory.User, bool) {
	id, ok := r.tree.Get(textKey(derivedUserName, directory.Fold(name)))
	if !ok {
		return nil, false
	}
	return r.User(id.(directory.UserID))
}

// RoleByName finds by name without regard to case.
func (r *rows) RoleByName(name string) (*directory.Role, bool) {
	id, ok := r.tree.Get(textKey(derivedRoleName, directory.Fold(name)))
	if !ok {
		return nil, false
	}
	return r.Role(id.(directory.RoleID))
}

// ServiceByName finds by name without regard to case.
func (r *rows) ServiceByName(name string) (*directory.Service, bool) {
	id, ok := r.tree.Get(textKey(derivedServiceName, directory.Fold(name)))
	if !ok {
		return nil, false
	}
	return r.Service(id.(directory.ServiceID))
}

// AssignmentOf finds the assignment of a role to a user or to a group.
func (r *rows) AssignmentOf(role directory.RoleID, user directory.UserID, group directory.GroupID) (*directory.Assignment, bool) {
	id, ok := r.tree.Get(holderKey(&directory.Assignment{Role: role, User: user, Group: group}))
	if !ok {
		return nil, false
	}
	return r.Assignment(id.(directory.AssignmentID))
}

// scan yields the values of a table from key on, in key order.
func (r *rows) scan(prefix, from string, yield func(key string, v any) bool) {
	r.tree.Ascend(max(prefix, from), func(key string, v any) bool {
		return strings.HasPrefix(key, prefix) && yield(key, v)
	})
}

func each[T any](r *rows, table byte, after string, yield func(*T) bool) {
	r.scan(string(rune(table)), after, func(key string, v any) bool {
		return key == after || yield(v.(*T))
	})
}

// EachUser and its siblings walk in id order, which is the order of creation;
// after is exclusive and may be zero.
func (r *rows) EachUser(after directory.UserID, yield func(*directory.User) bool) {
	pivot := idKey(tableUser, after)
	r.scan(string(rune(tableUser)), pivot, func(key string, v any) bool {
		return key == pivot || yield(v.(packedUser).user())
	})
}
func (r *rows) EachGroup(after directory.GroupID, yield func(*directory.Group) bool) {
	each(r, tableGroup, idKey(tableGroup, after), yield)
}
func (r *rows) EachRole(yield func(*directory.Role) bool) { each(r, tableRole, "", yield) }
func (r *rows) EachConnection(yield func(*directory.Connection) bool) {
	each(r, tableConnection, "", yield)
}
func (r *rows) EachEventStream(yield func(*directory.EventStream) bool) {
	each(r, tableEventStream, "", yield)
}
func (r *rows) EachService(yield func(*directory.Service) bool) { each(r, tableService, "", yield) }
func (r *rows) EachKey(yield func(*directory.SigningKey) bool)  { each(r, tableKey, "", yield) }
func (r *rows) EachSession(yield func(*directory.Session) bool) { each(r, tableSession, "", yield) }

// EachUserSession walks the sessions of one user.
func (r *rows) EachUserSession(user directory.UserID, yield func(*directory.Session) bool) {
	prefix := idKey(derivedUserSession, user)
	r.scan(prefix, "", func(key string, _ any) bool {
		var id directory.SessionID
		copy(id[:], key[len(prefix):])
		s, ok := r.Session(id)
		if !ok {
			panic("state: session index names no session")
		}
		return yield(s)
	})
}

// EachUserByExternalID walks users with exactly this external id.
func (r *rows) EachUserByExternalID(external string, yield func(*directory.User) bool) {
	r.scan(textKey(derivedUserExtern, external)+"\x00", "", func(key string, _ any) bool {
		u, ok := r.User(idAtEnd[directory.UserID](key))
		return !ok || yield(u)
	})
}

// EachUserByEmail walks users with exactly this e-mail, without regard to case, in
// id order.
func (r *rows) EachUserByEmail(email string, yield func(*directory.User) bool) {
	folded := directory.Fold(email)
	named, ok := r.UserByName(email) // has no row of its own for an e-mail that is the user name
	waits := ok && directory.Fold(named.Email) == folded
	stopped := false
	r.scan(textKey(derivedUserEmail, folded)+"\x00", "", func(key string, _ any) bool {
		id := idAtEnd[directory.UserID](key)
		if waits && compareIDs(named.ID, id) < 0 {
			waits, stopped = false, !yield(named)
		}
		u, ok := r.User(id)
		stopped = stopped || ok && !yield(u)
		return !stopped
	})
	if waits && !stopped {
		yield(named)
	}
}

// EachGroupByExternalID walks groups with exactly this external id.
func (r *rows) EachGroupByExternalID(external string, yield func(*directory.Group) bool) {
	r.scan(textKey(derivedGroupExtern, external)+"\x00", "", func(key string, _ any) bool {
		g, ok := r.Group(idAtEnd[directory.GroupID](key))
		return !ok || yield(g)
	})
}

func idAtEnd[ID ~[16]byte](key string) (id ID) {
	copy(id[:], key[len(key)-len(id):])
	return id
}

// EachEvent walks events after the place (index, ordinal), oldest first.
func (r *rows) EachEvent(after directory.Index, ordinal uint32, yield func(*directory.Event) bool) {
	pivot := placeKey(tableEvent, after, ordinal)
	r.scan(string(rune(tableEvent)), pivot, func(key string, v any) bool {
		return key == pivot || yield(v.(packedEvent).event())
	})
}

// EachEventBefore walks events before the place (index, ordinal), newest first.
func (r *rows) EachEventBefore(before directory.Index, ordinal uint32, yield func(*directory.Event) bool) {
	pivot := placeKey(tableEvent, before, ordinal)
	r.tree.Descend(pivot, func(key string, v any) bool {
		if key[0] != tableEvent {
			return false
		}
		return key == pivot || yield(v.(packedEvent).event())
	})
}

// Users, Groups, Roles and Events count rows.
func (r *rows) Users() int  { return r.counts[tableUser] }
func (r *rows) Groups() int { return r.counts[tableGroup] }
func (r *rows) Roles() int  { return r.counts[tableRole] }
func (r *rows) Events() int { return r.counts[tableEvent] }

// Services, Connections and EventStreams count rows.
func (r *rows) Services() int     { return r.counts[tableService] }
func (r *rows) Connections() int  { return r.counts[tableConnection] }
func (r *rows) EventStreams() int { return r.counts[tableEventStream] }

// Request finds what a request id has already done.
func (r *rows) Request(id directory.RequestID) (*Remembered, bool) {
	return get[Remembered](r, idKey(tableRequest, id))
}

// Remembered is the result of a request, kept so that a repeat is not a second
// change.
type Remembered struct {
	Index   directory.Index  `cbor:"1,keyasint"`
	Ordinal uint32           `cbor:"2,keyasint"`
	Object  [16]byte         `cbor:"3,keyasint,omitempty"`
	Changed bool             `cbor:"4,keyasint"`
	Err     *directory.Error `cbor:"5,keyasint,omitempty"`
	Command [32]byte         `cbor:"6,keyasint"` // what was asked: another command under the same id is refused
}

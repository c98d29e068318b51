package state

import (
	"fmt"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
)

// LoadWriter rebuilds the working state from stored rows, and fails unless they
// add up to the sum that their meta promises.
func LoadWriter(load func(row func(key, value []byte) error) (Meta, error)) (*Writer, error) {
	l := loader{writer: NewWriter(), members: map[directory.OrgID]*memberships{}, nested: map[directory.OrgID][]nesting{}}
	meta, err := load(l.row)
	if err != nil {
		return nil, err
	}
	if err := l.finish(); err != nil {
		return nil, err
	}
	w := l.writer
	var sum Sum
	for _, o := range w.orgs { // order-free: addition commutes
		sum = sum.add(o.sum)
	}
	if sum != meta.Sum {
		return nil, fmt.Errorf("state: rows do not add up to the digest at index %d", meta.Applied)
	}
	w.meta = Meta{Applied: meta.Applied, Term: meta.Term}
	return w, nil
}

// nesting is one stored edge between groups.
type nesting struct{ parent, child directory.GroupID }

// memberships are the edges between groups and users: most rows of a directory, so
// each is the user's id alone, after those of the same group.
type memberships struct {
	groups []directory.GroupID
	ends   []int // of the users of each
	users  []directory.UserID
}

func (m *memberships) add(g directory.GroupID, u directory.UserID) {
	if last := len(m.groups) - 1; last < 0 || m.groups[last] != g {
		m.groups, m.ends = append(m.groups, g), append(m.ends, len(m.users))
	}
	m.users = append(m.users, u)
	m.ends[len(m.ends)-1] = len(m.users)
}

func (m *memberships) each(yield func(g directory.GroupID, u directory.UserID) error) error {
	from := 0
	for i, end := range m.ends {
		for _, u := range m.users[from:end] {
			if err := yield(m.groups[i], u); err != nil {
				return err
			}
		}
		from = end
	}
	return nil
}

// loader takes rows in any order; edges wait until both of their ends are there.
type loader struct {
	writer  *Writer
	members map[directory.OrgID]*memberships
	nested  map[directory.OrgID][]nesting
}

func (l *loader) row(name, value []byte) error {
	id, key, err := splitKey(name)
	if err != nil {
		return err
	}
	if !stored(key[0]) {
		return fmt.Errorf("state: unknown table %q", key[0])
	}
	o, ok := l.writer.orgs[id]
	if !ok {
		o = l.writer.open(id)
	}
	o.sum = o.sum.add(rowHash(key, value))
	o.counts[key[0]]++
	switch key[0] {
	case tableMember:
		return l.member(id, key)
	case tableNesting:
		return l.nesting(id, key)
	}
	inTree := string(key) // only here: an edge's key is not kept, and most rows are edges
	record, err := decodeRow(inTree, value)
	if err != nil {
		return fmt.Errorf("state: row of table %q: %w", key[0], err)
	}
	o.tree.Set(inTree, record)
	return nil
}

func (l *loader) member(id directory.OrgID, key []byte) error {
	var g directory.GroupID
	var u directory.UserID
	if len(key) != 1+len(g)+len(u) {
		return fmt.Errorf("state: member row of %d bytes", len(key))
	}
	copy(g[:], key[1:])
	copy(u[:], key[1+len(g):])
	m, ok := l.members[id]
	if !ok {
		m = new(memberships)
		l.members[id] = m
	}
	m.add(g, u)
	return nil
}

func (l *loader) nesting(id directory.OrgID, key []byte) error {
	var n nesting
	if len(key) != 1+len(n.parent)+len(n.child) {
		return fmt.Errorf("state: nesting row of %d bytes", len(key))
	}
	copy(n.parent[:], key[1:])
	copy(n.child[:], key[1+len(n.parent):])
	l.nested[id] = append(l.nested[id], n)
	return nil
}

func (l *loader) finish() error {
	instance := &OrgTx{working: l.writer.orgs[directory.OrgID{}], loading: true}
	for id, o := range l.writer.orgs { // order-free: organizations do not touch each other; whose a domain is does not depend on it
		if id.IsZero() {
			continue
		}
		if err := l.index(&OrgTx{working: o, loading: true}); err != nil {
			return fmt.Errorf("state: %s: %w", id, err)
		}
		record, ok := get[directory.Organization](&o.rows, string(rune(tableOrganization)))
		if !ok {
			return fmt.Errorf("state: %s has no record", id)
		}
		instance.derive(textKey(derivedSlug, record.Slug), id)
		instance.loadDomains(record)
		o.compact()
	}
	return nil
}

// compact rewrites the tree of an organization that was loaded. Rows that came in
// order have left nodes that are half full and yet as large as full ones; a copy
// has the size of what it holds, which is 30 bytes less for each row.
func (o *working) compact() {
	o.tree.Copy() // every node now belongs to the copy, and is copied before it is written
	o.tree.ScanMut(func(string, any) bool { return true })
}

// index rebuilds the derived rows and the permission index of an organization. The
// index is built from its whole rows, which is several times faster than edge by
// edge.
func (l *loader) index(tx *OrgTx) error {
	e := edges{users: map[directory.UserID]int{}, groups: map[directory.GroupID]int{}}
	tx.tree.Copy().Scan(func(key string, v any) bool { // a copy, because deriving changes the tree
		e.row(tx, key, v)
		tx.undo = tx.undo[:0]
		return true
	})
	err := e.join(l.members[tx.id], l.nested[tx.id])
	delete(l.members, tx.id)
	if err != nil {
		return err
	}
	if tx.index, err = effective.Build(e.rows); err != nil {
		return err
	}
	tx.editor, tx.undo = tx.index.Edit(), nil
	return nil
}

// edges collects the rows of an index. Their ends come in any order.
type edges struct {
	rows        effective.Rows
	users       map[directory.UserID]int
	groups      map[directory.GroupID]int
	assignments []*directory.Assignment
}

// row derives what a record derives and keeps what the index needs of it.
func (e *edges) row(tx *OrgTx, key string, v any) {
	switch r := v.(type) {
	case packedUser:
		u := r.user()
		tx.deriveUser(nil, u)
		tx.countSent(tableUser, u.Connection, 1)
		e.users[u.ID] = len(e.rows.Users)
		e.rows.Users = append(e.rows.Users, effective.UserRow{ID: u.ID, Active: u.Active})
	case *directory.Group:
		tx.deriveGroup(r)
		tx.countSent(tableGroup, r.Connection, 1)
		e.groups[r.ID] = len(e.rows.Groups)
		e.rows.Groups = append(e.rows.Groups, effective.GroupRow{ID: r.ID})
	case *directory.Role:
		tx.derive(textKey(derivedRoleName, directory.Fold(r.Name)), r.ID)
		e.rows.Roles = append(e.rows.Roles, effective.RoleRow{ID: r.ID, Permissions: r.Permissions})
	case *directory.Assignment:
		tx.deriveAssignment(r)
		e.assignments = append(e.assignments, r)
	case *directory.Service:
		tx.deriveService(r)
	case *Remembered:
		tx.derive(placeKey(derivedRequestAge, r.Index, r.Ordinal), idAtEnd[directory.RequestID](key))
	case *directory.Session:
		tx.deriveSession(r)
	case *directory.APIKey:
		tx.deriveAPIKey(r)
	}
}

// join puts the edges into the rows.
func (e *edges) join(members *memberships, nested []nesting) error {
	for _, a := range e.assignments {
		if a.Group.IsZero() {
			u, ok := e.users[a.User]
			if !ok {
				return directory.NotFound("user")
			}
			e.rows.Users[u].Roles = append(e.rows.Users[u].Roles, a.Role)
			continue
		}
		g, ok := e.groups[a.Group]
		if !ok {
			return directory.NotFound("group")
		}
		e.rows.Groups[g].Roles = append(e.rows.Groups[g].Roles, a.Role)
	}
	for _, n := range nested {
		g, ok := e.groups[n.child]
		if !ok {
			return directory.NotFound("group")
		}
		e.rows.Groups[g].Parents = append(e.rows.Groups[g].Parents, n.parent)
	}
	if members == nil {
		return nil
	}
	return e.joinMembers(members)
}

// joinMembers cuts the users' lists out of one that holds all: to grow a million
// lists one by one leaves more behind than they are.
func (e *edges) joinMembers(members *memberships) error {
	counts, users := make([]int32, len(e.rows.Users)), make([]int32, 0, len(members.users))
	err := members.each(func(g directory.GroupID, u directory.UserID) error {
		if _, ok := e.groups[g]; !ok {
			return directory.NotFound("group")
		}
		at, ok := e.users[u]
		if !ok {
			return directory.NotFound("user")
		}
		counts[at]++
		users = append(users, int32(at))
		return nil
	})
	if err != nil {
		return err
	}
	all := make([]directory.GroupID, len(users))
	for i, n := range counts {
		e.rows.Users[i].Groups, all = all[:0:n], all[n:]
	}
	return members.each(func(g directory.GroupID, _ directory.UserID) error {
		row := &e.rows.Users[users[0]]
		row.Groups, users = append(row.Groups, g), users[1:]
		return nil
	})
}

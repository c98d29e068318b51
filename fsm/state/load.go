package state

import (
	"fmt"

	"github.com/authfi/authfi/directory"
)

// LoadWriter rebuilds the working state from stored rows, and fails unless they
// add up to the sum that their meta promises.
func LoadWriter(load func(row func(key, value []byte) error) (Meta, error)) (*Writer, error) {
	l := loader{writer: NewWriter(), members: map[directory.OrgID][]member{}, nested: map[directory.OrgID][]nesting{}}
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

type member struct {
	group directory.GroupID
	user  directory.UserID
}

// loader takes rows in any order; edges wait until both of their ends are there.
type loader struct {
	writer  *Writer
	members map[directory.OrgID][]member
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
	record, err := decodeRow(key, value)
	if err != nil {
		return fmt.Errorf("state: row of table %q: %w", key[0], err)
	}
	o.tree.Set(key, record)
	return nil
}

func (l *loader) member(id directory.OrgID, key string) error {
	var m member
	if len(key) != 1+len(m.group)+len(m.user) {
		return fmt.Errorf("state: member row of %d bytes", len(key))
	}
	copy(m.group[:], key[1:])
	copy(m.user[:], key[1+len(m.group):])
	l.members[id] = append(l.members[id], m)
	return nil
}

func (l *loader) nesting(id directory.OrgID, key string) error {
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
	instance := &OrgTx{working: l.writer.orgs[directory.OrgID{}]}
	for id, o := range l.writer.orgs { // order-free: organizations do not touch each other; whose a domain is does not depend on it
		if id.IsZero() {
			continue
		}
		if err := l.index(&OrgTx{working: o}); err != nil {
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

// index rebuilds the derived rows and the permission index of an organization.
// The two passes over the tree collect first, because deriving changes it.
func (l *loader) index(tx *OrgTx) error {
	type row struct {
		key string
		v   any
	}
	var all []row
	tx.tree.Scan(func(key string, v any) bool { all = append(all, row{key, v}); return true })
	for _, r := range all {
		if err := tx.indexNode(r.v); err != nil {
			return err
		}
	}
	for _, r := range all {
		if err := tx.indexEdge(r.key, r.v); err != nil {
			return err
		}
	}
	for _, m := range l.members[tx.id] {
		if _, err := tx.editor.AddMember(m.group, m.user); err != nil {
			return err
		}
	}
	for _, n := range l.nested[tx.id] {
		if _, err := tx.editor.Nest(n.parent, n.child); err != nil {
			return err
		}
	}
	tx.undo = nil
	return nil
}

func (tx *OrgTx) indexNode(v any) error {
	switch r := v.(type) {
	case *directory.User:
		shareTexts(r)
		tx.deriveUser(nil, r)
		if err := tx.editor.PutUser(r.ID); err != nil {
			return err
		}
		return tx.editor.SetActive(r.ID, r.Active)
	case *directory.Group:
		tx.deriveGroup(r)
		return tx.editor.PutGroup(r.ID)
	case *directory.Role:
		tx.derive(textKey(derivedRoleName, directory.Fold(r.Name)), r.ID)
		return tx.editor.PutRole(r.ID, r.Permissions)
	case *directory.Service:
		tx.derive(textKey(derivedServiceName, directory.Fold(r.Name)), r.ID)
	}
	return nil
}

func (tx *OrgTx) indexEdge(key string, v any) error {
	switch r := v.(type) {
	case *Remembered:
		tx.derive(placeKey(derivedRequestAge, r.Index, r.Ordinal), idAtEnd[directory.RequestID](key))
	case *directory.Session:
		tx.derive(pairKey(derivedUserSession, r.User, r.ID), nil)
	case *directory.Assignment:
		tx.deriveAssignment(r)
		return tx.assignEdge(r)
	case *directory.APIKey:
		tx.deriveAPIKey(r)
	}
	return nil
}

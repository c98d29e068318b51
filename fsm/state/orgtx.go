package state

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
)

// OrgTx reads and writes one organization while one entry is applied. It sees
// its own writes. Every write leaves an undo, so that a refused command leaves
// no trace whatever it had done before it was refused.
type OrgTx struct {
	*working
	undo    []func()
	loading bool // derived rows leave no undo: a load that fails leaves nothing at all
	changes changes
}

// working is an organization between two published roots.
type working struct {
	rows
	editor  *effective.Editor
	writer  *Writer           // nil of a fork
	pending map[string][]byte // rows to store; nil value removes
	dirty   bool
}

// Reads that apply needs of the edges come from the editor, which sees the
// writes of this batch.
func (tx *OrgTx) Edges() *effective.Editor { return tx.editor }

// put stores a record under a stored key and keeps counts, sum and undo.
func (tx *OrgTx) put(key string, record any) {
	value := encodeRow(record)
	old, had := tx.tree.Set(key, kept(record, value))
	tx.changes.row(key, old, record)
	before := tx.sum
	tx.sum = tx.sum.add(rowHash(key, value))
	if had {
		tx.sum = tx.sum.sub(rowHash(key, encodeRow(old)))
	} else {
		tx.counts[key[0]]++
	}
	restore := tx.stage(key, value)
	tx.undo = append(tx.undo, func() {
		tx.sum = before
		restore()
		if had {
			tx.tree.Set(key, old)
			return
		}
		tx.tree.Delete(key)
		tx.counts[key[0]]--
	})
}

func (tx *OrgTx) remove(key string) {
	old, had := tx.tree.Delete(key)
	if !had {
		return
	}
	before := tx.sum
	tx.sum = tx.sum.sub(rowHash(key, encodeRow(old)))
	tx.changes.row(key, old, nil)
	tx.counts[key[0]]--
	restore := tx.stage(key, nil)
	tx.undo = append(tx.undo, func() {
		tx.sum = before
		restore()
		tx.tree.Set(key, old)
		tx.counts[key[0]]++
	})
}

// edge stores or removes a row that has no value and that the permission index
// holds in memory; the caller has found that it really changes.
func (tx *OrgTx) edge(key string, present bool) {
	before := tx.sum
	tx.changes.edge(key, present)
	var restore func()
	step := 1
	if present {
		tx.sum = tx.sum.add(rowHash(key, edgeValue))
		restore = tx.stage(key, edgeValue)
	} else {
		tx.sum = tx.sum.sub(rowHash(key, edgeValue))
		restore = tx.stage(key, nil)
		step = -1
	}
	tx.counts[key[0]] += step
	tx.undo = append(tx.undo, func() {
		tx.sum = before
		restore()
		tx.counts[key[0]] -= step
	})
}

// edgeValue is not empty because a nil value removes.
var edgeValue = []byte{1}

func (tx *OrgTx) stage(key string, value []byte) (restore func()) {
	tx.dirty = true
	old, had := tx.pending[key]
	tx.pending[key] = value
	return func() {
		if had {
			tx.pending[key] = old
			return
		}
		delete(tx.pending, key)
	}
}

// derive and underive keep a row that is not stored.
func (tx *OrgTx) derive(key string, value any) {
	old, had := tx.tree.Set(key, value)
	if tx.loading {
		return
	}
	tx.undo = append(tx.undo, func() {
		if had {
			tx.tree.Set(key, old)
			return
		}
		tx.tree.Delete(key)
	})
}

func (tx *OrgTx) underive(key string) {
	old, had := tx.tree.Delete(key)
	if !had {
		return
	}
	tx.undo = append(tx.undo, func() { tx.tree.Set(key, old) })
}

// Rollback undoes everything since the transaction began.
func (tx *OrgTx) rollback(mark effective.Mark) {
	for i := len(tx.undo) - 1; i >= 0; i-- {
		tx.undo[i]()
	}
	tx.undo = nil
	tx.editor.Rollback(mark)
}

// PutOrganization writes the organization's own record.
func (tx *OrgTx) PutOrganization(o *directory.Organization) {
	tx.holdDomains(o)
	tx.put(string(rune(tableOrganization)), o)
}

// PutUser creates or replaces a user; the caller has decided uniqueness.
func (tx *OrgTx) PutUser(u *directory.User) error {
	old, ok := tx.User(u.ID)
	if !ok {
		if err := tx.editor.PutUser(u.ID); err != nil {
			return err
		}
	}
	tx.put(idKey(tableUser, u.ID), u)
	if !ok {
		tx.countSent(tableUser, u.Connection, 1)
	}
	tx.deriveUser(old, u)
	return tx.editor.SetActive(u.ID, u.Active)
}

// deriveUser brings the derived rows of a user from one record to the next; either
// may be nil. Rows that stay are not written: most changes touch no name.
func (tx *OrgTx) deriveUser(old, now *directory.User) {
	before, after := userKeys(old), userKeys(now)
	for _, key := range before {
		if !slices.Contains(after, key) {
			tx.underive(key)
		}
	}
	for _, key := range after {
		switch {
		case slices.Contains(before, key):
		case key[0] == derivedUserName:
			tx.derive(key, now.ID)
		default:
			tx.derive(key, nil)
		}
	}
}

// userKeys are the keys of a user's derived rows.
func userKeys(u *directory.User) (keys []string) {
	if u == nil {
		return nil
	}
	name, email := directory.Fold(u.UserName), directory.Fold(u.Email)
	keys = append(keys, textKey(derivedUserName, name))
	if u.Service {
		keys = append(keys, pairKey(derivedOwned, u.Owner, u.ID))
	}
	if u.ExternalID != "" {
		keys = append(keys, textIDKey(derivedUserExtern, u.ExternalID, u.ID))
	}
	if email != "" && email != name {
		keys = append(keys, textIDKey(derivedUserEmail, email, u.ID))
	}
	addresses, more := furtherAddresses(u)
	for _, address := range addresses {
		keys = append(keys, textIDKey(derivedUserAddress, address, u.ID))
	}
	if more {
		keys = append(keys, idKey(derivedManyAddresses, u.ID))
	}
	words, more := wordsOf(u)
	for _, word := range words {
		keys = append(keys, textIDKey(derivedUserWord, word, u.ID))
	}
	if more {
		keys = append(keys, idKey(derivedManyWords, u.ID))
	}
	return keys
}

// DeleteUser removes the user, its memberships, assignments and sessions.
func (tx *OrgTx) DeleteUser(u *directory.User) error {
	for _, g := range tx.editor.Groups(u.ID) {
		tx.edge(pairKey(tableMember, g, u.ID), false)
	}
	for _, r := range tx.editor.DirectRoles(u.ID) {
		if a, ok := tx.AssignmentOf(r, u.ID, directory.GroupID{}); ok {
			tx.dropAssignment(a)
		}
	}
	var sessions []*directory.Session
	tx.EachUserSession(u.ID, func(s *directory.Session) bool { sessions = append(sessions, s); return true })
	for _, s := range sessions {
		if !s.Untold { // their clients must hear of the end, the user's above all
			tx.DeleteSession(s)
		}
	}
	tx.deriveUser(u, nil)
	tx.countSent(tableUser, u.Connection, -1)
	tx.remove(idKey(tableUser, u.ID))
	return tx.editor.DeleteUser(u.ID)
}

// PutGroup creates or replaces a group.
func (tx *OrgTx) PutGroup(g *directory.Group) error {
	if old, ok := tx.Group(g.ID); ok {
		tx.underiveGroup(old)
	} else {
		if err := tx.editor.PutGroup(g.ID); err != nil {
			return err
		}
		tx.countSent(tableGroup, g.Connection, 1)
	}
	tx.put(idKey(tableGroup, g.ID), g)
	tx.deriveGroup(g)
	return nil
}

func (tx *OrgTx) deriveGroup(g *directory.Group) {
	tx.deriveGroupName(g)
	if g.ExternalID != "" {
		tx.derive(textIDKey(derivedGroupExtern, g.ExternalID, g.ID), nil)
	}
}

func (tx *OrgTx) underiveGroup(g *directory.Group) {
	tx.underiveGroupName(g)
	tx.underive(textIDKey(derivedGroupExtern, g.ExternalID, g.ID))
}

// DeleteGroup removes the group, its members' edges and its assignments.
func (tx *OrgTx) DeleteGroup(g *directory.Group) error {
	tx.editor.EachMember(g.ID, func(u directory.UserID) bool {
		tx.edge(pairKey(tableMember, g.ID, u), false)
		return true
	})
	for _, r := range tx.editor.GroupRoles(g.ID) {
		if a, ok := tx.AssignmentOf(r, directory.UserID{}, g.ID); ok {
			tx.dropAssignment(a)
		}
	}
	for _, parent := range tx.editor.Parents(g.ID) {
		tx.edge(pairKey(tableNesting, parent, g.ID), false)
	}
	for _, child := range tx.editor.Children(g.ID) {
		tx.edge(pairKey(tableNesting, g.ID, child), false)
	}
	tx.underiveGroup(g)
	tx.countSent(tableGroup, g.Connection, -1)
	tx.remove(idKey(tableGroup, g.ID))
	return tx.editor.DeleteGroup(g.ID)
}

// AddMember reports whether the user was not a member before.
func (tx *OrgTx) AddMember(g directory.GroupID, u directory.UserID) (bool, error) {
	changed, err := tx.editor.AddMember(g, u)
	if changed {
		tx.edge(pairKey(tableMember, g, u), true)
	}
	return changed, err
}

// RemoveMember reports whether the user was a member before.
func (tx *OrgTx) RemoveMember(g directory.GroupID, u directory.UserID) (bool, error) {
	changed, err := tx.editor.RemoveMember(g, u)
	if changed {
		tx.edge(pairKey(tableMember, g, u), false)
	}
	return changed, err
}

// PutRole creates or replaces a role.
func (tx *OrgTx) PutRole(r *directory.Role) error {
	if old, ok := tx.Role(r.ID); ok {
		tx.underive(textKey(derivedRoleName, directory.Fold(old.Name)))
	}
	if err := tx.editor.PutRole(r.ID, r.Permissions); err != nil {
		return err
	}
	tx.put(idKey(tableRole, r.ID), r)
	tx.derive(textKey(derivedRoleName, directory.Fold(r.Name)), r.ID)
	return nil
}

// DeleteRole removes the role and all its assignments.
func (tx *OrgTx) DeleteRole(r *directory.Role) error {
	groups, users := tx.editor.RoleHolders(r.ID)
	for _, g := range groups {
		if a, ok := tx.AssignmentOf(r.ID, directory.UserID{}, g); ok {
			tx.dropAssignment(a)
		}
	}
	for _, u := range users {
		if a, ok := tx.AssignmentOf(r.ID, u, directory.GroupID{}); ok {
			tx.dropAssignment(a)
		}
	}
	tx.underive(textKey(derivedRoleName, directory.Fold(r.Name)))
	tx.remove(idKey(tableRole, r.ID))
	return tx.editor.DeleteRole(r.ID)
}

// PutAssignment adds an assignment that does not exist yet.
func (tx *OrgTx) PutAssignment(a *directory.Assignment) error {
	if err := tx.assignEdge(a); err != nil {
		return err
	}
	tx.put(idKey(tableAssignment, a.ID), a)
	tx.deriveAssignment(a)
	return nil
}

func (tx *OrgTx) deriveAssignment(a *directory.Assignment) {
	tx.derive(holderKey(a), a.ID)
	tx.deriveExpiry(a.Expires, expiryAssignment, a.ID)
}

// ReplaceAssignment changes the end of an assignment.
func (tx *OrgTx) ReplaceAssignment(a *directory.Assignment) {
	if old, ok := tx.Assignment(a.ID); ok {
		tx.underive(expiryKey(old.Expires, expiryAssignment, old.ID))
	}
	tx.put(idKey(tableAssignment, a.ID), a)
	tx.deriveAssignment(a)
}

func (tx *OrgTx) assignEdge(a *directory.Assignment) error {
	if a.Group.IsZero() {
		_, err := tx.editor.AssignUser(a.Role, a.User)
		return err
	}
	_, err := tx.editor.AssignGroup(a.Role, a.Group)
	return err
}

// DeleteAssignment takes the role from its holder.
func (tx *OrgTx) DeleteAssignment(a *directory.Assignment) error {
	tx.dropAssignment(a)
	var err error
	if a.Group.IsZero() {
		_, err = tx.editor.UnassignUser(a.Role, a.User)
	} else {
		_, err = tx.editor.UnassignGroup(a.Role, a.Group)
	}
	return err
}

func (tx *OrgTx) dropAssignment(a *directory.Assignment) {
	tx.underive(holderKey(a))
	tx.underive(expiryKey(a.Expires, expiryAssignment, a.ID))
	tx.remove(idKey(tableAssignment, a.ID))
}

package state

import "github.com/authfi/authfi/directory"

// System reads what belongs to the instance and to no organization: operators,
// join tokens, the token secret and the names of the organizations. It has no
// way to an organization's data.
type System struct {
	rows
	applied directory.Index
}

// Applied is the index that every answer of this handle belongs to.
func (s *System) Applied() directory.Index { return s.applied }

// Operator and its siblings return the record; callers must not modify it.
func (r *rows) Operator(id directory.OperatorID) (*directory.Operator, bool) {
	return get[directory.Operator](r, idKey(tableOperator, id))
}
func (r *rows) Operators() int { return r.counts[tableOperator] }

// EachOperator walks in id order, which is the order of creation; after is
// exclusive and may be zero.
func (r *rows) EachOperator(after directory.OperatorID, yield func(*directory.Operator) bool) {
	each(r, tableOperator, idKey(tableOperator, after), yield)
}

func (r *rows) JoinToken(id string) (*directory.JoinToken, bool) {
	return get[directory.JoinToken](r, textKey(tableJoinToken, id))
}

// EachJoinToken walks in the order of their names.
func (r *rows) EachJoinToken(yield func(*directory.JoinToken) bool) {
	each(r, tableJoinToken, "", yield)
}

func (r *rows) TokenSecret() (*directory.TokenSecret, bool) {
	return get[directory.TokenSecret](r, string(rune(tableTokenSecret)))
}

// RecoveryKey is the key for whose holder backups are made, if there is one.
func (r *rows) RecoveryKey() (*directory.RecoveryKey, bool) {
	return get[directory.RecoveryKey](r, string(rune(tableRecoveryKey)))
}

// Level is the feature level of the cluster.
func (r *rows) Level() directory.Level {
	l, ok := get[directory.FeatureLevel](r, string(rune(tableLevel)))
	if !ok {
		return 1 // has no row
	}
	return l.Level
}

// Rotation is the last rotation of the CA, if there was one.
func (r *rows) Rotation() (*directory.Rotation, bool) {
	return get[directory.Rotation](r, string(rune(tableRotation)))
}

// OrganizationBySlug resolves the one instance-wide name.
func (r *rows) OrganizationBySlug(slug string) (directory.OrgID, bool) {
	id, ok := r.tree.Get(textKey(derivedSlug, slug))
	if !ok {
		return directory.OrgID{}, false
	}
	return id.(directory.OrgID), true
}

// SystemTx writes the instance's tables and creates organizations.
type SystemTx struct {
	*OrgTx // bound to the zero organization: the instance's own tables
	writer *Writer
}

// PutOperator and its siblings create, replace or remove.
func (tx *SystemTx) PutOperator(o *directory.Operator) { tx.put(idKey(tableOperator, o.ID), o) }
func (tx *SystemTx) DeleteOperator(o *directory.Operator) {
	tx.remove(idKey(tableOperator, o.ID))
}
func (tx *SystemTx) PutJoinToken(t *directory.JoinToken) {
	tx.put(textKey(tableJoinToken, t.ID), t)
}
func (tx *SystemTx) PutTokenSecret(s *directory.TokenSecret) {
	tx.put(string(rune(tableTokenSecret)), s)
}
func (tx *SystemTx) PutRecoveryKey(k *directory.RecoveryKey) {
	tx.put(string(rune(tableRecoveryKey)), k)
}

func (tx *SystemTx) PutLevel(l *directory.FeatureLevel) {
	tx.put(string(rune(tableLevel)), l)
}

func (tx *SystemTx) PutRotation(r *directory.Rotation) {
	tx.put(string(rune(tableRotation)), r)
}

// HasOrganization reports whether the organization exists.
func (tx *SystemTx) HasOrganization(id directory.OrgID) bool {
	_, ok := tx.writer.orgs[id]
	return ok
}

// Organization is the record of an organization.
func (tx *SystemTx) Organization(id directory.OrgID) (*directory.Organization, bool) {
	o, ok := tx.writer.orgs[id]
	if !ok || id.IsZero() {
		return nil, false
	}
	return o.Record(), true
}

// DeleteOrganization drops the organization with every row of it. The caller
// makes no further check afterwards: it is not undone.
func (tx *SystemTx) DeleteOrganization(o *directory.Organization) {
	tx.underive(textKey(derivedSlug, o.Slug))
	for _, d := range o.Domains {
		if holder, ok := tx.domain(d.Name); ok && holder == o.ID {
			tx.underive(textKey(derivedDomain, d.Name))
		}
	}
	tx.writer.drop(o.ID)
}

// CreateOrganization opens the tables of a new organization under its slug.
// The caller has decided that id and slug are free, and makes no further check
// afterwards: a new organization is not undone.
func (tx *SystemTx) CreateOrganization(o *directory.Organization) *OrgTx {
	w := tx.writer.open(o.ID)
	tx.derive(textKey(derivedSlug, o.Slug), o.ID)
	org := &OrgTx{working: w}
	org.PutOrganization(o)
	return org
}

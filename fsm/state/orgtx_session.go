package state

import "github.com/authfi/authfi/directory"

// PutSession creates or replaces a session.
func (tx *OrgTx) PutSession(s *directory.Session) {
	tx.put(idKey(tableSession, s.ID), s)
	tx.underive(idKey(derivedUntold, s.ID))
	tx.deriveSession(s)
}

// DeleteSession forgets a session altogether.
func (tx *OrgTx) DeleteSession(s *directory.Session) {
	tx.underive(pairKey(derivedUserSession, s.User, s.ID))
	tx.underive(idKey(derivedUntold, s.ID))
	tx.remove(idKey(tableSession, s.ID))
}

// PutConnection creates or replaces a connection.
func (tx *OrgTx) PutConnection(c *directory.Connection) { tx.put(idKey(tableConnection, c.ID), c) }

// DeleteConnection removes a connection; its objects stay.
func (tx *OrgTx) DeleteConnection(c *directory.Connection) { tx.remove(idKey(tableConnection, c.ID)) }

// PutEventStream creates or replaces an event stream.
func (tx *OrgTx) PutEventStream(s *directory.EventStream) { tx.put(idKey(tableEventStream, s.ID), s) }

// DeleteEventStream removes an event stream.
func (tx *OrgTx) DeleteEventStream(s *directory.EventStream) {
	tx.remove(idKey(tableEventStream, s.ID))
}

// PutService creates or replaces a service.
func (tx *OrgTx) PutService(s *directory.Service) {
	if old, ok := tx.Service(s.ID); ok {
		tx.underiveService(old)
	}
	tx.put(idKey(tableService, s.ID), s)
	tx.deriveService(s)
}

func (tx *OrgTx) deriveService(s *directory.Service) {
	tx.derive(textKey(derivedServiceName, directory.Fold(s.Name)), s.ID)
	eachPolicyRole(s, func(key string) { tx.derive(key, nil) })
}

func (tx *OrgTx) underiveService(s *directory.Service) {
	tx.underive(textKey(derivedServiceName, directory.Fold(s.Name)))
	eachPolicyRole(s, tx.underive)
}

func eachPolicyRole(s *directory.Service, yield func(key string)) {
	for _, p := range s.Policies {
		for _, roles := range [][]string{p.Roles, p.RolesAll} {
			for _, role := range roles {
				yield(textIDKey(derivedPolicyRole, directory.Fold(role), s.ID))
			}
		}
	}
}

// AskedByPolicy reports whether a route policy lets in who has a role of this name,
// compared without case.
func (r *rows) AskedByPolicy(role string) (asked bool) {
	r.scan(textKey(derivedPolicyRole, directory.Fold(role))+"\x00", "", func(string, any) bool { asked = true; return false })
	return asked
}

// DeleteService removes a service.
func (tx *OrgTx) DeleteService(s *directory.Service) {
	tx.underiveService(s)
	tx.remove(idKey(tableService, s.ID))
}

// PutKey creates or replaces a signing key.
func (tx *OrgTx) PutKey(k *directory.SigningKey) { tx.put(textKey(tableKey, k.ID), k) }

// DeleteKey ends a signing key: nothing that it has signed verifies any more.
func (tx *OrgTx) DeleteKey(k *directory.SigningKey) { tx.remove(textKey(tableKey, k.ID)) }

// RequestsKept bounds what is remembered per organization: by count, since the
// machine has no clock. A retry comes within minutes.
const RequestsKept = 4_096

// Remember keeps the result of a request and forgets the oldest beyond
// RequestsKept.
func (tx *OrgTx) Remember(id directory.RequestID, r *Remembered) {
	tx.put(idKey(tableRequest, id), r)
	tx.derive(placeKey(derivedRequestAge, r.Index, r.Ordinal), id)
	for tx.counts[tableRequest] > RequestsKept {
		age := tx.first(derivedRequestAge)
		oldest, _ := tx.tree.Get(age)
		tx.underive(age)
		tx.remove(idKey(tableRequest, oldest.(directory.RequestID)))
	}
}

func (tx *OrgTx) first(table byte) (first string) {
	tx.scan(string(rune(table)), "", func(key string, _ any) bool { first = key; return false })
	return first
}

package state

import "github.com/authfi/authfi/directory"

// PutSession creates or replaces a session.
func (tx *OrgTx) PutSession(s *directory.Session) {
	tx.put(idKey(tableSession, s.ID), s)
	tx.derive(pairKey(derivedUserSession, s.User, s.ID), nil)
}

// DeleteSession forgets a session altogether.
func (tx *OrgTx) DeleteSession(s *directory.Session) {
	tx.underive(pairKey(derivedUserSession, s.User, s.ID))
	tx.remove(idKey(tableSession, s.ID))
}

// PutConnection creates or replaces a connection.
func (tx *OrgTx) PutConnection(c *directory.Connection) { tx.put(idKey(tableConnection, c.ID), c) }

// DeleteConnection removes a connection; its objects stay.
func (tx *OrgTx) DeleteConnection(c *directory.Connection) { tx.remove(idKey(tableConnection, c.ID)) }

// PutService creates or replaces a service.
func (tx *OrgTx) PutService(s *directory.Service) {
	if old, ok := tx.Service(s.ID); ok {
		tx.underive(textKey(derivedServiceName, directory.Fold(old.Name)))
	}
	tx.put(idKey(tableService, s.ID), s)
	tx.derive(textKey(derivedServiceName, directory.Fold(s.Name)), s.ID)
}

// DeleteService removes a service.
func (tx *OrgTx) DeleteService(s *directory.Service) {
	tx.underive(textKey(derivedServiceName, directory.Fold(s.Name)))
	tx.remove(idKey(tableService, s.ID))
}

// PutKey creates or replaces a signing key.
func (tx *OrgTx) PutKey(k *directory.SigningKey) { tx.put(textKey(tableKey, k.ID), k) }

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

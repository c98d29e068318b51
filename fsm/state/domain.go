package state

import "github.com/authfi/authfi/directory"

// A domain belongs to one organization of the instance at most: the one that has
// proved it first. Who that is stands in a derived table of the instance, as the
// slugs do, and moves with the organizations' records.

// OrganizationByDomain resolves a domain that its organization has proved.
func (s *System) OrganizationByDomain(name string) (directory.OrgID, bool) {
	return s.domain(name)
}

func (r *rows) domain(name string) (directory.OrgID, bool) {
	id, ok := r.tree.Get(textKey(derivedDomain, name))
	if !ok {
		return directory.OrgID{}, false
	}
	return id.(directory.OrgID), true
}

// DomainTaken reports whether another organization has proved the domain, and not
// which. A fork cannot see the instance, and says yes.
func (tx *OrgTx) DomainTaken(name string) bool {
	if tx.writer == nil {
		return true
	}
	holder, ok := tx.writer.instance().domain(name)
	return ok && holder != tx.id
}

// holdDomains moves the instance's table from the old record to the new one. What
// another organization holds is left alone.
func (tx *OrgTx) holdDomains(o *directory.Organization) {
	if tx.writer == nil {
		return
	}
	instance := tx.writer.instance()
	if old, ok := get[directory.Organization](&tx.rows, string(rune(tableOrganization))); ok {
		for _, d := range old.Domains {
			if holder, held := instance.domain(d.Name); held && holder == o.ID {
				tx.setIn(instance, textKey(derivedDomain, d.Name), nil)
			}
		}
	}
	for _, d := range o.Domains {
		if _, held := instance.domain(d.Name); d.Verified != 0 && !held {
			tx.setIn(instance, textKey(derivedDomain, d.Name), o.ID)
		}
	}
}

// setIn keeps or, when value is nil, drops a derived row of another working tree,
// which has to be published too; like every write it is undone with the command.
func (tx *OrgTx) setIn(w *working, key string, value any) {
	tx.writer.touch(w)
	set := func(value any) {
		if value == nil {
			w.tree.Delete(key)
			return
		}
		w.tree.Set(key, value)
	}
	old, _ := w.tree.Get(key)
	set(value)
	tx.undo = append(tx.undo, func() { set(old) })
}

// loadDomains derives the rows of a stored record. Rows from before there was a
// rule may name a domain twice: then it is whose proof is older, and of two
// proofs of one moment the one of the smaller id, in whatever order they are
// loaded.
func (tx *OrgTx) loadDomains(o *directory.Organization) {
	for _, d := range o.Domains {
		if d.Verified == 0 {
			continue
		}
		if holder, ok := tx.domain(d.Name); ok && tx.before(d, holder, o.ID) {
			continue
		}
		tx.derive(textKey(derivedDomain, d.Name), o.ID)
	}
}

// before reports whether the holder's proof of a domain goes before another's.
func (tx *OrgTx) before(d directory.Domain, holder, other directory.OrgID) bool {
	for _, held := range tx.writer.orgs[holder].Record().Domains {
		if held.Name == d.Name && held.Verified != d.Verified {
			return held.Verified < d.Verified
		}
	}
	return string(holder[:]) < string(other[:])
}

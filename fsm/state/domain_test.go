package state

import (
	"testing"

	"github.com/authfi/authfi/directory"
)

// TestDomainProvedTwiceIsOfTheOlderProof: rows from before a domain could be of one
// organization only are read alike in any order.
func TestDomainProvedTwiceIsOfTheOlderProof(t *testing.T) {
	type proof struct {
		org directory.OrgID
		at  directory.Time
	}
	for _, row := range []struct {
		what   string
		proofs []proof
		holder directory.OrgID
	}{
		{"one", []proof{{directory.OrgID{2}, 5}}, directory.OrgID{2}},
		{"older by time", []proof{{directory.OrgID{1}, 7}, {directory.OrgID{2}, 5}, {directory.OrgID{3}, 6}}, directory.OrgID{2}},
		{"of one moment", []proof{{directory.OrgID{3}, 5}, {directory.OrgID{2}, 5}, {directory.OrgID{1}, 9}}, directory.OrgID{2}},
	} {
		w := NewWriter()
		for _, p := range row.proofs {
			w.open(p.org)
			if _, err := w.Org(p.org, func(tx *OrgTx) error {
				tx.put(string(rune(tableOrganization)), &directory.Organization{
					ID: p.org, Slug: p.org.String(), Domains: []directory.Domain{{Name: "clinic.example", Verified: p.at}},
				})
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		root, _ := w.Publish(1, 1)
		for range 20 { // maps are walked in another order each time
			loaded, err := LoadWriter(func(put func(key, value []byte) error) (Meta, error) {
				return root.Meta(), root.EachStored(put)
			})
			if err != nil {
				t.Fatal(err)
			}
			again, _ := loaded.Publish(1, 1)
			if holder, ok := again.System().OrganizationByDomain("clinic.example"); !ok || holder != row.holder {
				t.Fatalf("%s: %v, %v", row.what, holder, ok)
			}
			loaded.keepsForeignDomain(t, row.holder)
		}
	}
}

// keepsForeignDomain: an organization whose proof does not count writes its record
// without taking the domain from the one that has it.
func (w *Writer) keepsForeignDomain(t *testing.T, holder directory.OrgID) {
	t.Helper()
	for id := range w.orgs {
		if id.IsZero() || id == holder {
			continue
		}
		for _, domains := range [][]directory.Domain{{{Name: "clinic.example", Verified: 1}}, nil} {
			if _, err := w.Org(id, func(tx *OrgTx) error {
				if !tx.DomainTaken("clinic.example") {
					t.Error("a domain that another has is free")
				}
				o := *tx.Record()
				o.Domains = domains
				tx.PutOrganization(&o)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	root, _ := w.Publish(2, 1)
	if got, ok := root.System().OrganizationByDomain("clinic.example"); !ok || got != holder {
		t.Errorf("the domain went to %v, %v", got, ok)
	}
}

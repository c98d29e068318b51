package enforce

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// coverage is a table that keeps which addresses are enforced for which
// organization, and whether there was a moment when none was.
type coverage struct {
	Table
	orgs map[string]uint32
	open bool
}

func (g *coverage) Guard(string) error { return nil }

func (g *coverage) SetService(address, _ string, org uint32, _ *policy.Program) error {
	g.orgs[address] = org
	return nil
}

func (g *coverage) RemoveService(address string) error {
	delete(g.orgs, address)
	g.open = g.open || len(g.orgs) == 0
	return nil
}

// A service that came second for an address stayed unenforced there when the first
// was deleted; and the address was open until then.
func TestAddressGoesToTheNextServiceWithoutBeingOpen(t *testing.T) {
	north, south := directory.OrgID{1}, directory.OrgID{2}
	o := newOrganizations(t, north, south)
	table := &coverage{orgs: map[string]uint32{}}
	p := newProjection(table, nil, func(string) bool { return true }, nil)
	const narrow, wide = "10.0.0.5:80", "0.0.0.0:80"
	service := func(id byte, listen string) *fsm.CreateService {
		return &fsm.CreateService{Service: directory.Service{ID: directory.ServiceID{id}, Name: fmt.Sprint("s", id), Listen: []string{listen}}}
	}
	deleted := func(id byte) *fsm.DeleteService { return &fsm.DeleteService{ID: directory.ServiceID{id}} }
	for _, c := range []struct {
		why     string
		org     directory.OrgID
		command fsm.Command
		want    map[string]uint32
	}{
		{"the first", north, service(1, narrow), map[string]uint32{narrow: 1}},
		{"a second in another organization", south, service(2, narrow), map[string]uint32{narrow: 1}},
		{"a third for all addresses", north, service(3, wide), map[string]uint32{narrow: 1}},
		{"the first deleted", north, deleted(1), map[string]uint32{narrow: 2}},
		{"the second deleted", south, deleted(2), map[string]uint32{wide: 1}},
		{"a fourth", south, service(4, narrow), map[string]uint32{wide: 1}},
		{"a fifth in the same", south, service(5, narrow), map[string]uint32{wide: 1}},
		{"the third deleted", north, deleted(3), map[string]uint32{narrow: 2}},
		{"the fourth deleted", south, deleted(4), map[string]uint32{narrow: 2}},
		{"the fifth deleted", south, deleted(5), map[string]uint32{}},
	} {
		o.apply(c.org, c.command)
		table.open = false
		if err := p.row(o.machine.Root(), c.org, directory.Row{Kind: directory.RowService}); err != nil {
			t.Fatal(err)
		}
		if !maps.Equal(table.orgs, c.want) || table.open != (len(c.want) == 0) {
			t.Errorf("%s: %v, open in between %v, want %v", c.why, table.orgs, table.open, c.want)
		}
	}
}

// What an organization had stayed in the tables when it was deleted.
func TestDeletedOrganizationIsDropped(t *testing.T) {
	north, south := directory.OrgID{1}, directory.OrgID{2}
	o := newOrganizations(t, north, south)
	w := newBoundedWorld(t, o, north)
	o.apply(south, &fsm.CreateService{Service: directory.Service{ID: directory.ServiceID{9}, Name: "next", Listen: []string{boundedListen}}})
	w.row(south, directory.RowService)
	o.apply(north, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
	o.apply(directory.OrgID{}, &fsm.DeleteOrganization{ID: north})
	w.row(north, directory.RowOrganization)
	if len(w.rows.tokens)+len(w.rows.subjects) > 0 || len(w.projection.orgs) != 1 {
		t.Errorf("left: %v, %v, %d organizations", w.rows.tokens, w.rows.subjects, len(w.projection.orgs))
	}
	if of := w.projection.services[boundedListen].org; of != south || slices.Contains(w.rows.removed, boundedListen) {
		t.Errorf("the address is of %v, removed %v", of, w.rows.removed)
	}
}

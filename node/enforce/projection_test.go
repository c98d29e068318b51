package enforce

import (
	"testing"

	"github.com/authfi/authfi/bpf/policy"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// removals is a table that keeps which addresses were let go.
type removals struct {
	Table
	addresses []string
}

func (r *removals) RemoveService(address string) error {
	r.addresses = append(r.addresses, address)
	return nil
}

// organizations is a state of two organizations, applied entry by entry.
type organizations struct {
	t       *testing.T
	machine *fsm.Machine
}

func (o *organizations) apply(org directory.OrgID, command fsm.Command) {
	o.t.Helper()
	actor := directory.Actor{Kind: directory.ActorOperator, ID: [16]byte{1}}
	if _, first := command.(*fsm.CreateOperator); first {
		actor = directory.Actor{Kind: directory.ActorNode}
	}
	o.applyAs(org, actor, command)
}

func (o *organizations) applyAs(org directory.OrgID, actor directory.Actor, command fsm.Command) {
	o.t.Helper()
	env := &fsm.Envelope{Org: org, Actor: actor, Now: 1, Command: command}
	results, err := o.machine.Apply([]fsm.Entry{{Index: o.machine.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env}}})
	if err != nil || results[0][0].Err != nil {
		o.t.Fatalf("%T: %v, %v", command, err, results[0][0].Err)
	}
}

func (o *organizations) view(id directory.OrgID) *state.Org {
	view, ok := o.machine.Root().Org(id)
	if !ok {
		o.t.Fatal("no such organization")
	}
	return view
}

func newOrganizations(t *testing.T, ids ...directory.OrgID) *organizations {
	t.Helper()
	machine, err := fsm.Open(disk.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	o := &organizations{t, machine}
	o.apply(directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{ID: directory.OperatorID{1}, Name: "root"}})
	for i, id := range ids {
		o.apply(directory.OrgID{}, &fsm.CreateOrganization{
			Organization: directory.Organization{ID: id, Slug: string(rune('a' + i)), Name: "org"},
			Key:          directory.SigningKey{ID: "key"},
		})
	}
	return o
}

// An organization that named a part of another's address, or all addresses with its
// port, decided about what reached the other's listener.
func TestOldestServiceHasAnAddressAndAllThatOverlap(t *testing.T) {
	older, younger := directory.OrgID{1}, directory.OrgID{2}
	o := newOrganizations(t, older, younger)
	first, second := owner{older, directory.ServiceID{1}}, owner{younger, directory.ServiceID{2}}
	for _, c := range []struct {
		held, asked string
		apart       bool
	}{
		{"0.0.0.0:80", "10.0.0.5:80", false},
		{"10.0.0.5:80", "0.0.0.0:80", false},
		{"10.0.0.5:80", "[::]:80", false},
		{"[::]:80", "[::1]:80", false},
		{"10.0.0.5:80", "10.0.0.5:80", false},
		{"10.0.0.5:80", "10.0.0.6:80", true},
		{"0.0.0.0:80", "10.0.0.5:81", true},
	} {
		p := newProjection(&removals{}, nil, nil, nil)
		p.services[c.held] = first
		if won := p.claim(o.view(younger), c.asked, second); won != c.apart || len(p.gone) > 0 {
			t.Errorf("%s, after %s: %v, let go %v", c.asked, c.held, won, p.gone)
		}
		// After a restart the younger one may come first.
		p = newProjection(&removals{}, nil, nil, nil)
		p.services[c.held] = second
		won := p.claim(o.view(older), c.asked, first)
		if by := p.services[c.held]; !won || (by == second) != c.apart || p.waiting[younger] == c.apart {
			t.Errorf("%s of the older, after %s: %v, of %v, waiting %v", c.asked, c.held, won, by, p.waiting)
		}
		if let := len(p.gone) == 1; let == c.apart {
			t.Errorf("%s of the older, after %s: let go %v", c.asked, c.held, p.gone)
		}
	}
}

// Policies that do not compile on a node close their service, dry run or not.
func TestPoliciesThatDoNotCompileCloseTheService(t *testing.T) {
	s := &directory.Service{Name: "x", DryRun: true, PolicyVersion: 4, Policies: []directory.RoutePolicy{{Path: "no path"}}}
	program, closed, err := compiled(s, 1, policy.NewNumbering(nil))
	if err != nil || !closed || program.DryRun() || program.Start() != 0 || program.Version() != 4 {
		t.Errorf("program %+v, closed %v, %v", program, closed, err)
	}
	if f := followed(directory.OrgID{1}, s, "127.0.0.1:1", closed); f.DryRun || !f.Closed {
		t.Errorf("followed %+v", f)
	}
	s.Policies[0].Path = "/"
	program, closed, err = compiled(s, 1, policy.NewNumbering(nil))
	if err != nil || closed || !program.DryRun() {
		t.Errorf("program %+v, closed %v, %v", program, closed, err)
	}
}

// A check said yes for what read:* covers, and the gate no: it went by names.
func TestRightsAreWhatACheckSays(t *testing.T) {
	id := directory.OrgID{1}
	o := newOrganizations(t, id)
	service := directory.Service{
		ID: directory.ServiceID{1}, Name: "patients", Listen: []string{"127.0.0.1:8641"},
		Policies: []directory.RoutePolicy{{Path: "/**", Permissions: []directory.Permission{"read:patients"}}},
	}
	o.apply(id, &fsm.CreateService{Service: service})
	role, user, group, inner := directory.RoleID{1}, directory.UserID{1}, directory.GroupID{1}, directory.GroupID{2}
	o.apply(id, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "auditor", Permissions: []directory.Permission{"read:*"}}})
	o.apply(id, &fsm.CreateUser{User: directory.User{ID: user, UserName: "ada", Active: true, Source: directory.SourceAPI}})
	for name, g := range map[string]directory.GroupID{"outer": group, "inner": inner} {
		o.apply(id, &fsm.CreateGroup{Group: directory.Group{ID: g, Name: name, Source: directory.SourceAPI}})
	}
	o.apply(id, &fsm.NestGroup{Parent: group, Child: inner})
	o.apply(id, &fsm.ChangeGroup{Group: inner, Add: []directory.UserID{user}})
	o.apply(id, &fsm.AssignRole{ID: directory.AssignmentID{1}, Role: role, Group: group})
	view := o.view(id)
	stored, ok := view.Service(service.ID)
	if !ok {
		t.Fatal("no such service")
	}
	services := []*directory.Service{stored}
	held := &org{numbers: policy.NewNumbering(allRoutes(services))}
	want := held.numbers.With(policy.Rights{}, policy.PermissionName("read:patients"))
	if got := rights(view, user, held); got != want || got == (policy.Rights{}) {
		t.Errorf("rights %v, want %v", got, want)
	}
}

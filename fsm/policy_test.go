package fsm_test

import (
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

var patients = id[directory.ServiceID](1)

// newService is an estate with a service; user 0 owns, user 1 manages settings.
func newService(t *testing.T) *ward {
	w := estate(t)
	w.must(&fsm.CreateService{Service: directory.Service{ID: patients, Name: "patients", Listen: []string{"192.0.2.1:80"}}})
	w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(2), Name: "settler", Permissions: []directory.Permission{directory.ManageSettings, directory.ManageRoles}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](20), Role: roleID(2), User: userID(1)})
	return w
}

func (w *ward) service() directory.Service {
	w.t.Helper()
	s, ok := w.view().Service(patients)
	if !ok {
		w.t.Fatal("no service")
	}
	return *s
}

func TestEachWriteOfPoliciesIsAVersion(t *testing.T) {
	w := newService(t)
	yes, no := true, false
	for i, c := range []*fsm.WritePolicies{
		{Policies: []directory.RoutePolicy{{Path: "/a"}}, FoldCase: &yes},
		{Policies: []directory.RoutePolicy{{Path: "/b"}}, FoldSlash: &yes},
		{FoldCase: &no},
	} {
		c.Service = patients
		w.must(c)
		if s := w.service(); s.PolicyVersion != uint64(i)+1 || s.Version != w.index || s.FoldCase != (i < 2) || s.FoldSlash != (i > 0) || len(s.Policies) != len(c.Policies) {
			t.Errorf("write %d: %+v", i, s)
		}
	}
	// An entry from before there were versions does what it did.
	w.must(&fsm.SetPolicies{Service: patients, Policies: []directory.RoutePolicy{{Path: "/c"}}})
	if s := w.service(); s.PolicyVersion != 3 || !s.FoldSlash {
		t.Errorf("an old entry: %+v", s)
	}
	stale := &fsm.WritePolicies{Service: patients, IfVersion: 1}
	if err := w.try(stale); directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("a stale version: %v", err)
	}
	stale.IfVersion = w.service().Version
	w.must(stale)
	if err := w.try(&fsm.WritePolicies{Service: id[directory.ServiceID](9)}); directory.KindOf(err) != directory.KindNotFound {
		t.Errorf("no such service: %v", err)
	}
}

func TestOnlyOwnersAndOperatorsBeginADryRun(t *testing.T) {
	w := newService(t)
	begin, end := &fsm.SetDryRun{Service: patients, On: true}, &fsm.SetDryRun{Service: patients}
	settler := directory.Actor{Kind: directory.ActorUser, ID: userID(1)}
	for _, required := range []directory.Permission{directory.ManageOrganization, directory.ManageSettings} {
		if err := w.send(&fsm.Envelope{Actor: settler, Required: required, Command: begin})[0].Err; directory.KindOf(err) != directory.KindDenied || w.service().DryRun {
			t.Errorf("whoever manages settings, with %s: %v", required, err)
		}
	}
	for _, c := range []*fsm.SetDryRun{begin, end} {
		if err := w.as(0, c); err != nil || w.service().DryRun != c.On {
			t.Errorf("an owner, %v: %v", c.On, err)
		}
		if text := w.last().Detail; !strings.Contains(text, "dry run has") {
			t.Errorf("the log says %q", text)
		}
	}
	w.must(begin)
	before := w.service().Version
	w.must(begin)
	if s := w.service(); s.Version != before || !s.DryRun {
		t.Errorf("a dry run that is there: %+v", s)
	}
	w.must(&fsm.WritePolicies{Service: patients})
	if !w.service().DryRun {
		t.Error("new policies end the dry run")
	}
}

// A role of which all are needed was not among those that only whoever may write the
// policies may give a name to.
func TestRolesThatAreAllNeededAreAskedForToo(t *testing.T) {
	w := newService(t)
	w.must(&fsm.CreateRole{Role: directory.Role{ID: roleID(3), Name: "namer", Permissions: []directory.Permission{directory.ManageRoles}}})
	w.must(&fsm.AssignRole{ID: id[directory.AssignmentID](21), Role: roleID(3), User: userID(2)})
	w.must(&fsm.WritePolicies{Service: patients, Policies: []directory.RoutePolicy{{Path: "/", RolesAll: []string{"chief"}}}})
	create := &fsm.CreateRole{Role: directory.Role{ID: roleID(4), Name: "Chief"}}
	actor := directory.Actor{Kind: directory.ActorUser, ID: userID(2)}
	if err := w.send(&fsm.Envelope{Actor: actor, Required: directory.ManageRoles, Command: create})[0].Err; directory.KindOf(err) != directory.KindDenied {
		t.Errorf("a role of that name: %v", err)
	}
}

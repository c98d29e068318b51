package fsm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

const domain = "clinic.example"

// street has two organizations that claim one domain, each with its own
// challenge and an administrator.
type street struct {
	t       *testing.T
	m       *fsm.Machine
	storage *disk.Memory
	index   directory.Index
}

// The places of the two organizations, and what each must find in the DNS.
const (
	first  = 0
	second = 1
)

func challenge(org int) string { return "challenge-of-" + slug(org) }
func slug(org int) string      { return []string{"first", "second"}[org] }

func newStreet(t *testing.T) *street {
	t.Helper()
	s := &street{t: t, storage: disk.NewMemory(), index: 1}
	s.m = open(t, s.storage)
	begin(t, s.m)
	for org := range 2 {
		s.create(org)
		admin := id[directory.UserID](10 + org)
		role := id[directory.RoleID](10 + org)
		s.must(org, &fsm.CreateUser{User: directory.User{ID: admin, UserName: "admin", Active: true}})
		s.must(org, &fsm.CreateRole{Role: directory.Role{ID: role, Name: "admin", Permissions: []directory.Permission{directory.ManageSettings}}})
		s.must(org, &fsm.AssignRole{ID: id[directory.AssignmentID](10 + org), Role: role, User: admin})
		s.must(org, s.claim(org))
	}
	return s
}

func (s *street) create(org int) {
	s.t.Helper()
	s.must(org, &fsm.CreateOrganization{
		Organization: directory.Organization{
			ID: id[directory.OrgID](org), Slug: slug(org), Name: slug(org),
			Domains: []directory.Domain{{Name: given, Challenge: "c", Verified: 1}},
		},
		Key: directory.SigningKey{ID: "kid"},
	})
}

// given is a domain that organizations are created with.
const given = "given.example"

// TestNewOrganizationHasProvedNothing whatever its proposer says.
func TestNewOrganizationHasProvedNothing(t *testing.T) {
	m := open(t, disk.NewMemory())
	begin(t, m)
	s := &street{t: t, m: m, index: 1}
	s.create(first)
	o, _ := m.Root().Org(id[directory.OrgID](first))
	want := directory.Domain{Name: given, Challenge: "c"}
	if got := o.Record().Domains; len(got) != 1 || got[0] != want {
		t.Errorf("%+v", got)
	}
	if _, held := m.Root().System().OrganizationByDomain(given); held {
		t.Error("a new organization has a domain")
	}
}

func (s *street) claim(org int) fsm.Command {
	return &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: domain, Challenge: challenge(org)}}}
}

// prove is a verification by an organization's administrator.
func (s *street) prove(org int) *fsm.Envelope {
	return &fsm.Envelope{
		Org:   id[directory.OrgID](org),
		Actor: directory.Actor{Kind: directory.ActorUser, ID: id[directory.UserID](10 + org)}, Required: directory.ManageSettings,
		Command: &fsm.VerifyDomain{Name: domain, Challenge: challenge(org)},
	}
}

func (s *street) send(envelopes ...*fsm.Envelope) []fsm.Result {
	s.t.Helper()
	s.index++
	for _, env := range envelopes {
		env.Now = 1_700_000_000_000
	}
	return apply(s.t, s.m, fsm.Entry{Index: s.index, Term: 1, Envelopes: envelopes})[0]
}

func (s *street) operator(org int, c fsm.Command) error {
	s.t.Helper()
	env := &fsm.Envelope{Org: id[directory.OrgID](org), Actor: operator, Command: c}
	if _, system := c.(fsm.SystemCommand); system {
		env.Org = directory.OrgID{}
	}
	return s.send(env)[0].Err
}

func (s *street) must(org int, c fsm.Command) {
	s.t.Helper()
	if err := s.operator(org, c); err != nil {
		s.t.Fatal(err)
	}
}

// holds demands who has the domain: in the instance's table and in the records.
func (s *street) holds(what string, holder int) {
	s.t.Helper()
	root := s.m.Root()
	got, ok := root.System().OrganizationByDomain(domain)
	if ok != (holder >= 0) || ok && got != id[directory.OrgID](holder) {
		s.t.Errorf("%s: the table says %v, %v, want %d", what, got, ok, holder)
	}
	for org := range 2 {
		o, ok := root.Org(id[directory.OrgID](org))
		if !ok {
			continue
		}
		verified := false
		for _, d := range o.Record().Domains {
			verified = verified || d.Verified != 0
		}
		if verified != (org == holder) {
			s.t.Errorf("%s: %s has it: %v", what, slug(org), verified)
		}
	}
}

const nobody = -1

func TestDomainIsOfWhoProvesItFirst(t *testing.T) {
	s := newStreet(t)
	s.holds("two claims", nobody)
	wrong := s.prove(first)
	wrong.Command = &fsm.VerifyDomain{Name: domain, Challenge: challenge(second)}
	if err := s.send(wrong)[0].Err; directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("another's challenge: %v", err)
	}
	s.holds("a wrong challenge", nobody)
	if err := s.send(s.prove(first))[0].Err; err != nil {
		t.Fatal(err)
	}
	s.holds("the first proof", first)
	if err := s.send(s.prove(second))[0].Err; directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("the second proof: %v", err)
	}
	if err := s.operator(second, &fsm.VerifyDomain{Name: domain}); directory.KindOf(err) != directory.KindPrecondition {
		t.Errorf("the operator vouches for the second: %v", err)
	}
	s.holds("the second proof", first)
	if out := s.send(s.prove(first))[0]; out.Err != nil || out.Outcome.Changed {
		t.Errorf("proving it again: %+v", out)
	}
}

// TestDomainProvedTwiceInOneEntry: both commands see the same root.
func TestDomainProvedTwiceInOneEntry(t *testing.T) {
	s := newStreet(t)
	results := s.send(s.prove(second), s.prove(first))
	if results[0].Err != nil || directory.KindOf(results[1].Err) != directory.KindPrecondition {
		t.Errorf("%v, %v", results[0].Err, results[1].Err)
	}
	s.holds("two proofs in one entry", second)
}

// TestForkProvesNothing: whoever tries a change out cannot ask the instance, and so
// hears neither that a domain is free nor that it is not.
func TestForkProvesNothing(t *testing.T) {
	s := newStreet(t)
	for range 2 {
		fork, ok := fsm.NewFork(s.m.Root(), id[directory.OrgID](second))
		if !ok {
			t.Fatal("no fork")
		}
		if _, err := fork.Apply(s.prove(second)); directory.KindOf(err) != directory.KindPrecondition {
			t.Errorf("a fork proves a domain: %v", err)
		}
		if _, err := fork.Apply(&fsm.Envelope{Org: id[directory.OrgID](second), Actor: operator, Command: &fsm.UpdateOrganization{SetDomains: true}}); err != nil {
			t.Errorf("a fork gives a domain up: %v", err)
		}
		s.must(first, &fsm.VerifyDomain{Name: domain})
		s.holds("after a fork", first)
	}
}

// TestRefusedProofTellsNothing of the organization that has the domain, neither in
// its answer nor in what the second's log keeps of it.
func TestRefusedProofTellsNothing(t *testing.T) {
	s := newStreet(t)
	s.must(first, &fsm.VerifyDomain{Name: domain})
	err := s.send(s.prove(second))[0].Err
	var own *directory.Error
	if !errors.As(err, &own) || own.Field != "domain" {
		t.Fatalf("the second proof: %v", err)
	}
	o, _ := s.m.Root().Org(id[directory.OrgID](second))
	said := own.Error()
	o.EachEvent(0, 0, func(e *directory.Event) bool {
		said += "\n" + e.Object + " " + e.Detail + " " + e.Error + " " + e.Before + " " + e.After
		return true
	})
	for _, secret := range []string{slug(first), id[directory.OrgID](first).String(), challenge(first)} {
		if strings.Contains(said, secret) {
			t.Errorf("%s is told:\n%s", secret, said)
		}
	}
	// Who has not proved the domain does not even hear that it is taken.
	free, taken := s.prove(second), s.prove(second)
	free.Command = &fsm.VerifyDomain{Name: domain, Challenge: "guess"}
	taken.Command = free.Command
	whenTaken := s.send(taken)[0].Err
	s.must(first, &fsm.UpdateOrganization{SetDomains: true})
	if whenFree := s.send(free)[0].Err; whenFree.Error() != whenTaken.Error() {
		t.Errorf("free: %v, taken: %v", whenFree, whenTaken)
	}
}

// TestDomainIsFreeAgain when its organization gives the claim up or is deleted; to
// be suspended is not to give it up.
func TestDomainIsFreeAgain(t *testing.T) {
	for _, row := range []struct {
		what string
		free bool
		do   func(*street)
	}{
		{"given up", true, func(s *street) { s.must(first, &fsm.UpdateOrganization{SetDomains: true}) }},
		{"given up and claimed again", true, func(s *street) {
			s.must(first, &fsm.UpdateOrganization{SetDomains: true})
			s.must(first, s.claim(first))
		}},
		{"kept beside another", false, func(s *street) {
			s.must(first, &fsm.UpdateOrganization{SetDomains: true, Domains: []directory.Domain{{Name: "other.example"}, {Name: domain}}})
		}},
		{"suspended", false, func(s *street) {
			s.must(first, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
		}},
		{"deleted", true, func(s *street) {
			s.must(first, &fsm.SetOrganizationLimits{Status: directory.OrganizationSuspended})
			s.must(first, &fsm.DeleteOrganization{ID: id[directory.OrgID](first)})
		}},
		{"an update that is refused", false, func(s *street) {
			if err := s.operator(first, &fsm.UpdateOrganization{
				SetDomains: true, Branding: &directory.Branding{Color: "red"},
			}); err == nil {
				s.t.Error("a color that is none was taken")
			}
			if err := s.operator(first, &fsm.UpdateOrganization{SetDomains: true, IfVersion: 1}); err == nil {
				s.t.Error("an old version was taken")
			}
		}},
		{"a restart", false, func(s *street) { s.m = open(s.t, s.storage) }},
		{"a snapshot", false, func(s *street) {
			var stream bytes.Buffer
			if err := fsm.WriteSnapshot(&stream, s.m.Root()); err != nil {
				s.t.Fatal(err)
			}
			s.m = open(s.t, disk.NewMemory())
			if err := s.m.Restore(&stream); err != nil {
				s.t.Fatal(err)
			}
		}},
	} {
		t.Run(row.what, func(t *testing.T) {
			s := newStreet(t)
			s.must(first, &fsm.VerifyDomain{Name: domain})
			row.do(s)
			holder := first
			if row.free {
				holder = nobody
			}
			s.holds("before", holder)
			err := s.send(s.prove(second))[0].Err
			if row.free != (err == nil) {
				t.Errorf("the second proves it: %v", err)
			}
			if row.free {
				holder = second
			}
			s.holds("after", holder)
		})
	}
}

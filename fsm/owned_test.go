package fsm_test

import (
	"reflect"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/fsm/state"
)

// provision is an organization whose user 1 and group 1 came by a connection,
// and whose user 2 and group 2 did not.
type provision struct {
	t          *testing.T
	machine    *fsm.Machine
	org        directory.OrgID
	connection directory.ConnectionID
}

func newProvision(t *testing.T) *provision {
	p := &provision{t, open(t, disk.NewMemory()), id[directory.OrgID](0), id[directory.ConnectionID](0)}
	begin(t, p.machine)
	idp := p.provider()
	p.mustDo(operator, &fsm.CreateOrganization{Organization: directory.Organization{ID: p.org, Slug: "a", Name: "a"}, Key: directory.SigningKey{ID: "k"}})
	p.mustDo(operator, &fsm.CreateConnection{Connection: directory.Connection{ID: p.connection, Provider: directory.ProviderEntra}})
	p.mustDo(operator, &fsm.PutSchema{Schema: directory.Schema{Attributes: []directory.AttributeDefinition{{Name: "badge", Type: directory.AttributeInteger}}}})
	p.mustDo(idp, &fsm.CreateUser{User: directory.User{
		ID: id[directory.UserID](1), UserName: "one", Active: true, Source: directory.SourceSCIM, Connection: p.connection,
	}})
	p.mustDo(operator, &fsm.CreateUser{User: directory.User{ID: id[directory.UserID](2), UserName: "two", Active: true, Source: directory.SourceAPI}})
	p.mustDo(idp, &fsm.CreateGroup{Group: directory.Group{
		ID: id[directory.GroupID](1), Name: "one", Source: directory.SourceSCIM, Connection: p.connection,
	}})
	p.mustDo(operator, &fsm.CreateGroup{Group: directory.Group{ID: id[directory.GroupID](2), Name: "two", Source: directory.SourceAPI}})
	p.mustDo(operator, &fsm.CreateRole{Role: directory.Role{ID: id[directory.RoleID](1), Name: "r", Permissions: []directory.Permission{"read:a"}}})
	return p
}

func (p *provision) provider() directory.Actor {
	return directory.Actor{Kind: directory.ActorConnection, ID: p.connection}
}

func (p *provision) do(actor directory.Actor, c fsm.Command) error {
	p.t.Helper()
	env := &fsm.Envelope{Org: p.org, Actor: actor, Now: 1, Command: c}
	if _, system := c.(fsm.SystemCommand); system {
		env.Org = directory.OrgID{}
	}
	next := fsm.Entry{Index: p.machine.Applied() + 1, Term: 1, Envelopes: []*fsm.Envelope{env}}
	return apply(p.t, p.machine, next)[0][0].Err
}

func (p *provision) mustDo(actor directory.Actor, c fsm.Command) {
	p.t.Helper()
	if err := p.do(actor, c); err != nil {
		p.t.Fatalf("%T: %v", c, err)
	}
}

// refused demands a conflict about one field.
func (p *provision) refused(field string, actor directory.Actor, c fsm.Command) {
	p.t.Helper()
	err, _ := p.do(actor, c).(*directory.Error)
	if err == nil || err.Kind != directory.KindConflict || err.Field != field {
		p.t.Errorf("%T: %v, want a conflict of %s", c, err, field)
	}
}

func (p *provision) view() *state.Org {
	org, _ := p.machine.Root().Org(p.org)
	return org
}

// filled gives a field of a user another value, and tells its name in the API.
var filled = map[string]struct {
	name  string
	value any
}{
	"UserName":    {"user_name", "x"},
	"ExternalID":  {"external_id", "x"},
	"Email":       {"email", "x@example.org"},
	"DisplayName": {"display_name", "x"},
	"GivenName":   {"given_name", "x"},
	"FamilyName":  {"family_name", "x"},
	"Active":      {"active", false},
	"Attributes":  {"attributes", []byte(`{"a":1}`)},
	"Phone":       {"phone", "x"},
	"Title":       {"title", "x"},
	"Department":  {"department", "x"},
	"Manager":     {"manager_id", id[directory.UserID](2)},
	"Custom":      {"custom", []byte(`{"badge":7}`)},
}

// kept are the fields that no update of a person changes.
var kept = []string{"ID", "Source", "Connection", "Created", "Modified", "Version", "Service", "Owner"}

// TestOwnedFieldsAreWhatIsRefused: what the product shows as the provider's is
// what it refuses to others, field by field, and nothing else.
func TestOwnedFieldsAreWhatIsRefused(t *testing.T) {
	for field := range reflect.TypeFor[directory.User]().Fields() {
		change, known := filled[field.Name]
		if !known {
			if !slices.Contains(kept, field.Name) {
				t.Errorf("who may change %s of a user?", field.Name)
			}
			continue
		}
		p := newProvision(t)
		old, _ := p.view().User(id[directory.UserID](1))
		u := *old
		reflect.ValueOf(&u).Elem().FieldByName(field.Name).Set(reflect.ValueOf(change.value))
		if slices.Contains(fsm.OwnedFields(p.view(), old), change.name) {
			p.refused(change.name, operator, &fsm.UpdateUser{User: u})
		} else if err := p.do(operator, &fsm.UpdateUser{User: u}); err != nil {
			t.Errorf("%s is nobody's: %v", change.name, err)
		}
		if err := p.do(p.provider(), &fsm.UpdateUser{User: u}); err != nil {
			t.Errorf("the provider itself is refused %s: %v", change.name, err)
		}
	}
}

func TestNobodyOwnsWhatTheProviderHasNotSent(t *testing.T) {
	p := newProvision(t)
	one, _ := p.view().User(id[directory.UserID](1))
	two, _ := p.view().User(id[directory.UserID](2))
	if len(fsm.OwnedFields(p.view(), one)) == 0 || len(fsm.OwnedFields(p.view(), two)) != 0 {
		t.Error("the wrong user is owned")
	}
	p.mustDo(operator, &fsm.DeleteConnection{ID: p.connection})
	if len(fsm.OwnedFields(p.view(), one)) != 0 {
		t.Error("a connection that is gone still owns")
	}
	u := *one
	u.Email = "new@example.org"
	p.mustDo(operator, &fsm.UpdateUser{User: u})
}

func TestMembersAndNameOfAProvisionedGroupAreItsProviders(t *testing.T) {
	p := newProvision(t)
	one, two := id[directory.GroupID](1), id[directory.GroupID](2)
	user := id[directory.UserID](2)
	name, text := "other", "text"
	p.mustDo(p.provider(), &fsm.ChangeGroup{Group: one, Add: []directory.UserID{user}, ExternalID: &text})

	p.refused("name", operator, &fsm.ChangeGroup{Group: one, Name: &name})
	p.refused("external_id", operator, &fsm.ChangeGroup{Group: one, ExternalID: &name})
	p.refused("members", operator, &fsm.ChangeGroup{Group: one, Remove: []directory.UserID{user}})
	p.refused("members", operator, &fsm.ChangeGroup{Group: one, Add: []directory.UserID{id[directory.UserID](1)}})
	p.refused("members", operator, &fsm.ChangeGroup{Group: one, SetMembers: true})
	p.refused("id", operator, &fsm.NestGroup{Parent: one, Child: two})
	if !p.view().Permissions().IsMember(one, user) || p.view().Permissions().MemberCount(one) != 1 {
		t.Error("a refused change left a trace")
	}

	// What changes nothing is nobody's, and so is what the provider does not send.
	p.mustDo(operator, &fsm.ChangeGroup{Group: one, Add: []directory.UserID{user}})
	p.mustDo(operator, &fsm.ChangeGroup{Group: one, Description: &text})
	p.mustDo(operator, &fsm.AssignRole{ID: id[directory.AssignmentID](1), Role: id[directory.RoleID](1), Group: one})
	p.mustDo(operator, &fsm.NestGroup{Parent: two, Child: one})
	p.mustDo(operator, &fsm.UnnestGroup{Parent: two, Child: one})
	p.mustDo(operator, &fsm.ChangeGroup{Group: two, Name: &name, Add: []directory.UserID{user}})

	p.mustDo(operator, &fsm.DeleteConnection{ID: p.connection})
	p.mustDo(operator, &fsm.ChangeGroup{Group: one, Name: &text, Remove: []directory.UserID{user}})
	p.mustDo(operator, &fsm.NestGroup{Parent: one, Child: two})
}

func TestProvisionedGroupCanBeDeleted(t *testing.T) {
	p := newProvision(t)
	p.mustDo(operator, &fsm.DeleteGroup{Group: id[directory.GroupID](1)})
	p.mustDo(operator, &fsm.DeleteUser{User: id[directory.UserID](1)})
}

// A user whose manager was deleted could not be changed at all.
func TestManagerWhoIsGoneHindersNobody(t *testing.T) {
	p := newProvision(t)
	one, two := id[directory.UserID](1), id[directory.UserID](2)
	u := directory.User{ID: two, UserName: "two", Active: true, Manager: one}
	p.mustDo(operator, &fsm.UpdateUser{User: u})
	p.mustDo(operator, &fsm.DeleteUser{User: one})
	u.Title = "Dr"
	p.mustDo(operator, &fsm.UpdateUser{User: u})
	for what, manager := range map[string]directory.UserID{"themselves": two, "nobody": id[directory.UserID](3)} {
		u.Manager = manager
		if err := p.do(operator, &fsm.UpdateUser{User: u}); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("managed by %s: %v", what, err)
		}
	}
	u.Manager = directory.UserID{}
	p.mustDo(operator, &fsm.UpdateUser{User: u})
}

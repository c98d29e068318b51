package admin

import (
	"maps"
	"slices"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
)

// TestFiltersKnowEveryField: a filter may name what the answer shows, but for the
// organization, which is the same for all.
func TestFiltersKnowEveryField(t *testing.T) {
	machine, err := fsm.Open(disk.NewMemory())
	if err != nil {
		t.Fatal(err)
	}
	org := directory.OrgID{1}
	for index, env := range []*fsm.Envelope{
		{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: directory.OperatorID{1}, Name: "root"}}},
		{Actor: directory.Actor{Kind: directory.ActorOperator, ID: directory.OperatorID{1}}, Command: &fsm.CreateOrganization{
			Organization: directory.Organization{ID: org, Slug: "a", Name: "a"}, Key: directory.SigningKey{ID: "k"},
		}},
	} {
		results, err := machine.Apply([]fsm.Entry{{Index: directory.Index(index + 1), Term: 1, Envelopes: []*fsm.Envelope{env}}})
		if err != nil || results[0][0].Err != nil {
			t.Fatal(err, results[0][0].Err)
		}
	}
	view, ok := machine.Root().Org(org)
	if !ok {
		t.Fatal("no organization")
	}
	compareNames(t, &authfiv1.User{}, slices.Collect(maps.Keys(userListing(view).columns)))
	compareNames(t, &authfiv1.Group{}, slices.Collect(maps.Keys(groupListing(view).columns)))
	compareNames(t, &authfiv1.Role{}, slices.Collect(maps.Keys(roleListing(view).columns)))
}

func compareNames(t *testing.T, m proto.Message, columns []string) {
	t.Helper()
	var names []string
	fields := m.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if name := string(fields.Get(i).Name()); name != "org_id" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	slices.Sort(columns)
	if !slices.Equal(names, columns) {
		t.Errorf("%s: filters know %v, answers %v", m.ProtoReflect().Descriptor().Name(), columns, names)
	}
}

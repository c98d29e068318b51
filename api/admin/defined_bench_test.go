package admin

import (
	"fmt"
	"testing"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
)

// BenchmarkGranting looks at the roles of a large catalogue: 200 of them, each with
// 2,000 permissions.
func BenchmarkGranting(b *testing.B) {
	m, err := fsm.Open(disk.NewMemory())
	if err != nil {
		b.Fatal(err)
	}
	operator, org := directory.OperatorID{1}, directory.OrgID{1}
	envelopes := []*fsm.Envelope{
		{Actor: directory.Actor{Kind: directory.ActorNode}, Command: &fsm.CreateOperator{Operator: directory.Operator{ID: operator, Name: "root"}}},
		{Command: &fsm.CreateOrganization{Organization: directory.Organization{ID: org, Slug: "a", Name: "a"}, Key: directory.SigningKey{ID: "k"}}},
	}
	for r := range 200 {
		role := directory.Role{ID: directory.RoleID{1, byte(r)}, Name: fmt.Sprint("role ", r)}
		for p := range directory.PermissionsPerRoleMax {
			role.Permissions = append(role.Permissions, directory.Permission(fmt.Sprintf("read:noun-%d", p*(1+r%4))))
		}
		envelopes = append(envelopes, &fsm.Envelope{Org: org, Command: &fsm.CreateRole{Role: role}})
	}
	for _, env := range envelopes[1:] {
		env.Actor = directory.Actor{Kind: directory.ActorOperator, ID: operator}
	}
	results, err := m.Apply([]fsm.Entry{{Index: 1, Term: 1, Envelopes: envelopes}})
	if err != nil {
		b.Fatal(err)
	}
	for _, r := range results[0] {
		if r.Err != nil {
			b.Fatal(r.Err)
		}
	}
	view, _ := m.Root().Org(org)
	for b.Loop() {
		if n := len(granting(view, "")); n == 0 {
			b.Fatal("no permission is defined")
		}
	}
}

package dataset

import (
	"reflect"
	"slices"
	"testing"
)

func TestShape(t *testing.T) {
	d := New(10_000)
	if again := New(10_000); !reflect.DeepEqual(d, again) {
		t.Error("the same size gives another directory")
	}
	if len(d.GroupRoles) != 200 || len(d.RolePermissions) != Roles {
		t.Errorf("%d groups, %d roles", len(d.GroupRoles), len(d.RolePermissions))
	}
	for user, groups := range d.UserGroups {
		if distinct := len(slices.Compact(slices.Sorted(slices.Values(groups)))); distinct != GroupsPerUser {
			t.Fatalf("user %d is in %d groups", user, distinct)
		}
	}
	if n := len(d.Members()[0]); n != largeGroup {
		t.Errorf("the large group has %d members", n)
	}
	if n := len(New(600).Members()[0]); n != 300 {
		t.Errorf("the large group of a small directory has %d members", n)
	}
}

// TestReference compares the evaluator with a walk in the other direction: from
// the permission to the roles, groups and users.
func TestReference(t *testing.T) {
	d := New(1_000)
	for permission := range int32(Permissions) {
		holders := map[int32]bool{}
		for role, permissions := range d.RolePermissions {
			if !slices.Contains(permissions, permission) {
				continue
			}
			for user := range d.UserGroups {
				if hasRole(d, user, int32(role)) {
					holders[int32(user)] = true
				}
			}
		}
		for _, user := range []int32{0, 17, 500, 999} {
			if d.Holds(user, permission) != holders[user] {
				t.Fatalf("user %d, permission %d: %v", user, permission, !holders[user])
			}
		}
	}
}

func hasRole(d *Directory, user int, role int32) bool {
	return d.UserRole[user] == role || slices.ContainsFunc(d.UserGroups[user], func(group int32) bool {
		return slices.Contains(d.GroupRoles[group], role)
	})
}

func TestQuestions(t *testing.T) {
	d := New(10_000)
	questions := d.Questions(2_000, 7)
	if !slices.Equal(questions, d.Questions(2_000, 7)) {
		t.Error("the same seed gives other questions")
	}
	seen, yes := map[Question]bool{}, 0
	for _, q := range questions {
		if q.Allowed {
			yes++
		}
		if q.Allowed != d.Holds(q.User, q.Permission) {
			t.Errorf("%+v has the wrong answer", q)
		}
		seen[q] = true
	}
	if len(seen) != 2_000 || yes != 1_000 {
		t.Errorf("%d distinct questions, %d with the answer yes", len(seen), yes)
	}
}

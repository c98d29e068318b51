package main

import (
	"fmt"
	"slices"
	"testing"
)

// TestRelationsInBothLanguages: each engine is told all of the directory, and the
// same.
func TestRelationsInBothLanguages(t *testing.T) {
	d := &Directory{
		UserGroups: [][]int32{{1}, {0, 1}}, UserRole: []int32{2, 0},
		GroupRoles: [][]int32{{0}, {1}}, RolePermissions: [][]int32{{5}, {6}, {7}},
	}
	var openfga, spicedb []string
	for _, r := range d.relations() {
		tuple := openfgaTuple(r)
		openfga = append(openfga, fmt.Sprintf("%s %s %s", tuple.GetUser(), tuple.GetRelation(), tuple.GetObject()))
		s := spicedbRelationship(r)
		subject := s.GetSubject()
		spicedb = append(spicedb, fmt.Sprintf("%s:%s#%s %s %s:%s", subject.GetObject().GetObjectType(), subject.GetObject().GetObjectId(),
			subject.GetOptionalRelation(), s.GetRelation(), s.GetResource().GetObjectType(), s.GetResource().GetObjectId()))
	}
	wantOpenFGA := []string{
		"user:u0 member group:g1", "user:u0 assignee role:r2", "user:u1 member group:g0", "user:u1 member group:g1", "user:u1 assignee role:r0",
		"group:g0#member assignee role:r0", "group:g1#member assignee role:r1",
		"role:r0#assignee granted permission:p5", "role:r1#assignee granted permission:p6", "role:r2#assignee granted permission:p7",
	}
	wantSpiceDB := []string{
		"user:u0# member group:g1", "user:u0# assignee role:r2", "user:u1# member group:g0", "user:u1# member group:g1", "user:u1# assignee role:r0",
		"group:g0#member assignee role:r0", "group:g1#member assignee role:r1",
		"role:r0# role perm:p5", "role:r1# role perm:p6", "role:r2# role perm:p7",
	}
	if !slices.Equal(openfga, wantOpenFGA) {
		t.Errorf("OpenFGA %q", openfga)
	}
	if !slices.Equal(spicedb, wantSpiceDB) {
		t.Errorf("SpiceDB %q", spicedb)
	}
}

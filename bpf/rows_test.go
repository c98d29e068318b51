package bpf

import (
	"testing"

	"github.com/authfi/authfi/bpf/policy"
)

// A policy that names one more permission gave the bits other meanings, and until
// the users' rows were written anew, the right to read patients was another one.
func TestRightsOfAnotherNumberingGiveNothing(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	routes := append([]policy.Route{{Path: "/admin/*", Permissions: []string{"administer:all"}}}, theRoutes...)
	r.numbers = policy.NewNumbering(routes)
	program, err := policy.Compile(theOrg, routes, r.numbers)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.SetService(r.address, program); err != nil {
		t.Fatal(err)
	}
	admin, patients := get("/admin/7", tokenNurse), get("/api/patients/7", tokenNurse)
	for _, request := range []string{admin, patients} {
		if got := exchange(t, r.dial(t), request); got != "503 enforcement_unavailable" || r.served.Load() != 0 {
			t.Errorf("rights of the old numbering: %s, %d served", got, r.served.Load())
		}
	}
	if got := exchange(t, r.dial(t), get("/health", "")); got != "200 GET /health 0" {
		t.Errorf("a public route: %s", got)
	}
	if err := r.PutSubject(2, policy.SubjectEntry{Org: theOrg, Rights: r.rights(policy.PermissionName("read:patients"))}); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{admin: "403 insufficient_permission", patients: "200 GET /api/patients/7 0"} {
		if got := exchange(t, r.dial(t), request); got != want {
			t.Errorf("rights of the new numbering: %s, want %s", got, want)
		}
	}
}

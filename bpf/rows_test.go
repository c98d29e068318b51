package bpf

import (
	"testing"

	"github.com/authfi/authfi/bpf/obj"
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
	if err := r.PutSubject(nurse, policy.SubjectEntry{Org: theOrg, Rights: r.rights(policy.PermissionName("read:patients"))}); err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{admin: "403 insufficient_permission", patients: "200 GET /api/patients/7 0"} {
		if got := exchange(t, r.dial(t), request); got != want {
			t.Errorf("rights of the new numbering: %s, want %s", got, want)
		}
	}
}

// An element that leaves a hash is filled with another row at once, while a
// verdict may still be reading it. Here the other row is there to be found.
func TestRowThatBecomesAnotherWhileItIsReadGivesNothing(t *testing.T) {
	if !kernelOrNothing(t) {
		return
	}
	r := newRig(t, "127.0.0.1:0")
	tokenKey := policy.SipHash128(secret0, secret1, []byte(tokenDoctor))
	subject := subjectKey(doctor)
	var token obj.EnforceToken
	var user obj.EnforceSubject
	if err := r.objects.Tokens.Lookup(&tokenKey, &token); err != nil {
		t.Fatal(err)
	}
	if err := r.objects.Subjects.Lookup(&subject, &user); err != nil {
		t.Fatal(err)
	}
	otherToken, otherUser, half := token, user, user
	otherToken.Own++
	otherUser.Own = subjectKey(nurse)
	half.Own.Id[1]++
	for _, c := range []struct {
		why   string
		token obj.EnforceToken
		user  obj.EnforceSubject
		want  string
	}{
		{"both their own", token, user, "200 GET /api/patients/7 0"},
		{"the token is another", otherToken, user, "503 enforcement_unavailable"},
		{"the user is another", token, otherUser, "503 enforcement_unavailable"},
		{"the user is another in one word", token, half, "503 enforcement_unavailable"},
	} {
		if err := r.objects.Tokens.Put(&tokenKey, &c.token); err != nil {
			t.Fatal(err)
		}
		if err := r.objects.Subjects.Put(&subject, &c.user); err != nil {
			t.Fatal(err)
		}
		if got := exchange(t, r.dial(t), get("/api/patients/7", tokenDoctor)); got != c.want {
			t.Errorf("%s: %s, want %s", c.why, got, c.want)
		}
	}
}

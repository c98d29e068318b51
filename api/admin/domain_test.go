package admin_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// admin is a user of an organization who holds permissions, with a session.
func (s *server) admin(org, name string, permissions ...string) (user string, as *server) {
	s.t.Helper()
	user = s.user(org, name)
	if len(permissions) > 0 {
		role := s.ok("POST", "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"role of %s","permissions":["%s"]}`,
			org, name, strings.Join(permissions, `","`))).text(s.t, "id")
		s.ok("POST", "/api/v1/users/"+user+"/roles", `{"role_id":"`+role+`"}`)
	}
	session := s.ok("POST", "/api/v1/sessions", `{"org_id":"`+org+`","user_id":"`+user+`","amr":["pwd","otp"]}`)
	return user, s.as(session.text(s.t, "access_token"))
}

// domains are those of an organization, by name.
func domains(o object) map[string]map[string]any {
	all := map[string]map[string]any{}
	list, _ := o["domains"].([]any)
	for _, d := range list {
		one := d.(map[string]any)
		all[one["name"].(string)] = one
	}
	return all
}

func (s *server) claim(org string, names ...string) map[string]map[string]any {
	s.t.Helper()
	return domains(s.ok("PATCH", "/api/v1/organizations/"+org, `{"domains":["`+strings.Join(names, `","`)+`"]}`))
}

func verifyPath(org, domain string) string {
	return "/api/v1/organizations/" + org + "/domains/" + domain + "/verify"
}

func TestDomainIsProvedByTheDNS(t *testing.T) {
	s := newServer(t)
	dns := nameServerOf(t)
	org, _ := s.organization("clinic")
	_, admin := s.admin(org, "alice", "manage:settings", "read:directory")
	challenge := admin.claim(org, "Clinic.Example.")["clinic.example"]["challenge"].(string)
	if len(challenge) < 26 {
		t.Fatalf("the challenge %q is short", challenge)
	}
	verify := verifyPath(org, "clinic.example")
	name := "_authfi-challenge.clinic.example"
	missing := admin.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verify, "{}")
	if detail := missing.text(t, "detail"); !strings.Contains(detail, name) || !strings.Contains(detail, challenge) {
		t.Errorf("the answer does not say what is missing: %s", detail)
	}
	for _, wrong := range [][]string{
		{}, {challenge[1:]}, {challenge + "x"}, {strings.ToLower(challenge)}, {"v=spf1 -all", " " + challenge},
	} {
		dns.publish(name, wrong...)
		admin.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verify, "{}")
	}
	dns.publish("clinic.example", challenge)
	dns.publish(name, "v=spf1 -all", challenge)
	proved := domains(admin.ok("POST", verifyPath(org, "CLINIC.example."), "{}"))
	if proved["clinic.example"]["verified"] == nil {
		t.Fatalf("domains %v", proved)
	}
	for _, asked := range dns.asked() {
		if asked != name+"." {
			t.Errorf("the DNS was asked for %s", asked)
		}
	}
	// What is proved stays, whatever the DNS says now, and nobody is asked again.
	dns.publish(name)
	if again := domains(admin.ok("POST", verify, "{}")); again["clinic.example"]["verified"] == nil || len(dns.asked()) != 0 {
		t.Errorf("domains %v", again)
	}
	kept := admin.claim(org, "clinic.example", "other.example")
	if kept["clinic.example"]["verified"] == nil || kept["clinic.example"]["challenge"] != challenge || kept["other.example"]["verified"] != nil {
		t.Errorf("domains %v", kept)
	}
	// Who gives a claim up has to prove it anew, by another challenge.
	admin.claim(org, "other.example")
	anew := admin.claim(org, "clinic.example")
	if anew["clinic.example"]["verified"] != nil || anew["clinic.example"]["challenge"] == challenge {
		t.Errorf("domains %v", anew)
	}
}

func TestOperatorVouchesForADomain(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	s.claim(org, "clinic.example")
	if proved := domains(s.ok("POST", verifyPath(org, "clinic.example"), "{}")); proved["clinic.example"]["verified"] == nil {
		t.Errorf("domains %v", proved)
	}
	if asked := nameServerOf(t).asked(); len(asked) != 0 {
		t.Errorf("the DNS was asked for %v", asked)
	}
}

func TestDomainsThatCannotBeVerified(t *testing.T) {
	s := newServer(t)
	dns := nameServerOf(t)
	org, _ := s.organization("clinic")
	other, _ := s.organization("hospital")
	_, admin := s.admin(org, "alice", "manage:settings")
	_, reader := s.admin(org, "bob", "read:directory")
	admin.claim(org, "clinic.example")
	s.claim(other, "hospital.example")
	for _, domain := range []string{"hospital.example", "unknown.example", "not a domain", strings.Repeat("x", 1000), "clinic.example.example"} {
		admin.problem(http.StatusNotFound, "not_found", "", "POST", verifyPath(org, strings.ReplaceAll(domain, " ", "%20")), "{}")
	}
	reader.problem(http.StatusForbidden, "permission_denied", "", "POST", verifyPath(org, "clinic.example"), "{}")
	admin.problem(http.StatusNotFound, "not_found", "", "POST", verifyPath(other, "hospital.example"), "{}")
	if asked := dns.asked(); len(asked) != 0 {
		t.Errorf("the DNS was asked for %v", asked)
	}
	dns.fail(true)
	admin.problem(http.StatusServiceUnavailable, "unavailable", "", "POST", verifyPath(org, "clinic.example"), "{}")
}

// TestTheSecondProofSaysNothingOfTheFirst: two organizations publish what they must,
// and the one that comes second is told neither who was first nor by its log.
func TestTheSecondProofSaysNothingOfTheFirst(t *testing.T) {
	s := newServer(t)
	dns := nameServerOf(t)
	var orgs []string
	var admins []*server
	var challenges []string
	for _, slug := range []string{"first-clinic", "second-clinic"} {
		org, _ := s.organization(slug)
		_, admin := s.admin(org, "alice", "manage:settings", "read:directory", "read:audit-logs")
		orgs, admins = append(orgs, org), append(admins, admin)
		challenges = append(challenges, admin.claim(org, "clinic.example")["clinic.example"]["challenge"].(string))
	}
	dns.publish("_authfi-challenge.clinic.example", challenges...)
	admins[0].ok("POST", verifyPath(orgs[0], "clinic.example"), "{}")
	refused := admins[1].problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(orgs[1], "clinic.example"), "{}")
	mine := admins[1].ok("GET", "/api/v1/organizations/"+orgs[1], "")
	log := admins[1].ok("GET", "/api/v1/audit-log?org_id="+orgs[1], "")
	said := fmt.Sprint(refused, mine, log)
	for _, secret := range []string{"first-clinic", orgs[0], challenges[0]} {
		if strings.Contains(said, secret) {
			t.Errorf("%s is told: %s", secret, said)
		}
	}
	if d := domains(mine)["clinic.example"]; d["verified"] != nil || d["challenge"] != challenges[1] {
		t.Errorf("domain %v", d)
	}
	s.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(orgs[1], "clinic.example"), "{}")
}

// TestLookupsArePaced: at the limit of a minute the DNS is asked, one past it not,
// and another organization has its own.
func TestLookupsArePaced(t *testing.T) {
	s := newServer(t)
	dns := nameServerOf(t)
	org, _ := s.organization("clinic")
	_, admin := s.admin(org, "alice", "manage:settings")
	admin.claim(org, "clinic.example")
	for range 10 {
		admin.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(org, "clinic.example"), "{}")
	}
	if asked := dns.asked(); len(asked) != 10 {
		t.Fatalf("the DNS was asked %d times", len(asked))
	}
	admin.problem(http.StatusTooManyRequests, "resource_exhausted", "domain", "POST", verifyPath(org, "clinic.example"), "{}")
	if asked := dns.asked(); len(asked) != 0 {
		t.Errorf("past the limit the DNS was asked for %v", asked)
	}
	neighbour, _ := s.organization("hospital")
	_, theirs := s.admin(neighbour, "bob", "manage:settings")
	theirs.claim(neighbour, "hospital.example")
	theirs.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(neighbour, "hospital.example"), "{}")
}

// TestLookupsAtOnce: a name server that hangs holds a bounded number of requests.
func TestLookupsAtOnce(t *testing.T) {
	s := newServer(t)
	dns := nameServerOf(t)
	release := dns.hold()
	defer release() // the server waits for its answers before it stops
	org, _ := s.organization("clinic")
	_, admin := s.admin(org, "alice", "manage:settings")
	admin.claim(org, "clinic.example")
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			admin.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(org, "clinic.example"), "{}")
		}()
	}
	for range 8 {
		<-dns.seen
	}
	admin.problem(http.StatusServiceUnavailable, "unavailable", "", "POST", verifyPath(org, "clinic.example"), "{}")
	release()
	for range 8 {
		<-done
	}
	admin.problem(http.StatusPreconditionFailed, "failed_precondition", "domain", "POST", verifyPath(org, "clinic.example"), "{}")
}

func TestClaimsAreBounded(t *testing.T) {
	s := newServer(t)
	org, _ := s.organization("clinic")
	names := func(n int) (names []string) {
		for i := range n {
			names = append(names, fmt.Sprintf("d%d.example", i))
		}
		return names
	}
	if all := s.claim(org, names(100)...); len(all) != 100 {
		t.Errorf("%d domains", len(all))
	}
	for what, list := range map[string][]string{
		"one more than the limit": names(101),
		"twice":                   {"a.example", "A.EXAMPLE."},
		"one label":               {"localhost"},
		"an address":              {"192.0.2.1:80"},
		"an underscore":           {"_dmarc.clinic.example"},
		"not in ASCII":            {"klinik-süd.example"},
		"empty":                   {""},
		"254 bytes":               {strings.Repeat("a23456789.", 25) + "abcd"},
		"a label of 64 bytes":     {strings.Repeat("a", 64) + ".example"},
	} {
		t.Log(what)
		s.problem(http.StatusBadRequest, "invalid_argument", "domains", "PATCH", "/api/v1/organizations/"+org,
			`{"domains":["`+strings.Join(list, `","`)+`"]}`)
	}
	longest := strings.Repeat("a23456789.", 25) + "abc"
	if all := s.claim(org, longest); len(all) != 1 {
		t.Errorf("253 bytes: %v", all)
	}
	cleared := s.ok("PATCH", "/api/v1/organizations/"+org, `{"domains":[]}`)
	if list, _ := cleared["domains"].([]any); !slices.Equal(list, []any{}) {
		t.Errorf("domains %v", cleared["domains"])
	}
}

package admin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// The hospital of the measurements.
const (
	hospitalUsers = 100_000
	entryUsers    = 1000 // of one entry
)

var (
	givenNames  = []string{"Ada", "Åsa", "Boris", "Chen", "Dana", "Emre", "Fatima", "Grace", "Hiro", "Ines", "Jan", "Kofi"}
	familyNames = []string{"Lovelace", "Öst", "Hopper", "Li", "Okafor", "Silva", "Tanaka", "Müller", "Novak", "Haddad", "Ivanova"}
	departments = []string{"Cardiology", "Oncology", "Radiology", "Emergency", "Pharmacy"}
)

// hospital is an organization of many users, a part of whom has what an identity
// provider sends beyond the profile.
func hospital(b *testing.B) (*server, string) {
	b.Helper()
	s, direct, org := newDirect(b)
	direct.do(&fsm.SetOrganizationLimits{UserQuota: hospitalUsers})
	machine := direct.log.machine
	for n := 0; n < hospitalUsers; {
		entry := fsm.Entry{Index: machine.Applied() + 1, Term: 1}
		for range entryUsers {
			env := direct.env
			env.Now, env.Command = directory.TimeOf(time.Now()), &fsm.CreateUser{User: person(n)}
			entry.Envelopes = append(entry.Envelopes, &env)
			n++
		}
		results, err := machine.Apply([]fsm.Entry{entry})
		must(b, err)
		must(b, results[0][0].Err)
	}
	return s, org
}

// person is the nth user; names are not in the order of ids.
func person(n int) directory.User {
	given, family := givenNames[n%len(givenNames)], familyNames[n*7%len(familyNames)]
	u := directory.User{
		ID:          access.NewID[directory.UserID](time.UnixMilli(int64(1_700_000_000_000 + n))),
		UserName:    fmt.Sprintf("%s.%s.%05d@hospital.example", given, family, n*7919%hospitalUsers),
		DisplayName: given + " " + family, GivenName: given, FamilyName: family,
		Department: departments[n%len(departments)], Phone: fmt.Sprintf("+49 30 %07d", n), Active: n%20 != 0,
		ExternalID: fmt.Sprintf("00u%017d", n), Source: directory.SourceAPI,
	}
	u.Email = u.UserName
	if n%2 == 0 {
		u.Attributes = []byte(`{"addresses":[{"locality":"Berlin","type":"work"}],"locale":"de-DE","nickName":"` + given + `","preferredLanguage":"de"}`)
	}
	return u
}

// BenchmarkUsersPage measures a page of the users with its total, over a socket,
// and reports the 99th percentile.
func BenchmarkUsersPage(b *testing.B) {
	s, org := hospital(b)
	for _, c := range []struct{ name, q, filter, sort string }{
		{"plain", "", "", ""},
		{"by user name", "", "", "user_name"},
		{"by e-mail", "", "", "-email"},
		{"q of many", "lov", "", ""},
		{"q of few", "grace.hopper.0001", "", ""},
		{"q by user name", "lov", "", "user_name"},
		{"filter", "", `active eq false and department co "Card"`, ""},
		{"filter of one", "", `external_id eq "00u00000000000050000"`, ""},
	} {
		for _, limit := range []int{50, 1000} {
			b.Run(fmt.Sprintf("%s/limit=%d", c.name, limit), func(b *testing.B) {
				ask := url.Values{"org_id": {org}, "limit": {fmt.Sprint(limit)}, "q": {c.q}, "filter": {c.filter}, "sort": {c.sort}}
				if cursor := s.ok("GET", "/api/v1/users?"+ask.Encode(), "").text(b, "cursor"); cursor != "" {
					ask.Set("cursor", cursor)
				}
				var took []time.Duration
				before := processorTime(b)
				for b.Loop() {
					start := time.Now()
					s.discard("/api/v1/users?" + ask.Encode())
					took = append(took, time.Since(start))
				}
				used := processorTime(b) - before
				slices.Sort(took)
				b.ReportMetric(milliseconds(took[len(took)*99/100]), "p99-ms")
				b.ReportMetric(milliseconds(used)/float64(len(took)), "cpu-ms/op")
			})
		}
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// processorTime is what client and server have used, which other work on the
// machine changes less than the time that passes.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// discard reads an answer without decoding it.
func (s *server) discard(path string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.base+path, nil)
	must(s.t, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	res, err := http.DefaultClient.Do(req)
	must(s.t, err)
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil || res.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %d, %v", path, res.StatusCode, err)
	}
}

package scim_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// benchUsers is a large tenant.
const benchUsers = 100_000

// BenchmarkLists answers each of these for a connection that has sent 100,000 users.
func BenchmarkLists(b *testing.B) {
	w := newWorld(b)
	c := w.organization("large")
	w.must(c.org, &fsm.SetOrganizationLimits{UserQuota: benchUsers})
	c.fill(w, benchUsers)
	for _, query := range []string{
		`filter=userName eq "user-99000@x.example"`,
		`filter=userName sw "user-9900"`,
		`filter=externalId eq "e-99000"`,
		`filter=emails.value eq "user-99000@work.example"`,
		`filter=emails[type eq "work"].value eq "user-99000@work.example"`,
		`filter=emails[type eq "home"].value eq "user-99000@home.example"`,
		`filter=userName eq "user-99000@home.example" or emails.value eq "user-99000@home.example"`,
		`filter=displayName eq "Given99000 Family"`,
		`filter=name.familyName eq "Family99000"`,
		`filter=name.givenName sw "Given9900"`,
		`filter=emails.value co "99000@work"`,
		`filter=nickName eq "n99000"`,
		`filter=phoneNumbers.value eq "+1 99000"`,
		`filter=` + enterpriseURN + `:employeeNumber eq "99000"`,
		`filter=manager eq "m99000"`,
		`filter=active eq false`,
		`filter=meta.lastModified gt "2999-01-01T00:00:00Z"`,
		`filter=meta.created gt "2999-01-01T00:00:00Z"`,
		`filter=meta.resourceType eq "Group"`,
		`sortBy=userName`,
		`sortBy=userName&sortOrder=descending&startIndex=90001`,
		`sortBy=userName&cursor`,
		`sortBy=displayName`,
		`sortBy=meta.lastModified`,
		`startIndex=90001`,
	} {
		name, _ := url.PathUnescape(query)
		address := (&url.URL{Path: "/Users", RawQuery: query}).String()
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if a := c.do("GET", address+"&count=10", ""); a.status != 200 {
					b.Fatal(a.status, string(a.body))
				}
			}
		})
	}
}

// fill puts users into the organization as if the connection had sent them, many in
// one entry.
func (c *client) fill(w *world, n int) {
	w.t.Helper()
	const each = 1000
	for first := 0; first < n; first += each {
		entry := fsm.Entry{Index: w.log.machine.Applied() + 1, Term: 1}
		for i := first; i < min(first+each, n); i++ {
			u := directory.User{
				ID: access.NewID[directory.UserID](time.Now()), UserName: fmt.Sprintf("user-%d@x.example", i), ExternalID: fmt.Sprintf("e-%d", i),
				Email: fmt.Sprintf("user-%d@work.example", i), DisplayName: fmt.Sprintf("Given%d Family", i), GivenName: fmt.Sprintf("Given%d", i), FamilyName: fmt.Sprintf("Family%d", i),
				Active: true, Source: directory.SourceSCIM, Connection: c.connection,
			}
			home := ""
			if i%10 == 0 {
				home = fmt.Sprintf(`,{"type":"home","value":"user-%d@home.example"}`, i)
			}
			u.Attributes = fmt.Appendf(nil, `{"active":true,"displayName":%q,"emails":[{"primary":true,"type":"work","value":%q}%s],"externalId":%q,"locale":"en-US",`+
				`"name":{"familyName":%q,"givenName":%q},"nickName":"n%d","phoneNumbers":[{"type":"work","value":"+1 %d"}],"title":"Nurse",`+
				`"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"Ward","employeeNumber":"%d","manager":{"value":"m%d"}},"userName":%q}`,
				u.DisplayName, u.Email, home, u.ExternalID, u.FamilyName, u.GivenName, i, i, i, i, u.UserName)
			entry.Envelopes = append(entry.Envelopes, &fsm.Envelope{
				Org: c.org, Actor: directory.Actor{Kind: directory.ActorConnection, ID: [16]byte(c.connection)}, Source: "scim", Now: directory.TimeOf(time.Now()),
				Command: &fsm.CreateUser{User: u},
			})
		}
		results, err := w.log.machine.Apply([]fsm.Entry{entry})
		if err != nil {
			w.t.Fatal(err)
		}
		for _, r := range results[0] {
			if r.Err != nil {
				w.t.Fatal(r.Err)
			}
		}
	}
}

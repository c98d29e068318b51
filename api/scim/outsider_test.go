package scim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
)

// TestSlugsTellNothing: whoever is not the organization's own provider gets the
// same answer, byte for byte, under its base URL as under one that nobody has, and
// leaves nothing in its log.
func TestSlugsTellNothing(t *testing.T) {
	w := newWorld(t)
	own := w.organization("clinic")
	theirs := w.organization("hospital")
	id := theirs.create("/Users", `{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"a"}`)
	hospital, _ := w.log.machine.Root().System().OrganizationBySlug("hospital")
	unknown, _ := access.NewConnectionToken(hospital, access.NewID[directory.ConnectionID](time.Now()))
	var wrong string // the right connection with another secret
	org, _ := w.log.machine.Root().Org(hospital)
	org.EachConnection(func(c *directory.Connection) bool {
		wrong, _ = access.NewConnectionToken(hospital, c.ID)
		return true
	})
	operator := access.NewID[directory.OperatorID](time.Now())
	operatorToken, hash := access.NewOperatorToken(operator)
	w.must(directory.OrgID{}, &fsm.CreateOperator{Operator: directory.Operator{ID: operator, Name: "second", Token: hash}})

	requests := []struct{ method, path, body string }{
		{"GET", "", ""}, {"GET", "/", ""}, {"GET", "/ServiceProviderConfig", ""}, {"POST", "/ServiceProviderConfig", ""},
		{"GET", "/Schemas", ""}, {"GET", "/ResourceTypes", ""}, {"GET", "/Users", ""}, {"GET", "/Users?filter=userName eq \"a\"", ""},
		{"GET", "/Users/" + id, ""}, {"PUT", "/Users/" + id, `{"userName":"b"}`}, {"PATCH", "/Users/" + id, "{"},
		{"DELETE", "/Users/" + id, ""}, {"POST", "/Users", `{"userName":"a"}`}, {"POST", "/Groups", `{"displayName":"g"}`},
		{"GET", "/Groups", ""}, {"TRACE", "/Users", ""}, {"GET", "/Nothing", ""}, {"GET", "/Users/a/b", ""},
	}
	before := w.log.machine.Root().Applied()
	for _, authorization := range []string{
		"Bearer " + own.token, "Bearer " + unknown, "Bearer " + operatorToken, "Bearer " + wrong,
		"Bearer afs_x", "Bearer ", "Basic YTpi", "",
	} {
		for _, r := range requests {
			said := func(slug string) string {
				c := client{t: t, base: w.url + scim.Prefix + slug}
				a := c.send(r.method, r.path, r.body, map[string]string{"Authorization": authorization, "Content-Type": "application/scim+json"})
				a.header.Del("Date")
				a.header.Del("Content-Length") // the length of the slug is in it
				return strings.ReplaceAll(fmt.Sprint(a.status, a.header, string(a.body)), slug, "SLUG")
			}
			known, free, bad := said("hospital"), said("nobody"), said("No-Slug")
			if known != free || known != bad {
				t.Errorf("%s: %s %s:\n%s\n%s\n%s", authorization, r.method, r.path, known, free, bad)
			}
		}
	}
	if after := w.log.machine.Root().Applied(); after != before {
		t.Errorf("the outsiders wrote entries %d to %d", before+1, after)
	}
}

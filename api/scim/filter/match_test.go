package filter_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/filter"
)

// caseExact treats id and externalId as the core schema does.
type caseExact struct{}

func (caseExact) Has(string) bool { return false }

func (caseExact) CaseExact(path string) bool {
	return strings.EqualFold(path, "id") || strings.EqualFold(path, "externalId")
}

const someone = `{
	"id": "ABC", "externalId": "Ext", "userName": "Ada@Example.com", "active": true, "age": 36, "nickName": "",
	"name": {"givenName": "Ada"},
	"meta": {"created": "2026-01-02T03:04:05Z"},
	"emails": [{"type": "work", "value": "a@work", "primary": true}, {"type": "home", "value": "a@home"}],
	"tags": ["x", "y"],
	"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": {"manager": {"value": "M1"}, "department": "Ward"}
}`

func TestMatch(t *testing.T) {
	var resource map[string]any
	if err := json.Unmarshal([]byte(someone), &resource); err != nil {
		t.Fatal(err)
	}
	const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	for in, want := range map[string]bool{
		`USERNAME EQ "ada@example.COM"`:                                true,
		`urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ada"`: true,
		`id eq "abc"`:                                    false,
		`id eq "ABC" and manager eq "M1"`:                true,
		`id eq "ABC" and manager eq "M2"`:                false,
		enterprise + `:manager.value eq "m1"`:            true,
		enterprise + `:department co "ar"`:               true,
		`urn:nobody:2.0:User:department pr`:              false,
		`emails eq "a@home"`:                             true,
		`emails co "nobody"`:                             false,
		`emails.type eq "home"`:                          true,
		`emails[type eq "home" and value ew "work"]`:     false,
		`emails[type eq "work"].value eq "A@WORK"`:       true,
		`emails[primary eq "True"]`:                      true,
		`emails[not (type eq "work")].value eq "a@home"`: true,
		`active eq "TRUE"`:                               true,
		`active ne false`:                                true,
		`active eq "yes"`:                                false,
		`tags eq "Y"`:                                    true,
		`tags[value eq "x"]`:                             true,
		`nickName pr`:                                    false,
		`title pr`:                                       false,
		`emails pr`:                                      true,
		`name pr`:                                        true,
		`name.familyName eq null`:                        true,
		`name.givenName ne null`:                         true,
		`title ne "x"`:                                   true,
		`title eq "x"`:                                   false,
		`age ge 36 and age le 36 and not (age gt 36) and age lt 1e2`: true,
		`age eq "x"`: false,
		`meta.created lt "2026-01-02T04:04:06+01:00"`:     true,
		`meta.created gt "2026-01-02T03:04:05.000Z"`:      false,
		`meta.created eq "2026-01-02T04:04:05.000+01:00"`: true,
		`meta.created ne "2026-01-02t03:04:05z"`:          false,
		`meta.created ge "2026"`:                          true,
		`userName gt "aaa" and userName lt "b"`:           true,
		`title pr or (userName pr and not (id eq "x"))`:   true,
	} {
		e, err := filter.Parse(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if got, err := filter.Match(e, resource, caseExact{}); err != nil || got != want {
			t.Errorf("%s: got %v %v, want %v", in, got, err, want)
		}
	}
}

func TestMatchRefusesToOrderBooleans(t *testing.T) {
	e, err := filter.Parse("active gt false")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := filter.Match(e, map[string]any{"active": true}, caseExact{}); err == nil {
		t.Error("a boolean was ordered")
	}
}

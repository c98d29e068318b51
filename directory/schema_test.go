package directory_test

import (
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

func hospital(t *testing.T) *directory.Schema {
	t.Helper()
	s := &directory.Schema{Attributes: []directory.AttributeDefinition{
		{Name: "wing", Type: directory.AttributeString, Values: []string{"west", "east", "east"}},
		{Name: "badge", Type: directory.AttributeInteger},
		{Name: "since", Type: directory.AttributeDate},
		{Name: "on_call", Type: directory.AttributeBoolean},
		{Name: "languages", Type: directory.AttributeString, Several: true},
		{Name: "shifts", Type: directory.AttributeInteger, Several: true},
		{Name: "note", Type: directory.AttributeString},
	}}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestCanonicalAttributes: what is allowed has one form, which is allowed and stays
// as it is.
func TestCanonicalAttributes(t *testing.T) {
	s := hospital(t)
	for in, want := range map[string]string{
		``:                                             ``,
		`{}`:                                           ``,
		` { "badge" : null } `:                         ``,
		`{"wing":"west","badge":7}`:                    `{"badge":7,"wing":"west"}`,
		"{\n\"badge\": -9007199254740991\n}":           `{"badge":-9007199254740991}`,
		`{"badge":9007199254740991}`:                   `{"badge":9007199254740991}`,
		`{"since":"2024-02-29"}`:                       `{"since":"2024-02-29"}`,
		`{"on_call":false}`:                            `{"on_call":false}`,
		`{"languages":["de","\u0065n"]}`:               `{"languages":["de","en"]}`,
		`{"languages":[]}`:                             `{"languages":[]}`,
		`{"shifts":[3,2,1]}`:                           `{"shifts":[3,2,1]}`,
		`{"note":"<b> & \"q\" \u00e4 \/"}`:             `{"note":"<b> & \"q\" ä /"}`,
		`{"note":"","badge":1,"badge":2}`:              `{"badge":2,"note":""}`,
		`{"note":"` + strings.Repeat("<", 1024) + `"}`: `{"note":"` + strings.Repeat("<", 1024) + `"}`,
	} {
		got, err := s.Canonical([]byte(in))
		if err != nil || string(got) != want {
			t.Errorf("%s became %s: %v", in, got, err)
			continue
		}
		if again, err := s.Canonical(got); err != nil || string(again) != want {
			t.Errorf("%s became %s: %v", got, again, err)
		}
	}
}

func TestAttributesThatAreRefused(t *testing.T) {
	s := hospital(t)
	for _, in := range []string{
		`null`, `[]`, `7`, `"x"`, `{`, `{"badge":7`, `{"badge":7}}`, `{"badge":7}]`, `{"badge":7},`, `{"badge":7} 1`, `{badge:7}`,
		`{"unknown":1}`, `{"Badge":7}`, `{"badge":"7"}`, `{"badge":7.0}`, `{"badge":7e1}`, `{"badge":-0}`, `{"badge":true}`,
		`{"badge":9007199254740992}`, `{"badge":-9007199254740992}`, `{"badge":99999999999999999999}`, `{"badge":[7]}`, `{"badge":{}}`,
		`{"wing":"north"}`, `{"wing":"West"}`, `{"wing":""}`, `{"wing":["west"]}`,
		`{"since":"2023-02-29"}`, `{"since":"2024-2-9"}`, `{"since":"2024-02-29T00:00:00Z"}`, `{"since":20240229}`,
		`{"on_call":"true"}`, `{"on_call":1}`,
		`{"languages":"de"}`, `{"languages":["de",null]}`, `{"languages":["de",1]}`, `{"languages":[["de"]]}`, `{"languages":{"de":1}}`,
		`{"shifts":[1,"2"]}`, `{"shifts":1}`, `{"note":"a\u0000b"}`, `{"note":"a\nb"}`,
	} {
		if got, err := s.Canonical([]byte(in)); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s became %s: %v", in, got, err)
		}
	}
}

func TestSchemasThatAreRefused(t *testing.T) {
	for what, d := range map[string][]directory.AttributeDefinition{
		"no name":                {{Type: directory.AttributeString}},
		"capitals":               {{Name: "Badge", Type: directory.AttributeString}},
		"a hyphen":               {{Name: "on-call", Type: directory.AttributeString}},
		"a dot":                  {{Name: "on.call", Type: directory.AttributeString}},
		"no type":                {{Name: "badge"}},
		"a type of no kind":      {{Name: "badge", Type: "float"}},
		"values of an integer":   {{Name: "badge", Type: directory.AttributeInteger, Values: []string{"1"}}},
		"a blank value":          {{Name: "wing", Type: directory.AttributeString, Values: []string{" "}}},
		"one name twice":         {{Name: "a", Type: directory.AttributeString}, {Name: "a", Type: directory.AttributeDate}},
		"a description of lines": {{Name: "a", Type: directory.AttributeString, Description: "a\nb"}},
	} {
		if err := (&directory.Schema{Attributes: d}).Check(); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSchemaIsPutInOrder, and leaves the caller's as it was.
func TestSchemaIsPutInOrder(t *testing.T) {
	given := []directory.AttributeDefinition{
		{Name: "b", Type: directory.AttributeString, Values: []string{"y", "x", "y"}},
		{Name: "a", Type: directory.AttributeDate},
	}
	s := directory.Schema{Attributes: given}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
	if s.Attributes[0].Name != "a" || strings.Join(s.Attributes[1].Values, "") != "xy" {
		t.Errorf("%+v", s.Attributes)
	}
	if given[0].Name != "b" || strings.Join(given[0].Values, "") != "yxy" {
		t.Errorf("the caller's became %+v", given)
	}
}

// TestExtensionURNs: an extension has a URN of its own, in the form that identity
// providers ask for, and is spelt in one way.
func TestExtensionURNs(t *testing.T) {
	const clinic = "urn:ietf:params:scim:schemas:extension:clinic:2.0:User"
	check := func(urns ...string) (*directory.Schema, error) {
		s := &directory.Schema{}
		for i, urn := range urns {
			s.Attributes = append(s.Attributes, directory.AttributeDefinition{Name: string(rune('a' + i)), Type: directory.AttributeString, URN: urn})
		}
		return s, s.Check()
	}
	for _, urn := range []string{clinic, "urn:x:1:User", "URN:x:1.0:User", "urn:example:a.b-c_d:10.2.3:User"} {
		want := !strings.HasPrefix(urn, "URN")
		if _, err := check(urn); (err == nil) != want {
			t.Errorf("%s: %v", urn, err)
		}
	}
	for _, urn := range []string{
		"clinic", "urn:", "urn:clinic", "urn:clinic:User", "urn:clinic:x:User", "urn:clinic:2.0:Group", "urn:clinic:2.0:user", "urn:clinic:2.0:User:",
		"urn:clinic:2.0:User:badge", "urn:cli nic:2.0:User", "urn:cl\u00efnic:2.0:User", "urn::2.0:User", "urn:2.0:User",
		"urn:ietf:params:scim:schemas:core:2.0:User", "urn:IETF:params:scim:schemas:Core:3.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
		"urn:ietf:params:scim:api:messages:2.0:User", "urn:" + strings.Repeat("x", directory.ExtensionURNMax) + ":2.0:User",
	} {
		if _, err := check(urn); directory.KindOf(err) != directory.KindInvalid {
			t.Errorf("%s: %v", urn, err)
		}
	}
	if _, err := check(clinic, "", strings.Replace(clinic, "clinic", "Clinic", 1)); directory.KindOf(err) != directory.KindInvalid {
		t.Errorf("two spellings: %v", err)
	}
	s, err := check(clinic, "urn:b:1.0:User", "", clinic)
	if err != nil || strings.Join(s.Extensions(), " ") != "urn:b:1.0:User "+clinic {
		t.Errorf("%v: %v", s.Extensions(), err)
	}
	if spelling, attributes := s.Extension(strings.ToUpper(clinic)); spelling != clinic || len(attributes) != 2 || attributes[1].Name != "d" {
		t.Errorf("%s has %d attributes", spelling, len(attributes))
	}
	if spelling, attributes := s.Extension(""); spelling != "" || attributes != nil {
		t.Error("attributes without a URN are in an extension")
	}
}

func TestAllowedValues(t *testing.T) {
	s := hospital(t)
	for in, want := range map[string]string{
		``:                                   ``,
		`{"badge":"x","wing":"north"}`:       ``,
		`{"badge":1,"gone":2,"since":"now"}`: `{"badge":1}`,
	} {
		if got, err := s.Allowed([]byte(in)); err != nil || string(got) != want {
			t.Errorf("%s became %s: %v", in, got, err)
		}
	}
	if _, err := s.Allowed([]byte(`[`)); err == nil {
		t.Error("what is no object was read")
	}
}

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

package patch_test

import (
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/patch"
)

func TestCanonicalUser(t *testing.T) {
	for _, row := range []struct{ about, in, want string }{
		{"Entra creates", `{"schemas":["x"],"externalId":"e","userName":"ada","active":true,"emails":[{"primary":true,"type":"work","value":"a"}],"meta":{"resourceType":"User"},"name":{"givenName":"A"},"roles":[]}`,
			`{"externalId":"e","userName":"ada","active":true,"emails":[{"primary":true,"type":"work","value":"a"}],"name":{"givenName":"A"}}`},
		{"Okta creates", `{"userName":"ada","groups":[],"password":"p","id":"x","active":true}`, `{"userName":"ada","active":true}`},
		{"the tutorial sends nulls, a misspelt URN and a department on top", `{"USERNAME":"ada","title":null,"department":"D","manager":"M","` + "urn:ietf:params:scim:schemas:extension:enterprise:2.0User" + `":{"costCenter":"C"}}`,
			`{"userName":"ada","` + enterprise + `":{"department":"D","manager":{"value":"M"},"costCenter":"C"}}`},
		{"booleans come as text", `{"userName":"ada","active":"False","roles":[{"primary":"True","value":"V"}]}`, `{"userName":"ada","active":false,"roles":[{"primary":true,"value":"V"}]}`},
		{"one primary is left", `{"userName":"ada","emails":[{"value":"1","primary":true},{"value":"2","primary":true}]}`, `{"userName":"ada","emails":[{"value":"1","primary":true},{"value":"2","primary":false}]}`},
		{"a custom extension is not in schemas", `{"userName":"ada","` + custom + `":{"Tag":"701984","n":[1,{"x":null}]}}`, `{"userName":"ada","` + custom + `":{"Tag":"701984","n":[1,{"x":null}]}}`},
		{"keys are paths", `{"userName":"ada","name.givenName":"A","emails[type eq \"work\"].Value":"a","` + enterprise + `:department":"D","` + custom + `:tag":"7"}`,
			`{"userName":"ada","name":{"givenName":"A"},"emails":[{"type":"work","value":"a"}],"` + enterprise + `":{"department":"D"},"` + custom + `":{"tag":"7"}}`},
		{"the URN of the user holds its attributes", `{"` + patch.UserURN + `":{"userName":"ada","active":"True","id":"x"}}`, `{"userName":"ada","active":true}`},
		{"a phone number stays as it is", `{"userName":"ada","phoneNumbers":[{"type":"fax","value":"56-357 (77)"}]}`, `{"userName":"ada","phoneNumbers":[{"type":"fax","value":"56-357 (77)"}]}`},
	} {
		t.Run(row.about, func(t *testing.T) {
			got, err := patch.CanonicalUser([]byte(row.in), patch.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if want := text(t, object(t, row.want)); text(t, got) != want {
				t.Errorf("got  %s\nwant %s", text(t, got), want)
			}
		})
	}
}

func TestCanonicalUserRefuses(t *testing.T) {
	for in, want := range map[string]string{
		`{}`:                                    patch.InvalidValue,
		`{"userName":""}`:                       patch.InvalidValue,
		`{"userName":"a"} x`:                    patch.InvalidSyntax,
		`[]`:                                    patch.InvalidSyntax,
		`null`:                                  patch.InvalidSyntax,
		`{"userName":"a","schemas":1}`:          patch.InvalidSyntax,
		`{"userName":"a","active":"x"}`:         patch.InvalidValue,
		`{"userName":"a","urn:x:2.0:User":"x"}`: patch.InvalidValue,
		`{"userName":"` + strings.Repeat("a", patch.MaxUser) + `"}`: patch.TooMany,
		`{"userName":` + strings.Repeat("[", 17) + `}`:              patch.TooMany,
	} {
		if _, err := patch.CanonicalUser([]byte(in), patch.Options{}); scimType(err) != want {
			t.Errorf("%.60s: got %v, want %s", in, err, want)
		}
	}
}

func TestStrictBodies(t *testing.T) {
	strict := patch.Options{UnknownAttributes: patch.RejectUnknownAttributes}
	for in, want := range map[string]string{
		`{"userName":"a","shoeSize":1}`:                           patch.InvalidPath,
		`{"userName":"a","` + custom + `":{"tag":"1"}}`:           patch.InvalidPath,
		`{"userName":"a","` + enterprise + `":{"department":""}}`: "",
		`{"userName":"a","password":"p","groups":[],"id":"x"}`:    "",
	} {
		if _, err := patch.CanonicalUser([]byte(in), strict); scimType(err) != want {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
	}
	declared := patch.Options{UnknownAttributes: patch.RejectUnknownAttributes, Extensions: []patch.Extension{{URN: custom, Attributes: []patch.Attribute{{Name: "tag"}}}}}
	if _, err := patch.CanonicalUser([]byte(`{"userName":"a","`+custom+`":{"tag":"1"}}`), declared); err != nil {
		t.Error(err)
	}
	for in, want := range map[string]string{
		`{"displayName":"g","colour":"red"}`:             patch.InvalidPath,
		`{"displayName":"g","` + custom + `":{"tag":1}}`: patch.InvalidPath,
		`{"displayName":"g","members":[],"meta":{}}`:     "",
	} {
		if _, err := patch.CanonicalGroup([]byte(in), strict); scimType(err) != want {
			t.Errorf("%s: got %v, want %q", in, err, want)
		}
		if _, err := patch.CanonicalGroup([]byte(in), patch.Options{}); err != nil {
			t.Errorf("%s: %v", in, err)
		}
	}
}

func TestCanonicalGroup(t *testing.T) {
	g, err := patch.CanonicalGroup([]byte(`{"schemas":["x"],"DisplayName":"doctors","externalId":"e","meta":{"resourceType":"Group"},"members":[{"value":"2"},{"value":"1","display":"x"},{"value":"2"}]}`), patch.Options{})
	if err != nil || g.DisplayName != "doctors" || g.ExternalID != "e" || strings.Join(g.Members, ",") != "2,1" {
		t.Errorf("got %+v, %v", g, err)
	}
	for _, in := range []string{`{}`, `{"displayName":" "}`, `{"displayName":"x","members":[{"display":"y"}]}`} {
		if _, err := patch.CanonicalGroup([]byte(in), patch.Options{}); scimType(err) != patch.InvalidValue {
			t.Errorf("%s: got %v", in, err)
		}
	}
}

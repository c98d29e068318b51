package patch_test

import (
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/patch"
)

// TestDeclaredExtension: the attributes of a declared extension have types in every
// form in which providers send them.
func TestDeclaredExtension(t *testing.T) {
	opts := patch.Options{Extensions: []patch.Extension{{URN: custom, Attributes: []patch.Attribute{
		{Name: "badge", Type: patch.Integer}, {Name: "night", Type: patch.Boolean}, {Name: "ward"}, {Name: "wards", Several: true}, {Name: "rooms", Type: patch.Integer, Several: true},
	}}}}
	const before = `{"userName":"a","` + custom + `":{"badge":1,"other":"kept","wards":["a","b"]}}`
	was := func(extension string) string { return `{"` + custom + `":` + extension + `,"userName":"a"}` }
	for _, row := range []struct{ op, want string }{
		{`{"op":"Replace","path":"` + custom + `:Badge","value":"7"}`, was(`{"badge":7,"other":"kept","wards":["a","b"]}`)},
		{`{"op":"replace","value":{"` + strings.ToUpper(custom) + `:BADGE":-7}}`, was(`{"badge":-7,"other":"kept","wards":["a","b"]}`)},
		{`{"op":"add","value":{"` + custom + `":{"badge":[{"value":"7"}],"night":"True"}}}`, was(`{"badge":7,"night":true,"other":"kept","wards":["a","b"]}`)},
		{`{"op":"add","path":"` + custom + `","value":{"night":"False","more":1}}`, was(`{"badge":1,"more":1,"night":false,"other":"kept","wards":["a","b"]}`)},
		{`{"op":"replace","path":"` + custom + `:badge","value":""}`, was(`{"other":"kept","wards":["a","b"]}`)},
		{`{"op":"replace","path":"` + custom + `:badge","value":null}`, was(`{"other":"kept","wards":["a","b"]}`)},
		{`{"op":"remove","path":"` + custom + `:badge"}`, was(`{"other":"kept","wards":["a","b"]}`)},
		{`{"op":"add","path":"` + custom + `:badge","value":""}`, was(`{"badge":1,"other":"kept","wards":["a","b"]}`)},
		{`{"op":"add","path":"` + custom + `:wards","value":["b","c",4]}`, was(`{"badge":1,"other":"kept","wards":["a","b","c","4"]}`)},
		{`{"op":"add","path":"` + custom + `:wards","value":"[c]"}`, was(`{"badge":1,"other":"kept","wards":["a","b","[c]"]}`)},
		{`{"op":"replace","path":"` + custom + `:wards","value":"c"}`, was(`{"badge":1,"other":"kept","wards":["c"]}`)},
		{`{"op":"remove","path":"` + custom + `:wards","value":["a"]}`, was(`{"badge":1,"other":"kept","wards":["b"]}`)},
		{`{"op":"remove","path":"` + custom + `:wards[value eq \"B\"]"}`, was(`{"badge":1,"other":"kept","wards":["a"]}`)},
		{`{"op":"remove","path":"` + custom + `:wards"}`, was(`{"badge":1,"other":"kept"}`)},
		{`{"op":"replace","path":"` + custom + `:wards","value":[]}`, was(`{"badge":1,"other":"kept"}`)},
		{`{"op":"add","path":"` + custom + `:rooms","value":[{"value":"3"},4,3]}`, was(`{"badge":1,"other":"kept","rooms":[3,4],"wards":["a","b"]}`)},
		{`{"op":"remove","path":"` + custom + `"}`, `{"userName":"a"}`},
		{`{"op":"replace","path":"` + custom + `:badge","value":"seven"}`, patch.InvalidValue},
		{`{"op":"replace","path":"` + custom + `:badge","value":7.5}`, patch.InvalidValue},
		{`{"op":"replace","path":"` + custom + `:badge","value":true}`, patch.InvalidValue},
		{`{"op":"replace","path":"` + custom + `:badge","value":{"a":1}}`, patch.InvalidValue},
		{`{"op":"add","path":"` + custom + `:night","value":"no"}`, patch.InvalidValue},
		{`{"op":"add","path":"` + custom + `:ward","value":["a","b"]}`, patch.InvalidValue},
		{`{"op":"add","path":"` + custom + `:rooms","value":["a"]}`, patch.InvalidValue},
		{`{"op":"add","path":"` + custom + `:badge.value","value":1}`, patch.InvalidPath},
		{`{"op":"add","path":"` + custom + `:badge[value eq 1]","value":2}`, patch.InvalidPath},
		{`{"op":"replace","path":"` + custom + `:wards[value eq \"a\"]","value":"c"}`, patch.InvalidPath},
	} {
		user := object(t, before)
		ops, err := patch.Parse(request(row.op))
		if err != nil {
			t.Errorf("%s: %v", row.op, err)
			continue
		}
		after, _, err := patch.ApplyUser(user, ops, opts)
		if got := scimType(err); got != "" || err != nil {
			if got != row.want {
				t.Errorf("%s: %v, want %s", row.op, err, row.want)
			}
			continue
		}
		if got := text(t, after); got != row.want {
			t.Errorf("%s:\n%s, want\n%s", row.op, got, row.want)
		}
	}
	for _, row := range []struct{ body, want string }{
		{`{"userName":"a","` + strings.ToUpper(custom) + `":{"Badge":"7","night":"true","wards":"x","ward":null,"more":[1]}}`, was(`{"badge":7,"more":[1],"night":true,"wards":["x"]}`)},
		{`{"userName":"a","` + custom + `:badge":"7","` + custom + `:wards":["x"]}`, was(`{"badge":7,"wards":["x"]}`)},
		{`{"userName":"a","` + custom + `":{"badge":"x"}}`, patch.InvalidValue},
		{`{"userName":"a","` + custom + `:night":3}`, patch.InvalidValue},
		{`{"userName":"a","` + custom + `":{"ward":{}}}`, patch.InvalidValue},
	} {
		got, err := patch.CanonicalUser([]byte(row.body), opts)
		if err != nil && scimType(err) != row.want || err == nil && text(t, got) != row.want {
			t.Errorf("%s: %v, %v", row.body, got, err)
		}
	}
	opts.UnknownAttributes = patch.RejectUnknownAttributes
	for body, want := range map[string]string{
		`{"userName":"a","` + custom + `":{"badge":1}}`: "",
		`{"userName":"a","` + custom + `":{"more":1}}`:  patch.InvalidPath,
		`{"userName":"a","` + custom + `:more":1}`:      patch.InvalidPath,
	} {
		if _, err := patch.CanonicalUser([]byte(body), opts); scimType(err) != want {
			t.Errorf("%s: %v", body, err)
		}
	}
}

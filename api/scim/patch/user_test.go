package patch_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/patch"
)

const (
	enterprise = patch.EnterpriseURN
	custom     = "urn:ietf:params:scim:schemas:extension:CustomExtensionName:2.0:User"
	ada        = `{"userName":"ada"}`
	working    = `{"userName":"ada","active":true,"emails":[{"type":"work","value":"a@w","primary":true}]}`
)

// object reads JSON that a test wrote.
func object(t *testing.T, text string) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func request(operations string) []byte {
	return []byte(`{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[` + operations + `]}`)
}

func scimType(err error) string {
	if e := new(patch.Error); errors.As(err, &e) {
		return e.ScimType
	}
	return ""
}

func TestApplyUser(t *testing.T) {
	for _, row := range []struct{ about, before, ops, after string }{
		{"Entra's older dialect disables with text", working, `{"op":"Replace","path":"active","value":"False"}`,
			`{"userName":"ada","active":false,"emails":[{"type":"work","value":"a@w","primary":true}]}`},
		{"Okta disables without a path", `{"userName":"ada","active":true}`, `{"op":"replace","value":{"active":false}}`, `{"userName":"ada","active":false}`},
		{"a password is not taken", ada, `{"op":"replace","value":{"password":"n3w"}}`, ada},
		{"id and meta are the server's", ada, `{"op":"replace","value":{"id":"x","meta":{"version":"y"},"title":"T"}}`, `{"userName":"ada","title":"T"}`},
		{"keys of a value are paths", ada,
			`{"op":"replace","value":{"name.givenName":"A","NAME.FamilyName":"L","` + enterprise + `:employeeNumber":7,"emails[type eq \"work\"].value":"a@w"}}`,
			`{"userName":"ada","name":{"givenName":"A","familyName":"L"},"` + enterprise + `":{"employeeNumber":"7"},"emails":[{"type":"work","value":"a@w"}]}`},
		{"an extension comes as an object", ada, `{"op":"add","value":{"` + enterprise + `":{"Department":"D","manager":{"value":"M"}}}}`,
			`{"userName":"ada","` + enterprise + `":{"department":"D","manager":{"value":"M"}}}`},
		{"an extension is a path", ada, `{"op":"add","path":"` + enterprise + `","value":{"department":"D"}}`, `{"userName":"ada","` + enterprise + `":{"department":"D"}}`},
		{"an extension is removed", `{"userName":"ada","` + enterprise + `":{"department":"D"}}`, `{"op":"remove","path":"` + enterprise + `"}`, ada},
		{"a custom extension is kept as it came", ada, `{"op":"Replace","path":"` + custom + `:tag","value":"42"}`, `{"userName":"ada","` + custom + `":{"tag":"42"}}`},
		{"the user's own URN is a prefix", ada, `{"op":"add","path":"` + patch.UserURN + `:title","value":"T"}`, `{"userName":"ada","title":"T"}`},
		{"several operations land on one new element", ada,
			`{"op":"add","path":"roles[primary eq \"True\"].display","value":"D"},{"op":"add","path":"roles[primary eq \"True\"].value","value":"V"},{"op":"add","path":"roles[primary eq \"True\"].type","value":"T"}`,
			`{"userName":"ada","roles":[{"primary":true,"display":"D","value":"V","type":"T"}]}`},
		{"a sub-attribute begins with a capital", ada, `{"op":"Add","path":"emails[type eq \"other\"].Value","value":"o@x"}`, `{"userName":"ada","emails":[{"type":"other","value":"o@x"}]}`},
		{"a typed value is replaced in place", working, `{"op":"Replace","path":"emails[type eq \"work\"].value","value":"new@w"}`,
			`{"userName":"ada","active":true,"emails":[{"type":"work","value":"new@w","primary":true}]}`},
		{"a new primary clears the old", working, `{"op":"add","path":"emails","value":[{"value":"h","type":"home","primary":"True"}]}`,
			`{"userName":"ada","active":true,"emails":[{"type":"work","value":"a@w","primary":false},{"value":"h","type":"home","primary":true}]}`},
		{"an element added twice is there once", working, `{"op":"add","path":"emails","value":[{"value":"a@w","type":"work"}]}`, working},
		{"the last value of a typed element takes it along", `{"userName":"ada","emails":[{"type":"work","value":"x"}]}`, `{"op":"Remove","path":"emails[type eq \"work\"].value"}`, ada},
		{"a listed element is removed", `{"userName":"ada","emails":[{"type":"work","value":"x"},{"type":"home","value":"y"}]}`,
			`{"op":"remove","path":"emails","value":[{"value":"x"}]}`, `{"userName":"ada","emails":[{"type":"home","value":"y"}]}`},
		{"an empty list removes no element", working, `{"op":"remove","path":"emails","value":[]}`, working},
		{"replacing by an empty list removes all", working, `{"op":"replace","path":"emails","value":[]}`, `{"userName":"ada","active":true}`},
		{"removing what is not there is no change", working, `{"op":"remove","path":"phoneNumbers[type eq \"fax\"].value"}`, working},
		{"roles come as JSON in text", ada, `{"op":"Add","path":"roles","value":"{\"id\":\"1\",\"value\":\"V\",\"displayName\":\"D\"}"}`, `{"userName":"ada","roles":[{"value":"V","display":"D"}]}`},
		{"a manager comes as text", ada, `{"op":"Add","path":"` + enterprise + `:manager","value":"M"}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"a manager comes as a list, with a bare path", ada, `{"op":"Add","path":"manager","value":[{"$ref":"http://x/M","value":"M"}]}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"an empty text removes the manager", `{"userName":"ada","` + enterprise + `":{"department":"D","manager":{"value":"M"}}}`,
			`{"op":"Replace","path":"` + enterprise + `:manager","value":""}`, `{"userName":"ada","` + enterprise + `":{"department":"D"}}`},
		{"an empty value removes the manager", `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`, `{"op":"replace","path":"manager","value":{"value":""}}`, ada},
		{"Remove removes the manager", `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`, `{"op":"Remove","path":"` + enterprise + `:manager"}`, ada},
		{"an unknown attribute is ignored", ada, `{"op":"add","path":"shoeSize","value":44},{"op":"add","path":"emails[type eq \"work\"].colour","value":"red"}`, ada},
		{"members mean nothing to a user", ada, `{"op":"add","path":"members","value":[{"value":"x"}]}`, ada},
		{"remove, add and replace in one request", `{"userName":"ada","preferredLanguage":"en","displayName":"Old"}`,
			`{"op":"remove","path":"preferredLanguage"},{"op":"add","path":"externalId","value":"e"},{"op":"replace","path":"displayName","value":"New"}`,
			`{"userName":"ada","externalId":"e","displayName":"New"}`},
	} {
		t.Run(row.about, func(t *testing.T) {
			before, want := object(t, row.before), text(t, object(t, row.after))
			ops, err := patch.Parse(request(row.ops))
			if err != nil {
				t.Fatal(err)
			}
			after, changed, err := patch.ApplyUser(before, ops, patch.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := text(t, after); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			if original := text(t, object(t, row.before)); text(t, before) != original || changed != (original != want) {
				t.Errorf("changed is %v, the input now %s", changed, text(t, before))
			}
			if twice, changed, err := patch.ApplyUser(after, ops, patch.Options{}); err != nil || changed {
				t.Errorf("a second time gives %s, %v", text(t, twice), err)
			}
		})
	}
}

func TestPatchRefuses(t *testing.T) {
	for _, row := range []struct{ about, ops, scimType string }{
		{"an unknown op", `{"op":"move","path":"a","value":1}`, patch.InvalidSyntax},
		{"no op", `{"path":"a"}`, patch.InvalidSyntax},
		{"an operation that is a number", `1`, patch.InvalidSyntax},
		{"a value that is missing", `{"op":"add","path":"title"}`, patch.InvalidValue},
		{"remove without a path", `{"op":"remove"}`, patch.NoTarget},
		{"text for the whole resource", `{"op":"add","value":"x"}`, patch.InvalidValue},
		{"a broken path", `{"op":"add","path":"emails[type","value":"x"}`, patch.InvalidPath},
		{"a filter on a single value", `{"op":"add","path":"name[a eq 1].givenName","value":"x"}`, patch.InvalidPath},
		{"a sub-attribute of text", `{"op":"add","path":"title.x","value":"x"}`, patch.InvalidPath},
		{"perhaps for a boolean", `{"op":"replace","path":"active","value":"perhaps"}`, patch.InvalidValue},
		{"a number for a name", `{"op":"replace","path":"name","value":"x"}`, patch.InvalidValue},
		{"two managers", `{"op":"replace","path":"manager","value":["a","b"]}`, patch.InvalidValue},
		{"a user without a name", `{"op":"remove","path":"userName"}`, patch.Mutability},
		{"a user with an empty name", `{"op":"replace","path":"userName","value":""}`, patch.Mutability},
		{"a filter that describes no element", `{"op":"add","path":"emails[type ne \"x\"].value","value":"x"}`, patch.NoTarget},
		{"too many operations", strings.Repeat(`{"op":"remove","path":"title"},`, patch.MaxOps) + `{"op":"remove","path":"title"}`, patch.TooMany},
		{"too deep", strings.Repeat("[", 100_000), patch.TooMany},
		{"too many values", `{"op":"add","path":"emails","value":[` + strings.Repeat("1,", patch.MaxValues) + `1]}`, patch.TooMany},
		{"too many elements", `{"op":"add","path":"emails","value":[` + strings.Repeat("1,", patch.MaxElements) + `1]}`, patch.TooMany},
		{"broken JSON", `{`, patch.InvalidSyntax},
	} {
		t.Run(row.about, func(t *testing.T) {
			ops, err := patch.Parse(request(row.ops))
			if err == nil {
				_, _, err = patch.ApplyUser(object(t, ada), ops, patch.Options{})
			}
			if scimType(err) != row.scimType {
				t.Errorf("got %v, want %s", err, row.scimType)
			}
		})
	}
}

func TestStrictOptions(t *testing.T) {
	missing, err := patch.Parse(request(`{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := patch.ApplyUser(object(t, ada), missing, patch.Options{NoTarget: true}); scimType(err) != patch.NoTarget {
		t.Errorf("got %v for a missing target", err)
	}
	unknown, err := patch.Parse(request(`{"op":"add","path":"shoeSize","value":1}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := patch.ApplyUser(object(t, ada), unknown, patch.Options{RejectUnknown: true}); scimType(err) != patch.InvalidPath {
		t.Errorf("got %v for an unknown attribute", err)
	}
}

func FuzzPatch(f *testing.F) {
	f.Add(request(`{"op":"Replace","path":"active","value":"False"}`))
	f.Add(request(`{"op":"replace","value":{"name.givenName":"A","` + custom + `":{"tag":[1]}}}`))
	f.Add(request(`{"op":"add","path":"roles[primary eq \"True\"].display","value":"D"}`))
	f.Add(request(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"1"}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if first, err := patch.CanonicalUser(body, patch.Options{}); err == nil {
			again, err := patch.CanonicalUser([]byte(text(t, first)), patch.Options{})
			if err != nil || text(t, again) != text(t, first) {
				t.Fatalf("%s became %s, %v", text(t, first), text(t, again), err)
			}
		}
		ops, err := patch.Parse(body)
		if err != nil {
			return
		}
		before := object(t, working)
		after, changed, err := patch.ApplyUser(before, ops, patch.Options{})
		if text(t, before) != text(t, object(t, working)) {
			t.Fatalf("the input became %s", text(t, before))
		}
		if err == nil && changed != (text(t, after) != text(t, before)) {
			t.Fatalf("changed is %v for %s", changed, text(t, after))
		}
		_, _ = patch.GroupDelta(ops)
	})
}

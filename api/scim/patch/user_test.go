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
		{"removing active, or replacing it by nothing, lets nobody in", `{"userName":"ada","active":false}`,
			`{"op":"remove","path":"active"},{"op":"replace","path":"active","value":""},{"op":"replace","value":{"active":null}}`, `{"userName":"ada","active":false}`},
		{"a typed and primary element is the one of that type", `{"userName":"ada","emails":[{"type":"work","value":"x"}]}`,
			`{"op":"add","path":"emails[type eq \"Work\" and primary eq \"True\"].value","value":"y"}`, `{"userName":"ada","emails":[{"type":"Work","value":"y","primary":true}]}`},
		{"unless it was said not to be primary", `{"userName":"ada","emails":[{"type":"work","value":"x","primary":false}]}`,
			`{"op":"add","path":"emails[type eq \"work\" and primary eq true].value","value":"y"}`,
			`{"userName":"ada","emails":[{"type":"work","value":"x","primary":false},{"type":"work","value":"y","primary":true}]}`},
		{"a manager comes as a number", ada, `{"op":"Add","path":"` + enterprise + `:manager","value":42}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"42"}}}`},
		{"a manager comes as a reference alone", ada, `{"op":"Add","path":"manager","value":{"$ref":"../Users/M"}}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"a manager comes as JSON in text", ada, `{"op":"Add","path":"manager","value":"{\"value\":\"M\"}"}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"a manager's name alone does not remove the manager", `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`,
			`{"op":"replace","path":"manager","value":{"displayName":"Max"}}`, `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"null, an empty list and an empty object remove the manager", `{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`,
			`{"op":"replace","path":"manager","value":null},{"op":"replace","path":"manager","value":[]},{"op":"replace","path":"manager","value":{}}`, ada},
		{"a manager's value is a path", ada, `{"op":"Replace","path":"URN:ietf:params:scim:schemas:extension:enterprise:2.0:User:Manager.Value","value":"M"}`,
			`{"userName":"ada","` + enterprise + `":{"manager":{"value":"M"}}}`},
		{"the misspelt URN is a prefix, too", ada, `{"op":"Add","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0User:department","value":"D"}`,
			`{"userName":"ada","` + enterprise + `":{"department":"D"}}`},
		{"an extension of another form is an object", ada, `{"op":"add","value":{"urn:example:badge":{"number":7,"door":{"floor":1}}}},{"op":"replace","path":"urn:example:badge:number","value":8}`,
			`{"userName":"ada","urn:example:badge":{"number":8,"door":{"floor":1}}}`},
		{"and is removed by its name", `{"userName":"ada","urn:example:badge":{"number":8}}`, `{"op":"remove","path":"urn:example:badge"}`, ada},
		{"the URN of the user holds its attributes", ada, `{"op":"add","value":{"` + patch.UserURN + `":{"title":"T","name":{"givenName":"A"}}}}`, `{"userName":"ada","title":"T","name":{"givenName":"A"}}`},
		{"roles come as a list of JSON in text", ada, `{"op":"replace","path":"roles","value":["{\"value\":\"V\"}","W"]}`, `{"userName":"ada","roles":[{"value":"V"},{"value":"W"}]}`},
		{"all the parts of an address land on one element", ada,
			`{"op":"Add","path":"addresses[type eq \"work\"].formatted","value":"F"},{"op":"Add","path":"addresses[type eq \"work\"].StreetAddress","value":"S"},{"op":"Replace","path":"ADDRESSES[TYPE EQ \"work\"].postalCode","value":12345}`,
			`{"userName":"ada","addresses":[{"type":"work","formatted":"F","streetAddress":"S","postalCode":"12345"}]}`},
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
		{"the id by its path", `{"op":"replace","path":"id","value":"x"}`, patch.Mutability},
		{"a part of meta", `{"op":"remove","path":"meta.version"}`, patch.Mutability},
		{"the groups of a user", `{"op":"add","path":"` + patch.UserURN + `:groups","value":[{"value":"g"}]}`, patch.Mutability},
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
	const has = `{"op":"replace","path":"phoneNumbers[type eq \"mobile\"].value","value":"1"}`
	needsTarget := patch.Options{ReplaceMissing: patch.ReplaceNeedsTarget}
	known := patch.Options{UnknownAttributes: patch.RejectUnknownAttributes}
	declared := known
	declared.Extensions = []patch.Extension{{URN: strings.ToUpper(custom), Attributes: []patch.Attribute{{Name: "tag"}}}}
	for _, row := range []struct {
		about, ops string
		opts       patch.Options
		scimType   string
	}{
		{"practice adds what a replacement misses", has, patch.Options{}, ""},
		{"the RFC refuses it", has, needsTarget, patch.NoTarget},
		{"to add is no replacement", strings.Replace(has, "replace", "add", 1), needsTarget, ""},
		{"an unknown attribute", `{"op":"add","path":"shoeSize","value":1}`, known, patch.InvalidPath},
		{"an unknown attribute without a path", `{"op":"add","value":{"shoeSize":1}}`, known, patch.InvalidPath},
		{"an unknown sub-attribute", `{"op":"add","path":"emails[type eq \"work\"].colour","value":"red"}`, known, patch.InvalidPath},
		{"an unknown attribute of the enterprise extension", `{"op":"add","value":{"` + enterprise + `":{"shoeSize":1}}}`, known, patch.InvalidPath},
		{"a known attribute", `{"op":"add","path":"manager","value":"1"}`, known, ""},
		{"a password is known", `{"op":"add","value":{"password":"1","id":"x"}}`, known, ""},
		{"an extension that nobody declared", `{"op":"add","path":"` + custom + `:tag","value":"1"}`, known, patch.InvalidPath},
		{"an extension that the organization declared", `{"op":"add","path":"` + custom + `:tag","value":"1"}`, declared, ""},
	} {
		t.Run(row.about, func(t *testing.T) {
			ops, err := patch.Parse(request(row.ops))
			if err == nil {
				_, _, err = patch.ApplyUser(object(t, ada), ops, row.opts)
			}
			if scimType(err) != row.scimType || (err == nil) != (row.scimType == "") {
				t.Errorf("got %v, want %q", err, row.scimType)
			}
		})
	}
}

func FuzzPatch(f *testing.F) {
	f.Add(request(`{"op":"Replace","path":"active","value":"False"}`))
	f.Add(request(`{"op":"replace","value":{"name.givenName":"A","` + custom + `":{"tag":[1]}}}`))
	f.Add(request(`{"op":"add","path":"roles[primary eq \"True\"].display","value":"D"}`))
	f.Add(request(`{"op":"Remove","path":"members","value":[{"$ref":null,"value":"1"}]}`))
	f.Add(request(`{"op":"add","value":{"` + custom + `":{"badge":"7","wards":["a",1]},"` + custom + `:night":"True"}}`))
	f.Add(request(`{"op":"Remove","path":"` + custom + `:wards","value":["a"]}`))
	declared := patch.Options{Extensions: []patch.Extension{{URN: custom, Attributes: []patch.Attribute{
		{Name: "badge", Type: patch.Integer}, {Name: "night", Type: patch.Boolean}, {Name: "wards", Several: true},
	}}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		fuzzPatch(t, body, patch.Options{})
		fuzzPatch(t, body, declared)
	})
}

func fuzzPatch(t *testing.T, body []byte, opts patch.Options) {
	if first, err := patch.CanonicalUser(body, opts); err == nil {
		again, err := patch.CanonicalUser([]byte(text(t, first)), opts)
		if err != nil || text(t, again) != text(t, first) {
			t.Fatalf("%s became %s, %v", text(t, first), text(t, again), err)
		}
	}
	ops, err := patch.Parse(body)
	if err != nil {
		return
	}
	before := object(t, working)
	after, changed, err := patch.ApplyUser(before, ops, opts)
	if text(t, before) != text(t, object(t, working)) {
		t.Fatalf("the input became %s", text(t, before))
	}
	if err == nil && changed != (text(t, after) != text(t, before)) {
		t.Fatalf("changed is %v for %s", changed, text(t, after))
	}
	_, _ = patch.GroupDelta(ops, opts)
}

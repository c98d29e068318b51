package patch_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/authfi/authfi/api/scim/patch"
)

// describe writes a delta in one line: =a,b replaces, +a adds, -a removes.
func describe(d patch.Delta) string {
	var parts []string
	if d.DisplayName != nil {
		parts = append(parts, "name "+*d.DisplayName)
	}
	if d.ExternalID != nil {
		parts = append(parts, "external "+*d.ExternalID)
	}
	if d.Replace != nil {
		parts = append(parts, "="+strings.Join(*d.Replace, ","))
	}
	for _, id := range d.Add {
		parts = append(parts, "+"+id)
	}
	for _, id := range d.Remove {
		parts = append(parts, "-"+id)
	}
	return strings.Join(parts, " ")
}

func TestGroupDelta(t *testing.T) {
	for _, row := range []struct{ about, ops, want string }{
		{"Entra adds one member", `{"op":"Add","path":"members","value":[{"$ref":null,"value":"1"}]}`, "+1"},
		{"Entra adds members in two operations", `{"op":"Add","path":"members","value":[{"value":"1"}]},{"op":"Add","path":"Members","value":[{"value":"2"}]}`, "+1 +2"},
		{"a member added twice is added once", `{"op":"Add","path":"members","value":[{"value":"1"},{"value":"1"}]}`, "+1"},
		{"the older dialect removes exactly the listed members", `{"op":"Remove","path":"members","value":[{"$ref":null,"value":"1"},{"value":"2"}]}`, "-1 -2"},
		{"an empty list removes nobody", `{"op":"Remove","path":"members","value":[]}`, ""},
		{"the flag and Okta remove by filter", `{"op":"remove","path":"members[value eq \"1\"]"},{"op":"add","path":"members","value":[{"value":"2","display":"x"}]}`, "+2 -1"},
		{"two ids in one filter", `{"op":"remove","path":"members[value eq \"1\" or VALUE eq \"2\"]"}`, "-1 -2"},
		{"Okta pushes all members", `{"op":"replace","path":"members","value":[{"value":"1"},{"value":"2"}]}`, "=1,2"},
		{"Okta pushes nobody", `{"op":"replace","path":"members","value":[]}`, "="},
		{"the RFC removes all", `{"op":"remove","path":"members"}`, "="},
		{"changes behind a replacement are part of it", `{"op":"replace","path":"members","value":[{"value":"1"},{"value":"2"}]},{"op":"remove","path":"members[value eq \"1\"]"},{"op":"add","path":"members","value":[{"value":"3"}]}`, "=2,3"},
		{"the later of two changes counts", `{"op":"add","path":"members","value":[{"value":"1"}]},{"op":"remove","path":"members","value":[{"value":"1"}]}`, "-1"},
		{"and the other way round", `{"op":"remove","path":"members","value":[{"value":"1"}]},{"op":"add","path":"members","value":[{"value":"1"}]}`, "+1"},
		{"a member comes as an object, as text, as a reference", `{"op":"add","path":"members","value":{"value":"1","type":null,"display":null,"$ref":null}},{"op":"add","path":"members","value":"2"},{"op":"add","path":"members","value":["3",{"$ref":"https://x/Users/4"}]}`, "+1 +2 +3 +4"},
		{"members come without a path", `{"op":"Add","value":{"Members":[{"value":"1"}],"displayName":"N"}}`, "name N +1"},
		{"members.value is the members", `{"op":"add","path":"members.value","value":["1","2"]},{"op":"remove","path":"members.value","value":"3"}`, "+1 +2 -3"},
		{"members have the prefix of the group", `{"op":"replace","path":"` + patch.GroupURN + `:members","value":[{"value":"1"}]}`, "=1"},
		{"a filter adds whom it names", `{"op":"add","path":"members[value eq \"1\"]","value":{"value":"1"}}`, "+1"},
		{"an extension means nothing to a group", `{"op":"add","path":"` + custom + `:tag","value":"1"}`, ""},
		{"Okta renames, naming the id too", `{"op":"replace","value":{"id":"g","displayName":"New"}}`, "name New"},
		{"the external id changes", `{"op":"replace","path":"externalId","value":"e"}`, "external e"},
		{"unknown attributes are ignored", `{"op":"add","path":"colour","value":"red"}`, ""},
	} {
		t.Run(row.about, func(t *testing.T) {
			ops, err := patch.Parse(request(row.ops))
			if err != nil {
				t.Fatal(err)
			}
			d, err := patch.GroupDelta(ops, patch.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got := describe(d); got != row.want || d.IsZero() != (row.want == "") {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestGroupDeltaRefuses(t *testing.T) {
	for ops, want := range map[string]string{
		`{"op":"remove","path":"displayName"}`:                       patch.Mutability,
		`{"op":"add","path":"members","value":[{"display":"x"}]}`:    patch.InvalidValue,
		`{"op":"remove","path":"members","value":[{"display":"x"}]}`: patch.InvalidValue,
		`{"op":"remove","path":"members[display eq \"x\"]"}`:         patch.InvalidPath,
	} {
		parsed, err := patch.Parse(request(ops))
		if err == nil {
			_, err = patch.GroupDelta(parsed, patch.Options{})
		}
		if scimType(err) != want {
			t.Errorf("%s: got %v, want %s", ops, err, want)
		}
	}
}

func TestGroupDeltaRefusesTheUnknown(t *testing.T) {
	strict := patch.Options{UnknownAttributes: patch.RejectUnknownAttributes}
	for _, ops := range []string{
		`{"op":"add","path":"colour","value":"red"}`,
		`{"op":"add","path":"` + custom + `:tag","value":"1"}`,
	} {
		parsed, err := patch.Parse(request(ops))
		if err == nil {
			_, err = patch.GroupDelta(parsed, strict)
		}
		if scimType(err) != patch.InvalidPath {
			t.Errorf("%s: got %v", ops, err)
		}
	}
}

func TestTenThousandMembersInOneOperation(t *testing.T) {
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, `{"value":"%d"},`, i)
	}
	ops, err := patch.Parse(request(`{"op":"add","path":"members","value":[` + strings.TrimSuffix(b.String(), ",") + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := patch.GroupDelta(ops, patch.Options{}); err != nil || len(d.Add) != 10_000 {
		t.Errorf("got %d members, %v", len(d.Add), err)
	}
}

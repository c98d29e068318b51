package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/archive"
)

const header = `{"format":"authfi-organization","version":1}` + "\n"

// lineMax and findingsMax are the limits of the package.
const (
	lineMax     = 1 << 20
	findingsMax = 20
)

// found are the findings of a text that is read and, if that finds nothing,
// checked.
func found(t *testing.T, text string, known archive.Known) (texts []string) {
	t.Helper()
	file, err := archive.Read(strings.NewReader(text))
	if err == nil {
		err = file.Check(known)
	}
	var findings *archive.Findings
	if err != nil && !errors.As(err, &findings) {
		t.Fatal(err)
	}
	if findings == nil {
		return nil
	}
	for _, f := range findings.List {
		texts = append(texts, f.String())
	}
	if findings.More > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", findings.More))
	}
	return texts
}

// TestFindings: a row is a file and what is said about it.
func TestFindings(t *testing.T) {
	known := archive.Known{
		Users: map[string]bool{"ada": true}, Groups: map[string]bool{"staff": true, "doctors": true}, Roles: map[string]bool{"owner": true},
		Attributes: []*archive.Attribute{{Name: "floor", Type: "integer"}},
		Nestings:   []*archive.Nesting{{Group: "Staff", Member: "Doctors"}},
	}
	for _, row := range []struct {
		name, text string
		want       []string
	}{
		{"nothing in it", "", []string{"line 1: the file is empty"}},
		{"an organization without records", header, nil},
		{"a byte order mark, as spreadsheets write it", "\ufeffuser_name\r\nbob\r\n", nil},
		{"lines of text within quotes", "user_name,title\nbob,\"two\nlines\"\ncarl,x\n", []string{"line 2: title: must not contain control characters"}},
		{"a quote that is not closed", "user_name,title\nbob,\"two\n", []string{`line 2: extraneous or missing " in quoted-field`}},
		{"a field too many, and what follows", "user_name\nbob,x\ncarl\ndora,y\n", []string{"line 2: wrong number of fields", "line 4: wrong number of fields"}},
		{"a column twice", "email,email\n", []string{"line 1: email is named twice"}},
		{"no name", "title\nx\n", []string{"line 1: neither user_name nor email is named"}},
		{"the address is the name", "email\nbob@x.example\nBob@x.example\n", []string{`line 3: user "Bob@x.example" is there twice`}},
		{"a group of the organization, and one of nobody", "user_name,groups\nbob,Staff; ward\n", []string{`line 2: there is no group "ward", neither in the file nor in the organization`}},
		{"a manager in the file, in the organization, nowhere, and the user itself", "user_name,manager\nbob,ada\ncarl,BOB\ndora,eve\nfay,Fay\n", []string{
			`line 4: there is no user "eve", neither in the file nor in the organization`, `line 5: manager: "Fay" is the user itself`,
		}},
		{"bytes that are no text", "{\"user_name\":\"a\xff\"}", []string{"line 1: not valid UTF-8"}},
		{"two values on a line", `{"user_name":"a"} {}`, []string{"line 1: more than one JSON value"}},
		{"own attributes by the organization's schema", `{"user_name":"a","custom":{"floor":"3"}}`, []string{"line 1: custom.floor: must be integer"}},
		{"own attributes by the file's", header + `{"attribute":{"name":"floor","type":"string"}}` + "\n" + `{"user":{"user_name":"a","custom":{"floor":"3"}}}`, nil},
		{"objects that are none", `{"user_name":"a","attributes":[]}`, []string{"line 1: attributes: must be a JSON object"}},
		{"an external id twice", `{"user_name":"a","external_id":"1"}` + "\n" + `{"user_name":"b","external_id":"1"}`, []string{`line 2: external id "1" is there twice`}},
		{"a cycle by way of the organization", header + `{"nesting":{"group":"doctors","member_group":"STAFF"}}`, []string{`line 2: the group "doctors" would be within itself`}},
		{"an owner who is none", header + `{"user":{"user_name":"a","service":true,"owner":"b"}}` + "\n" + `{"user":{"user_name":"b","service":true,"owner":"ada"}}`, []string{
			`line 2: owner: "b" is a service account itself`,
		}},
		{"a service account without an owner", header + `{"user":{"user_name":"a","service":true}}`, []string{"line 2: owner: a service account has one"}},
		{"a service account that outlives its owner", header + `{"user":{"user_name":"b","active":false}}` + "\n" + `{"user":{"user_name":"a","service":true,"owner":"b"}}`, []string{
			`line 3: active: the owner "b" is not`,
		}},
		{"the same role twice to one user", header + `{"assignment":{"role":"owner","user":"ada"}}` + "\n" + `{"assignment":{"role":"Owner","user":"Ada"}}`, []string{
			`line 3: assignment of "Owner to user Ada" is there twice`,
		}},
		{"policies that do not go together", header + `{"service":{"name":"s","listen":["127.0.0.1:1"],"policies":[{"path":"/a"},{"path":"/a"}]}}`, []string{
			"line 2: policies[1].path: GET /a is already route 0",
		}},
		{"a policy that can never decide", header + `{"service":{"name":"s","listen":["127.0.0.1:1"],"policies":[{"path":"/a/**"},{"path":"/a/"},{"path":"/a/*"},{"path":"/a/*/**"}]}}`, []string{
			"line 2: policies[0].path: * /a/** decides nothing: more specific routes match wherever it does",
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := found(t, row.text, known); !slices.Equal(got, row.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(row.want, "\n"))
			}
		})
	}
}

func TestLimits(t *testing.T) {
	line := func(length int) string {
		text := `{"user_name":"a","attributes":{"x":"`
		return text + strings.Repeat("x", length-len(text)-len(`"}}`)) + `"}}`
	}
	if got := found(t, line(lineMax), archive.Known{}); len(got) != 1 || got[0] != "line 1: attributes: more than 65536 bytes" {
		t.Errorf("the longest line: %v", got)
	}
	if got := found(t, line(lineMax+1), archive.Known{}); len(got) != 1 || got[0] != "line 1: longer than 1048576 bytes" {
		t.Errorf("one byte more: %v", got)
	}
	wrong := strings.Repeat("user_name\n", 1) + strings.Repeat("a\n", findingsMax+1)
	if got := found(t, wrong, archive.Known{}); len(got) != findingsMax {
		t.Errorf("findings %d, want all", len(got))
	}
	if got := found(t, wrong+"a\na\n", archive.Known{}); len(got) != findingsMax+1 || got[findingsMax] != "and 2 more" {
		t.Errorf("findings %v, want that there are 2 more", got)
	}
}

// TestOneSpelling: what means the same is written alike, in one order.
func TestOneSpelling(t *testing.T) {
	text := header +
		`{"connection":{"provider":"okta"}}` + "\n" +
		`{"user":{"attributes":{ "b" : 1, "a": "<&>" },"user_name":"b","custom":{},"active":true}}` + "\n\n" +
		`{"user":{"user_name":"a"}}` + "\n" +
		`{"role":{"name":"r","permissions":["write:x","read:x","write:x"]}}` + "\n" +
		`{"assignment":{"role":"r","user":"a","expires":"2099-01-01T01:00:00.0004+01:00"}}` + "\n" +
		`{"organization":{"domains":["b.example","a.example"],"name":"n"}}` + "\n"
	want := header +
		`{"organization":{"name":"n","domains":["a.example","b.example"]}}` + "\n" +
		`{"role":{"name":"r","permissions":["read:x","write:x"]}}` + "\n" +
		`{"user":{"user_name":"a"}}` + "\n" +
		`{"user":{"user_name":"b","attributes":{"a":"<&>","b":1}}}` + "\n" +
		`{"assignment":{"role":"r","user":"a","expires":"2099-01-01T00:00:00Z"}}` + "\n" +
		`{"connection":{"provider":"okta"}}` + "\n"
	file, err := archive.Read(strings.NewReader(text))
	if err == nil {
		err = file.Check(archive.Known{})
	}
	var b bytes.Buffer
	if err == nil {
		err = file.Write(&b)
	}
	if err != nil || b.String() != want {
		t.Errorf("%v, got\n%swant\n%s", err, b.String(), want)
	}
}

// FuzzRead: whatever is in a file is read or refused, and what is read and good is
// written so that it is read again as the same.
func FuzzRead(f *testing.F) {
	f.Add(header + `{"user":{"user_name":"a","custom":null,"attributes":{"x":[1e3]}}}`)
	f.Add(header + `{"assignment":{"role":"r","group":"g","expires":"2099-01-01T00:00:00Z"}}`)
	f.Add("user_name,groups,active\na,\"b;c\",true\n")
	f.Add(`{"user_name":"a","groups":["x"]}`)
	f.Fuzz(func(t *testing.T, text string) {
		file, err := archive.Read(strings.NewReader(text))
		if err != nil || !file.Whole || file.Check(archive.Known{}) != nil {
			return
		}
		var first, second bytes.Buffer
		if err := file.Write(&first); err != nil {
			t.Fatal(err)
		}
		again, err := archive.Read(bytes.NewReader(first.Bytes()))
		if err != nil {
			t.Fatalf("%v in\n%s", err, first.String())
		}
		if err := again.Check(archive.Known{}); err != nil {
			t.Fatalf("%v in\n%s", err, first.String())
		}
		if err := again.Write(&second); err != nil || first.String() != second.String() {
			t.Errorf("%v\n%s\n%s", err, first.String(), second.String())
		}
	})
}

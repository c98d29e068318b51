package cli

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
)

// given is the JSON that a flag makes of its values.
func given(t *testing.T, message proto.Message, field string, values ...string) string {
	t.Helper()
	f := pflag.NewFlagSet("", pflag.ContinueOnError)
	descriptor := fieldOf(message, field)
	added := addField(f, descriptor)
	for _, value := range values {
		if err := f.Set(added.flag.Name, value); err != nil {
			return err.Error()
		}
	}
	value, err := added.value()
	if err != nil {
		return err.Error()
	}
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestForms(t *testing.T) {
	organization, user, schema := &authfiv1.UpdateOrganizationRequest{}, &authfiv1.UpdateUserRequest{}, &authfiv1.SetSchemaRequest{}
	for _, row := range []struct {
		name    string
		message proto.Message
		field   string
		values  []string
		want    string
	}{
		{"names and values", organization, "branding", []string{"color=#fff,logo-url=https://x/?a=b"}, `{"color":"#fff","logo_url":"https://x/?a=b"}`},
		{"a comma in a value", organization, "branding", []string{"support=call us, please,color=#fff"}, `{"color":"#fff","support":"call us, please"}`},
		{"numbers and truth", organization, "sign_in", []string{"mfa=true,session_idle_seconds=600"}, `{"mfa":true,"session_idle_seconds":600}`},
		{"no number", organization, "sign_in", []string{"session_idle_seconds=x"}, "usage: --sign-in: session_idle_seconds is a whole number"},
		{"no name", organization, "sign_in", []string{"mfa"}, `usage: --sign-in: "mfa" is not NAME=VALUE`},
		{"a name that it has not", organization, "sign_in", []string{"mva=true"}, "usage: --sign-in has no mva; it has mfa, session_idle_seconds, session_max_seconds"},
		{"nothing empties", organization, "sign_in", []string{""}, `{}`},
		{"JSON", organization, "sign_in", []string{`{"mfa":true}`}, `{"mfa":true}`},
		{"no JSON", organization, "sign_in", []string{`{"mfa"`}, "usage: --sign-in is not JSON"},
		{"no file", organization, "sign_in", []string{"@absent"}, "usage: --sign-in: open absent: no such file or directory"},
		{"a list with commas, or several times", organization, "domains", []string{"a.example,b.example", "c.example"}, `["a.example","b.example","c.example"]`},
		{"an empty list", organization, "domains", []string{""}, `[]`},
		{"an object of text and JSON", user, "custom", []string{`badge=A 1,floor:=3,wards:=["a","b"],old:=null`}, `{"badge":"A 1","floor":3,"old":null,"wards":["a","b"]}`},
		{"text that should be JSON", user, "custom", []string{"floor:=three"}, "usage: --custom: three is not JSON"},
		{"a list of objects, one each time", schema, "attributes", []string{"name=a,type=string,values=x;y", "name=b,several=true"}, `[{"name":"a","type":"string","values":["x","y"]},{"name":"b","several":true}]`},
		{"a list of objects as JSON", schema, "attributes", []string{`[{"name":"a"}]`, `{"name":"b"}`}, `[{"name":"a"},{"name":"b"}]`},
		{"a list that is emptied", schema, "attributes", []string{""}, `[]`},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := given(t, row.message, row.field, row.values...); got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestTimes(t *testing.T) {
	now := time.Date(2027, 1, 31, 12, 0, 0, 5, time.UTC)
	for _, row := range []struct {
		text string
		from direction
		want string
	}{
		{"90d", future, "2027-05-01T12:00:00Z"},
		{"2w", past, "2027-01-17T12:00:00Z"},
		{"1h30m", future, "2027-01-31T13:30:00Z"},
		{"24h", past, "2027-01-30T12:00:00Z"},
		{"2027-02-01", past, "2027-02-01T00:00:00Z"},
		{"2027-02-01T10:00:00+02:00", future, "2027-02-01T08:00:00Z"},
		{"-1h", future, "no time"},
		{"65536d", future, "no time"},
		{"1.5d", future, "no time"},
		{"d", future, "no time"},
		{"tomorrow", future, "no time"},
	} {
		at, err := readTime(row.text, now, row.from)
		got := at.UTC().Format(time.RFC3339)
		if err != nil {
			got = "no time"
		}
		if got != row.want {
			t.Errorf("%s: %s, want %s", row.text, got, row.want)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string]string{
		`users create a --name 'A B'`: `["users" "create" "a" "--name" "A B"] true`,
		`  a  ""  b`:                  `["a" "" "b"] true`,
		`a"b c"d 'it"s'`:              `["ab cd" "it\"s"] true`,
		`a 'b`:                        `["a" "b"] false`,
		``:                            `[] true`,
	} {
		words, closed := splitWords(text)
		if got := fmt.Sprintf("%q %v", words, closed); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

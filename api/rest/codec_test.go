package rest

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

func TestJSONOfAnswers(t *testing.T) {
	attributes, err := structpb.NewStruct(map[string]any{"b": []any{1, "x"}, "a": nil})
	if err != nil {
		t.Fatal(err)
	}
	latency := 1.5
	for _, row := range []struct {
		name    string
		message proto.Message
		rest    string
		connect string // empty: the same
	}{
		{
			name:    "lists and text that are empty are there",
			message: &authfiv1.ListGroupsResponse{},
			rest:    `{"groups":[],"total":0,"cursor":""}`,
		},
		{
			name:    "64-bit integers are numbers, times have milliseconds, absent values are null",
			message: &authfiv1.SyncLogEntry{Time: timestamppb.New(time.UnixMilli(1_700_000_000_007)), Index: 1 << 53},
			rest:    `{"time":"2023-11-14T22:13:20.007Z","source":"","event":"","detail":"","status":"","latency_ms":null,"index":9007199254740992,"enforced_ms":{},"request_id":""}`,
		},
		{
			name:    "optional numbers that are there",
			message: &authfiv1.SyncLogEntry{Detail: "\"<\n", LatencyMs: &latency},
			rest:    `{"time":null,"source":"","event":"","detail":"\"\u003c\n","status":"","latency_ms":1.5,"index":0,"enforced_ms":{},"request_id":""}`,
		},
		{
			name:    "attributes are any JSON",
			message: &authfiv1.UpdateUserRequest{Id: "u", Attributes: attributes},
			rest:    `{"id":"u","email":null,"user_name":null,"display_name":null,"given_name":null,"family_name":null,"external_id":null,"attributes":{"a":null,"b":[1,"x"]},"phone":null,"title":null,"department":null,"manager_id":null,"custom":null,"owner_id":null,"update_mask":[]}`,
		},
		{
			name: "sources by permission, in order",
			message: &authfiv1.ListPermissionsResponse{Source: map[string]*authfiv1.GrantSources{
				"b:b": {}, "a:a": {Sources: []*authfiv1.GrantSource{{Role: "r"}}},
			}},
			rest:    `{"effective":[],"source":{"a:a":[{"role":"r","via":"","role_id":"","via_id":"","assignment_id":"","since":null,"by":"","expires":null,"path":[],"permission":""}],"b:b":[]},"index":0}`,
			connect: `{"effective":[],"source":{"a:a":{"sources":[{"role":"r","via":"","role_id":"","via_id":"","assignment_id":"","since":null,"by":"","expires":null,"path":[],"permission":""}]},"b:b":{"sources":[]}},"index":0}`,
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.connect == "" {
				row.connect = row.rest
			}
			text, err := restCodec{}.MarshalAppend(nil, row.message)
			if err != nil || string(text) != row.rest {
				t.Errorf("REST %s, %v", text, err)
			}
			text, err = jsonCodec.Marshal(row.message)
			if err != nil || string(text) != row.connect {
				t.Errorf("Connect %s, %v", text, err)
			}
			// What Connect writes, every generated client can read.
			back := row.message.ProtoReflect().New().Interface()
			if err := jsonCodec.Unmarshal(text, back); err != nil || !proto.Equal(back, row.message) {
				t.Errorf("read back %v, %v", back, err)
			}
		})
	}
}

// TestTextIsTheLibrarys: the short way to write a text writes what encoding/json
// would.
func TestTextIsTheLibrarys(t *testing.T) {
	texts := []string{"", "usr-0123", "read:x-rays", "a b~", "\xff\xfe", "\u2028", "é", "\u007f", "a\x00b"}
	for c := range 256 {
		texts = append(texts, string([]byte{byte(c)}), string([]byte{'a', byte(c), 'b'}))
	}
	for _, text := range texts {
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, text); string(got) != string(want) {
			t.Errorf("%q became %s, want %s", text, got, want)
		}
	}
}

// TestAnyObjectIsWrittenAsGoDoes: the bytes are those of encoding/json.
func TestAnyObjectIsWrittenAsGoDoes(t *testing.T) {
	for _, text := range []string{
		`{}`, `{"b":1,"a":[null,true,"x",{"d":"\u003c\u2028Å\"","c":[]}]}`,
		`{"n":[0,-1,1.5,1e6,123456789,1e20,1e21,1e-6,1e-7,5e-324]}`,
	} {
		var fields map[string]any
		if err := json.Unmarshal([]byte(text), &fields); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(fields)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := structpb.NewStruct(fields)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (encoder{}).message(nil, packed.ProtoReflect()); err != nil || string(got) != string(want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
	if got, err := (encoder{}).message(nil, (*structpb.Struct)(nil).ProtoReflect()); err != nil || string(got) != "{}" {
		t.Errorf("nothing is %s, %v", got, err)
	}
}

func TestNumbersThatJSONDoesNotHave(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1)} {
		if text, err := jsonCodec.Marshal(&authfiv1.SyncLogEntry{LatencyMs: &f}); err == nil {
			t.Errorf("%v became %s", f, text)
		}
	}
}

func TestJSONOfRequests(t *testing.T) {
	for _, row := range []struct{ name, body, want string }{
		{"a list that may be absent", `{"permissions":["a:b"]}`, `permissions:{permissions:"a:b"}`},
		{"its message", `{"permissions":{"permissions":["a:b"]}}`, `permissions:{permissions:"a:b"}`},
		{"an empty list", `{"permissions":[]}`, `permissions:{}`},
		{"no list", `{"name":"n"}`, `name:"n"`},
		{"an unknown name", `{"nmae":"n"}`, `error: invalid_argument: unknown field "nmae"`},
		{"no object", `[]`, `error: invalid_argument: the body is not the JSON that this request takes`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, want := &authfiv1.UpdateRoleRequest{}, &authfiv1.UpdateRoleRequest{}
			err := restCodec{}.Unmarshal([]byte(row.body), got)
			if failed, expected := err != nil, row.want[:5] == "error"; failed || expected {
				if !failed || !expected || "error: "+err.Error() != row.want {
					t.Errorf("%v, want %s", err, row.want)
				}
				return
			}
			if err := prototext.Unmarshal([]byte(row.want), want); err != nil {
				t.Fatal(err)
			}
			if !proto.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
		})
	}
}

// TestListsOfOperations: what a change takes alone it takes as one of several.
func TestListsOfOperations(t *testing.T) {
	for body, want := range map[string]string{
		`{"operations":[{"update_role":{"id":"r","permissions":["a:b"]}},{"create_user":{"email":"e"}}]}`: `
			operations:{update_role:{id:"r" permissions:{permissions:"a:b"}}} operations:{create_user:{email:"e"}}`,
		`{"operations":[{"update_role":{"permissions":{"permissions":[]}}}], "in_order":true}`: `
			operations:{update_role:{permissions:{}}} in_order:true`,
		`{"operations":[ ["a"], {"update_role":["a"]} ]}`:    "error",
		`{"operations":[{"update_role":{"permissions":[}}]}`: "error",
		`{"operations":{"update_role":null}}`:                "error",
		`{"operations":null}`:                                ``,
	} {
		got, wanted := &authfiv1.BulkRequest{}, &authfiv1.BulkRequest{}
		if err := (restCodec{}).Unmarshal([]byte(body), got); err != nil || want == "error" {
			if err == nil || want != "error" {
				t.Errorf("%s: %v", body, err)
			}
			continue
		}
		if err := prototext.Unmarshal([]byte(want), wanted); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, wanted) {
			t.Errorf("%s: %v", body, got)
		}
	}
}

func TestBodyThatIsOneField(t *testing.T) {
	field := (&authfiv1.SetPoliciesRequest{}).ProtoReflect().Descriptor().Fields().ByName("policies")
	for body, ok := range map[string]bool{
		`[{"path":"/a"}]`:               true,
		` {"policies":[{"path":"/a"}]}`: true,
		`{}`:                            false,
		`{"policies":[],"id":"x"}`:      false,
		`"text"`:                        false,
		`[`:                             false,
		``:                              false,
	} {
		var r authfiv1.SetPoliciesRequest
		err := restCodec{}.UnmarshalField([]byte(body), &r, field)
		if (err == nil) != ok || ok && r.GetPolicies()[0].GetPath() != "/a" {
			t.Errorf("%s: %v, %v", body, &r, err)
		}
	}
}

package state

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
)

// silent are the fields that the audit log does not show: what an entry has
// itself (ids, times, versions), and secrets in whatever form.
var silent = map[string][]string{
	"User":           {"ID", "Created", "Modified", "Version"},
	"Group":          {"ID", "Created", "Modified", "Version"},
	"Role":           {"ID", "Created", "Modified", "Version"},
	"Assignment":     {"Created"},
	"Session":        {"ID", "Refresh", "Previous", "Successor", "Refreshed", "Created", "Tokens", "Version", "Code", "Single", "Until", "Untold"},
	"APIKey":         {"ID", "Token", "Created", "Version"},
	"Connection":     {"ID", "Token", "Created", "Version"},
	"EventStream":    {"ID", "Created", "Version", "Progress"},
	"Client":         {"ID", "Secret", "Created", "Version"},
	"Service":        {"ID", "Created", "Modified", "Version"},
	"SigningKey":     {"Public", "Sealed", "Created", "Version", "Began"},
	"Schema":         {"Modified", "Version"},
	"PermissionText": {"Modified", "Version"},
	"Organization":   {"ID", "Created", "Modified", "Version"},
	"Operator":       {"ID", "Token", "Created"},
	"JoinToken":      {"ID", "Secret", "Created"},
	"TokenSecret":    {"Sealed", "Created"},
	"FeatureLevel":   {"Raised"},
	"Rotation":       {"Previous", "Next", "Cross", "Sealed", "Created", "Began", "Version"}, // the id is made of the key
	"RecoveryKey":    {"Recipient", "Proof", "Created"},                                      // the name tells of the recipient
}

var auditedRecords = []any{
	&directory.User{}, &directory.Group{}, &directory.Role{}, &directory.Assignment{}, &directory.Session{},
	&directory.APIKey{}, &directory.Connection{}, &directory.Service{}, &directory.SigningKey{}, &directory.Schema{},
	&directory.PermissionText{}, &directory.Organization{}, &directory.Operator{}, &directory.JoinToken{}, &directory.TokenSecret{},
	&directory.EventStream{},
	&directory.Client{},
	&directory.RecoveryKey{},
	&directory.FeatureLevel{},
	&directory.Rotation{},
}

// set gives a value other content than the zero value.
func set(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(3)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(7_000_000_000)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		set(v.Index(0))
	case reflect.Array:
		for i := range v.Len() {
			set(v.Index(i))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			set(v.Field(i))
		}
	}
}

// TestEveryFieldIsShownOrSilent: a field that is added to a record must be shown
// by the log or be named as one that it keeps to itself.
func TestEveryFieldIsShownOrSilent(t *testing.T) {
	for _, record := range auditedRecords {
		typ := reflect.TypeOf(record).Elem()
		empty := string(fieldsOf(record).render())
		for i := range typ.NumField() {
			one := reflect.New(typ)
			set(one.Elem().Field(i))
			shown := string(fieldsOf(one.Interface()).render()) != empty
			if quiet := slices.Contains(silent[typ.Name()], typ.Field(i).Name); shown == quiet {
				t.Errorf("%s.%s: shown %v, named as silent %v", typ.Name(), typ.Field(i).Name, shown, quiet)
			}
		}
	}
}

// TestEveryTableIsAuditedOrNamed: fieldsOf panics on what it does not know.
func TestEveryTableIsAuditedOrNamed(t *testing.T) {
	for table := byte('1'); table <= 'z'; table++ {
		row, err := decodeRow(string(rune(table))+strings.Repeat("x", 32), []byte{0xa0})
		if err == nil && audited(table) {
			fieldsOf(row)
		}
	}
}

func TestRenderIsJSON(t *testing.T) {
	var f fields
	f.text("b", "\x00\x1f\"\\/<ä\u2028\xff")
	f.json("a", []byte(`{"x": [1, "é"]}`))
	f.json("c", []byte(`{"broken`))
	f.number("d", -5)
	f.list("e", []string{"", "x"})
	if got, want := string(f.render()), `{"a":{"x":[1,"é"]},"b":"\u0000\u001f\"\\/<ä`+"\u2028\ufffd"+`","c":"{\"broken","d":-5,"e":["","x"]}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !json.Valid(f.render()) {
		t.Error("not JSON")
	}
}

// TestDetailMax: at the bound the values stand there, one byte beyond only names.
func TestDetailMax(t *testing.T) {
	for _, spare := range []int{0, 1} {
		var d detail
		d.before.text("a", strings.Repeat("x", 1000))
		used := len(d.before.render())
		d.after.text("b", strings.Repeat("y", directory.AuditDetailMax-used-len(`{"b":""}`)+spare))
		before, after := d.text()
		if whole := len(before)+len(after) == directory.AuditDetailMax; whole != (spare == 0) {
			t.Errorf("%d bytes over: %d and %d bytes", spare, len(before), len(after))
		}
		if spare == 1 && !strings.HasPrefix(after, `{"fields":["b"],"sha256":"`) {
			t.Errorf("%s", after)
		}
	}
}

// TestManyEdgesAreCounted: at the bound members are listed, beyond counted.
func TestManyEdgesAreCounted(t *testing.T) {
	for n, want := range map[int]string{edgesListedMax: `{"members":["usr-`, edgesListedMax + 1: `{"members":{"count":65,"sha256":"`} {
		var c changes
		for i := range n {
			c.edge(pairKey(tableMember, [16]byte{1}, [16]byte{byte(i + 1)}), true)
		}
		events := []directory.Event{{Object: directory.GroupID{1}.String()}}
		describe(events, c)
		if !strings.HasPrefix(events[0].After, want) || events[0].Before != "" {
			t.Errorf("%d: %s", n, events[0].After)
		}
	}
}

// TestManyRowsAreCounted: what a command swept away besides its object.
func TestManyRowsAreCounted(t *testing.T) {
	var c changes
	for i := range rowsListedMax + 5 {
		c.row(idKey(tableSession, [16]byte{byte(i + 1)}), &directory.Session{Reason: fmt.Sprint(i)}, nil)
	}
	events := []directory.Event{{Object: "usr-x"}, {Object: "usr-y"}}
	c.row(idKey(tableUser, [16]byte{9}), nil, &directory.User{UserName: "u"})
	events[0].Object = directory.UserID{9}.String()
	describe(events, c)
	if !strings.Contains(events[0].After, `"more":4`) || !strings.Contains(events[1].Before, `"reason":"0"`) {
		t.Errorf("%s\n%s", events[0].After, events[1].Before)
	}
}

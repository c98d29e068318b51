package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

func TestMask(t *testing.T) {
	name, empty := "Clinic", ""
	for _, row := range []struct {
		what    string
		request *authfiv1.UpdateOrganizationRequest
		changes string
		text    string // of name: - when it stays as it is
	}{
		{"nothing", &authfiv1.UpdateOrganizationRequest{Id: "org-1"}, "", "-"},
		{"a field", &authfiv1.UpdateOrganizationRequest{Name: &name}, "name", "Clinic"},
		{"a field that is present and empty", &authfiv1.UpdateOrganizationRequest{Name: &empty}, "name", ""},
		{"a message that is present and empty", &authfiv1.UpdateOrganizationRequest{Domains: &authfiv1.DomainSet{}}, "domains", "-"},
		{"named and present", &authfiv1.UpdateOrganizationRequest{Name: &name, UpdateMask: []string{"name"}}, "name", "Clinic"},
		{"named and absent", &authfiv1.UpdateOrganizationRequest{UpdateMask: []string{"name", "branding"}}, "name branding", ""},
		{"present and not named", &authfiv1.UpdateOrganizationRequest{Name: &name, UpdateMask: []string{"sign_in"}}, "sign_in", "-"},
		{"named twice", &authfiv1.UpdateOrganizationRequest{Name: &name, UpdateMask: []string{"name", "name"}}, "name", "Clinic"},
	} {
		m, err := maskOf(row.request)
		if err != nil {
			t.Errorf("%s: %v", row.what, err)
			continue
		}
		var changes []string
		for _, field := range []string{"name", "domains", "branding", "sign_in"} {
			if m.changes(field) {
				changes = append(changes, field)
			}
		}
		if got := strings.Join(changes, " "); got != row.changes {
			t.Errorf("%s: changes %q, want %q", row.what, got, row.changes)
		}
		text := "-"
		if s := m.text("name", row.request.Name); s != nil {
			text = *s
		}
		if text != row.text {
			t.Errorf("%s: the name becomes %q, want %q", row.what, text, row.text)
		}
	}
}

func TestMaskRefuses(t *testing.T) {
	for what, names := range map[string][]string{
		"the object":                  {"id"},
		"itself":                      {"update_mask"},
		"what the message lacks":      {"slug"},
		"what only the answer has":    {"user_quota"},
		"a field inside a field":      {"branding.color"},
		"everything":                  {"*"},
		"the name that JSON is not":   {"signIn"},
		"nothing":                     {""},
		"one bad name among good":     {"name", "x"},
		"one more than the limit":     slices.Repeat([]string{"name"}, maskMax+1),
		"a name of a thousand bytes":  {strings.Repeat("n", 1000)},
		"a name that is another case": {"Name"},
	} {
		_, err := maskOf(&authfiv1.UpdateOrganizationRequest{UpdateMask: names})
		var own *directory.Error
		if !errors.As(err, &own) || own.Kind != directory.KindInvalid || own.Field != "update_mask" || len(own.Message) > 256 {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := maskOf(&authfiv1.UpdateOrganizationRequest{UpdateMask: slices.Repeat([]string{"name"}, maskMax)}); err != nil {
		t.Errorf("at the limit: %v", err)
	}
	_, err := maskOf(&authfiv1.UpdateGroupRequest{UpdateMask: []string{"members"}})
	if want := `update_mask: "members" cannot be changed here; it may name name, description, external_id`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestMaskedMessages: a field that a mask can name tells absent from empty, or an
// update could not leave it alone.
func TestMaskedMessages(t *testing.T) {
	found := 0
	protoregistry.GlobalTypes.RangeMessages(func(mt protoreflect.MessageType) bool {
		r, ok := mt.New().Interface().(masked)
		if !ok {
			return true
		}
		found++
		fields := proto.Message(r).ProtoReflect().Descriptor().Fields()
		for i := range fields.Len() {
			f := fields.Get(i)
			if _, changes := (mask{message: r.ProtoReflect()}).field(string(f.Name())); changes && !f.HasPresence() {
				t.Errorf("%s does not tell absent from empty", f.FullName())
			}
		}
		return true
	})
	if found == 0 {
		t.Error("no request has a mask: nothing was checked")
	}
}

// TestMaskKnowsItsMessage: a handler that asks for a field that is not there has
// a mistake in it.
func TestMaskKnowsItsMessage(t *testing.T) {
	m, err := maskOf(&authfiv1.UpdateOrganizationRequest{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a field that the message lacks is answered for")
		}
	}()
	m.changes("slug")
}

package cli

import (
	"encoding/json"
	"os"
	"strings"
	"time"

	sources "github.com/authfi/authfi/proto"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields that are not flags of their own: the page's belong to every list, the
// organization to every command.
const (
	orgField    = "org_id"
	limitField  = "limit"
	cursorField = "cursor"
)

// fieldFlag is a flag that fills a field of the request.
type fieldFlag struct {
	field protoreflect.FieldDescriptor
	flag  *pflag.Flag
	value func() (any, error)
}

func flagName(field protoreflect.FieldDescriptor) string {
	return strings.ReplaceAll(string(field.Name()), "_", "-")
}

// addField makes the flag of a field. What has no form of its own on a command
// line is JSON.
func addField(f *pflag.FlagSet, field protoreflect.FieldDescriptor) fieldFlag {
	name, help := flagName(field), fieldHelp(field)
	added := fieldFlag{field: field}
	switch {
	case isStringList(field):
		v := f.StringSlice(name, nil, help)
		added.value = func() (any, error) { return *v, nil }
	case field.IsList() || field.IsMap():
		added.value = jsonFlag(f, name, help)
	case field.Kind() == protoreflect.BoolKind:
		v := f.Bool(name, false, help)
		added.value = func() (any, error) { return *v, nil }
	case field.Kind() == protoreflect.StringKind:
		v := f.String(name, "", help)
		added.value = func() (any, error) { return *v, nil }
	case isNumber(field.Kind()):
		v := f.Int64(name, 0, help)
		added.value = func() (any, error) { return *v, nil }
	case isMessage(field, "google.protobuf.Timestamp"):
		added.value = timeFlag(f, name, help)
	default:
		added.value = jsonFlag(f, name, help)
	}
	added.flag = f.Lookup(name)
	return added
}

func isNumber(kind protoreflect.Kind) bool {
	switch kind {
	case protoreflect.Int32Kind, protoreflect.Int64Kind, protoreflect.Uint32Kind, protoreflect.Uint64Kind:
		return true
	}
	return false
}

func isMessage(field protoreflect.FieldDescriptor, name protoreflect.FullName) bool {
	return field.Message() != nil && field.Message().FullName() == name
}

// isStringList is true of a list of strings, and of the message around one that
// REST writes as the list alone.
func isStringList(field protoreflect.FieldDescriptor) bool {
	if field.IsList() {
		return field.Kind() == protoreflect.StringKind
	}
	if field.Message() == nil || field.IsMap() {
		return false
	}
	bare, _ := proto.GetExtension(field.Message().Options(), bareList).(bool)
	return bare && isStringList(field.Message().Fields().Get(0))
}

func jsonFlag(f *pflag.FlagSet, name, help string) func() (any, error) {
	v := f.String(name, "", strings.TrimSpace(help+" (JSON, or @FILE that holds it)"))
	return func() (any, error) {
		text := []byte(*v)
		if file, ok := strings.CutPrefix(*v, "@"); ok {
			var err error
			if text, err = os.ReadFile(file); err != nil {
				return nil, usage("--%s: %v", name, err)
			}
		}
		if !json.Valid(text) {
			return nil, usage("--%s is not JSON", name)
		}
		return json.RawMessage(text), nil
	}
}

// timeFlag takes a time, or how long it is until then.
func timeFlag(f *pflag.FlagSet, name, help string) func() (any, error) {
	v := f.String(name, "", strings.TrimSpace(help+" (as in 2027-01-31T12:00:00Z, or from now: 72h)"))
	return func() (any, error) {
		if after, err := time.ParseDuration(*v); err == nil {
			return time.Now().Add(after).UTC().Format(time.RFC3339), nil
		}
		if _, err := time.Parse(time.RFC3339, *v); err != nil {
			return nil, usage("--%s %q is neither a time of RFC 3339 nor a duration", name, *v)
		}
		return *v, nil
	}
}

// fieldHelp is the comment of the field, or of the same field where the object
// is made, since the bounds are the same there.
func fieldHelp(field protoreflect.FieldDescriptor) string {
	message := string(field.Parent().Name())
	noun, _ := strings.CutPrefix(message, "Update")
	noun = strings.TrimSuffix(noun, "Request")
	name := "." + string(field.Name())
	for _, place := range []string{message, "Create" + noun + "Request", noun, strings.TrimPrefix(noun, "Create")} {
		if said := sources.Comments()[place+name]; said != "" {
			return unquoted(said)
		}
	}
	return strings.ReplaceAll(string(field.Name()), "_", " ")
}

// unquoted has no back quotes, in which pflag would look for a name.
func unquoted(text string) string { return strings.ReplaceAll(text, "`", "'") }

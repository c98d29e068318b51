package cli

import (
	"context"
	"regexp"
	"strings"

	sources "github.com/authfi/authfi/proto"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Fields that are not flags of their own: the page's belong to every list, the
// organization to every command, and an empty value empties a field without a
// mask.
const (
	orgField    = "org_id"
	limitField  = "limit"
	cursorField = "cursor"
	maskField   = "update_mask"
)

// named are the fields that take a name where an id is meant, by the metavar that
// says of what.
var named = map[protoreflect.Name]string{
	"manager_id": "USER", "owner_id": "USER", "user_id": "USER", "group_id": "GROUP", "role_id": "ROLE", "actor": "ACTOR",
}

// fieldFlag is a flag that fills a field of the request.
type fieldFlag struct {
	field protoreflect.FieldDescriptor
	flag  *pflag.Flag
	value func() (any, error)
}

func flagName(field protoreflect.FieldDescriptor) string {
	return strings.ReplaceAll(string(field.Name()), "_", "-")
}

// addField makes the flag of a field.
func addField(f *pflag.FlagSet, field protoreflect.FieldDescriptor) fieldFlag {
	name, help := flagName(field), fieldHelp(field)
	added := fieldFlag{field: field}
	switch {
	case isStringList(field):
		v := f.StringSlice(name, nil, help)
		added.value = func() (any, error) { return append([]string{}, *v...), nil }
	case field.IsList():
		added.value = itemsFlag(f, field, help)
	case field.Kind() == protoreflect.BoolKind:
		v := f.Bool(name, false, help)
		added.value = func() (any, error) { return *v, nil }
	case strings.HasSuffix(string(field.Name()), "_time"):
		added.value = timeFlag(f, name, help, past)
	case field.Kind() == protoreflect.StringKind:
		if metavar, ok := named[field.Name()]; ok {
			help += " (`" + metavar + "`, by name or id)"
		}
		v := f.String(name, "", help)
		added.value = func() (any, error) { return *v, nil }
	case isNumber(field.Kind()):
		v := f.Int64(name, 0, help)
		added.value = func() (any, error) { return *v, nil }
	case isMessage(field, timestampName):
		added.value = timeFlag(f, name, help, future)
	case isMessage(field, structName):
		added.value = structFlag(f, name, help)
	default:
		added.value = messageFlag(f, field, help)
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

// fieldHelp is the comment of the field, or of the same field where the object
// is made, since the bounds are the same there.
func fieldHelp(field protoreflect.FieldDescriptor) string {
	if said := comment(field); said != "" {
		return unquoted(said)
	}
	return strings.ReplaceAll(string(field.Name()), "_", " ")
}

func comment(field protoreflect.FieldDescriptor) string {
	message := string(field.Parent().Name())
	noun, _ := strings.CutPrefix(message, "Update")
	noun = strings.TrimSuffix(noun, "Request")
	name := "." + string(field.Name())
	for _, place := range []string{message, "Create" + noun + "Request", noun, strings.TrimPrefix(noun, "Create")} {
		if said := sources.Comments()[place+name]; said != "" {
			return said
		}
	}
	return ""
}

// unquoted has no back quotes, in which pflag would look for a name.
func unquoted(text string) string { return strings.ReplaceAll(text, "`", "'") }

var quotedWord = regexp.MustCompile(`"([a-z][a-z0-9_.-]*)"`)

// words are the values that a field of text may have, where its comment lists
// them from its first word on.
func words(field protoreflect.FieldDescriptor) (all []string) {
	said := comment(field)
	if !strings.HasPrefix(strings.TrimPrefix(said, "only "), `"`) {
		return nil
	}
	for _, match := range quotedWord.FindAllStringSubmatch(said, -1) {
		all = append(all, match[1])
	}
	return all
}

// completeFlag offers names or words for the value of a flag.
func (o *options) completeFlag(cmd *cobra.Command, f fieldFlag) {
	complete := cobra.CompletionFunc(cobra.NoFileCompletions)
	if metavar, ok := named[f.field.Name()]; ok {
		complete = o.complete(metavar)
	} else if f.field.Name() == "permissions" {
		complete = o.complete("PERMISSION")
	} else if offered := words(f.field); offered != nil {
		complete = cobra.FixedCompletions(offered, cobra.ShellCompDirectiveNoFileComp)
	} else if f.field.Message() != nil {
		return // @FILE
	}
	if err := cmd.RegisterFlagCompletionFunc(f.flag.Name, complete); err != nil {
		panic("cli: " + err.Error()) // the flag was added a moment ago
	}
}

// filled is the value of a flag, with names turned into ids.
func (c *call) filled(ctx context.Context, f fieldFlag) (any, error) {
	value, err := f.value()
	metavar, ok := named[f.field.Name()]
	if text, isText := value.(string); ok && isText && text != "" && err == nil {
		id, err := c.resolve(ctx, metavar, text)
		return id, inFlag(f.flag.Name, err)
	}
	return value, err
}

package cli

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// TestEveryProcedureHasACommand walks the descriptors of the API: a procedure
// that no row and no hand-written command answers fails.
func TestEveryProcedureHasACommand(t *testing.T) {
	rowOf := map[string]string{}
	for _, r := range rows {
		rowOf[r.procedure] = r.words
	}
	seen := 0
	protoregistry.GlobalFiles.RangeFilesByPackage(apiPackage, func(file protoreflect.FileDescriptor) bool {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for k := range service.Methods().Len() {
				name := string(service.Name()) + "." + string(service.Methods().Get(k).Name())
				seen++
				if rowOf[name] == "" && elsewhere[name] == "" {
					t.Errorf("%s has no command: add a row to rows in cli/table.go", name)
				}
				if _, routed := routeOf(service.Methods().Get(k)); !routed && elsewhere[name] == "" {
					t.Errorf("%s has no HTTP rule: its command goes by hand and into elsewhere", name)
				}
			}
		}
		return true
	})
	if seen == 0 {
		t.Fatal("no procedure found: nothing was compared")
	}
}

// TestColumnsAreFields holds the tables to fields that answers have.
func TestColumnsAreFields(t *testing.T) {
	for _, r := range rows {
		items, _ := listOf(methodOf(r.procedure))
		for _, column := range strings.Fields(r.columns) {
			if items == nil || items.Message().Fields().ByName(protoreflect.Name(column)) == nil {
				t.Errorf("%s: the answer's items have no field %s", r.words, column)
			}
		}
		if items != nil && r.columns == "" && r.show == nil {
			t.Errorf("%s: a list without columns", r.words)
		}
		if !strings.HasPrefix(r.example, r.words) {
			t.Errorf("%s: the example %q is of another command", r.words, r.example)
		}
	}
}

func fieldOf(message proto.Message, name string) protoreflect.FieldDescriptor {
	return message.ProtoReflect().Descriptor().Fields().ByName(protoreflect.Name(name))
}

// TestHelp: every command has a line, an example and, at the top, a shelf.
func TestHelp(t *testing.T) {
	var api API
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Short == "" || cmd.Runnable() && !cmd.HasSubCommands() && cmd.Example == "" {
			t.Errorf("%s: no line or no example", cmd.CommandPath())
		}
		if cmd.Parent() != nil && !cmd.Parent().HasParent() && cmd.GroupID == "" {
			t.Errorf("%s is in no group of root.go", cmd.CommandPath())
		}
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(api.Root("test"))
}

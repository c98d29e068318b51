package archive_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/authfi/authfi/archive"
)

const document = "../docs/reference/organization-file.md"

// TestDocument holds the description of the form to the code: its example is a
// good file, and no field of a record is left out.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	described, _, ok := strings.Cut(string(text), "| record |")
	var example strings.Builder
	for line := range strings.Lines(described) {
		if strings.HasPrefix(line, "    {") {
			example.WriteString(strings.TrimSpace(line) + "\n")
		}
	}
	if !ok || example.Len() == 0 {
		t.Fatalf("%s has no example", document)
	}
	if got := found(t, example.String(), archive.Known{}); got != nil {
		t.Errorf("the example: %v", got)
	}
	checkDescribed(t, string(text), reflect.TypeFor[archive.File](), map[reflect.Type]bool{})
}

func checkDescribed(t *testing.T, text string, record reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	for record.Kind() == reflect.Pointer || record.Kind() == reflect.Slice {
		record = record.Elem()
	}
	if record.Kind() != reflect.Struct || seen[record] || !strings.HasPrefix(record.PkgPath(), "github.com/authfi") {
		return
	}
	seen[record] = true
	for i := range record.NumField() {
		field := record.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" && name != "-" && !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s does not describe %s of %s", document, name, record.Name())
		}
		checkDescribed(t, text, field.Type, seen)
	}
}

package cli_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/authfi/authfi/cli"
	"github.com/spf13/cobra"
)

const (
	document = "../docs/reference/cli.md"
	written  = "<!-- written by go test ./cli -update -->\n"
)

// TestDocument holds the list of commands in the reference to the commands.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	above, got, ok := strings.Cut(string(text), written)
	if !ok {
		t.Fatalf("%s has no place for the list", document)
	}
	var api cli.API
	want := "\n| command | |\n|---|---|\n" + list(api.Root("test"))
	if *update {
		if err := os.WriteFile(document, []byte(above+written+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("%s differs; go test ./cli -update writes it anew\n%s", document, firstDifference(want, got))
	}
}

func list(cmd *cobra.Command) string {
	var all strings.Builder
	if !cmd.HasSubCommands() || cmd.Example != "" { // a noun has none
		fmt.Fprintf(&all, "| `%s` | %s |\n", strings.TrimSuffix(cmd.UseLine(), " [flags]"), cmd.Short)
	}
	for _, below := range cmd.Commands() {
		all.WriteString(list(below))
	}
	return all.String()
}

package cli

import (
	"encoding/json"

	"github.com/spf13/cobra"
)

// Commands that are not of the API print as those that are.

// Answer is what such a command has to say.
type Answer struct {
	Line    string // of the table form
	Value   any    // of the others, by its JSON
	Items   string // field of Value whose objects the table shows below the line; empty: none
	Columns string // of that table
}

// AddOutput gives a command the flags of its output.
func (a *API) AddOutput(cmd *cobra.Command) { a.options.addOutput(cmd.Flags()) }

// Print writes an answer in the form that was asked for.
func (a *API) Print(cmd *cobra.Command, answer Answer) error {
	p, err := a.options.printer(cmd)
	if err != nil {
		return err
	}
	body, err := json.Marshal(answer.Value)
	if err != nil {
		return err
	}
	if !p.table() {
		return p.object(body)
	}
	if err := p.line(answer.Line); err != nil || answer.Items == "" {
		return err
	}
	return p.list(body, answer.Items, answer.Columns)
}

// Secret reads the text of a secret, or with @FILE the file that holds it, so that
// it need not stand in the list of processes.
func Secret(text string) (string, error) { return readSecret(text) }

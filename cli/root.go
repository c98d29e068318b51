package cli

import (
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// API is the part of the command line that talks to a cluster.
type API struct{ options options }

// Report says on w why a command failed and returns the exit code.
func (a *API) Report(w io.Writer, err error) int { return Report(w, a.options.output, err) }

// NodesGroup is the group of commands about the nodes themselves.
const NodesGroup = "nodes"

// shelves are the groups in which help shows the commands.
var shelves = []struct{ id, title, names string }{
	{"directory", "The directory:", "organizations schema users service-accounts api-keys groups roles assignments"},
	{"questions", "Who may do what:", "permissions explain"},
	{"access", "Sign-in and enforcement:", "connections clients sessions keys services policy enforcement"},
	{"history", "What happened:", "log sync-log events event-streams audit"},
	{"many", "Many changes at once:", "export import bulk"},
	{"code", "For those who write programs:", "types"},
	{NodesGroup, "The nodes:", "status members operators token backup recovery-key ca upgrade leave"},
}

// Root is the program with the commands of the API. Failed ones return an error
// that Report knows how to say.
func (a *API) Root(version string) *cobra.Command {
	root := &cobra.Command{
		Use: "authfi", Short: "The identity directory: who can do what", Version: version,
		SilenceUsage: true, SilenceErrors: true, Args: cobra.ArbitraryArgs,
		Long: "The identity directory: who can do what.\n\n" +
			"Commands of the API ask any node: AUTHFI_URL is its address, AUTHFI_TOKEN a token or\n" +
			"@FILE, AUTHFI_CACERT the file of the CA of its certificate, AUTHFI_ORG the organization\n" +
			"that is meant where --org is not given. They exit with 0 when it is done, 1 when it is\n" +
			"not, and 2 when the command line is wrong.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return Unknown(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage("%v; see %s --help", err, cmd.CommandPath()) })
	for _, s := range shelves {
		root.AddGroup(&cobra.Group{ID: s.id, Title: s.title})
	}
	for _, cmd := range a.commands() {
		for _, s := range shelves {
			if slices.Contains(strings.Fields(s.names), cmd.Name()) {
				cmd.GroupID = s.id
			}
		}
		root.AddCommand(cmd)
	}
	return root
}

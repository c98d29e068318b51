package cli

import (
	"fmt"

	"github.com/authfi/authfi/durable"
	"github.com/spf13/cobra"
)

func (o *options) exportCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Short: "Write a whole organization to one file",
		Long: "Write a whole organization to one file of JSON lines: its settings and schema,\n" +
			"descriptions of permissions, roles, groups, users and service accounts, memberships,\n" +
			"assignments, services and policies, and connections. Names are the keys; ids, times\n" +
			"of creation and secrets are not in it, and two exports of the same state are the\n" +
			"same bytes. The form is in docs/reference/organization-file.md.",
		Example: "  authfi export --org city-clinic -o clinic.jsonl", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			org, err := o.orgID(ctx)
			if err != nil {
				return err
			}
			talk := newProgress(cmd.ErrOrStderr())
			now, err := o.snapshot(ctx, org, scope{whole: true}, talk)
			talk.end()
			if err != nil {
				return err
			}
			if now.dropped > 0 {
				talk.say(fmt.Sprintf("left out: %d own attributes of users that the schema does not allow any more", now.dropped))
			}
			if name == "-" {
				return now.file.Write(cmd.OutOrStdout())
			}
			return durable.Replace(name, durable.OwnerOnly, now.file.Write) // it holds people's names and addresses
		},
	}
	cmd.Flags().StringVarP(&name, "output", "o", "-", "file to write; - is stdout")
	return cmd
}

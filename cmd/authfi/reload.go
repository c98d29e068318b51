package main

import (
	"fmt"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

func reloadCommand(api *cli.API) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the node of this machine read its settings file again, without a restart",
		Long: "Let the node of this machine read its settings file again, without a restart. What is safe is\n" +
			"taken, and the keys that wait for a restart are named. A file with a mistake is refused as a\n" +
			"whole. Run it as the node's user or root; systemctl reload authfi does it, too.",
		Args: exactly(0),
	}
	dir := cmd.Flags().String("dir", defaults().Dir, "data directory")
	config := configFlag(cmd)
	api.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if file := config(); file != "" && !cmd.Flags().Changed("dir") { // it says where the node is
			s := node.Settings{Config: defaults()}
			if err := s.Read(file); err != nil {
				return fmt.Errorf("the settings stay as they were: %w", err)
			}
			*dir = s.Dir
		}
		r, err := node.AskReload(cmd.Context(), *dir)
		if err != nil {
			return err
		}
		return api.Print(cmd, cli.Answer{Value: map[string]any{"taken": keysOrNone(r.Taken), "waiting": keysOrNone(r.Waiting)}, Line: fmt.Sprint(r)})
	}
	return cmd
}

// keysOrNone is a list in JSON, also when it is empty.
func keysOrNone(keys []string) []string { return append([]string{}, keys...) }

package main

import (
	"fmt"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

func doctorCommand(api *cli.API) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look at what the node of this machine needs: kernel, disk, files, certificates, addresses",
		Long: "Look at what the node of this machine needs: kernel, disk, files, certificates, addresses.\n" +
			"It needs no cluster and no token, and the node may run meanwhile. Exit 1 if something failed.",
		Args: exactly(0),
	}
	dir := cmd.Flags().String("dir", defaults().Dir, "data directory")
	config := configFlag(cmd)
	api.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		found := node.Doctor(cmd.Context(), *dir, config())
		failed := 0
		for _, f := range found {
			if f.State == node.StateFailed {
				failed++
			}
		}
		if err := api.Print(cmd, cli.Answer{
			Value: map[string]any{"ok": failed == 0, "findings": found},
			Line:  fmt.Sprintf("%d checks, %d failed", len(found), failed), Items: "findings", Columns: "check state detail advice",
		}); err != nil {
			return err
		}
		if failed > 0 {
			return fmt.Errorf("%d of %d checks failed", failed, len(found))
		}
		return nil
	}
	return cmd
}

// Command authfi is the appliance: one binary that is a node, its tools and the
// development cluster. It parses, starts and stops; everything else is in the
// packages below it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/authfi/authfi/cli"
	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var api cli.API
	err := root(&api).ExecuteContext(ctx)
	stop()
	os.Exit(api.Report(os.Stderr, err))
}

func root(api *cli.API) *cobra.Command {
	cmd := api.Root(version)
	for _, node := range []*cobra.Command{initCommand(), joinCommand(), serveCommand(), reloadCommand(api), restoreCommand(api), doctorCommand(api), supportCommand(), keyringCommand(), recoverCommand(), detachCommand(), devCommand(), demoServiceCommand(), manCommand()} {
		node.GroupID = cli.NodesGroup
		cmd.AddCommand(node)
	}
	if enforcement, _, err := cmd.Find([]string{"enforcement"}); err == nil {
		enforcement.AddCommand(kernelCheckCommand())
	}
	if backups, _, err := cmd.Find([]string{"backup"}); err == nil {
		backups.AddCommand(verifyBackupCommand(api))
	}
	return cmd
}

// exactly refuses a wrong number of arguments as a mistake of usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: %s takes %d arguments, not %d", cli.ErrUsage, cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}

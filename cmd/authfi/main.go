// Command authfi is the appliance: one binary that is a node, its tools and the
// development cluster. It parses, starts and stops; everything else is in the
// packages below it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the build.
var version = "development"

// Exit codes of every command.
const (
	exitFailed = 1
	exitUsage  = 2
)

// errUsage marks errors of the command line itself.
var errUsage = errors.New("usage")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "authfi:", err)
	if errors.Is(err, errUsage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "authfi",
		Short:         "The identity directory: who can do what",
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%w: no command %q; see authfi --help", errUsage, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	cmd.AddCommand(initCommand(), joinCommand(), serveCommand(), tokenCommand(), statusCommand(),
		membersCommand(), enforcementCommand(), detachCommand(), devCommand(), demoServiceCommand())
	return cmd
}

// exactly refuses a wrong number of arguments as a mistake of usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%w: %s takes %d arguments, not %d", errUsage, cmd.CommandPath(), n, len(args))
		}
		return nil
	}
}

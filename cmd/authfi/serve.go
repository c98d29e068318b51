package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

func serveCommand() *cobra.Command {
	s := node.Settings{Config: defaults()}
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the node of a data directory",
		Long: "Run the node of a data directory, with what the settings file says. A directory that is no\n" +
			"node's yet becomes one if the settings file has a section start.",
		Args: exactly(0),
	}
	dir := cmd.Flags().String("dir", s.Dir, "data directory")
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		file := config()
		hangups := hangupsFor(file)
		if file != "" {
			if err := s.Read(file); err != nil {
				return fmt.Errorf("%w: %w", cli.ErrUsage, err)
			}
		}
		dirGiven := file == "" || cmd.Flags().Changed("dir")
		if dirGiven {
			s.Dir = *dir
		}
		if err := s.Begin(cmd.Context()); err != nil {
			return err
		}
		c, err := node.ServedConfig(s.Dir, file)
		if err != nil {
			return err
		}
		if file != "" {
			c.Reread = func() (node.Config, error) { return reread(s.Dir, file, dirGiven) }
		}
		return serve(cmd.Context(), c, hangups)
	}
	return cmd
}

// hangupsFor are the signals that ask for the settings to be read again, from the start
// on: one that comes before the node runs must not end it. Without a settings file a
// hangup is what it is to every program of a terminal.
func hangupsFor(file string) <-chan os.Signal {
	hangups := make(chan os.Signal, 1) // the settings are read after the last of several
	if file != "" {
		signal.Notify(hangups, syscall.SIGHUP)
	}
	return hangups
}

// reread is the configuration of a running node as its files say it now.
func reread(dir, file string, dirGiven bool) (node.Config, error) {
	c, err := node.ServedConfig(dir, file)
	if err != nil || dirGiven {
		return c, err
	}
	said := node.Settings{Config: defaults()}
	err = said.Read(file)
	c.Dir = said.Dir
	return c, err
}

func serve(ctx context.Context, c node.Config, hangups <-chan os.Signal) error {
	c.Version, c.Credentials, c.Verbosity = version, os.Getenv("CREDENTIALS_DIRECTORY"), new(slog.LevelVar)
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: c.Verbosity})).With("node", c.NodeID)
	unit, err := openUnit(log)
	if err != nil {
		return err
	}
	if c.Listener, err = unit.listener(c.API); err != nil {
		return err
	}
	c.Supervisor = unit.supervisor()
	n, err := node.Open(ctx, c, log)
	if err != nil {
		return err
	}
	go func() {
		for range hangups { // ends with the process
			n.Reload() // it has said what became of it
		}
	}()
	return n.Run(ctx)
}

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/authfi/authfi/dev"
	"github.com/spf13/cobra"
)

func devCommand() *cobra.Command {
	opts := dev.Options{Out: os.Stdout}
	var story bool
	var node int
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run a three-node cluster on this machine and play the story",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if node != 0 {
				return dev.Restart(cmd.Context(), opts, node)
			}
			if story {
				return playOnce(cmd, opts)
			}
			return runDev(cmd, opts)
		},
	}
	cmd.Flags().StringVar(&opts.Dir, "dir", ".authfi/dev", "data of the cluster")
	cmd.Flags().IntVar(&opts.PortBase, "port-base", 8400, "ports are counted from here; 0 picks free ones")
	cmd.Flags().BoolVar(&opts.Fresh, "fresh", false, "wipe the data first")
	cmd.Flags().StringVar(&opts.Mode, "enforce", "auto", "auto, kernel or gate")
	cmd.Flags().BoolVar(&story, "story", false, "play the story on a cluster of its own and exit")
	cmd.Flags().IntVar(&node, "node", 0, "start this node (1 to 3) of a running cluster again")
	return cmd
}

// playOnce leaves nothing behind: own directory, free ports, no pins.
func playOnce(cmd *cobra.Command, opts dev.Options) error {
	dir, err := os.MkdirTemp("", "authfi-story-")
	if err != nil {
		return err
	}
	opts.Dir, opts.PortBase = dir, 0
	cluster, err := dev.Start(cmd.Context(), opts)
	if err == nil {
		err = errors.Join(cluster.Play(cmd.Context()), cluster.Stop())
	}
	if err != nil {
		return fmt.Errorf("%w (logs in %s)", err, dir)
	}
	return os.RemoveAll(dir)
}

func runDev(cmd *cobra.Command, opts dev.Options) error {
	cluster, err := dev.Start(cmd.Context(), opts)
	if err != nil {
		return err
	}
	if err := cluster.Play(cmd.Context()); err != nil {
		return errors.Join(err, cluster.Stop())
	}
	cluster.PrintAddresses()
	<-cmd.Context().Done()
	return cluster.Stop()
}

func demoServiceCommand() *cobra.Command {
	var listen string
	var node int
	cmd := &cobra.Command{
		Use:    "demo-service",
		Short:  "The service that the development cluster protects",
		Hidden: true,
		Args:   exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return dev.ServeDemo(cmd.Context(), listen, node)
		},
	}
	cmd.Flags().StringVar(&listen, "listen", "127.0.0.1:8641", "address")
	cmd.Flags().IntVar(&node, "node", 1, "node that protects it")
	return cmd
}

package main

import (
	"fmt"
	"io"
	"time"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/durable"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

func supportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "support",
		Short: "What to give to whoever helps",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Unknown(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(bundleCommand())
	return cmd
}

func bundleCommand() *cobra.Command {
	var out string
	o := node.BundleOptions{Version: version}
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Write what helps to find out what is wrong with the node of this machine, without secrets",
		Long: "Write what helps to find out what is wrong with the node of this machine to a tar.gz: version,\n" +
			"machine, settings, doctor, and of a node that runs status, log position, metrics, the newest log\n" +
			"lines, counts of provisioning requests, goroutines and heap. It holds no secret and nothing that\n" +
			"an organization keeps. It needs no token, no quorum and no running node; run it as the node's\n" +
			"user or root. What could not be had is said, and is in manifest.json.",
		Example: "  authfi support bundle -o node-1.tar.gz",
		Args:    exactly(0),
	}
	cmd.Flags().StringVar(&o.Dir, "dir", defaults().Dir, "data directory")
	cmd.Flags().StringVarP(&out, "output", "o", "", "file, or - for stdout (default authfi-support-TIME.tar.gz)")
	config := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		o.Settings = config()
		talk := cmd.ErrOrStderr()
		o.Progress = func(part string, err error) {
			if err != nil {
				fmt.Fprintf(talk, "%-16s not there: %v\n", part, err)
				return
			}
			fmt.Fprintf(talk, "%-16s ok\n", part)
		}
		write := func(w io.Writer) error {
			_, err := node.WriteBundle(cmd.Context(), w, o)
			return err
		}
		if out == "-" {
			return write(cmd.OutOrStdout())
		}
		if out == "" {
			out = "authfi-support-" + time.Now().UTC().Format("20060102T150405Z") + ".tar.gz"
		}
		if err := durable.New(out, durable.OwnerOnly, write); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout(), out)
		return nil
	}
	return cmd
}

package main

import (
	"fmt"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

func keyringCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "keyring",
		Short: "The key under which this machine keeps the secrets of the cluster",
		Args:  cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return cli.Unknown(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(sealCommand())
	return cmd
}

func sealCommand() *cobra.Command {
	var o node.SealOptions
	cmd := &cobra.Command{
		Use:   "seal",
		Short: "Seal the keyring of this machine's node by systemd, so that a copy of the disk opens nothing",
		Long: "Seal the keyring of this machine's node by systemd-creds, with a key of the machine and of its TPM\n" +
			"where it has one. The unit opens it at each start. Without --remove-file the open keyring stays\n" +
			"in the data directory: restart the node, see that it starts, and seal once more with the flag.\n" +
			"Run it as root, on the machine; the node may run.",
		Example: "  authfi keyring seal --with-key host+tpm2 --remove-file",
		Args:    exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := node.SealKeyring(cmd.Context(), o); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), o.To)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.Dir, "dir", defaults().Dir, "data directory")
	cmd.Flags().StringVar(&o.To, "to", node.SealedKeyring, "file of the sealed keyring; the unit looks at the default")
	cmd.Flags().StringVar(&o.WithKey, "with-key", "auto", "key that seals: auto, host, tpm2 or host+tpm2")
	cmd.Flags().BoolVar(&o.RemoveFile, "remove-file", false, "remove the open keyring from the data directory")
	return cmd
}

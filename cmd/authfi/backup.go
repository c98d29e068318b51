package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node"
	"github.com/spf13/cobra"
)

// keyVariable may hold the recovery key, or @FILE, instead of the flag.
const keyVariable = "AUTHFI_RECOVERY_KEY"

// keyFlag adds the flag of the recovery key.
func keyFlag(cmd *cobra.Command) (read func() (backup.Key, error)) {
	var text string
	cmd.Flags().StringVar(&text, "key", "", "recovery key, or @FILE that holds it ("+keyVariable+")")
	return func() (backup.Key, error) {
		if text == "" {
			text = os.Getenv(keyVariable)
		}
		secret, err := cli.Secret(text)
		if err != nil {
			return backup.Key{}, err
		}
		key, err := backup.ParseKey(secret)
		if err != nil {
			return key, fmt.Errorf("%w: --key: %w", cli.ErrUsage, err)
		}
		return key, nil
	}
}

// openFile is a backup to read, or stdin for -.
func openFile(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", cli.ErrUsage, err)
	}
	return file, nil
}

func verifyBackupCommand(api *cli.API) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Restore a backup into memory and compare it with what it should hold",
		Long: "Restore a backup into memory, or - for stdin, and compare digest and counts with what the\n" +
			"node had that made it. It needs the recovery key and no cluster.",
		Example: "  authfi backup verify authfi.backup --key @recovery.key",
		Args:    exactly(1),
	}
	key := keyFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		k, err := key()
		if err != nil {
			return err
		}
		file, err := openFile(cmd, args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		v, err := node.VerifyBackup(file, k)
		if err != nil {
			return err
		}
		value, err := withHeader(v.Header, map[string]any{"ok": true, "organizations": v.Organizations})
		if err != nil {
			return err
		}
		return api.Print(cmd, cli.Answer{
			Line:  fmt.Sprintf("ok: index %d of %s, digest %s", v.Header.Index, v.Header.Time.Format(time.RFC3339), v.Header.Digest),
			Value: value, Items: "organizations", Columns: "slug users groups roles assignments connections services",
		})
	}
	return cmd
}

// withHeader is the header's fields and others.
func withHeader(h backup.Header, more map[string]any) (json.RawMessage, error) {
	head, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	rest, err := json.Marshal(more)
	if err != nil {
		return nil, err
	}
	return append(append(bytes.TrimSuffix(head, []byte("}")), ','), rest[1:]...), nil
}

func restoreCommand(api *cli.API) *cobra.Command {
	var c node.Config
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the first node of a new cluster from a backup; the others join it",
		Long: "Make the first node of a new cluster from a backup, or - for stdin, in an empty directory.\n" +
			"The others join with a token, as ever. Operators, identity providers' tokens and keys are\n" +
			"those of the backup; the CA is new, and every session is ended.",
		Example: "  authfi restore authfi.backup --key @recovery.key --dir /var/lib/authfi",
		Args:    exactly(1),
	}
	finish, key := nodeFlags(cmd, &c), keyFlag(cmd)
	api.AddOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := finish(); err != nil {
			return err
		}
		k, err := key()
		if err != nil {
			return err
		}
		file, err := openFile(cmd, args[0])
		if err != nil {
			return err
		}
		defer file.Close()
		began := time.Now()
		r, err := node.Restore(c, file, k)
		if err != nil {
			return err
		}
		value, err := withHeader(r.Header, map[string]any{
			"dir": c.Dir, "organizations": r.Organizations, "users": r.Users, "sessions_ended": r.SessionsEnded,
			"new_index": r.Index, "seconds": time.Since(began).Seconds(),
		})
		if err != nil {
			return err
		}
		return api.Print(cmd, cli.Answer{Value: value, Line: fmt.Sprintf(
			"Restored %d users of %d organizations as of %s; %d sessions were ended.\nStart the node with: authfi serve --dir %s",
			r.Users, r.Organizations, r.Header.Time.Format(time.RFC3339), r.SessionsEnded, c.Dir)})
	}
	return cmd
}

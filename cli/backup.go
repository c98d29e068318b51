package cli

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/durable"
	"github.com/spf13/cobra"
)

// sumTrailer comes after the whole of a backup and never before.
const sumTrailer = "X-Authfi-Sha256"

// backupSilenceMax is how long a node may send nothing: a dead connection says so
// never.
const backupSilenceMax = time.Minute

func (o *options) backupCommand() *cobra.Command {
	var stale bool
	cmd := &cobra.Command{
		Use:   "[FILE]",
		Short: "Write the whole instance at one index to an encrypted file",
		Long: "Write the whole instance at one index to an encrypted file, from any node, while writes\n" +
			"go on. FILE - is stdout; without FILE the name says time and index. Only the recovery\n" +
			"key opens it: authfi backup verify checks it, authfi restore makes a cluster of it.\n\n" +
			"The file is there whole or not at all, and replaces none.",
		Example: "  authfi backup /srv/backups/authfi.backup",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("%s takes one file, or -", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			f := &fetched{options: o, stale: stale, talk: newProgress(cmd.ErrOrStderr())}
			if len(args) == 1 && args[0] == "-" {
				if isTerminal(cmd.OutOrStdout()) {
					return usage("a backup is no text for a terminal: name a file, or send it on")
				}
				if err := f.fetch(cmd.Context(), cmd.OutOrStdout()); err != nil {
					return err
				}
				p.w = cmd.ErrOrStderr() // stdout is the file
			} else if err := f.save(cmd.Context(), strings.Join(args, "")); err != nil {
				return err
			}
			return f.report(p)
		},
	}
	cmd.Flags().BoolVar(&stale, "stale", false, "what this node has, when no quorum can be reached")
	return cmd
}

// fetched is a backup as it comes.
type fetched struct {
	*options
	stale  bool
	talk   *progress
	name   string // of the file; empty: stdout
	header backup.Header
	bytes  int64
	sum    string
	took   time.Duration
}

// save puts the file where it belongs once it is whole and on the disk.
func (f *fetched) save(ctx context.Context, name string) (err error) {
	dir := filepath.Dir(name)
	if err := notThere(name); err != nil {
		return err
	}
	file, err := os.CreateTemp(dir, ".authfi-backup-") // for its owner alone
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	err = f.fetch(ctx, file)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if name == "" {
		name = fmt.Sprintf("authfi-%s-%d.backup", f.header.Time.Format("20060102T150405Z"), f.header.Index)
	}
	// A link, unlike a rename, replaces nothing.
	if err := os.Link(file.Name(), name); err != nil {
		return err
	}
	f.name = name
	return durable.SyncDir(dir)
}

func notThere(name string) error {
	if name == "" {
		return nil
	}
	if _, err := os.Lstat(name); err == nil {
		return usage("%s is there already, and a backup replaces none", name)
	}
	return nil
}

// fetch copies the stream and demands the sum that comes behind it.
func (f *fetched) fetch(ctx context.Context, w io.Writer) error {
	began := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(backupSilenceMax, func() { cancel(fmt.Errorf("nothing was heard for %s", backupSilenceMax)) })
	defer silence.Stop()
	path := "/api/v1/backup"
	if f.stale {
		path += "?stale=true"
	}
	res, err := f.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return cause(ctx, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, eventMax))
		return problemOf(res.StatusCode, body)
	}
	sum := sha256.New()
	in := bufio.NewReaderSize(io.TeeReader(res.Body, sum), 1<<20)
	begin, err := in.Peek(headerPeek)
	if err != nil && !errors.Is(err, io.EOF) {
		return cause(ctx, err)
	}
	if f.header, err = backup.ReadHeader(strings.NewReader(string(begin))); err != nil {
		return err
	}
	told := time.Now()
	f.bytes, err = io.Copy(w, reading{in, func(n int) {
		silence.Reset(backupSilenceMax)
		f.bytes += int64(n)
		if time.Since(told) >= lineEvery {
			told = time.Now()
			f.talk.say(fmt.Sprintf("%d MiB so far, %s", f.bytes>>20, time.Since(began).Round(time.Second)))
		}
	}})
	if err != nil {
		return fmt.Errorf("the backup was cut: %w", cause(ctx, err))
	}
	f.sum, f.took = hex.EncodeToString(sum.Sum(nil)), time.Since(began)
	if said := res.Trailer.Get(sumTrailer); said != f.sum {
		return fmt.Errorf("the backup is not what the node sent: its SHA-256 is %s, the node says %q", f.sum, said)
	}
	return nil
}

// headerPeek is more than a header has.
const headerPeek = 8 << 10

// reading tells of what is read.
type reading struct {
	io.Reader
	read func(n int)
}

func (r reading) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.read(n)
	return n, err
}

func (f *fetched) report(p *printer) error {
	h := f.header
	body, err := marshal(object{
		{"file", f.name}, {"bytes", f.bytes}, {"sha256", f.sum}, {"seconds", f.took.Seconds()},
		{"cluster", h.Cluster}, {"index", h.Index}, {"term", h.Term}, {"time", h.Time.Format(time.RFC3339)},
		{"digest", h.Digest}, {"level", h.Level}, {"key", h.Key},
	})
	if err != nil {
		return err
	}
	if p.table() {
		to := f.name
		if to == "" {
			to = "stdout"
		}
		return p.line(fmt.Sprintf("%s: index %d, %d bytes in %s, for recovery key %s", to, h.Index, f.bytes, f.took.Round(time.Millisecond), h.Key))
	}
	return p.object(body)
}

func (o *options) createRecoveryKeyCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Short: "Make the key that opens the backups from now on; it is shown once",
		Long: "Make the key that opens the backups from now on, and show it once. Keep it off the\n" +
			"machines, and keep the one before as long as backups that were made for it.\n\n" +
			"The key is made here and never sent: the cluster gets its public half.",
		Example: "  authfi recovery-key create", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			if !yes {
				if err := confirm(cmd, "Backups from now on will not open with the recovery key that there is"); err != nil {
					return err
				}
			}
			key, err := backup.NewKey()
			if err != nil {
				return err
			}
			public := key.Public()
			var set struct {
				RecoveryKey struct{ Name string } `json:"recovery_key"`
			}
			if err := o.answer(cmd.Context(), "RecoveryKeyService.SetRecoveryKey", map[string]any{
				"recipient": public.Recipient, "proof": hex.EncodeToString(public.Proof),
			}, &set); err != nil {
				return err
			}
			body, err := marshal(object{{"name", set.RecoveryKey.Name}, {"recovery_key", key.String()}})
			if err != nil {
				return err
			}
			return p.object(body)
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask on a terminal")
	return cmd
}

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"

	"github.com/authfi/authfi/audit"
	"github.com/authfi/authfi/durable"
	"github.com/spf13/cobra"
)

func (o *options) verifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "FILE",
		Short: "Check an exported audit log: an entry that was removed or altered shows",
		Long: "Check an exported audit log, or - for stdin. Every entry is sealed to all before it:\n" +
			"an entry that was removed, altered or moved is named, and the command fails.\n\n" +
			"It needs no cluster. That the log is the cluster's shows the chain value of the last\nentry, which another node or an earlier export must have, too.",
		Example: "  authfi audit verify audit.jsonl",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one file, or -", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			in, err := open(cmd, args[0])
			if err != nil {
				return err
			}
			defer in.Close()
			report, err := audit.Verify(in)
			if err != nil {
				return err
			}
			return p.auditReport(report)
		},
	}
}

// open is a file to read, or stdin for -.
func open(cmd *cobra.Command, name string) (io.ReadCloser, error) {
	if name == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	in, err := os.Open(name)
	if err != nil {
		return nil, usage("%v", err)
	}
	return in, nil
}

func (p *printer) auditReport(r audit.Report) error {
	out := object{
		{"ok", r.OK()}, {"org_id", r.Org}, {"index", r.Index}, {"entries", r.Entries},
		{"last", object{{"seq", r.Last.Seq}, {"chain", r.Last.Chain}}}, {"problem", nil},
	}
	if !r.OK() {
		out[len(out)-1].value = r.Broken.String()
	}
	if !p.table() {
		body, err := marshal(out)
		if err != nil {
			return err
		}
		if err := p.object(body); err != nil || r.OK() {
			return err
		}
		return errQuiet
	}
	if !r.OK() {
		return fmt.Errorf("the log does not hold: %s", r.Broken)
	}
	return p.line(fmt.Sprintf("ok: %d entries of %s hold together up to entry %d, chain %s", r.Entries, r.Org, r.Last.Seq, r.Last.Chain))
}

func (o *options) auditExportCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Short: "Write the whole audit log at one index as JSON lines",
		Long: "Write the whole audit log at one index as JSON lines, which authfi audit verify checks.\n" +
			"Without --org, for operators, it is the log of the instance.",
		Example: "  authfi audit export --org city-clinic -o audit.jsonl", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if name == "-" {
				return o.exportAudit(cmd.Context(), cmd.OutOrStdout())
			}
			return durable.Replace(name, durable.OwnerOnly, func(w io.Writer) error { return o.exportAudit(cmd.Context(), w) })
		},
	}
	cmd.Flags().StringVarP(&name, "output", "o", "-", "file to write; - is stdout")
	return cmd
}

// exportAudit copies the export as it comes; it has no bound of time, since a log
// may be long.
func (o *options) exportAudit(ctx context.Context, w io.Writer) error {
	path := "/api/v1/audit-log/export"
	switch org, err := o.orgID(ctx); {
	case err == nil:
		path += "?" + url.Values{orgField: {org}}.Encode()
	case !errors.Is(err, errOrgMissing):
		return err
	}
	res, err := o.send(ctx, request{method: http.MethodGet, path: path})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(res.Body, eventMax))
		return problemOf(res.StatusCode, body)
	}
	_, err = io.Copy(w, res.Body)
	return err
}

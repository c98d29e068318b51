package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// tailDefault is how many entries log tail shows first.
const tailDefault = 20

// watch is the state of events watch and log tail.
type watch struct {
	*options
	after  uint64
	count  int
	follow bool
	p      *printer
}

func (o *options) eventsCommand() *cobra.Command {
	w := &watch{options: o}
	cmd := &cobra.Command{
		Short: "Print every event after an index, in order, and wait for more",
		Long: "Print every event after an index, in order, and wait for more until Ctrl-C.\n\n" +
			"A broken connection is made again and goes on after the last event printed.\nWhen the events asked for are no longer kept the command fails with out_of_range\nand names the index to start again from. With -o json or jsonl each event is one line.",
		Example: "  authfi events watch --org city-clinic --after 1200 -o jsonl", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.begin(cmd); err != nil {
				return err
			}
			return w.run(cmd, func(index uint64) error {
				return &Problem{Status: 400, Code: "out_of_range", Field: "after",
					Detail: fmt.Sprintf("events after %d are no longer kept; read the state anew and watch after %d", w.after, index)}
			})
		},
	}
	cmd.Flags().Uint64Var(&w.after, "after", 0, "the last index already seen; 0: from the oldest event that is kept")
	cmd.Flags().IntVar(&w.count, "count", 0, "end after so many events; 0: never")
	return cmd
}

func (o *options) tailCommand() *cobra.Command {
	w := &watch{options: o}
	entries := tailDefault
	cmd := &cobra.Command{
		Short:   "Print the newest entries of the sync log, oldest of them first, and follow it",
		Long:    "Print the newest entries of the sync log, oldest of them first; with -f wait for\nmore until Ctrl-C. A broken connection is made again, nothing is printed twice and\nnothing is left out.",
		Example: "  authfi log tail -f --org city-clinic", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.begin(cmd); err != nil {
				return err
			}
			if err := w.newest(cmd.Context(), entries); err != nil || !w.follow {
				return err
			}
			return w.run(cmd, func(index uint64) error {
				fmt.Fprintf(cmd.ErrOrStderr(), "authfi: entries are missing here: the log has moved on to index %d\n", index)
				return nil
			})
		},
	}
	cmd.Flags().BoolVarP(&w.follow, "follow", "f", false, "wait for more")
	cmd.Flags().IntVarP(&entries, "lines", "n", tailDefault, "how many entries to print first")
	cmd.Flags().IntVar(&w.count, "count", 0, "with -f, end after so many more; 0: never")
	return cmd
}

// begin makes the printer: a stream has no end at which it could be one JSON
// value.
func (w *watch) begin(cmd *cobra.Command) (err error) {
	if w.p, err = w.printer(cmd); err != nil {
		return err
	}
	if w.p.format == formatJSON {
		w.p.format = formatJSONLines
	}
	return nil
}

func (w *watch) run(cmd *cobra.Command, resync func(uint64) error) error {
	org, err := w.orgID(cmd.Context())
	if err != nil {
		return err
	}
	seen := 0
	f := &follower{options: w.options, org: org, after: w.after, resync: resync}
	f.say = func(format string, args ...any) {
		fmt.Fprintln(cmd.ErrOrStderr(), "authfi:", printable(fmt.Sprintf(format, args...)))
	}
	f.event = func(body []byte) error {
		if err := w.entry(body); err != nil {
			return err
		}
		if seen++; seen == w.count {
			return errStop
		}
		return nil
	}
	return f.run(cmd.Context())
}

// newest prints the last entries and leaves the index behind which to follow.
func (w *watch) newest(ctx context.Context, entries int) error {
	if entries < 1 || entries > pageMax {
		return usage("-n must be 1 to %d", pageMax)
	}
	org, err := w.orgID(ctx)
	if err != nil {
		return err
	}
	route, _ := routeOf(methodOf("SyncLogService.ListSyncLog"))
	r, err := route.request(map[string]any{orgField: org, limitField: entries})
	if err != nil {
		return err
	}
	body, err := w.do(ctx, r)
	if err != nil {
		return err
	}
	page, err := readPage(body, "entries")
	if err != nil {
		return err
	}
	for _, item := range slices.Backward(page.items) {
		var at struct{ Index uint64 }
		if err := json.Unmarshal(item, &at); err != nil {
			return err
		}
		w.after = max(w.after, at.Index)
		if err := w.entry(item); err != nil {
			return err
		}
	}
	return nil
}

// entry prints one event; the columns are fixed, since the rest is not known.
func (w *watch) entry(body []byte) error {
	if !w.p.table() {
		return w.p.object(body)
	}
	var e struct{ Time, Source, Event, Type, Detail, Status string }
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	line := fmt.Sprintf("%-24s  %-8s  %-24s  %s", e.Time, e.Source, e.Event+e.Type, e.Detail)
	if e.Status != "" && e.Status != "ok" {
		line += "  (" + e.Status + ")"
	}
	return w.p.line(strings.TrimRight(printable(line), " "))
}

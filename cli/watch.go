package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// tailDefault is how many entries log tail shows first.
const tailDefault = 20

// watch is the state of events watch and log tail.
type watch struct {
	*options
	after    uint64
	snapshot bool
	types    []string
	object   string
	count    int
	follow   bool
	p        *printer
}

func (o *options) eventsCommand() *cobra.Command {
	w := &watch{options: o}
	cmd := &cobra.Command{
		Short: "Print every event after an index, in order, and wait for more",
		Long: "Print every event after an index, in order, and wait for more until Ctrl-C.\n\n" +
			"A broken connection is made again and goes on after the last event printed.\nWhen the events asked for are no longer kept there is a line of type resync, a line\nof type row for every user, group, role and assignment, one of type synced, and\nthen the events after them; rows that a synced follows have its index. With\n-o json or jsonl each line is one message of the feed.",
		Example: "  authfi events watch --org city-clinic --after 1200 -o jsonl", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := w.begin(cmd); err != nil {
				return err
			}
			return w.run(cmd, func(uint64) error { return nil })
		},
	}
	f := cmd.Flags()
	f.Uint64Var(&w.after, "after", 0, "the last index already seen; 0: from the oldest event that is kept")
	f.BoolVar(&w.snapshot, "snapshot", false, "begin with the rows of what there is now")
	f.StringArrayVar(&w.types, "type", nil, "only events of this type, or with a dot at its end of all that begin so; may be repeated")
	f.StringVar(&w.object, "object", "", "only events and rows of the object with this id")
	f.IntVar(&w.count, "count", 0, "end after so many events; 0: never")
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
				return errSkip
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

// run prints what the feed says. resync decides what to do about rows that come
// in place of events.
func (w *watch) run(cmd *cobra.Command, resync func(index uint64) error) error {
	org, err := w.orgID(cmd.Context())
	if err != nil {
		return err
	}
	f := &follower{options: w.options, from: w.query(org)}
	f.say = func(format string, args ...any) {
		fmt.Fprintln(cmd.ErrOrStderr(), "authfi:", printable(fmt.Sprintf(format, args...)))
	}
	seen := 0
	f.message = func(typ string, body []byte) error {
		if typ == "resync" {
			var at struct{ Index uint64 }
			if err := json.Unmarshal(body, &at); err != nil {
				return err
			}
			if err := resync(at.Index); err != nil {
				return err
			}
		}
		if err := w.entry(body); err != nil {
			return err
		}
		if typ == "resync" || typ == "row" || typ == "synced" {
			return nil
		}
		if seen++; seen == w.count {
			return errStop
		}
		return nil
	}
	return f.run(cmd.Context())
}

// query is what the feed is asked for.
func (w *watch) query(org string) url.Values {
	query := url.Values{orgField: {org}, "type": w.types}
	if w.after != 0 {
		query.Set("after", strconv.FormatUint(w.after, 10))
	}
	if w.snapshot {
		query.Set("snapshot", "true")
	}
	if w.object != "" {
		query.Set("object", w.object)
	}
	return query
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
	var e struct {
		Time, Source, Event, Type, Row, Detail, Status string
		Index                                          uint64
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	if e.Type == "resync" || e.Type == "synced" {
		e.Detail = fmt.Sprintf("index %d", e.Index)
	}
	line := fmt.Sprintf("%-24s  %-8s  %-24s  %s", e.Time, e.Source, strings.TrimSpace(e.Event+e.Type+" "+e.Row), e.Detail)
	if e.Status != "" && e.Status != "ok" {
		line += "  (" + e.Status + ")"
	}
	return w.p.line(strings.TrimRight(printable(line), " "))
}

package cli

import (
	"context"
	"encoding/json"
	"time"

	"github.com/spf13/cobra"
)

// traceEvery is the time between two questions for newer refusals: nodes remember more
// than they sample in it.
const traceEvery = time.Second

// trace follows the sampled refusals of all nodes.
type trace struct {
	*options
	service string
	follow  bool
	count   int
	seen    map[string]uint64 // by node, the last that was shown
}

func (o *options) enforcementTraceCommand() *cobra.Command {
	t := &trace{options: o, seen: map[string]uint64{}}
	cmd := &cobra.Command{
		Short: "Show the newest refusals of all nodes: who, where, which route, and why",
		Long: "Show the newest refusals of all nodes, oldest first: which user, which service, which\n" +
			"route of which version of its policies, and why; with -f wait for more until Ctrl-C.\n" +
			"They are a sample: in a flood a node remembers some of each second. What a request said\n" +
			"is never in it, a token least of all. In a dry run they are those that would have been.",
		Example: "  authfi enforcement trace -f --service patients --org city-clinic", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			if t.follow && p.format == formatJSON {
				p.format = formatJSONLines // a stream is no one JSON value
			}
			return t.run(cmd.Context(), p)
		},
	}
	cmd.Flags().StringVar(&t.service, "service", "", "only of this one, by name or id")
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", false, "wait for more")
	cmd.Flags().IntVar(&t.count, "count", 0, "with -f, end after so many looks; 0: never")
	return cmd
}

// traceColumns are what is shown of a refusal.
const traceColumns = "time node_id service method policy policy_version reason user_id dry_run"

func (t *trace) run(ctx context.Context, p *printer) error {
	fields := map[string]any{}
	if t.service != "" {
		id, err := t.resolve(ctx, "SERVICE", t.service)
		if err != nil {
			return err
		}
		fields["service_id"] = id
	}
	route, _ := routeOf(methodOf("EnforcementService.ListRefusals"))
	r, err := route.request(fields)
	if err != nil {
		return err
	}
	for looks := 1; ; looks++ {
		body, err := t.do(ctx, r)
		if err != nil {
			return err
		}
		if !t.follow {
			return p.list(body, "refusals", traceColumns)
		}
		if err := t.show(p, body); err != nil || looks == t.count || !passes(ctx, traceEvery) {
			return err
		}
	}
}

// show prints what is newer than what was shown. A node that began anew counts from
// the start.
func (t *trace) show(p *printer, body []byte) error {
	page, err := readPage(body, "refusals")
	if err != nil {
		return err
	}
	var fresh []json.RawMessage
	last := map[string]uint64{}
	for _, item := range page.items {
		var one struct {
			NodeID string `json:"node_id"`
			Seq    uint64 `json:"seq"`
		}
		if err := json.Unmarshal(item, &one); err != nil {
			return err
		}
		last[one.NodeID] = max(last[one.NodeID], one.Seq)
		if one.Seq > t.seen[one.NodeID] {
			fresh = append(fresh, item)
		}
	}
	for node, seq := range last {
		t.seen[node] = seq
	}
	return p.items(fresh, traceColumns, true)
}

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// nodeReport is what the API says of one node's enforcement.
type nodeReport struct {
	NodeID        string `json:"node_id"`
	Reachable     bool   `json:"reachable"`
	Attached      bool   `json:"attached"`
	Mode          string `json:"mode"`
	Detail        string `json:"detail"`
	EnforcedIndex uint64 `json:"enforced_index"`
	AppliedIndex  uint64 `json:"applied_index"`
	Lease         struct {
		Held bool `json:"held"`
	} `json:"lease"`
	Latency  *float64          `json:"latency_p50_us"`
	Counters map[string]uint64 `json:"counters"`
	Services []serviceReport   `json:"services"`
}

type serviceReport struct {
	ServiceID     string            `json:"service_id"`
	Name          string            `json:"name"`
	Listen        []string          `json:"listen"`
	Mode          string            `json:"mode"`
	PolicyVersion uint64            `json:"policy_version"`
	Verdicts      map[string]uint64 `json:"verdicts"`
	LetThrough    uint64            `json:"let_through"`
	Refused       uint64            `json:"refused"`
	WouldRefuse   uint64            `json:"would_be_refused"`
	Routes        []routeReport     `json:"routes"`
}

type routeReport struct {
	Policy     string `json:"policy"`
	LetThrough uint64 `json:"let_through"`
	Refused    uint64 `json:"refused"`
}

const modeDryRun = "dry_run"

func (o *options) enforcement(ctx context.Context) (nodes []nodeReport, body []byte, err error) {
	route, _ := routeOf(methodOf("EnforcementService.GetEnforcement"))
	if body, err = o.do(ctx, request{method: route.verb, path: route.path}); err != nil {
		return nil, nil, err
	}
	var answer struct{ Nodes []nodeReport }
	return answer.Nodes, body, json.Unmarshal(body, &answer)
}

func (o *options) enforcementStatusCommand() *cobra.Command {
	return &cobra.Command{
		Short: "Show what each node enforces, service by service, and what it refused",
		Long: "Show what each node enforces, service by service, and what it refused since it started.\n" +
			"A dry run, in which nothing is refused, is said first, and what a node refuses because its\n" +
			"kernel has no room for it. It fails when a node does not answer, or cannot prove that it\n" +
			"enforces what was decided last.",
		Example: "  authfi enforcement status", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			nodes, body, err := o.enforcement(cmd.Context())
			if err != nil {
				return err
			}
			if !p.table() {
				err = p.object(body)
			} else {
				err = p.enforcement(nodes)
			}
			if err != nil {
				return err
			}
			return doubts(nodes)
		},
	}
}

// doubts is why not all nodes can be relied on.
func doubts(nodes []nodeReport) error {
	var all []string
	for _, n := range nodes {
		switch {
		case !n.Reachable:
			all = append(all, n.NodeID+" does not answer")
		case !n.Lease.Held:
			all = append(all, n.NodeID+" has no lease and refuses")
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%s", strings.Join(all, "; "))
}

// withoutRoom is what a node refuses for want of room.
func (n *nodeReport) withoutRoom() string {
	var all []string
	for _, refused := range []struct{ what, counter string }{
		{"users", "users_without_room"}, {"tokens", "tokens_without_room"}, {"addresses", "addresses_without_room"},
	} {
		if count := n.Counters[refused.counter]; count > 0 {
			all = append(all, fmt.Sprintf("%s=%d", refused.what, count))
		}
	}
	return strings.Join(all, " ")
}

func (p *printer) enforcement(nodes []nodeReport) error {
	for _, n := range nodes {
		for _, s := range n.Services {
			if s.Mode == modeDryRun {
				if err := p.line(fmt.Sprintf("DRY RUN: %s refuses nothing of %s (%s); %d requests would have been refused",
					n.NodeID, printable(s.Name), strings.Join(s.Listen, ", "), s.WouldRefuse)); err != nil {
					return err
				}
			}
		}
		if lacking := n.withoutRoom(); lacking != "" {
			if err := p.line("NO ROOM: " + n.NodeID + " refuses those for which its kernel has none: " + lacking); err != nil {
				return err
			}
		}
	}
	g := &grid{printer: p}
	g.add("NODE", "MODE", "LEASE", "ENFORCED", "APPLIED", "BEHIND", "P50 US")
	for _, n := range nodes {
		if !n.Reachable {
			g.add(n.NodeID, "no answer")
			continue
		}
		p50 := ""
		if n.Latency != nil {
			p50 = fmt.Sprintf("%.2f", *n.Latency)
		}
		lease := "held"
		if !n.Lease.Held {
			lease = "LAPSED"
		}
		g.add(n.NodeID, n.Mode, lease, fmt.Sprint(n.EnforcedIndex), fmt.Sprint(n.AppliedIndex),
			fmt.Sprint(n.AppliedIndex-min(n.AppliedIndex, n.EnforcedIndex)), p50)
	}
	if err := g.flush(); err != nil {
		return err
	}
	g.add("")
	g.add("NODE", "SERVICE", "MODE", "VERSION", "LET THROUGH", "REFUSED", "BY REASON")
	for _, n := range nodes {
		for _, s := range n.Services {
			refused := s.Refused
			mode := s.Mode
			if mode == modeDryRun {
				mode, refused = "DRY RUN", s.WouldRefuse
			}
			g.add(n.NodeID, s.Name, mode, fmt.Sprint(s.PolicyVersion), fmt.Sprint(s.LetThrough), fmt.Sprint(refused), byReason(s.Verdicts))
		}
	}
	return g.flush()
}

// byReason are refusals, most frequent first.
func byReason(verdicts map[string]uint64) string {
	type one struct {
		reason string
		n      uint64
	}
	var all []one
	for reason, n := range verdicts {
		if reason != "allowed" && reason != "public" {
			all = append(all, one{reason, n})
		}
	}
	slices.SortFunc(all, func(a, b one) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.reason, b.reason)) })
	var words []string
	for _, o := range all {
		words = append(words, fmt.Sprintf("%s=%d", o.reason, o.n))
	}
	return strings.Join(words, " ")
}

// top is a screen of rates.
type top struct {
	*options
	every time.Duration
	count int
	lines int
}

func (o *options) enforcementTopCommand() *cobra.Command {
	t := &top{options: o}
	cmd := &cobra.Command{
		Short: "Show which routes decide most, on all nodes together, as it happens",
		Long: "Show which routes decide most, on all nodes together, as it happens: requests a second\n" +
			"since the last look. Routes of a service that none of its policies names are in no line\n" +
			"but its own.",
		Example: "  authfi enforcement top --every 2s", Args: none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := o.printer(cmd)
			if err != nil {
				return err
			}
			if t.every < time.Second || t.lines < 1 {
				return usage("--every is at least 1s and --lines at least 1")
			}
			return t.run(cmd.Context(), p)
		},
	}
	cmd.Flags().DurationVar(&t.every, "every", 2*time.Second, "time between two looks, at least 1s")
	cmd.Flags().IntVar(&t.count, "count", 0, "end after so many; 0: never")
	cmd.Flags().IntVarP(&t.lines, "lines", "n", 20, "how many lines to show")
	return cmd
}

// rate is one line: a service as a whole, or one of its routes.
type rate struct {
	Service    string  `json:"service"`
	Policy     string  `json:"policy"` // empty: all of the service
	LetThrough float64 `json:"let_through_per_s"`
	Refused    float64 `json:"refused_per_s"`
}

func (t *top) run(ctx context.Context, p *printer) error {
	if p.format == formatJSON {
		p.format = formatJSONLines // a stream is no one JSON value
	}
	nodes, _, err := t.enforcement(ctx)
	if err != nil {
		return err
	}
	at := time.Now()
	for shown := 0; t.count == 0 || shown < t.count; shown++ {
		if !passes(ctx, t.every) {
			return nil
		}
		next, _, err := t.enforcement(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		rates := ratesOf(nodes, next, now.Sub(at))
		if err := p.rates(rates[:min(len(rates), t.lines)]); err != nil {
			return err
		}
		nodes, at = next, now
	}
	return nil
}

// passes waits; false when the context ended first.
func passes(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ratesOf compares two looks. A counter that went back began anew in between.
func ratesOf(before, after []nodeReport, took time.Duration) []rate {
	type key struct{ service, policy string }
	type counts struct{ through, refused uint64 }
	read := func(nodes []nodeReport) map[string]map[key]counts {
		all := map[string]map[key]counts{}
		for _, n := range nodes {
			own := map[key]counts{}
			for _, s := range n.Services {
				own[key{s.Name, ""}] = counts{s.LetThrough, s.Refused + s.WouldRefuse}
				for _, r := range s.Routes {
					own[key{s.Name, r.Policy}] = counts{r.LetThrough, r.Refused}
				}
			}
			all[n.NodeID] = own
		}
		return all
	}
	sum := map[key]*rate{}
	old := read(before)
	for node, own := range read(after) {
		for k, now := range own {
			r, ok := sum[k]
			if !ok {
				r = &rate{Service: k.service, Policy: k.policy}
				sum[k] = r
			}
			then := old[node][k]
			if now.through < then.through || now.refused < then.refused {
				then = counts{}
			}
			r.LetThrough += float64(now.through-then.through) / took.Seconds()
			r.Refused += float64(now.refused-then.refused) / took.Seconds()
		}
	}
	var rates []rate
	for _, r := range sum {
		rates = append(rates, *r)
	}
	slices.SortFunc(rates, func(a, b rate) int {
		return cmp.Or(cmp.Compare(b.LetThrough+b.Refused, a.LetThrough+a.Refused), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Policy, b.Policy))
	})
	return rates
}

// clearScreen is sent to terminals alone.
const clearScreen = "\x1b[H\x1b[2J"

func (p *printer) rates(rates []rate) error {
	if !p.table() {
		body, err := json.Marshal(struct {
			Rates []rate `json:"rates"`
		}{append([]rate{}, rates...)})
		if err != nil {
			return err
		}
		return p.object(body)
	}
	if p.width > 0 {
		if _, err := fmt.Fprint(p.w, clearScreen); err != nil {
			return err
		}
	}
	g := &grid{printer: p}
	g.add("SERVICE", "POLICY", "LET THROUGH/S", "REFUSED/S")
	for _, r := range rates {
		g.add(r.Service, r.Policy, fmt.Sprintf("%.1f", r.LetThrough), fmt.Sprintf("%.1f", r.Refused))
	}
	return g.flush()
}

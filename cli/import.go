package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
	"github.com/spf13/cobra"
)

// Attempts of one change: a new leader needs about a second.
const (
	attemptsMax = 6
	attemptWait = 250 * time.Millisecond // doubled each time
)

func (o *options) importCommand() *cobra.Command {
	im := &importer{options: o}
	cmd := &cobra.Command{
		Use:   "FILE",
		Short: "Bring an organization to what a file holds: an exported one, or a list of users",
		Long: "Bring an organization to what a file holds, or - for stdin: an organization file of\n" +
			"authfi export, JSON lines of users, or CSV whose first line names their fields\n" +
			"(user_name, email, display_name, given_name, family_name, external_id, active,\n" +
			"groups with semicolons between them).\n\n" +
			"The whole file is checked first; what is wrong is told with its line, and nothing is\n" +
			"applied. Users are found by name, then by external id. Nothing is taken away. It is\n" +
			"safe to repeat: an import that was interrupted goes on where it ended, and a second\n" +
			"one changes nothing. Tokens of connections that the file has and the organization\n" +
			"has not are printed once.",
		Example: "  authfi import clinic.jsonl --org city-clinic\n  authfi import users.csv --org city-clinic --create-groups --dry-run",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage("%s takes one file, or -", cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return im.run(cmd, args[0]) },
	}
	cmd.Flags().BoolVar(&im.dryRun, "dry-run", false, "check and compare, change nothing")
	cmd.Flags().BoolVar(&im.createGroups, "create-groups", false, "with a list of users: make the groups that are not there")
	return cmd
}

type importer struct {
	*options
	dryRun, createGroups bool

	progress *progress
	nonce    string // of this run, for idempotency keys
	mu       sync.Mutex
	applied  int
	tokens   []json.RawMessage // of connections, shown once
}

func (im *importer) run(cmd *cobra.Command, name string) error {
	printer, err := im.printer(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	file, err := readArchive(cmd, name)
	if err != nil {
		return err
	}
	org, err := im.orgID(ctx)
	if err != nil {
		return err
	}
	p, err := im.plan(ctx, org, file)
	if err != nil {
		return err
	}
	im.progress = newProgress(cmd.ErrOrStderr())
	im.nonce = rand.Text()
	began := time.Now()
	if !im.dryRun {
		err = im.apply(ctx, p)
	}
	if err != nil {
		total := p.changes()
		fmt.Fprintf(cmd.ErrOrStderr(), "authfi: stopped after %d of %d changes; run it again to go on\n", im.applied, total)
	}
	return errors.Join(im.summary(printer, p, time.Since(began)), err)
}

func readArchive(cmd *cobra.Command, name string) (*archive.File, error) {
	in, err := open(cmd, name)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	file, err := archive.Read(in)
	return file, refused(err)
}

// refused is what a file is refused with: nothing of it was applied.
func refused(err error) error {
	var found archive.Findings
	if errors.As(err, &found) {
		return &Problem{Status: 400, Code: "invalid_file", Detail: "nothing was applied: " + found.Error()}
	}
	return err
}

// plan checks the file against the organization and compares the two.
func (im *importer) plan(ctx context.Context, org string, file *archive.File) (*plan, error) {
	groups := groupsOf(file)
	now, err := im.snapshot(ctx, org, file.Whole, groups)
	if err != nil {
		return nil, err
	}
	if im.createGroups && !file.Whole {
		for _, name := range groups {
			if now.groups.of(name) == "" {
				file.Groups = append(file.Groups, &archive.Group{Name: name})
			}
		}
	}
	known := archive.Known{Users: now.users.known(), Groups: now.groups.known(), Roles: now.roles.known()}
	if err := file.Check(known); err != nil {
		return nil, refused(err)
	}
	p, err := newPlan(now, file)
	return p, refused(err)
}

func (m ids) known() map[string]bool {
	out := make(map[string]bool, len(m.byName))
	for name := range m.byName {
		out[name] = true
	}
	return out
}

// groupsOf are the groups that the file puts somebody into, each once.
func groupsOf(file *archive.File) (names []string) {
	seen := map[string]bool{}
	for _, m := range file.Members {
		if folded := directory.Fold(m.Group); !seen[folded] {
			seen[folded] = true
			names = append(names, m.Group)
		}
	}
	return names
}

func (im *importer) apply(ctx context.Context, p *plan) error {
	defer im.progress.end()
	for n, phase := range p.phases {
		weight := 0
		for _, c := range phase.changes {
			weight += c.weight
		}
		im.progress.begin(phase.what, weight)
		work := make([]int, len(phase.changes))
		for i := range work {
			work[i] = i
		}
		err := inParallel(ctx, work, func(ctx context.Context, i int) error {
			return im.change(ctx, phase.changes[i], fmt.Sprintf("%s-%d-%d", im.nonce, n, i))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// change makes one, again as long as its fate is not known: the key makes the
// repeat the same change.
func (im *importer) change(ctx context.Context, c change, key string) error {
	route, _ := routeOf(methodOf(c.procedure))
	r, err := route.request(c.fields())
	if err != nil {
		return err
	}
	r.header = map[string]string{"Idempotency-Key": key}
	body, err := im.attempt(ctx, r)
	var problem *Problem
	if errors.As(err, &problem) {
		named := *problem
		named.Detail = fmt.Sprintf("line %d: %s", c.line, problem.Detail)
		return &named
	}
	if err != nil {
		return err
	}
	var made struct {
		ID    string `json:"id"`
		Token string `json:"token"`
	}
	if err := json.Unmarshal(body, &made); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	if c.done != nil {
		c.done(made.ID)
	}
	im.mu.Lock()
	defer im.mu.Unlock()
	im.applied += c.weight
	if made.Token != "" {
		im.tokens = append(im.tokens, body)
	}
	im.progress.add(c.weight)
	return nil
}

func (im *importer) attempt(ctx context.Context, r request) ([]byte, error) {
	wait := attemptWait
	for n := 1; ; n++ {
		body, err := im.do(ctx, r)
		if err == nil || n == attemptsMax || ctx.Err() != nil || !retryable(err) {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
		wait *= 2
	}
}

// summary is the answer of an import. Tokens come before everything: they are
// in no other place.
func (im *importer) summary(p *printer, made *plan, took time.Duration) error {
	if p.table() {
		for _, token := range im.tokens {
			if err := p.fields(token); err != nil {
				return err
			}
		}
		g := &grid{printer: p}
		if !p.noHeaders {
			g.add("KIND", "CREATED", "CHANGED", "UNCHANGED")
		}
		for _, c := range made.counts {
			if c.Created+c.Changed+c.Unchanged > 0 {
				g.add(c.Kind, fmt.Sprint(c.Created), fmt.Sprint(c.Changed), fmt.Sprint(c.Unchanged))
			}
		}
		return g.flush()
	}
	tokens := im.tokens
	if tokens == nil {
		tokens = []json.RawMessage{}
	}
	body, err := marshal(object{
		{"dry_run", im.dryRun}, {"changes", made.changes()}, {"applied", im.applied}, {"seconds", took.Seconds()},
		{"kinds", made.counts}, {"connections", tokens},
	})
	if err != nil {
		return err
	}
	return p.object(body)
}

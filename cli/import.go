package cli

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
	"github.com/spf13/cobra"
)

func (o *options) importCommand() *cobra.Command {
	im := &importer{options: o}
	cmd := &cobra.Command{
		Use:   "FILE",
		Short: "Bring an organization to what a file holds: an exported one, or a list of users",
		Long: "Bring an organization to what a file holds, or - for stdin: an organization file of\n" +
			"authfi export, JSON lines of users, or CSV whose first line names their fields\n" +
			"(user_name, email, display_name, given_name, family_name, external_id, phone, title,\n" +
			"department, manager, active, groups with semicolons between them). The forms are in\n" +
			"docs/reference/organization-file.md.\n\n" +
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
	cmd.Flags().BoolVar(&im.dryRun, "dry-run", false, "check and compare, print what would be done, change nothing")
	cmd.Flags().BoolVar(&im.createGroups, "create-groups", false, "with a list of users: make the groups that are not there")
	return cmd
}

type importer struct {
	*options
	dryRun, createGroups bool
}

func (im *importer) run(cmd *cobra.Command, name string) error {
	printer, err := im.printer(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	file, digest, err := readArchive(cmd, name)
	if err != nil {
		return err
	}
	org, err := im.orgID(ctx)
	if err != nil {
		return err
	}
	talk := newProgress(cmd.ErrOrStderr())
	p, err := im.plan(ctx, org, file, talk)
	talk.end()
	if err != nil {
		return err
	}
	if im.dryRun {
		return printer.dryRun(p)
	}
	// A second interrupt ends what the first one lets finish.
	defer context.AfterFunc(ctx, func() {
		talk.say("interrupted: waiting for what is under way")
		signal.Reset(os.Interrupt)
	})()
	began := time.Now()
	w := &writer{options: im.options, progress: talk, seed: append(digest, rand.Text()...)}
	err = w.apply(ctx, p)
	talk.end()
	return errors.Join(printer.imported(p, w, time.Since(began), err == nil), w.stopped(p, err))
}

// readArchive also gives the digest of what it read.
func readArchive(cmd *cobra.Command, name string) (*archive.File, []byte, error) {
	in, err := open(cmd, name)
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	digest := sha256.New()
	file, err := archive.Read(io.TeeReader(in, digest))
	return file, digest.Sum(nil), refused(err)
}

// refused is what a file is refused with: nothing of it was applied.
func refused(err error) error {
	var found *archive.Findings
	if errors.As(err, &found) {
		return &Problem{Code: "invalid_file", Detail: "nothing was applied", findings: found}
	}
	return err
}

// plan checks the file against the organization and compares the two.
func (im *importer) plan(ctx context.Context, org string, file *archive.File, talk *progress) (*plan, error) {
	s := scope{whole: file.Whole, groups: groupsOf(file)}
	for _, u := range file.Users {
		s.schema = s.schema || len(u.Custom) > 0
	}
	now, err := im.snapshot(ctx, org, s, talk)
	if err != nil {
		return nil, err
	}
	if im.createGroups && !file.Whole {
		addGroups(file, now)
	}
	err = file.Check(archive.Known{
		Users: now.users.known(), Groups: now.groups.known(), Roles: now.roles.known(),
		Attributes: now.file.Attributes, Nestings: now.file.Nestings,
	})
	if err != nil {
		return nil, refused(err)
	}
	p, err := newPlan(now, file)
	return p, refused(err)
}

// addGroups makes the groups of a list of users that are not there records of it.
func addGroups(file *archive.File, now *snapshot) {
	seen := map[string]bool{}
	for _, m := range file.Members {
		if folded := directory.Fold(m.Group); !seen[folded] && now.groups.of(m.Group) == "" {
			seen[folded] = true
			file.Groups = append(file.Groups, &archive.Group{Place: m.Place, Name: m.Group})
		}
	}
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

// dryRun prints the plan: a line for each request, and the counts.
func (p *printer) dryRun(made *plan) error {
	type step struct {
		Line   int    `json:"line"`
		Change string `json:"change"`
	}
	steps := []step{}
	for _, phase := range made.phases {
		for _, c := range phase.changes {
			steps = append(steps, step{c.lines[0], c.what})
		}
	}
	if !p.table() {
		body, err := marshal(object{{"dry_run", true}, {"changes", made.changes()}, {"kinds", made.counts}, {"plan", steps}})
		if err != nil {
			return err
		}
		return p.object(body)
	}
	g := &grid{printer: p}
	if !p.noHeaders && len(steps) > 0 {
		g.add("LINE", "CHANGE")
	}
	for _, s := range steps {
		g.add(fmt.Sprint(s.Line), s.Change)
	}
	if err := g.flush(); err != nil {
		return err
	}
	return p.counts(made)
}

// imported is the answer of an import. Tokens come before everything: they are in
// no other place.
func (p *printer) imported(made *plan, w *writer, took time.Duration, whole bool) error {
	if !p.table() {
		tokens := append([]json.RawMessage{}, w.tokens...)
		body, err := marshal(object{
			{"dry_run", false}, {"changes", made.changes()}, {"applied", w.applied}, {"seconds", took.Seconds()},
			{"kinds", made.counts}, {"connections", tokens},
		})
		if err != nil {
			return err
		}
		return p.object(body)
	}
	for _, token := range w.tokens {
		if err := p.fields(token); err != nil {
			return err
		}
	}
	if !whole { // the error says how far it came
		return nil
	}
	return p.counts(made)
}

func (p *printer) counts(made *plan) error {
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

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/authfi/authfi/bench/dataset"
)

// importByCommand is what an administrator does: a CSV file of users and their
// groups, given to the command line, and the same once more. It has a cluster of
// its own, and is timed once: it takes minutes, not moments.
func importByCommand(ctx context.Context, b *bench, d *dataset.Directory) (err error) {
	file := filepath.Join(b.dir, "people.csv")
	if err := os.WriteFile(file, table(d), 0o600); err != nil {
		return err
	}
	c, err := b.start(ctx, "gate")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Stop()) }()
	first, err := b.command(ctx, c, "import", file, "--create-groups")
	if err != nil {
		return err
	}
	again, err := b.command(ctx, c, "import", file, "--create-groups")
	if err != nil {
		return err
	}
	users, groups := len(d.UserGroups), len(d.GroupRoles)
	if first.Changes != users+groups+users*dataset.GroupsPerUser || again.Changes != 0 {
		return fmt.Errorf("the first import made %d changes, the second %d", first.Changes, again.Changes)
	}
	how := fmt.Sprintf("authfi import of a CSV file of %d users in %d of %d groups each, as a process, to one of three nodes on the same CPUs: ", users, dataset.GroupsPerUser, groups)
	b.report.add("import_100k_s", "s", how+"from the start of the command to its end; one run only.", []float64{first.took.Seconds()})
	b.report.add("import_100k_again_s", "s", how+"the same again, which reads and compares everything and changes nothing; one run only.", []float64{again.took.Seconds()})
	return nil
}

// table is the file: a line for each user.
func table(d *dataset.Directory) []byte {
	var text strings.Builder
	text.WriteString("user_name,email,display_name,groups\n")
	for user, in := range d.UserGroups {
		groups := make([]string, len(in))
		for i, g := range in {
			groups[i] = fmt.Sprintf("group-%d", g)
		}
		name := fmt.Sprintf("person-%06d", user)
		fmt.Fprintf(&text, "%s,%s@bench.example,%s,%s\n", name, name, name, strings.Join(groups, ";"))
	}
	return []byte(text.String())
}

// told is what the command says about an import.
type told struct {
	Changes int `json:"changes"`
	took    time.Duration
}

func (b *bench) command(ctx context.Context, c *cluster, args ...string) (done told, err error) {
	cmd := exec.CommandContext(ctx, b.program, append(args, "--org", c.org, "-o", "json")...)
	cmd.Env = append(os.Environ(), "AUTHFI_URL="+c.API(0), "AUTHFI_TOKEN="+c.OperatorToken(), "AUTHFI_CACERT="+c.CA())
	cmd.Stderr = os.Stderr
	began := time.Now()
	answer, err := cmd.Output()
	done.took = time.Since(began)
	if err != nil {
		return done, fmt.Errorf("authfi %s: %w", args[0], err)
	}
	return done, json.Unmarshal(answer, &done)
}

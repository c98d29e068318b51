package cli_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/node/nodetest"
)

// organizations imports and exports organizations of one cluster.
type organizations struct {
	t       *testing.T
	cluster *nodetest.Cluster
	dir     string
	name    string // with which their slugs begin
	made    int
}

func newOrganizations(t *testing.T, cluster *nodetest.Cluster) *organizations {
	_, name, _ := strings.Cut(t.Name(), "/")
	return &organizations{t: t, cluster: cluster, dir: t.TempDir(), name: strings.ReplaceAll(name, "_", "-")}
}

// run demands that a command succeeds.
func (o *organizations) run(words ...string) string {
	o.t.Helper()
	stdout, stderr, code := invoke(o.t, append([]string{"authfi"}, words...)...)
	if code != 0 {
		o.t.Fatalf("authfi %s: exit %d\n%s", strings.Join(words, " "), code, stderr)
	}
	return stdout
}

// fresh is the slug of a new organization.
func (o *organizations) fresh() string {
	o.t.Helper()
	o.made++
	slug := fmt.Sprintf("%s-%d", o.name, o.made)
	o.run("organizations", "create", slug, "--name", "New")
	return slug
}

// into imports text and answers with how many records changed.
func (o *organizations) into(slug, text string, flags ...string) string {
	o.t.Helper()
	name := o.write(slug+".jsonl", text)
	return strings.TrimSpace(o.run(append([]string{"import", name, "--org", slug, "--query", ".changes"}, flags...)...))
}

func (o *organizations) write(name, text string) string {
	o.t.Helper()
	name = filepath.Join(o.dir, name)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		o.t.Fatal(err)
	}
	return name
}

func (o *organizations) export(slug string) string {
	o.t.Helper()
	return o.run("export", "--org", slug)
}

func fileText(t *testing.T, file *archive.File) string {
	t.Helper()
	var b bytes.Buffer
	if err := file.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// testRoundTrip: what a file says, an organization that imports it says again, byte
// for byte, and so does another one that imports its export. A second import
// changes nothing and writes nothing.
func testRoundTrip(o *organizations) {
	t := o.t
	for range 3 {
		seed := rand.Uint64()
		file := newRandomFile(seed)
		want := fileText(t, file)
		first, second := o.fresh(), o.fresh()
		if dry := o.into(first, want, "--dry-run"); dry == "0" || strings.Contains(o.export(first), `{"user":`) {
			t.Fatalf("seed %d: a dry run that changed something, or found nothing to change (%s)", seed, dry)
		}
		o.into(first, want)
		if got := o.export(first); got != want {
			t.Fatalf("seed %d: %s", seed, firstDifference(want, got))
		}
		o.into(second, o.export(first))
		if got := o.export(second); got != want {
			t.Fatalf("seed %d, second: %s", seed, firstDifference(want, got))
		}
		before := o.cluster.Status(1, 0).Digest
		if again := o.into(second, want); again != "0" {
			t.Errorf("seed %d: a second import changes %s records", seed, again)
		}
		if after := o.cluster.Status(1, 0).Digest; after != before {
			t.Errorf("seed %d: a second import has written something", seed)
		}
		o.differs(seed, want, file.Services)
	}
}

// differs imports into an organization that holds something else under many of the
// same names: afterwards it holds all of the file.
func (o *organizations) differs(seed uint64, want string, services []*archive.Service) {
	o.t.Helper()
	third := o.fresh()
	other := newRandomFile(seed + 1)
	for _, c := range other.Connections {
		if c.Issuer != "" { // one that stays would be in the way of one with the same trust
			c.Audience = "other-" + c.Audience
		}
	}
	other.Services = nil // where a service listens cannot be changed
	for _, s := range services {
		fewer := *s
		fewer.Policies = nil
		if len(s.Policies) == 1 {
			fewer.Policies = []archive.Policy{{Path: "/other", Public: true}, {Path: "/more", MFA: true}}
		}
		other.Services = append(other.Services, &fewer)
	}
	o.into(third, fileText(o.t, other))
	o.into(third, want)
	held := map[string]bool{}
	got := o.export(third)
	for line := range strings.Lines(got) {
		held[line] = true
	}
	for line := range strings.Lines(want) {
		if !held[line] {
			o.t.Errorf("seed %d: the organization does not hold %s", seed, line)
		}
	}
	if again := o.into(third, want); again != "0" {
		o.t.Errorf("seed %d: a second import changes %s records", seed, again)
	}
}

// testOrder: changes that are only possible in one order are made in it: two
// connections exchange their trusts, and service accounts go from an owner who is on
// to one who is off, and back.
func testOrder(o *organizations) {
	file := func(first, second, ada, ben, robot, owner string) string {
		const issuer = `"issuer":"https://sts.windows.net/2f1a9c1e-0000-4000-8000-000000000000/"`
		return strings.Join([]string{
			`{"format":"authfi-organization","version":1}`,
			`{"user":{"user_name":"ada","active":` + ada + `}}`,
			`{"user":{"user_name":"ben","active":` + ben + `}}`,
			`{"user":{"user_name":"robot","service":true,"owner":"` + owner + `","active":` + robot + `}}`,
			`{"connection":{"provider":"entra","name":"a",` + issuer + `,"audience":"` + first + `"}}`,
			`{"connection":{"provider":"entra","name":"b",` + issuer + `,"audience":"` + second + `"}}`,
		}, "\n") + "\n"
	}
	slug := o.fresh()
	for _, text := range []string{
		file("one", "two", "true", "false", "true", "ada"),
		file("two", "one", "true", "false", "false", "ben"),
		file("one", "two", "true", "false", "true", "ada"),
		file("two", "one", "false", "true", "true", "ben"),
	} {
		o.into(slug, text)
		if again := o.into(slug, text); again != "0" {
			o.t.Errorf("a second import changes %s records", again)
		}
	}
}

package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node/nodetest"
)

var update = flag.Bool("update", false, "rewrite the expected output of the scripts")

// TestNodes runs the command line against three real nodes, which all of its parts
// share.
func TestNodes(t *testing.T) {
	cluster := nodetest.Start(t)
	t.Setenv("AUTHFI_URL", cluster.URL(1))
	t.Setenv("AUTHFI_TOKEN", cluster.Token())
	t.Setenv("AUTHFI_CACERT", cluster.CA())
	t.Run("scripts", testScripts)
	t.Run("round trip", func(t *testing.T) { testRoundTrip(newOrganizations(t, cluster)) })
	t.Run("order", func(t *testing.T) { testOrder(newOrganizations(t, cluster)) })
	t.Run("lost answers", func(t *testing.T) { testLostAnswers(newOrganizations(t, cluster)) })
	t.Run("late answer", func(t *testing.T) { testLateAnswer(newOrganizations(t, cluster)) })
	t.Run("interrupt", func(t *testing.T) { testInterrupt(newOrganizations(t, cluster)) })
	t.Run("backup", func(t *testing.T) { testBackup(newOrganizations(t, cluster)) })
	t.Run("lost leader", func(t *testing.T) { testLostLeader(newOrganizations(t, cluster)) })
}

// testScripts compares what commands print, to which stream, and how they exit,
// with the scripts in testdata. A script is
//
//	# talk
//	> FILE          begins a file, each line of it after "| "
//	& NAME COMMAND  keeps what a command prints; {NAME} stands for it further down
//	$ COMMAND       a command line, and below it the output:
//	…               stdout; ~ is an empty line
//	! …             stderr
//	= N             the exit code, unless it is 0
//
// Ids, times, versions and secrets are masked; equal ids get equal masks. A script
// has organizations of its own.
func testScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts (%v)", err)
	}
	for _, file := range files {
		name, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, name) })
	}
}

func runScript(t *testing.T, name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	got := (&script{t: t, masks: newMasks()}).run(string(text))
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != string(text) {
		t.Errorf("%s differs; go test ./cli -update shows how\n%s", name, firstDifference(string(text), got))
	}
}

func firstDifference(want, got string) string {
	wanted, found := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range wanted {
		if i == len(found) || wanted[i] != found[i] {
			return fmt.Sprintf("line %d\nwant %s\n got %s", i+1, wanted[i], strings.Join(found[min(i, len(found)):min(i+5, len(found))], "\n     "))
		}
	}
	return "more lines than expected"
}

type script struct {
	t     *testing.T
	masks *masks
	kept  []string // pairs of {NAME} and what it stands for
}

// run gives the script back with the output that the commands have.
func (s *script) run(text string) string {
	var out strings.Builder
	var file string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "> "):
			file = line[2:]
			s.write(file, "", os.O_CREATE|os.O_TRUNC)
		case strings.HasPrefix(line, "| "), line == "|":
			s.write(file, strings.TrimPrefix(strings.TrimPrefix(line, "|"), " ")+"\n", os.O_APPEND)
		case strings.HasPrefix(line, "& "):
			name, command, _ := strings.Cut(line[2:], " ")
			s.keep(name, command)
		case strings.HasPrefix(line, "$ "):
			out.WriteString(line + "\n" + s.command(line[2:]))
			continue
		case line == "" || strings.HasPrefix(line, "#"):
		default:
			continue // the output as it was
		}
		out.WriteString(line + "\n")
	}
	return out.String()
}

func (s *script) keep(name, command string) {
	s.t.Helper()
	stdout, stderr, code := invoke(s.t, s.words(command)...)
	if code != 0 {
		s.t.Fatalf("%s: exit %d: %s", command, code, stderr)
	}
	s.kept = append(s.kept, "{"+name+"}", strings.TrimSpace(stdout))
}

// words are those of a command line, with what was kept put in.
func (s *script) words(line string) []string {
	s.t.Helper()
	words, ok := cli.SplitWords(strings.NewReplacer(s.kept...).Replace(line))
	if !ok || len(words) == 0 {
		s.t.Fatalf("%s: not a command line", line)
	}
	return words
}

func (s *script) write(name, text string, how int) {
	s.t.Helper()
	file, err := os.OpenFile(name, os.O_WRONLY|how, 0o600)
	if err == nil {
		_, err = file.WriteString(text)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// command runs one command line in this process, as main does.
func (s *script) command(line string) string {
	stdout, stderr, code := invoke(s.t, s.words(line)...)
	var out strings.Builder
	for text := range strings.Lines(s.masks.mask(stdout)) {
		if text == "\n" {
			text = "~"
		}
		out.WriteString(strings.TrimSuffix(text, "\n") + "\n")
	}
	for text := range strings.Lines(s.masks.mask(stderr)) {
		out.WriteString("! " + strings.TrimSuffix(text, "\n") + "\n")
	}
	if code != 0 {
		fmt.Fprintf(&out, "= %d\n", code)
	}
	return out.String()
}

// invoke runs a command line as main does. Words before "authfi" set variables.
func invoke(t *testing.T, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	return invokeIn(t.Context(), t, words...)
}

func invokeIn(ctx context.Context, t *testing.T, words ...string) (stdout, stderr string, code int) {
	t.Helper()
	for ; words[0] != "authfi"; words = words[1:] {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok {
			t.Fatalf("%s: the program is authfi", words[0])
		}
		before := os.Getenv(name)
		os.Setenv(name, value)
		defer os.Setenv(name, before)
	}
	var api cli.API
	var out, talk bytes.Buffer
	root := api.Root("test")
	root.SetArgs(words[1:])
	root.SetOut(&out)
	root.SetErr(&talk)
	code = api.Report(&talk, root.ExecuteContext(ctx))
	return out.String(), talk.String(), code
}

// masks replace what differs from run to run.
type masks struct {
	ids   map[string]string
	count map[string]int
}

func newMasks() *masks {
	return &masks{ids: map[string]string{}, count: map[string]int{}}
}

var (
	anyID     = regexp.MustCompile(`\b([a-z]{3})-([0-9a-f]{32})\b`)
	anyTime   = regexp.MustCompile(`\b20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)
	anyNode   = regexp.MustCompile(`127\.0\.0\.1:\d+`)
	anyDigest = regexp.MustCompile(`\b[0-9a-f]{64}\b`)
	anyTook   = regexp.MustCompile(`(?m), [0-9.]+(ms|s)$`)
	seconds   = regexp.MustCompile(`("seconds": |"latency_ms": )[0-9.]+`)
	version   = regexp.MustCompile(`((?:version|index|index is|"version":|"index":) +|"version":|"index":)[1-9]\d+`)
	span      = regexp.MustCompile(`from \d+ to \d+`)
	secret    = regexp.MustCompile(`\b(v1\.|af[oskr]_|eyJ)[A-Za-z0-9._~-]{20,}`)
	gaps      = regexp.MustCompile(`(\S) {2,}`) // as wide as what is masked
)

func (m *masks) mask(text string) string {
	text = anyID.ReplaceAllStringFunc(text, func(id string) string {
		if m.ids[id] == "" {
			m.count[id[:3]]++
			m.ids[id] = fmt.Sprintf("%s-%d", id[:3], m.count[id[:3]])
		}
		return m.ids[id]
	})
	text = anyTime.ReplaceAllString(text, "TIME")
	text = anyNode.ReplaceAllString(text, "NODE")
	text = anyDigest.ReplaceAllString(text, "DIGEST")
	text = anyTook.ReplaceAllString(text, ", TOOK")
	text = seconds.ReplaceAllString(text, "${1}0")
	text = span.ReplaceAllString(text, "from N to N")
	text = version.ReplaceAllString(text, "${1}N")
	return gaps.ReplaceAllString(secret.ReplaceAllString(text, "SECRET"), "$1  ")
}

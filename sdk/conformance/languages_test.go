package conformance_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// run is a command whose failure is the test's.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// atLeast fails when fewer tests have run than there were when this was written: a
// runner that finds no test finds no fault.
func atLeast(t *testing.T, out, pattern string, n int) {
	t.Helper()
	found := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no count of tests in:\n%s", out)
	}
	if ran, err := strconv.Atoi(found[1]); err != nil || ran < n {
		t.Errorf("%s tests have passed, at least %d are there", found[1], n)
	}
}

// sources copies a language's SDK beside the vectors, so that nothing is made in the
// tree.
func sources(t *testing.T, language string) string {
	t.Helper()
	root := t.TempDir()
	for from, to := range map[string]string{"../" + language: language, ".": "conformance"} {
		if err := os.CopyFS(filepath.Join(root, to), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(root, language)
}

// TestNode runs the tests of the Node.js SDK, which need node alone, then those of its
// adapters with the frameworks, and compiles what uses its types.
func TestNode(t *testing.T) {
	t.Parallel()
	dir := sources(t, "js")
	out := run(t, dir, "npm", "test", "--silent")
	atLeast(t, out, `(?m)^(?:#|ℹ) pass ([0-9]+)$`, 25)
	if !regexp.MustCompile(`(?m)^(?:#|ℹ) skipped 0$`).MatchString(out) {
		t.Errorf("tests were skipped:\n%s", out)
	}
	sample := filepath.Join(dir, "sample")
	run(t, sample, "npm", "ci", "--no-audit", "--no-fund", "--silent")
	out = run(t, dir, "npm", "run", "frameworks", "--silent")
	atLeast(t, out, `(?m)^(?:#|ℹ) pass ([0-9]+)$`, 5)
	for _, project := range []string{"tsconfig.json", "tsconfig.declarations.json"} {
		run(t, sample, "node", filepath.Join("node_modules", "typescript", "bin", "tsc"), "--project", project)
	}
}

// TestPython runs the tests of the Python SDK with the frameworks that it has
// adapters for, and checks its types strictly.
func TestPython(t *testing.T) {
	t.Parallel()
	dir := sources(t, "python")
	python := filepath.Join(dir, "venv", "bin", "python")
	run(t, dir, "python3", "-m", "venv", "venv")
	run(t, dir, python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", filepath.Join("tests", "requirements.txt"))
	out := run(t, dir, python, "-W", "ignore", "-m", "unittest", "discover", "--start-directory", "tests")
	atLeast(t, out, `Ran ([0-9]+) tests`, 52)
	if regexp.MustCompile(`skipped=`).MatchString(out) {
		t.Errorf("tests were skipped:\n%s", out)
	}
	run(t, dir, python, "-m", "mypy", "authfi", filepath.Join("tests", "typed.py"), filepath.Join("tests", "administration.py"), filepath.Join("sample", "administer.py"))
}

// Package previous builds the release before this one, for tests that run both. The
// release is a commit that packaging/previous names: what a tag means may differ from
// clone to clone, and a commit is itself everywhere.
package previous

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// File names the release, below the root of the repository.
const File = "packaging/previous"

// Release is the build before this one.
type Release struct {
	Commit string
	Level  int    // the highest feature level that it knows
	Dir    string // its sources
}

// Source puts the sources of the release into a directory of the test's own; root is
// that of the repository.
func Source(t testing.TB, root string) Release {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, File))
	if err != nil {
		t.Fatal(err)
	}
	r, err := parse(string(text))
	if err != nil {
		t.Fatalf("%s: %v", File, err)
	}
	r.Dir = t.TempDir()
	if err := unpack(root, r.Commit, r.Dir); err != nil {
		t.Fatalf("%s: %v", File, err)
	}
	return r
}

// parse reads a line of commit and level; other lines begin with #.
func parse(text string) (r Release, err error) {
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		commit, level, _ := strings.Cut(line, " ")
		if r.Commit != "" || len(commit) != 40 || strings.Trim(commit, "0123456789abcdef") != "" {
			return Release{}, fmt.Errorf("%q is not one commit, in full, and a level", line)
		}
		if r.Level, err = strconv.Atoi(level); err != nil || r.Level < 1 {
			return Release{}, fmt.Errorf("%q is no feature level", level)
		}
		r.Commit = commit
	}
	if r.Commit == "" {
		return Release{}, errors.New("no commit is named")
	}
	return r, nil
}

// unpack writes the files of a commit. A clone that does not have it cannot test an
// upgrade, which is a failure: a test that was not made must not look like one that
// passed.
func unpack(root, commit, dir string) error {
	if out, err := exec.Command("git", "-C", root, "cat-file", "-e", commit+"^{commit}").CombinedOutput(); err != nil {
		return fmt.Errorf("this clone does not have commit %s, so the upgrade from it cannot be tested: it is shallow, or no clone; git fetch --unshallow gets the history (%s)",
			commit, bytes.TrimSpace(out))
	}
	archive := exec.Command("git", "-C", root, "archive", "--format=tar", commit)
	extract := exec.Command("tar", "-x", "-C", dir)
	var err error
	if extract.Stdin, err = archive.StdoutPipe(); err != nil {
		return err
	}
	var complaint bytes.Buffer
	archive.Stderr, extract.Stderr = &complaint, &complaint
	if err := extract.Start(); err != nil {
		return err
	}
	if err := errors.Join(archive.Run(), extract.Wait()); err != nil {
		return fmt.Errorf("unpack %s: %w: %s", commit, err, complaint.Bytes())
	}
	return nil
}

// Build builds a program of the release and gives its file.
func (r Release) Build(t testing.TB, program string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), filepath.Base(program))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-X main.version=previous", "-o", file, "./"+program)
	cmd.Dir = r.Dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s of %s: %v\n%s", program, r.Commit, err, out)
	}
	return file
}

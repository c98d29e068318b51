package previous

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const some = "0123456789abcdef0123456789abcdef01234567"

func TestParse(t *testing.T) {
	r, err := parse("# why\n\n" + some + " 3\n")
	if err != nil || r.Commit != some || r.Level != 3 {
		t.Errorf("%+v %v", r, err)
	}
	for _, text := range []string{"", "# " + some + " 1", some, some + " 0", some + " x", some[:39] + " 1", "v1.0.0 1", some + " 1\n" + some + " 2"} {
		if r, err := parse(text); err == nil {
			t.Errorf("%q is %+v", text, r)
		}
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@t.example"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// TestShallowClone: a clone without the commit fails, and says what to do.
func TestShallowClone(t *testing.T) {
	whole, shallow := t.TempDir(), filepath.Join(t.TempDir(), "clone")
	git(t, whole, "init", "-q")
	var commits []string
	for _, content := range []string{"old", "new"} {
		if err := os.WriteFile(filepath.Join(whole, "file"), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		git(t, whole, "add", "file")
		git(t, whole, "commit", "-q", "-m", content)
		commits = append(commits, git(t, whole, "rev-parse", "HEAD"))
	}
	git(t, whole, "clone", "-q", "--depth", "1", "file://"+whole, shallow)
	if err := unpack(shallow, commits[0], t.TempDir()); err == nil || !strings.Contains(err.Error(), "git fetch --unshallow") {
		t.Errorf("of a shallow clone: %v", err)
	}
	git(t, shallow, "fetch", "-q", "--unshallow")
	dir := t.TempDir()
	if err := unpack(shallow, commits[0], dir); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(content) != "old" {
		t.Errorf("%q %v", content, err)
	}
	if err := unpack(t.TempDir(), commits[0], t.TempDir()); err == nil {
		t.Error("what is no clone has the commit")
	}
}

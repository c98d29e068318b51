package chaos

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Of the short run that every change has to pass. The seed is of the clock, so that
// the runs of all changes together are a long one; what it finds can be repeated.
const shortRun = 25 * time.Second

// isRoot is false where `make test` says that what needs root is left out.
func isRoot() bool { return os.Getenv("AUTHFI_TEST_NO_KERNEL") != "1" }

func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authfi")
	build := exec.Command("go", "build", "-o", path, "github.com/authfi/authfi/cmd/authfi")
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v: %s", err, said)
	}
	return path
}

func TestShortRun(t *testing.T) {
	if !isRoot() {
		return
	}
	result, err := Run(t.Context(), Options{
		Program: program(t), Dir: t.TempDir(), For: shortRun, Seed: uint64(time.Now().UnixNano()), Out: t.Output(),
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range result.Violations {
		t.Error(v)
	}
	if result.Operations == 0 || len(result.Faults) < faultsPerRound {
		t.Errorf("%d operations under %d kinds of fault prove nothing", result.Operations, len(result.Faults))
	}
}

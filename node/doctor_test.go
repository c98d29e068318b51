package node_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/authfi/authfi/node"
	"github.com/authfi/authfi/node/nodetest"
)

func findings(t *testing.T, dir string) map[string]node.Finding {
	t.Helper()
	found := map[string]node.Finding{}
	for _, f := range node.Doctor(t.Context(), dir, "") {
		if f.State != node.StateOK && f.Advice == "" {
			t.Errorf("%s: no advice", f.Check)
		}
		found[f.Check] = f
	}
	return found
}

// TestDoctor finds nothing at a node that runs, and each thing that is broken then.
func TestDoctor(t *testing.T) {
	c := nodetest.Start(t)
	dir := c.Dir(0)
	state := func(check string, want node.State) {
		t.Helper()
		if f := findings(t, dir)[check]; f.State != want {
			t.Errorf("%s is %q, want %q: %+v", check, f.State, want, f)
		}
	}
	for _, check := range []string{"settings", "file modes", "disk space", "certificate of peers", "CA", "keyring", "peer address", "API"} {
		state(check, node.StateOK)
	}
	if f := findings(t, dir)["disk speed"]; f.Detail == "" {
		t.Errorf("%+v", f)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "doctor.*")); err != nil || len(left) != 0 {
		t.Errorf("%v is left", left)
	}

	c.Stop(1)
	c.Stop(2)
	state("API", node.StateFailed) // no quorum
	c.Stop(0)
	state("API", node.StateWarning)
	key := filepath.Join(dir, "cluster.key")
	for _, name := range []string{dir, key} {
		if err := os.Chmod(name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	state("file modes", node.StateFailed)
	if err := os.WriteFile(key, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	state("keyring", node.StateFailed)
	if err := os.WriteFile(filepath.Join(dir, "pki", "node.pem"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	state("certificates", node.StateFailed)
	if err := os.Remove(filepath.Join(dir, "node.json")); err != nil {
		t.Fatal(err)
	}
	state("settings", node.StateFailed)
}

package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestSealedKeyring: the keyring is sealed by the real systemd-creds, opened by it into a
// directory as the unit gives one, and the node serves with that alone. Without it, and
// with another one, the node does not start.
func TestSealedKeyring(t *testing.T) {
	// The machine's own key stays as it is.
	t.Setenv("SYSTEMD_CREDENTIAL_SECRET", filepath.Join(t.TempDir(), "host.secret"))
	m := newMachines(t, "a")
	token, _ := secrets(t, m.run(append([]string{"init"}, m.flags("a", "a")...)...))
	dir, sealed := m.nodes["a"].dir, filepath.Join(t.TempDir(), "credstore", "authfi-keyring")
	open := filepath.Join(dir, "cluster.key")
	key, err := os.ReadFile(open)
	if err != nil {
		t.Fatal(err)
	}
	m.run("keyring", "seal", "--dir", dir, "--to", sealed, "--with-key", "host")
	if _, err := os.Stat(open); err != nil {
		t.Errorf("the open keyring is gone without being asked for: %v", err)
	}
	m.run("keyring", "seal", "--dir", dir, "--to", sealed, "--with-key", "host", "--remove-file")
	if _, err := os.Stat(open); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the open keyring is left: %v", err)
	}
	if body, err := os.ReadFile(sealed); err != nil || strings.Contains(string(body), string(key)) {
		t.Errorf("what is sealed can be read, or not at all: %v", err)
	}
	m.refused("it was sealed before", "keyring", "seal", "--dir", dir, "--to", sealed, "--with-key", "host")

	m.serve("a")
	if code, log := m.ended("a"); code != 1 || !strings.Contains(log, "systemd-creds decrypt") {
		t.Errorf("without the credential: exit %d\n%s", code, log)
	}
	credentials := t.TempDir()
	given := filepath.Join(credentials, "authfi-keyring")
	t.Setenv("CREDENTIALS_DIRECTORY", credentials)
	if err := os.WriteFile(given, key[1:], 0o400); err != nil {
		t.Fatal(err)
	}
	m.serve("a")
	if code, log := m.ended("a"); code != 1 || !strings.Contains(log, "31 bytes") {
		t.Errorf("with half a keyring: exit %d\n%s", code, log)
	}
	if err := os.Remove(given); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-creds", "decrypt", "--name=authfi-keyring", sealed, given).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	m.serve("a")
	m.ask("a", token)
	m.run("organizations", "create", "clinic", "--name", "Clinic") // its signing key is sealed by the keyring
	m.kill("a")

	other := []byte(strings.Repeat("x", len(key)))
	if err := os.WriteFile(open, other, 0o600); err != nil {
		t.Fatal(err)
	}
	m.serve("a")
	if code, log := m.ended("a"); code != 1 || !strings.Contains(log, "different keyrings") {
		t.Errorf("with two keyrings: exit %d\n%s", code, log)
	}
}

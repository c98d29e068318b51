package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestQuorumLoss: two machines of three are lost for good, the third goes on alone by
// one command, and fresh machines take the places of the lost.
func TestQuorumLoss(t *testing.T) {
	m := newMachines(t, "a", "b", "c")
	token, _ := secrets(t, m.run(append([]string{"init"}, m.flags("a", "a")...)...))
	m.serve("a")
	m.ask("a", token)
	m.join("b", "a", token)
	m.join("c", "a", token)
	m.run("organizations", "create", "clinic", "--name", "Clinic")
	m.run("users", "create", "alice@clinic.example")

	m.kill("c")
	m.kill("a")
	dir := m.nodes["a"].dir
	m.refused("answers", "recover", "--dir", dir)
	m.kill("b")
	said := m.run("recover", "--dir", dir)
	if !strings.Contains(said, "goes on alone") || !strings.Contains(said, "Lost: b, c.") {
		t.Errorf("recover says %q", said)
	}
	m.serve("a")
	m.ask("a", token)
	if users := m.run("users", "list", "--query", ".users[].user_name"); strings.TrimSpace(users) != "alice@clinic.example" {
		t.Errorf("after the recovery there are %q", users)
	}
	m.run("users", "create", "bob@clinic.example")
	m.serve("c") // it was not erased
	if code, log := m.ended("c"); code != 1 || !strings.Contains(log, "was removed from the cluster") {
		t.Errorf("c comes back: exit %d\n%s", code, log)
	}
	for _, id := range []string{"b", "c"} {
		m.nodes[id].dir = filepath.Join(t.TempDir(), "data")
		m.join(id, "a", token)
	}
	m.kill("a") // and the cluster is one of three again
	m.until("a user is made by the two that joined", func() bool {
		_, _, code := m.try("users", "create", "carol@clinic.example")
		return code == 0
	})
}

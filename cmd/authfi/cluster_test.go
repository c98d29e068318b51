package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/authfi/authfi/backup"
	"github.com/authfi/authfi/node/nodetest"
)

// asProgram makes the test binary the program itself, so that nodes are processes
// of what was built here.
const asProgram = "AUTHFI_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // exits
	}
	os.Exit(m.Run())
}

// processWait bounds what a process may take on a machine that runs other tests.
const processWait = 60 * time.Second

// machines are directories and addresses, each for a node that is a process.
type machines struct {
	t     *testing.T
	nodes map[string]*machine
	env   []string // of the command line
}

type machine struct {
	id, dir, api, peer string
	config             string   // settings file; empty: none
	program            string   // that is served; empty: this one
	unit               *systemd // that starts it; nil: nobody
	process            *exec.Cmd
	log                *bytes.Buffer
	done               chan error
}

func newMachines(t *testing.T, ids ...string) *machines {
	t.Helper()
	m := &machines{t: t, nodes: map[string]*machine{}}
	addresses := nodetest.Free(t, 2*len(ids))
	for i, id := range ids {
		m.nodes[id] = &machine{id: id, dir: filepath.Join(t.TempDir(), "data"), api: addresses[2*i], peer: addresses[2*i+1]}
	}
	t.Cleanup(func() {
		for _, n := range m.nodes {
			if n.process != nil {
				n.process.Process.Kill()
				<-n.done
			}
		}
	})
	return m
}

// try runs a command to its end.
func (m *machines) try(args ...string) (stdout, stderr string, code int) {
	m.t.Helper()
	cmd := program(m.t, args...)
	cmd.Env = append(cmd.Env, m.env...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return out.String(), talk.String(), cmd.ProcessState.ExitCode()
}

func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

// run is try that demands success.
func (m *machines) run(args ...string) string {
	m.t.Helper()
	stdout, stderr, code := m.try(args...)
	if code != 0 {
		m.t.Fatalf("authfi %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

func (m *machines) json(into any, args ...string) {
	m.t.Helper()
	if err := json.Unmarshal([]byte(m.run(append(args, "-o", "json")...)), into); err != nil {
		m.t.Fatal(err)
	}
}

// refused demands that a command fails and says a word.
func (m *machines) refused(word string, args ...string) {
	m.t.Helper()
	if stdout, stderr, code := m.try(args...); code != 1 || !strings.Contains(stderr, word) {
		m.t.Errorf("authfi %s: exit %d, want 1 and %q\n%s%s", strings.Join(args, " "), code, word, stdout, stderr)
	}
}

func (m *machines) flags(id, issuer string) []string {
	n := m.nodes[id]
	return []string{"--dir", n.dir, "--node-id", id, "--api", n.api, "--peer", n.peer, "--issuer", "https://" + m.nodes[issuer].api,
		"--enforce", "gate", "--enforce-listen", "127.0.0.1:1"}
}

// serve starts a node and does not wait for it.
func (m *machines) serve(id string) *machine {
	m.t.Helper()
	n := m.nodes[id]
	n.log, n.done = &bytes.Buffer{}, make(chan error, 1)
	args := []string{"serve", "--dir", n.dir}
	if n.config != "" {
		args = []string{"serve", "--config", n.config}
	}
	if n.process = program(m.t, args...); n.program != "" {
		n.process = exec.Command(n.program, args...)
	}
	if n.unit != nil {
		n.unit.given(n.process)
	}
	n.process.Stdout, n.process.Stderr = n.log, n.log
	if err := n.process.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { n.done <- n.process.Wait() }()
	return n
}

// kill is kill -9.
func (m *machines) kill(id string) {
	m.t.Helper()
	n := m.nodes[id]
	if err := n.process.Process.Kill(); err != nil {
		m.t.Fatal(err)
	}
	<-n.done
	n.process = nil
}

// ended waits for a node to end by itself and gives its exit code and what it said.
func (m *machines) ended(id string) (code int, log string) {
	m.t.Helper()
	n := m.nodes[id]
	select {
	case <-n.done:
	case <-time.After(processWait):
		m.t.Fatalf("%s goes on\n%s", id, n.log)
	}
	code = n.process.ProcessState.ExitCode()
	n.process = nil
	return code, n.log.String()
}

// ask makes a node the one that commands ask, once it may serve.
func (m *machines) ask(id, token string) {
	m.t.Helper()
	n := m.nodes[id]
	m.env = []string{"AUTHFI_URL=https://" + n.api, "AUTHFI_TOKEN=" + token, "AUTHFI_CACERT=" + filepath.Join(n.dir, "ca.pem"), "AUTHFI_ORG=clinic"}
	m.until(id+" has a vote and a leader", func() bool {
		var s struct {
			Leader  string
			Members []struct {
				ID    string
				Voter bool
			}
		}
		stdout, _, code := m.try("status", "-o", "json")
		if code != 0 || json.Unmarshal([]byte(stdout), &s) != nil {
			return false
		}
		for _, member := range s.Members {
			if member.ID == id {
				return member.Voter
			}
		}
		return false
	})
}

func (m *machines) until(what string, holds func() bool) {
	m.t.Helper()
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	deadline := time.After(processWait)
	for !holds() {
		select {
		case <-ticker.C:
		case <-deadline:
			m.t.Fatalf("in vain: %s", what)
		}
	}
}

func (m *machines) join(id, through, token string) {
	m.t.Helper()
	ticket := strings.TrimSpace(m.run("token", "create"))
	m.run(append(append([]string{"join", m.nodes[through].peer, "--token", ticket}, m.flags(id, through)...), "--issuer", "https://"+m.nodes[through].api)...)
	m.serve(id)
	m.ask(id, token)
}

// secrets finds what init shows once.
func secrets(t *testing.T, text string) (token, key string) {
	t.Helper()
	indented := regexp.MustCompile(`(?m)^    (\S+)$`).FindAllStringSubmatch(text, -1)
	if len(indented) != 2 {
		t.Fatalf("init shows %s", text)
	}
	return indented[0][1], indented[1][1]
}

// TestLifeOfACluster is the operations page with real processes: three machines, a
// backup, one that dies by kill -9 and is replaced, one that leaves, and fresh
// machines after the loss of all.
func TestLifeOfACluster(t *testing.T) {
	m := newMachines(t, "a", "b", "c", "d", "x", "y", "z")
	token, key := secrets(t, m.run(append([]string{"init"}, m.flags("a", "a")...)...))
	m.serve("a")
	m.ask("a", token)
	m.join("b", "a", token)
	m.join("c", "a", token)
	m.run("organizations", "create", "clinic", "--name", "Clinic")
	m.run("users", "create", "alice@clinic.example")

	// Nothing is wrong with a node that runs.
	var doctor struct {
		OK       bool
		Findings []struct{ Check, State, Detail string }
	}
	m.json(&doctor, "doctor", "--dir", m.nodes["a"].dir)
	if !doctor.OK || len(doctor.Findings) < 8 {
		t.Errorf("%+v", doctor)
	}

	// A backup from one that joined.
	file := filepath.Join(t.TempDir(), "clinic.backup")
	var taken struct {
		Index         uint64
		Digest, Key   string
		Organizations []struct {
			Slug  string
			Users int
		}
	}
	m.json(&taken, "backup", file)
	digest := taken.Digest
	secret := filepath.Join(t.TempDir(), "recovery.key")
	if err := os.WriteFile(secret, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	m.json(&taken, "backup", "verify", file, "--key", "@"+secret)
	if taken.Digest != digest || len(taken.Organizations) != 1 || taken.Organizations[0].Users != 1 {
		t.Errorf("%+v", taken)
	}

	// One dies, is removed, comes back and is told; another takes its place.
	m.refused("answers", "members", "remove", "b")
	m.kill("b")
	m.ask("c", token)
	m.until("b is removed", func() bool { _, _, code := m.try("members", "remove", "b"); return code == 0 })
	m.serve("b")
	if code, log := m.ended("b"); code != 1 || !strings.Contains(log, "was removed from the cluster") || !strings.Contains(log, "join with an empty directory") {
		t.Errorf("b comes back: exit %d\n%s", code, log)
	}
	m.serve("b")
	if code, log := m.ended("b"); code != 1 || !strings.Contains(log, "no member of its cluster") {
		t.Errorf("b comes back again: exit %d\n%s", code, log)
	}
	m.join("d", "c", token)

	// One leaves.
	m.ask("c", token)
	if said := m.run("leave"); !strings.Contains(said, "2 members are left; 0 of them may fail") {
		t.Errorf("leave says %q", said)
	}
	if code, log := m.ended("c"); code != 0 {
		t.Errorf("c left: exit %d\n%s", code, log)
	}
	m.serve("c")
	if code, log := m.ended("c"); code != 1 || !strings.Contains(log, "it left") {
		t.Errorf("c comes back: exit %d\n%s", code, log)
	}
	m.ask("d", token)
	m.run("users", "create", "bob@clinic.example")
	m.kill("a") // one of two: nothing can be written, and nobody may go
	m.refused("", "members", "remove", "a")
	m.refused("", "leave")
	m.kill("d")

	m.refused("does not open", append([]string{"restore", file, "--key", otherKey(t)}, m.flags("x", "x")...)...)
	restored := m.run(append([]string{"restore", file, "--key", "@" + secret}, m.flags("x", "x")...)...)
	if !strings.Contains(restored, "Restored 1 users of 1 organizations") {
		t.Errorf("restore says %q", restored)
	}
	m.refused("not empty", append([]string{"restore", file, "--key", "@" + secret}, m.flags("x", "x")...)...)
	m.serve("x")
	m.ask("x", token)
	m.join("y", "x", token)
	m.join("z", "x", token)
	m.kill("x")
	m.until("a user is made by the two that are left", func() bool {
		_, _, code := m.try("users", "create", "carol@clinic.example")
		return code == 0
	})
	users := bufio.NewScanner(strings.NewReader(m.run("users", "list", "--query", ".users[].user_name")))
	var names []string
	for users.Scan() {
		names = append(names, users.Text())
	}
	if fmt.Sprint(names) != "[alice@clinic.example carol@clinic.example]" {
		t.Errorf("after the restore there are %v", names)
	}
}

func otherKey(t *testing.T) string {
	t.Helper()
	key, err := backup.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key.String()
}

// TestStartByFile: two machines become a cluster with nothing but their settings
// files, and serving them again changes nothing.
func TestStartByFile(t *testing.T) {
	m := newMachines(t, "a", "b")
	secrets := t.TempDir()
	token, ticket := filepath.Join(secrets, "operator.token"), filepath.Join(secrets, "join.token")
	settings := func(id, start string) {
		n := m.nodes[id]
		n.config = filepath.Join(secrets, id+".yaml")
		text := fmt.Sprintf("dir: %s\nnode_id: %s\napi: %s\npeer: %s\nissuer: https://%s\nenforce:\n  mode: gate\n  listen: [127.0.0.1:1]\nstart:\n  %s\n",
			n.dir, id, n.api, n.peer, m.nodes["a"].api, start)
		if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	settings("a", "first: true\n  operator_token_file: "+token)
	m.serve("a")
	m.until("the token is there", func() bool { _, err := os.Stat(token); return err == nil })
	text, err := os.ReadFile(token)
	if err != nil {
		t.Fatal(err)
	}
	operator := strings.TrimSpace(string(text))
	m.ask("a", operator)
	if err := os.WriteFile(ticket, []byte(m.run("token", "create")), 0o600); err != nil {
		t.Fatal(err)
	}
	settings("b", "join: "+m.nodes["a"].peer+"\n  token_file: "+ticket)
	m.serve("b")
	m.ask("b", operator)
	m.run("organizations", "create", "clinic", "--name", "Clinic")
	m.kill("b")
	if err := os.Remove(ticket); err != nil {
		t.Fatal(err)
	}
	m.serve("b")
	m.ask("b", operator)
	m.run("users", "create", "alice@clinic.example")
}

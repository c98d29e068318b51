package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/node/nodetest"
	"github.com/authfi/authfi/tools/previous"
)

// rolling is a cluster that is upgraded under traffic.
type rolling struct {
	*machines
	old      string // program of the release before
	balancer *balancer
	token    string // operator's
}

// newRolling makes three nodes of the release before, each with a service behind its
// gate, and an organization with a user who may use it.
func newRolling(t *testing.T) *rolling {
	t.Helper()
	r := &rolling{machines: newMachines(t, "a", "b", "c"), old: previous.Source(t, "../..").Build(t, "cmd/authfi")}
	services := nodetest.Free(t, len(r.nodes))
	flags := func(i int, id string) []string {
		n := r.nodes[id]
		n.program = r.old
		return append(r.flags(id, "a"), "--enforce-listen", services[i])
	}
	r.token, _ = secrets(t, r.run(append([]string{"init"}, flags(0, "a")...)...))
	r.serve("a")
	r.ask("a", r.token)
	for i, id := range []string{"b", "c"} {
		ticket := strings.TrimSpace(r.run("token", "create"))
		r.run(append([]string{"join", r.nodes["a"].peer, "--token", ticket}, flags(i+1, id)...)...)
		r.serve(id)
		r.ask(id, r.token)
	}
	r.ask("a", r.token)
	r.run("organizations", "create", "clinic", "--name", "Clinic")
	r.balance(services)
	return r
}

// balance makes what the traffic needs and begins it.
func (r *rolling) balance(services []string) {
	r.t.Helper()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "record") }))
	r.t.Cleanup(backend.Close)
	r.run("roles", "create", "nurse", "--permissions", "read:patients")
	var alice, connection, session, ended struct {
		ID, Token   string
		SessionID   string `json:"session_id"`
		AccessToken string `json:"access_token"`
	}
	r.json(&alice, "users", "create", "alice@clinic.example")
	r.run("users", "roles", "add", "alice@clinic.example", "nurse")
	var nodes []*balanced
	for i, id := range []string{"a", "b", "c"} {
		r.run("services", "create", "records-"+id, "--listen", services[i], "--upstream", backend.Listener.Addr().String())
		r.run("services", "policies", "set", "records-"+id, "--policies", `[{"path":"/**","permissions":["read:patients"]}]`)
		nodes = append(nodes, &balanced{id: id, api: r.nodes[id].api, service: services[i]})
	}
	r.json(&connection, "connections", "create", "generic")
	r.json(&session, "sessions", "start", "alice@clinic.example", "--amr", "pwd")
	r.json(&ended, "sessions", "start", "alice@clinic.example", "--amr", "pwd")
	r.run("sessions", "end", ended.SessionID)

	pem, err := os.ReadFile(filepath.Join(r.nodes["a"].dir, "ca.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	b := newBalancer(r.t, &tls.Config{RootCAs: roots}, nodes...)
	r.balancer = b
	for _, n := range nodes {
		r.until(n.id+" is ready", n.ready.Load)
	}
	b.drive("SCIM writes", func(n *balanced, i int) (url, token, body string) {
		return "https://" + n.api + "/scim/v2/clinic/Users", connection.Token,
			fmt.Sprintf(`{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"userName":"user-%d@clinic.example","active":true}`, i)
	}, func(status int, _ []byte) bool { return status == http.StatusCreated })
	b.drive("checks", func(n *balanced, _ int) (url, token, body string) {
		return "https://" + n.api + "/api/v1/check", r.token, fmt.Sprintf(`{"user_id":%q,"permission":"read:patients"}`, alice.ID)
	}, func(status int, answer []byte) bool {
		var a struct{ Allowed bool }
		return status == http.StatusOK && json.Unmarshal(answer, &a) == nil && a.Allowed
	})
	b.drive("enforced requests", func(n *balanced, _ int) (url, token, body string) {
		return "http://" + n.service + "/records", session.AccessToken, "{}"
	}, func(status int, answer []byte) bool { return status == http.StatusOK && string(answer) == "record" })
	b.besiege("")
	b.besiege(ended.AccessToken)
}

func (r *rolling) balanced(id string) *balanced {
	for _, n := range r.balancer.nodes {
		if n.id == id {
			return n
		}
	}
	r.t.Fatalf("there is no node %s", id)
	return nil
}

// drained is the settings file of a node of this build.
func (r *rolling) drained(id string) string {
	r.t.Helper()
	file := filepath.Join(r.t.TempDir(), id+".yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, "dir: %s\ndrain: 2s\n", r.nodes[id].dir), 0o600); err != nil {
		r.t.Fatal(err)
	}
	return file
}

// replace stops a node as an administrator does and starts it with a program, "" for
// this build. A node of this build drains; one of a build that cannot is taken out of
// the balancer before.
func (r *rolling) replace(id, with string) {
	r.t.Helper()
	n, b := r.nodes[id], r.balanced(id)
	if n.program == r.old {
		r.balancer.takeOut(b)
	}
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if code, log := r.ended(id); code != 0 {
		r.t.Fatalf("%s was stopped: exit %d\n%s", id, code, log)
	}
	if n.program, n.config = with, ""; with == "" {
		n.config = r.drained(id)
	}
	b.ready.Store(false) // until it says otherwise
	r.serve(id)
	b.out.Store(false)
	r.until(id+" is ready", b.ready.Load)
}

// settle lets traffic come to the cluster as it is now, compares the nodes and counts
// what failed since the last time.
func (r *rolling) settle(after string) {
	r.t.Helper()
	enough := r.balancer.attempts() + 200
	r.until(after+": there is traffic", func() bool { return r.balancer.attempts() >= enough })
	r.sameDigests(after)
	r.balancer.judge(after)
}

// sameDigests compares the states of the nodes at one index, with the traffic paused.
func (r *rolling) sameDigests(after string) {
	r.t.Helper()
	r.balancer.paused.Lock()
	defer r.balancer.paused.Unlock()
	type status struct {
		Index  uint64 `json:"applied_index"`
		Digest string
	}
	var last []status
	r.until(after+": the nodes are at one index", func() bool {
		last = nil
		for _, id := range []string{"a", "b", "c"} {
			var s status
			stdout, _, code := r.try("status", "-o", "json", "--url", "https://"+r.nodes[id].api)
			if code != 0 || json.Unmarshal([]byte(stdout), &s) != nil {
				return false
			}
			last = append(last, s)
		}
		return last[0].Index == last[1].Index && last[1].Index == last[2].Index
	})
	if last[0] != last[1] || last[1] != last[2] || last[0].Digest == "" {
		r.t.Errorf("%s: %+v", after, last)
	}
}

// TestRollingUpgrade goes from the release before this one to this one, back with one
// node, on again, and to the new feature level, while clients that repeat nothing write
// over SCIM, ask, and use services behind the gates. Nothing fails, nothing unauthorized
// is served, and the nodes agree after every step.
func TestRollingUpgrade(t *testing.T) {
	r := newRolling(t)
	r.settle("before the upgrade")
	for _, id := range []string{"b", "c", "a"} {
		r.replace(id, "")
		r.settle("with a new " + id)
		if id == "c" {
			r.ask("c", r.token)
			if said := r.run("upgrade", "status"); !strings.Contains(said, "feature level 1.") || !strings.Contains(said, "a does not say what it understands") {
				t.Errorf("in the midst of it: %s", said)
			}
			r.refused("does not say", "upgrade", "finalize", "--yes")
		}
	}
	r.replace("c", r.old)
	r.settle("with c back at the old build")
	r.replace("c", "")
	r.settle("with a new c once more")

	r.ask("b", r.token)
	if said := r.run("upgrade", "status"); !strings.Contains(said, "every node understands "+fmt.Sprint(directory.LevelMax)) {
		t.Errorf("before the end: %s", said)
	}
	if said := r.run("upgrade", "finalize", "--yes"); !strings.Contains(said, fmt.Sprintf("feature level %d now", directory.LevelMax)) {
		t.Errorf("at the end: %s", said)
	}
	var status struct{ Level int }
	r.json(&status, "upgrade", "status")
	if status.Level != int(directory.LevelMax) {
		t.Errorf("the level is %d", status.Level)
	}
	r.settle("at the new level")
	for _, id := range []string{"a", "b", "c"} {
		r.replace(id, "")
		r.settle("after a restart of " + id)
	}
	r.wayBackIsShut()
	r.writesAreThere()
}

// wayBackIsShut starts the old build at the new level: it must stop by itself, and what
// it leaves must serve the new one.
func (r *rolling) wayBackIsShut() {
	r.t.Helper()
	n, b := r.nodes["c"], r.balanced("c")
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	r.ended("c")
	n.program, n.config = r.old, ""
	r.serve("c")
	if code, log := r.ended("c"); code == 0 || !strings.Contains(log, "unknown command kind 75") {
		r.t.Errorf("the old build at level %d: exit %d\n%.2000s", directory.LevelMax, code, log)
	}
	n.program, n.config = "", r.drained("c")
	r.serve("c")
	r.until("c is ready", b.ready.Load)
	r.settle("after an old build was tried")
}

// writesAreThere counts the users that were acknowledged.
func (r *rolling) writesAreThere() {
	r.t.Helper()
	r.balancer.close()
	var users struct{ Total int }
	r.json(&users, "users", "list", "--limit", "1")
	if want := r.balancer.sent["SCIM writes"] + 1; users.Total != want {
		r.t.Errorf("%d users, and %d were acknowledged", users.Total, want)
	}
	if took := time.Duration(r.balancer.slowest); took > requestWait {
		r.t.Errorf("a request took %s", took)
	}
}

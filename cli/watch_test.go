package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/authfi/authfi/cli"
	"github.com/authfi/authfi/node/nodetest"
)

// lineWait is when a test that waits for a line gives up.
const lineWait = 60 * time.Second

// command is a running command line that follows something.
type command struct {
	t     *testing.T
	lines chan string
	stop  context.CancelFunc
	done  chan int // its exit code
	mu    sync.Mutex
	talk  bytes.Buffer // guarded by mu: stderr
}

func startCommand(t *testing.T, args ...string) *command {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	c := &command{t: t, lines: make(chan string, 1000), stop: stop, done: make(chan int, 1)}
	read, write := io.Pipe()
	var api cli.API
	root := api.Root("test")
	root.SetArgs(args)
	root.SetOut(write)
	root.SetErr(c)
	go func() {
		c.done <- api.Report(c, root.ExecuteContext(ctx))
		write.Close()
	}()
	go func() {
		for scanner := bufio.NewScanner(read); scanner.Scan(); {
			c.lines <- scanner.Text()
		}
	}()
	return c
}

// Write implements io.Writer for what the command says to people.
func (c *command) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.talk.Write(b)
}

func (c *command) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.talk.String()
}

// next reads n lines.
func (c *command) next(n int) (lines []string) {
	c.t.Helper()
	for len(lines) < n {
		select {
		case line := <-c.lines:
			lines = append(lines, line)
		case <-time.After(lineWait):
			c.t.Fatalf("after %d lines of %d nothing more came; %s", len(lines), n, c.said())
		}
	}
	return lines
}

// end interrupts the command, as Ctrl-C does, and demands that this is no failure.
func (c *command) end() {
	c.t.Helper()
	c.stop()
	if code := <-c.done; code != 0 {
		c.t.Errorf("the command exits with %d: %s", code, c.said())
	}
}

// TestFollowing runs the commands that follow the feed against three nodes.
func TestFollowing(t *testing.T) {
	cluster := nodetest.Start(t)
	t.Setenv("AUTHFI_URL", cluster.URL(1))
	t.Setenv("AUTHFI_TOKEN", cluster.Token())
	t.Setenv("AUTHFI_CACERT", cluster.CA())
	t.Run("outlives a node", func(t *testing.T) { followingOutlivesANode(t, cluster) })
	t.Run("begins with rows", func(t *testing.T) { followingBeginsWithRows(t, cluster) })
}

// made is what a call to the API made.
type made struct{ ID string }

// followingOutlivesANode: commands whose node is stopped and started again print
// everything, once and in order.
func followingOutlivesANode(t *testing.T, cluster *nodetest.Cluster) {
	var org made
	cluster.Do(0, http.MethodPost, "/api/v1/organizations", `{"slug":"clinic","name":"clinic"}`, &org)
	var want []string
	write := func(name string) uint64 {
		t.Helper()
		answer := cluster.Do(0, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"email":"%s@example.org"}`, org.ID, name), nil)
		want = append(want, name+"@example.org")
		return indexOf(t, answer)
	}
	cluster.Status(1, write("first")) // the node has it
	events := startCommand(t, "events", "watch", "--org", "clinic", "--type", "user.", "-o", "jsonl")
	log := startCommand(t, "log", "tail", "-f", "--org", "clinic", "-n", "1")
	events.next(1)
	log.next(1)
	for i := range 3 {
		write(fmt.Sprint("before", i))
	}
	got := events.next(3)
	logged := log.next(3)
	cluster.Stop(1)
	for i := range 3 {
		write(fmt.Sprint("while", i))
	}
	cluster.Start(1)
	write("after")
	got = append(got, events.next(4)...)
	logged = append(logged, log.next(4)...)
	events.end()
	log.end()
	for i, name := range want[1:] {
		var e struct{ Type, Detail string }
		if err := json.Unmarshal([]byte(got[i]), &e); err != nil || e.Type != "user.created" || e.Detail != name {
			t.Errorf("event %d is %s, want %s", i, got[i], name)
		}
		if !strings.HasSuffix(logged[i], "  "+name) {
			t.Errorf("line %d of the log is %s, want %s", i, logged[i], name)
		}
	}
	for _, c := range []*command{events, log} {
		if !strings.Contains(c.said(), "connection lost (unavailable: this node is stopping") {
			t.Errorf("the command says %s", c.said())
		}
	}
}

func indexOf(t *testing.T, answer nodetest.Answer) (index uint64) {
	t.Helper()
	if err := json.Unmarshal([]byte(answer.Header.Get("X-Authfi-Index")), &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// followingBeginsWithRows of what there is.
func followingBeginsWithRows(t *testing.T, cluster *nodetest.Cluster) {
	var org, user made
	cluster.Do(0, http.MethodPost, "/api/v1/organizations", `{"slug":"rows","name":"rows"}`, &org)
	cluster.Do(0, http.MethodPost, "/api/v1/users", fmt.Sprintf(`{"org_id":%q,"email":"alice@example.org"}`, org.ID), &user)
	cluster.Do(0, http.MethodPost, "/api/v1/roles", fmt.Sprintf(`{"org_id":%q,"name":"doctor","permissions":["read:patients"]}`, org.ID), nil)
	last := cluster.Do(0, http.MethodPost, "/api/v1/users/"+user.ID+"/roles", `{"role_name":"doctor"}`, nil)
	index := indexOf(t, last)
	cluster.Status(1, index)
	rows := startCommand(t, "events", "watch", "--org", org.ID, "--snapshot")
	lines := rows.next(1)
	for !strings.Contains(lines[len(lines)-1], "synced") {
		lines = append(lines, rows.next(1)...)
	}
	rows.end()
	all := strings.Join(lines, "\n")
	for _, want := range []string{"row user  ", "row role  ", "row assignment  ", "  alice@example.org", "  doctor to alice@example.org", fmt.Sprintf("  index %d", index)} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in\n%s", want, all)
		}
	}
}

package enforce

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/bpf/policy"
)

// The test binary is a node's gate of its own: started with these, it stands before the
// service, says so, and waits for its death.
const (
	envListen   = "AUTHFI_TEST_SPACE_LISTEN"
	envUpstream = "AUTHFI_TEST_SPACE_UPSTREAM"
)

func TestMain(m *testing.M) {
	if os.Getenv(envListen) == "" {
		os.Exit(m.Run())
	}
	if err := standAlone(os.Getenv(envListen), os.Getenv(envUpstream)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func standAlone(listen, upstream string) error {
	u := NewUserSpace(map[string]Settings{listen: {H2C: true}}, slog.New(slog.NewTextHandler(os.Stdout, nil)))
	p, err := policy.Compile(1, protected, policy.NewNumbering(protected))
	if err != nil {
		return err
	}
	entry := policy.TokenEntry{ExpiresNs: ^uint64(0), Subject: holder, Org: 1, Length: uint32(len(goodToken))}
	err = errors.Join(
		u.SetKey(1, 2), u.SetService(listen, upstream, 1, p), u.PutSubject(holder, policy.SubjectEntry{Org: 1}),
		u.PutToken(rowKey(goodToken), entry), u.ExtendLease(bpf.BootNow()+uint64(time.Minute)),
	)
	if err == nil && !u.serves(listen) {
		return errors.New("somebody else has the address")
	}
	return err
}

// start runs a gate in another process; the result kills it with SIGKILL.
func (w *world) start() (kill func()) {
	w.t.Helper()
	self, err := os.Executable()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), envListen+"="+w.listen, envUpstream+"="+w.service.Listener.Addr().String())
	if _, err := cmd.StdinPipe(); err != nil {
		w.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	kill = func() {
		cmd.Process.Kill()
		cmd.Wait()
	}
	w.t.Cleanup(kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		w.t.Fatalf("gate: %q, %v", line, err)
	}
	return kill
}

// A node is killed and started again, by the same build or by another, several times,
// while others ask: nobody listens in between.
func TestNeverOpenWhenKilled(t *testing.T) {
	w := newWorld(t)
	w.gate.Close()
	w.drive()
	for range 5 {
		kill := w.start()
		w.await("calls", &w.reached, 50)
		w.await("refusals", &w.refused, 50)
		kill()
		w.await("calls while nobody listens", &w.turned, 50)
	}
	w.check()
}

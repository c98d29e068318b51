package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/authfi/authfi/node"
)

// systemd is what it is to a service: a socket that is told things, a patience, and
// sockets that it holds.
type systemd struct {
	t        *testing.T
	socket   *net.UnixConn
	told     chan string
	patience time.Duration
	api      *net.TCPListener // nil: the node listens by itself
}

// supervise begins to listen. The name has no file: a path could be too long.
func supervise(t *testing.T, patience time.Duration) *systemd {
	t.Helper()
	name := fmt.Sprintf("@authfi-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	s := &systemd{t: t, socket: socket, told: make(chan string, 1000), patience: patience}
	go func() {
		defer close(s.told)
		message := make([]byte, 4096)
		for {
			n, err := socket.Read(message)
			if err != nil {
				return
			}
			s.told <- string(message[:n])
		}
	}()
	return s
}

// given gives a process what a unit gives. The shell is there for its process id, which
// is that of the program.
func (s *systemd) given(cmd *exec.Cmd) {
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+s.socket.LocalAddr().String())
	if s.patience > 0 {
		cmd.Env = append(cmd.Env, fmt.Sprintf("WATCHDOG_USEC=%d", s.patience.Microseconds()))
	}
	program, script := cmd.Path, `export WATCHDOG_PID=$$; exec "$0" "$@"`
	if s.api != nil {
		script = `export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=api; ` + script
		file, err := s.api.File()
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { file.Close() })
		cmd.ExtraFiles = []*os.File{file}
	}
	cmd.Path = "/bin/sh"
	cmd.Args = append([]string{"sh", "-c", script, program}, cmd.Args[1:]...)
}

// hears waits for a message that begins so, and gives those that came before it.
func (s *systemd) hears(begin string) (before []string) {
	s.t.Helper()
	deadline := time.After(processWait)
	for {
		select {
		case message := <-s.told:
			if strings.HasPrefix(message, begin) {
				return before
			}
			before = append(before, message)
		case <-deadline:
			s.t.Fatalf("%s is not told; %q are", begin, before)
		}
	}
}

// silent waits for as long as systemd would, and gives how often it was told meanwhile
// that the node lives.
func (s *systemd) silent(wait time.Duration) (fed int) {
	over := time.After(wait)
	for {
		select {
		case message := <-s.told:
			if message == "WATCHDOG=1" {
				fed++
			}
		case <-over:
			return fed
		}
	}
}

// settingsOf is a settings file for a node that init has made.
func settingsOf(t *testing.T, n *machine, text string) {
	t.Helper()
	if n.config == "" {
		n.config = filepath.Join(t.TempDir(), "authfi.yaml")
	}
	if err := os.WriteFile(n.config, []byte("dir: "+n.dir+"\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestSystemdHearsALife is the life of a node as systemd is told of it: it is ready,
// lives round by round, also alone without a quorum, does not while its disk hangs, and
// stops.
func TestSystemdHearsALife(t *testing.T) {
	const patience = 1500 * time.Millisecond
	m := newMachines(t, "a", "b")
	token, _ := secrets(t, m.run(append([]string{"init"}, m.flags("a", "a")...)...))
	s := supervise(t, patience)
	m.nodes["a"].unit = s
	a := m.serve("a")
	if before := s.hears("READY=1"); len(before) > 0 {
		t.Errorf("before it was ready it told %q", before)
	}
	for range 4 {
		s.hears("WATCHDOG=1")
	}
	s.hears("STATUS=leads; 1 members")
	m.ask("a", token)
	m.join("b", "a", token)
	m.kill("b")
	s.hears("STATUS=without a leader: reads only; 2 members")
	if fed := s.silent(2 * patience); fed < 2 {
		t.Errorf("without a quorum it told %d times that it lives", fed)
	}
	m.serve("b")

	// A pipe that nobody reads is a file that hangs.
	file := filepath.Join(a.dir, "watchdog")
	if err := errors.Join(syscall.Mkfifo(file+".pipe", 0o600), os.Rename(file+".pipe", file)); err != nil {
		t.Fatal(err)
	}
	s.silent(patience) // a round that was begun may end well
	if fed := s.silent(2 * patience); fed > 0 {
		t.Errorf("while its disk hung it told %d times that it lives", fed)
	}
	pipe, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	s.hears("WATCHDOG=1")

	if err := a.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.hears("STOPPING=1")
	if code, log := m.ended("a"); code != 0 || !strings.Contains(log, "have not proved") || !strings.Contains(log, "parts=disk") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// TestReloadOfANode by a signal and by the command, with and without a mistake.
func TestReloadOfANode(t *testing.T) {
	m := newMachines(t, "a")
	m.run(append([]string{"init"}, m.flags("a", "a")...)...)
	a, s := m.nodes["a"], supervise(t, 0)
	a.unit = s
	settingsOf(t, a, "log_level: warn\n")
	m.serve("a")
	s.hears("READY=1")

	settingsOf(t, a, "drain: 1s\napi: 127.0.0.1:1\n")
	if err := a.process.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.hears("RELOADING=1")
	s.hears("READY=1")
	settingsOf(t, a, "drain: 1s\nlog_level: debug\napi: 127.0.0.1:1\n")
	if said := m.run("reload", "--dir", a.dir); said != "log_level in force; api after a restart\n" {
		t.Errorf("reload says %q", said)
	}
	var r struct{ Taken, Waiting []string }
	m.json(&r, "reload", "--dir", a.dir)
	if len(r.Taken) != 0 || len(r.Waiting) != 1 {
		t.Errorf("%+v", r)
	}

	settingsOf(t, a, "drain: 2s\nlog_levl: debug\n")
	m.refused(a.config+":3:1: ", "reload", "--dir", a.dir)
	settingsOf(t, a, "drain: 3h\n")
	m.refused("drain of 3h0m0s", "reload", "--dir", a.dir)
	settingsOf(t, a, "drain: 1s\napi: 127.0.0.1:1\nlog_level: warn\n")
	if said := m.run("reload", "--dir", a.dir); said != "log_level in force; api after a restart\n" {
		t.Errorf("after mistakes reload says %q", said)
	}

	began := time.Now()
	if err := a.process.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	code, log := m.ended("a")
	if took := time.Since(began); code != 0 || took < time.Second {
		t.Errorf("exit %d after %v: the drain that is in force is 1 s", code, took)
	}
	for _, want := range []string{`taken="drain, log_level"`, "the settings are refused", a.config + ":3:1: "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log has no %q\n%s", want, log)
		}
	}
	m.refused("does not answer", "reload", "--dir", a.dir)
}

// TestClientsWaitAtTheSocket: with the socket of the unit a client that comes while the
// node is away is answered when it is back. It is not refused.
func TestClientsWaitAtTheSocket(t *testing.T) {
	m := newMachines(t, "a")
	a := m.nodes["a"]
	m.run(append([]string{"init"}, m.flags("a", "a")...)...)
	listener, err := net.Listen("tcp", a.api)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	a.unit = supervise(t, 0)
	a.unit.api = listener.(*net.TCPListener)
	client := http.Client{Timeout: processWait, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	dialed := make(chan struct{}, 1)
	client.Transport.(*http.Transport).DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		dialed <- struct{}{}
		return conn, err
	}
	for round := range 3 {
		answered := make(chan error, 1)
		go func() {
			answer, err := client.Get("https://" + a.api + "/healthz")
			if err == nil {
				var body []byte
				body, err = io.ReadAll(answer.Body)
				answer.Body.Close()
				if err == nil && (answer.StatusCode != http.StatusOK || string(body) != "ok\n") {
					err = fmt.Errorf("%s %q", answer.Status, body)
				}
			}
			answered <- err
		}()
		<-dialed // it waits now
		m.serve("a")
		if err := <-answered; err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, a.log)
		}
		if round == 1 {
			m.kill("a")
			continue
		}
		if err := a.process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if code, log := m.ended("a"); code != 0 {
			t.Fatalf("exit %d\n%s", code, log)
		}
	}
}

// TestForeignSocketIsRefused: a node does not serve at another port than its settings
// say.
func TestForeignSocketIsRefused(t *testing.T) {
	m := newMachines(t, "a")
	m.run(append([]string{"init"}, m.flags("a", "a")...)...)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	m.nodes["a"].unit = supervise(t, 0)
	m.nodes["a"].unit.api = listener.(*net.TCPListener)
	m.serve("a")
	if code, log := m.ended("a"); code != 1 || !strings.Contains(log, "authfi-api.socket") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// TestAbortLeavesStacks without the arguments of calls.
func TestAbortLeavesStacks(t *testing.T) {
	m := newMachines(t, "a")
	m.run(append([]string{"init"}, m.flags("a", "a")...)...)
	m.nodes["a"].unit = supervise(t, time.Minute)
	a := m.serve("a")
	a.unit.hears("WATCHDOG=1")
	if err := a.process.Process.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	code, log := m.ended("a")
	if code != 2 || !strings.Contains(log, "node.(*Node).Run") || !strings.Contains(log, "raft.(*Raft).run") || strings.Contains(log, "(0x") {
		t.Errorf("exit %d\n%s", code, log)
	}
}

// TestStartAsksForTime of the unit with each progress of which it is told.
func TestStartAsksForTime(t *testing.T) {
	s := supervise(t, 0)
	t.Setenv("NOTIFY_SOCKET", s.socket.LocalAddr().String())
	u := &unit{told: true, log: slog.New(slog.DiscardHandler)}
	u.Tell(node.Starting)
	s.hears("EXTEND_TIMEOUT_USEC=60000000")
}

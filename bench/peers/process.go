package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Waits for programs of others, on a machine that does other work meanwhile.
const (
	startWait = 60 * time.Second
	stopWait  = 15 * time.Second
	pollEvery = 50 * time.Millisecond
)

// process is a program that runs until it is stopped.
type process struct {
	cmd  *exec.Cmd
	log  string
	done chan struct{} // closed when it has ended
}

// spawn starts a program with its output in a log. Its process group is its own,
// so that a terminal's Ctrl-C reaches it through stop only.
func spawn(log string, cmd *exec.Cmd) (*process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	cmd.Stdout, cmd.Stderr = file, file
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, log: log, done: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// stop asks with the signal, waits, and kills what does not leave.
func (p *process) stop(signal os.Signal) {
	p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(stopWait):
		p.cmd.Process.Kill()
		<-p.done
	}
}

// await polls until the program does what it was started for.
func (p *process) await(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-time.After(pollEvery):
		case <-p.done:
			return fmt.Errorf("%s ended: %s", filepath.Base(p.cmd.Path), lastLines(p.log))
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w: %s", filepath.Base(p.cmd.Path), err, lastLines(p.log))
		}
	}
}

// lastLines is the end of a log, for the message of what failed.
func lastLines(file string) string {
	text, _ := os.ReadFile(file)
	return string(text[max(0, len(text)-500):])
}

// finish runs a program that ends by itself.
func finish(cmd *exec.Cmd) error {
	said, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %.500s", filepath.Base(cmd.Path), strings.Join(cmd.Args[1:], " "), err, said)
	}
	return nil
}

// freeAddress is one that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

// ticksPerSecond is USER_HZ, which Linux gives as 100 to every program.
const ticksPerSecond = 100

// cpuSeconds is the time that processes and their children have used, also the
// children that have ended.
func cpuSeconds(pids []int) (float64, error) {
	ticks := 0
	for _, pid := range pids {
		family, err := familyOf(pid)
		if err != nil {
			return 0, err
		}
		for _, id := range family {
			fields, err := statOf(id)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // a child that has ended meanwhile
			}
			if err != nil {
				return 0, err
			}
			for _, field := range fields[11:15] { // utime, stime, cutime, cstime
				n, err := strconv.Atoi(field)
				if err != nil {
					return 0, err
				}
				ticks += n
			}
		}
	}
	return float64(ticks) / ticksPerSecond, nil
}

// statOf are the fields of /proc/PID/stat after the name, which may hold spaces.
func statOf(pid int) ([]string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	return fields, nil
}

// familyOf is a process and its children. It asks every process who its parent
// is: not every kernel lists children.
func familyOf(pid int) ([]int, error) {
	if _, err := statOf(pid); err != nil {
		return nil, err
	}
	family := []int{pid}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		fields, err := statOf(id)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // one that has ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		if fields[1] == strconv.Itoa(pid) {
			family = append(family, id)
		}
	}
	return family, nil
}

// memoryMiB is the resident memory of processes and their children; what several
// share counts once (PSS).
func memoryMiB(pids []int) (float64, error) {
	kib := 0
	for _, pid := range pids {
		family, err := familyOf(pid)
		if err != nil {
			return 0, err
		}
		for _, id := range family {
			n, err := pssOf(id)
			if err != nil {
				return 0, err
			}
			kib += n
		}
	}
	return float64(kib) / 1024, nil
}

func pssOf(pid int) (kib int, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return 0, nil // a child that has ended meanwhile
		}
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == "Pss:" {
			return strconv.Atoi(fields[1])
		}
	}
	return 0, fmt.Errorf("/proc/%d/smaps_rollup names no Pss", pid)
}

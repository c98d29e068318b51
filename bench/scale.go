package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/authfi/authfi/bench/dataset"
	"github.com/authfi/authfi/dev"
)

// Sizes of the benchmark at scale.
const (
	scaleRuns   = 3
	scaleChecks = 2_000 // after each start, of random users
	scaleWait   = 2 * time.Minute
	scaleStop   = time.Minute
)

// scale fills one node with a million users through its API, then starts it again
// from its disk.
func scale(ctx context.Context, b *bench) (err error) {
	n, err := newSingle(ctx, b)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.stop()) }()
	d := dataset.New(b.many)
	began := time.Now()
	in, err := importDirectory(ctx, n.operator, d)
	if err != nil {
		return err
	}
	shape := fmt.Sprintf("one node that holds %d users in %d groups each and with a role of their own, %d groups with %d roles each", b.many, dataset.GroupsPerUser, len(in.groups), dataset.RolesPerGroup)
	b.report.add("import_1m_s", "s", "Importing all that into "+shape+", over HTTPS in bulk requests; one run.", []float64{time.Since(began).Seconds()})
	filled, err := residentMiB(n.pid(), "VmHWM")
	if err != nil {
		return err
	}
	b.report.add("rss_mib_1m_import", "MiB", "The high-water mark of resident memory (VmHWM) of "+shape+", after the import.", []float64{filled})
	questions := d.Questions(scaleChecks*scaleRuns, 7)
	var starts, resident []float64
	for range scaleRuns {
		if err := n.stop(); err != nil {
			return err
		}
		took, err := n.start(ctx)
		if err != nil {
			return err
		}
		starts = append(starts, took.Seconds())
		if err := n.checkAll(ctx, in, questions[:scaleChecks]); err != nil {
			return err
		}
		questions = questions[scaleChecks:]
		rss, err := residentMiB(n.pid(), "VmHWM")
		if err != nil {
			return err
		}
		resident = append(resident, rss)
	}
	b.report.add("start_s_1m", "s", "From the start of the process to the first 200 of /readyz: "+shape+", with its state on disk and its log stopped in order.", starts)
	how := fmt.Sprintf("The high-water mark of resident memory (VmHWM) of %s, after a start from disk and %d checks.", shape, scaleChecks)
	b.report.put("rss_mib_1m", "MiB", how, max(resident[0], resident[1], resident[2]), resident)
	return nil
}

// single is a cluster of one node.
type single struct {
	program, dir, api string
	cmd               *exec.Cmd // nil while it is stopped
	operator          *api
}

// noService is an address that no service has: the node protects nothing.
const noService = "127.0.0.1:1"

func newSingle(ctx context.Context, b *bench) (*single, error) {
	addresses, err := freeAddresses(2)
	if err != nil {
		return nil, err
	}
	n := &single{program: b.program, dir: filepath.Join(b.dir, "single"), api: addresses[0]}
	out, err := exec.CommandContext(ctx, b.program, "init", "--quiet", "--dir", n.dir, "--node-id", "node-1",
		"--api", n.api, "--peer", addresses[1], "--issuer", "https://"+n.api, "--enforce", "gate", "--enforce-listen", noService).Output()
	if err != nil {
		return nil, fmt.Errorf("init: %w", explained(err))
	}
	n.operator = newAPI(nil, strings.TrimSpace(string(out)), "https://"+n.api)
	if _, err := n.start(ctx); err != nil {
		return nil, errors.Join(err, n.stop())
	}
	return n, nil
}

// freeAddresses are ones that nobody listens on now.
func freeAddresses(n int) (addresses []string, err error) {
	for range n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		addresses = append(addresses, listener.Addr().String())
	}
	return addresses, nil
}

// start starts the process and waits until it may serve.
func (n *single) start(ctx context.Context) (took time.Duration, err error) {
	log, err := os.OpenFile(n.dir+".log", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, err
	}
	defer log.Close()
	n.cmd = exec.Command(n.program, "serve", "--dir", n.dir)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	began := time.Now()
	if err := n.cmd.Start(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, scaleWait)
	defer cancel()
	for {
		if err = n.ready(ctx); err == nil {
			return time.Since(began), nil
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return 0, fmt.Errorf("the node is not ready: %w: %s", err, lastLines(n.dir+".log"))
		}
	}
}

func (n *single) ready(ctx context.Context) error {
	if n.operator.http == nil {
		transport, err := dev.NewTransport(filepath.Join(n.dir, "ca.pem"))
		if err != nil {
			return err
		}
		transport.MaxIdleConnsPerHost = 2 * importers
		n.operator.http = &http.Client{Transport: transport, Timeout: requestWait}
	}
	return n.operator.do(ctx, http.MethodGet, "/readyz", nil, nil)
}

func (n *single) pid() int { return n.cmd.Process.Pid }

// stop ends the process in order.
func (n *single) stop() error {
	if n.cmd == nil || n.cmd.Process == nil {
		return nil
	}
	kill := time.AfterFunc(scaleStop, func() { n.cmd.Process.Kill() })
	defer kill.Stop()
	err := n.cmd.Process.Signal(syscall.SIGTERM)
	if err == nil {
		err = n.cmd.Wait()
	}
	n.cmd = nil
	if n.operator.http != nil {
		n.operator.http.CloseIdleConnections()
	}
	return err
}

// checkAll holds answers against the reference.
func (n *single) checkAll(ctx context.Context, in *imported, questions []dataset.Question) error {
	for _, q := range questions {
		var answer struct{ Allowed bool }
		body := map[string]string{"user_id": in.users[q.User], "permission": dataset.Permission(q.Permission)}
		if err := n.operator.do(ctx, http.MethodPost, "/api/v1/check", body, &answer); err != nil {
			return err
		}
		if answer.Allowed != q.Allowed {
			return fmt.Errorf("user %d, permission %d: the answer is %v, which is wrong", q.User, q.Permission, answer.Allowed)
		}
	}
	return nil
}

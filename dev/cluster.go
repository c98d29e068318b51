package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Nodes of a development cluster.
const Nodes = 3

// readyWait bounds the start of one node, on a machine that compiles meanwhile.
const readyWait = 60 * time.Second

// Options of a development cluster.
type Options struct {
	Dir      string
	PortBase int // API 40+i, peers 140+i, services 240+i above it; 0 picks free ports
	Fresh    bool
	Mode     string // auto, kernel or gate
	Out      io.Writer
}

// Cluster is three node processes and three demo services.
type Cluster struct {
	opts  Options
	self  string // this program
	ports ports
	nodes [Nodes]*process
	demos [Nodes]*process
	mode  string
	token string
	http  http.RoundTripper
}

type ports struct{ API, Peer, Service, Backend [Nodes]int }

func (c *Cluster) nodeDir(i int) string { return filepath.Join(c.opts.Dir, "node-"+strconv.Itoa(i+1)) }
func (c *Cluster) file(name string) string {
	return filepath.Join(c.opts.Dir, name)
}

// API is the base URL of node i, counted from 0.
func (c *Cluster) API(i int) string { return fmt.Sprintf("https://127.0.0.1:%d", c.ports.API[i]) }

// Service is the base URL of the demo service that node i protects.
func (c *Cluster) Service(i int) string {
	return fmt.Sprintf("http://127.0.0.1:%d", c.ports.Service[i])
}

func (c *Cluster) client(i int) *client { return newClient(c.API(i), c.token, c.http) }

// Start brings the cluster up: a new one when the directory is empty, otherwise
// the one that is there.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return nil, err
	}
	c := &Cluster{opts: opts, self: self}
	if opts.Fresh {
		if err := c.wipe(); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
		return nil, err
	}
	os.Remove(c.file("ready"))
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, os.WriteFile(c.file("ready"), []byte(c.mode+"\n"), 0o600)
}

func (c *Cluster) start(ctx context.Context) error {
	if err := c.choosePorts(); err != nil {
		return err
	}
	if err := c.chooseMode(ctx); err != nil {
		return err
	}
	for i := range Nodes {
		if err := c.startDemo(i); err != nil {
			return err
		}
	}
	isNew := !exists(filepath.Join(c.nodeDir(0), "node.json"))
	if isNew {
		if err := c.create(ctx); err != nil {
			return err
		}
	} else if err := c.resume(ctx); err != nil {
		return err
	}
	if isNew {
		return c.seed(ctx)
	}
	return nil
}

// create makes node 1, then lets the others join with tokens from its API.
func (c *Cluster) create(ctx context.Context) error {
	out, err := c.command(ctx, append([]string{"init", "--quiet"}, c.nodeFlags(0)...)...).Output()
	if err != nil {
		return explain("init", err)
	}
	c.token = strings.TrimSpace(string(out))
	if err := os.WriteFile(c.file("root.token"), []byte(c.token+"\n"), 0o600); err != nil {
		return err
	}
	if err := c.startNode(ctx, 0); err != nil {
		return err
	}
	for i := 1; i < Nodes; i++ {
		if err := c.join(ctx, i); err != nil {
			return err
		}
		if err := c.startNode(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) join(ctx context.Context, i int) error {
	var answer struct{ Token string }
	if err := c.client(0).do(ctx, "POST", "/api/v1/join-tokens", struct{}{}, &answer); err != nil {
		return fmt.Errorf("join token: %w", err)
	}
	args := append([]string{"join", fmt.Sprintf("127.0.0.1:%d", c.ports.Peer[0]), "--token", answer.Token}, c.nodeFlags(i)...)
	_, err := c.command(ctx, args...).Output()
	return explain("join", err)
}

func (c *Cluster) resume(ctx context.Context) error {
	token, err := os.ReadFile(c.file("root.token"))
	if err != nil {
		return err
	}
	c.token = strings.TrimSpace(string(token))
	for i := range Nodes {
		if err := c.launch(i); err != nil {
			return err
		}
	}
	for i := range Nodes {
		if err := c.await(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) nodeFlags(i int) []string {
	address := fmt.Sprintf("127.0.0.1:%d", c.ports.Service[i])
	flags := []string{
		"--dir", c.nodeDir(i), "--node-id", "node-" + strconv.Itoa(i+1),
		"--api", fmt.Sprintf("127.0.0.1:%d", c.ports.API[i]),
		"--peer", fmt.Sprintf("127.0.0.1:%d", c.ports.Peer[i]),
		"--issuer", c.API(0), "--development-sign-in",
		"--enforce", c.mode, "--enforce-listen", address,
	}
	if c.mode == "gate" {
		flags = append(flags, "--upstream", fmt.Sprintf("%s=127.0.0.1:%d", address, c.ports.Backend[i]))
	}
	return flags
}

func (c *Cluster) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.self, args...)
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	return cmd
}

// startNode starts node i and waits until it may serve.
func (c *Cluster) startNode(ctx context.Context, i int) error {
	if err := c.launch(i); err != nil {
		return err
	}
	return c.await(ctx, i)
}

// launch starts the process of node i.
func (c *Cluster) launch(i int) error {
	log, err := os.OpenFile(c.file(fmt.Sprintf("node-%d.log", i+1)), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	if c.nodes[i], err = spawn(exec.Command(c.self, "serve", "--dir", c.nodeDir(i)), log); err != nil {
		return err
	}
	pid := strconv.Itoa(c.nodes[i].cmd.Process.Pid)
	return os.WriteFile(c.file(fmt.Sprintf("node-%d.pid", i+1)), []byte(pid+"\n"), 0o600)
}

// await polls /readyz: the node's own answer to whether it may serve.
func (c *Cluster) await(ctx context.Context, i int) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	for {
		if c.http == nil {
			c.trust()
		}
		if c.http != nil && newClient(c.API(i), "", c.http).do(ctx, "GET", "/readyz", nil, nil) == nil {
			return nil
		}
		select {
		case <-c.nodes[i].done:
			return fmt.Errorf("node-%d ended: %v (see %s)", i+1, c.nodes[i].err, c.file(fmt.Sprintf("node-%d.log", i+1)))
		case <-ctx.Done():
			return fmt.Errorf("node-%d is not ready: %w", i+1, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// trust reads the CA that node 1 made and puts it where the contract says.
func (c *Cluster) trust() {
	pem, err := os.ReadFile(filepath.Join(c.nodeDir(0), "ca.pem"))
	if err != nil {
		return
	}
	if os.WriteFile(c.file("ca.pem"), pem, 0o644) != nil {
		return
	}
	if transport, err := newTransport(c.file("ca.pem")); err == nil {
		c.http = transport
	}
}

// Kill is kill -9 of node i.
func (c *Cluster) Kill(i int) error { return c.nodes[i].kill() }

// Stop ends everything that Start began and takes the kernel's tables away,
// since a development cluster must not leave its ports enforced.
func (c *Cluster) Stop() error {
	var stopping sync.WaitGroup
	for _, p := range append(c.nodes[:], c.demos[:]...) {
		stopping.Go(p.stop)
	}
	for i := range Nodes {
		stopping.Go(func() { stopRestarted(c.file(fmt.Sprintf("node-%d.pid", i+1)), c.nodes[i]) })
	}
	stopping.Wait()
	os.Remove(c.file("ready"))
	return c.detach()
}

func (c *Cluster) detach() (err error) {
	for i := range Nodes {
		if c.mode != "kernel" || !exists(filepath.Join(c.nodeDir(i), "node.json")) {
			continue
		}
		out, failed := exec.Command(c.self, "detach", "--dir", c.nodeDir(i)).CombinedOutput()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("detach node-%d: %w: %s", i+1, failed, out))
		}
	}
	return err
}

// wipe removes what an earlier cluster left in the directory, its kernel tables
// first.
func (c *Cluster) wipe() error {
	c.mode = "kernel"
	if err := c.detach(); err != nil {
		return err
	}
	for _, name := range []string{"node-1", "node-2", "node-3", "node-1.log", "node-2.log", "node-3.log", "ca.pem", "root.token", "ready"} {
		if err := os.RemoveAll(c.file(name)); err != nil {
			return err
		}
	}
	return nil
}

func exists(file string) bool { _, err := os.Stat(file); return err == nil }

// explain adds what a failed command said.
func explain(name string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return fmt.Errorf("authfi %s: %w: %s", name, err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// PrintAddresses says where everything is.
func (c *Cluster) PrintAddresses() {
	out := c.opts.Out
	fmt.Fprintln(out, "\nThe cluster stays up until Ctrl-C:")
	for i := range Nodes {
		fmt.Fprintf(out, "  node-%d  API %s  protected service %s\n", i+1, c.API(i), c.Service(i))
	}
	fmt.Fprintf(out, "  CA %s, operator's token %s\n", c.file("ca.pem"), c.file("root.token"))
}

// Restart starts one node of a cluster whose other processes are running.
func Restart(ctx context.Context, opts Options, node int) error {
	if node < 1 || node > Nodes {
		return fmt.Errorf("nodes are 1 to %d", Nodes)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if opts.Dir, err = filepath.Abs(opts.Dir); err != nil {
		return err
	}
	c := &Cluster{opts: opts, self: self}
	if err := c.choosePorts(); err != nil {
		return err
	}
	return c.startNode(ctx, node-1)
}

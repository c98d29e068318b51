package dev

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"
)

// ServeDemo is the demo service: it answers 200 to whatever reaches it and
// counts. It knows nothing of access; that is the point.
func ServeDemo(ctx context.Context, listen string, node int) error {
	// The kernel gate takes plain TCP sockets, and Go listens for MPTCP too.
	config := net.ListenConfig{}
	config.SetMultipathTCP(false)
	listener, err := config.Listen(ctx, "tcp", listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: demoHandler(node), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

func demoHandler(node int) http.Handler {
	var served atomic.Int64
	answer := func(w http.ResponseWriter, n int64) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(struct {
			Service string `json:"service"`
			Node    int    `json:"node"`
			Served  int64  `json:"served"`
		}{"demo", node, n})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /demo/served", func(w http.ResponseWriter, _ *http.Request) { answer(w, served.Load()) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { answer(w, served.Add(1)) })
	return mux
}

// startDemo runs the demo service that node i protects as a process of its own,
// so that it outlives the node that guards it.
func (c *Cluster) startDemo(i int) error {
	port := c.ports.Service[i]
	if c.mode == "gate" {
		port = c.ports.Backend[i]
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	log, err := os.OpenFile(c.file(fmt.Sprintf("demo-%d.log", i+1)), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	c.demos[i], err = spawn(exec.Command(c.self, "demo-service", "--listen", address, "--node", strconv.Itoa(i+1)), log)
	if err != nil {
		return err
	}
	return awaitListener(c.demos[i], address)
}

func awaitListener(p *process, address string) error {
	deadline := time.Now().Add(readyWait)
	for {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			connection.Close()
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("demo service on %s ended: %v", address, p.err)
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("demo service on %s does not answer: %w", address, err)
		}
	}
}

// chooseMode asks the program itself whether the kernel can enforce here, and
// says in one line what was chosen and why.
func (c *Cluster) chooseMode(ctx context.Context) error {
	c.mode = c.opts.Mode
	if c.mode == "gate" {
		fmt.Fprintln(c.opts.Out, "enforcement: user-space gate (asked for)")
		return nil
	}
	out, err := c.command(ctx, "enforcement", "check").CombinedOutput()
	if err == nil {
		c.mode = "kernel"
		fmt.Fprintln(c.opts.Out, "enforcement: kernel (eBPF)")
		return nil
	}
	if c.mode == "kernel" {
		return fmt.Errorf("kernel enforcement was asked for: %s", out)
	}
	c.mode = "gate"
	fmt.Fprintf(c.opts.Out, "enforcement: user-space gate, because %s", out)
	return nil
}

// choosePorts takes the contract's ports from the base, or free ones; a cluster
// that exists keeps those that it was made with.
func (c *Cluster) choosePorts() error {
	file := filepath.Join(c.opts.Dir, "ports.json")
	if b, err := os.ReadFile(file); err == nil && exists(filepath.Join(c.nodeDir(0), "node.json")) {
		return json.Unmarshal(b, &c.ports)
	}
	for i := range Nodes {
		base := c.opts.PortBase + i + 1
		c.ports.API[i], c.ports.Peer[i], c.ports.Service[i], c.ports.Backend[i] = base+40, base+140, base+240, base+340
	}
	if c.opts.PortBase == 0 {
		if err := c.ports.free(); err != nil {
			return err
		}
	}
	b, err := json.Marshal(c.ports)
	if err != nil {
		return err
	}
	return os.WriteFile(file, b, 0o600)
}

// free asks the system for ports that nobody uses now.
func (p *ports) free() error {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	for _, group := range []*[Nodes]int{&p.API, &p.Peer, &p.Service, &p.Backend} {
		for i := range group {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			held = append(held, l)
			group[i] = l.Addr().(*net.TCPAddr).Port
		}
	}
	return nil
}

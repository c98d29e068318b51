package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/authfi/authfi/bench/chaos/volatile"
)

// Ports of a node, each on its own address.
const (
	portAPI     = "8441"
	portPeer    = "8541"
	portService = "8641"
	portBackend = "9641" // of the demo service, which only the node itself reaches
)

// node is one machine: a namespace, a disk and the processes on it.
type node struct {
	index   int
	net     *network
	program string
	dir     string // with the disk's backing, the mount and the logs

	mu      sync.Mutex
	disk    *volatile.Disk
	process *exec.Cmd
	done    chan struct{} // closed when the process has ended
	wanted  bool          // it should be running
	deaths  int           // that nobody asked for
	demo    *exec.Cmd
}

func (n *node) id() string            { return "node-" + strconv.Itoa(n.index+1) }
func (n *node) backing() string       { return filepath.Join(n.dir, "disk") }
func (n *node) mount() string         { return filepath.Join(n.dir, "data") }
func (n *node) at(port string) string { return n.net.address(n.index) + ":" + port }
func (n *node) logFile() (*os.File, error) {
	return os.OpenFile(filepath.Join(n.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// flags of init and join.
func (n *node) flags(issuer string) []string {
	return []string{
		"--dir", n.backing(), "--node-id", n.id(), "--api", n.at(portAPI), "--peer", n.at(portPeer), "--issuer", issuer,
		"--enforce", "gate", "--enforce-listen", n.at(portService), "--upstream", n.at(portService) + "=127.0.0.1:" + portBackend,
	}
}

// serveDemo starts the service that the node protects. It has no disk, and lives
// through all that happens to the node.
func (n *node) serveDemo() error {
	n.demo = n.net.in(n.index, n.program, "demo-service", "--listen", "127.0.0.1:"+portBackend, "--node", strconv.Itoa(n.index+1))
	return n.demo.Start()
}

// power mounts the disk.
func (n *node) power() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	disk, err := volatile.Mount(n.backing(), n.mount())
	if err == nil {
		n.disk = disk
	}
	return err
}

// start begins the process, once the disk is there.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	log, err := n.logFile()
	if err != nil {
		return err
	}
	defer log.Close()
	fmt.Fprintf(log, "--- start %s\n", time.Now().Format(time.RFC3339Nano))
	cmd := n.net.in(n.index, n.program, "serve", "--dir", n.mount())
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan struct{})
	n.process, n.done, n.wanted = cmd, done, true
	go func() {
		cmd.Wait()
		close(done)
	}()
	return nil
}

// kill is kill -9. The disk of the machine keeps its power.
func (n *node) kill() {
	n.mu.Lock()
	process, done := n.process, n.done
	n.wanted = false
	n.mu.Unlock()
	if process != nil {
		process.Process.Kill()
		<-done
	}
}

// signal stops and continues the process.
func (n *node) signal(s syscall.Signal) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process == nil {
		return nil
	}
	err := n.process.Process.Signal(s)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// revive is what a service manager does: it starts again what ended by itself.
func (n *node) revive() error {
	n.mu.Lock()
	done, wanted := n.done, n.wanted
	n.mu.Unlock()
	if !wanted {
		return nil
	}
	select {
	case <-done:
	default:
		return nil
	}
	n.mu.Lock()
	n.deaths++
	n.mu.Unlock()
	return n.start()
}

// cutPower takes the power away: what was not synced is lost but for the pages that
// keep chooses, and the process is gone.
func (n *node) cutPower(keep func() bool) error {
	n.mu.Lock()
	disk := n.disk
	n.mu.Unlock()
	err := disk.Cut(keep)
	n.kill()
	return errors.Join(err, disk.Unmount())
}

// trouble begins or ends trouble with the disk.
func (n *node) trouble(t volatile.Trouble) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk.Set(t)
}

// close ends all that runs here.
func (n *node) close() error {
	n.mu.Lock()
	disk := n.disk
	n.mu.Unlock()
	if disk != nil {
		disk.Set(volatile.Trouble{})
	}
	n.signal(syscall.SIGCONT)
	n.kill()
	if n.demo != nil {
		n.demo.Process.Kill()
		n.demo.Wait()
	}
	if disk == nil {
		return nil
	}
	return disk.Unmount()
}

// init makes the first node of the cluster and gives the operator's token.
func (n *node) init(ctx context.Context, issuer string) (token string, err error) {
	out, err := n.command(ctx, append([]string{"init", "--quiet"}, n.flags(issuer)...)...)
	return string(out), err
}

// command runs the program here until it ends.
func (n *node) command(ctx context.Context, args ...string) ([]byte, error) {
	cmd := n.net.in(n.index, n.program, args...)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = fmt.Errorf("authfi %s: %w: %s", args[0], err, exit.Stderr)
	}
	return out, errors.Join(err, ctx.Err())
}

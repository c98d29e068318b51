package node

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/node/logbook"
)

// A node tells who is on its machine, as its own user or root, what is needed to find
// out what is wrong with it: over a socket in its data directory, without a token,
// and without a quorum, since that may be what is wrong. It tells nothing of what an
// organization holds. They may also let it read its settings again.

const supportSocket = "support.sock"

// What can be asked for.
const (
	askStatus     = "/status"
	askCluster    = "/cluster"
	askMetrics    = "/metrics"
	askLog        = "/log"
	askTallies    = "/tallies"
	askGoroutines = "/goroutines"
	askHeap       = "/heap"
	askReload     = "/reload"
)

// supportTimeout bounds one answer, on a machine that is at its limits.
const supportTimeout = 20 * time.Second

// supportDoor is the socket while it is open.
type supportDoor struct {
	server *http.Server
	file   string
}

// bookOf makes what is logged pass through a logbook.
func bookOf(log *slog.Logger) (*slog.Logger, *logbook.Book) {
	h, book := logbook.New(log.Handler(), func(ctx context.Context) string {
		if o := access.OriginOf(ctx); o != nil {
			return o.Trace.String()
		}
		return ""
	})
	return slog.New(h), book
}

// openSupport listens. A node that cannot serves all the same.
func (n *Node) openSupport() {
	listener, err := listenFor(n.cfg.Dir)
	if err != nil {
		n.log.Warn("no support socket: authfi support bundle will have files only", "error", err)
		return
	}
	n.support = &supportDoor{
		server: &http.Server{
			Handler: n.supportHandler(), ReadHeaderTimeout: supportTimeout, WriteTimeout: supportTimeout,
			ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug),
		},
		file: filepath.Join(n.cfg.Dir, supportSocket),
	}
	n.background.Go(func() {
		if err := n.support.server.Serve(ownListener{listener}); !errors.Is(err, http.ErrServerClosed) {
			n.log.Warn("the support socket is closed", "error", err)
		}
	})
}

// listenFor makes the socket. The kernel takes no more than 107 bytes of a path, and a
// data directory may have a longer one: it is named by its descriptor.
func listenFor(dir string) (*net.UnixListener, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	file := filepath.Join(dir, supportSocket)
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) { // of a process that was killed
		return nil, err
	}
	listener, err := net.ListenUnix("unix", supportAddress(d))
	if err != nil {
		return nil, err
	}
	listener.SetUnlinkOnClose(false) // the descriptor is another's by then
	return listener, os.Chmod(file, 0o600)
}

func supportAddress(dir *os.File) *net.UnixAddr {
	return &net.UnixAddr{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), supportSocket), Net: "unix"}
}

func (d *supportDoor) close() {
	if d == nil {
		return
	}
	d.server.Close()
	os.Remove(d.file)
}

// ownListener lets in who is the user of this process or root, by the kernel's word.
type ownListener struct{ *net.UnixListener }

// Accept implements net.Listener.
func (l ownListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if uid, err := uidOf(conn); err == nil && (uid == 0 || int(uid) == os.Geteuid()) {
			return conn, nil
		}
		conn.Close()
	}
}

func uidOf(conn *net.UnixConn) (uint32, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *syscall.Ucred
	failed := raw.Control(func(fd uintptr) {
		credentials, err = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(failed, err); err != nil {
		return 0, err
	}
	return credentials.Uid, nil
}

func (n *Node) supportHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+askStatus, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.supportStatus()) })
	mux.HandleFunc("GET "+askCluster, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.cluster.Report()) })
	mux.HandleFunc("GET "+askTallies, func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.supportTallies()) })
	mux.Handle("GET "+askMetrics, n.figures)
	mux.HandleFunc("GET "+askLog, n.serveLog)
	mux.HandleFunc("POST "+askReload, n.serveReload)
	// Stacks without the arguments of calls: a key may be among them, in hexadecimal.
	mux.HandleFunc("GET "+askGoroutines, profileOf("goroutine", 1))
	mux.HandleFunc("GET "+askHeap, profileOf("heap", 0))
	return mux
}

func writeJSON(w http.ResponseWriter, value any) {
	body, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Write(append(body, '\n'))
}

func profileOf(name string, form int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		pprof.Lookup(name).WriteTo(w, form) // who asked has left, if this fails
	}
}

// serveLog gives the newest lines: first those that an operator should see, then the
// rest.
func (n *Node) serveLog(w http.ResponseWriter, _ *http.Request) {
	notable, detail, _ := n.book.Lines()
	for _, lines := range [][][]byte{notable, detail} {
		for _, line := range lines {
			w.Write(line)
		}
	}
}

// supportStatus is what the node knows of itself, also without a quorum.
func (n *Node) supportStatus() any {
	root := n.machine.Root()
	digest := fsm.Digest(root)
	report := n.report()
	s := n.status()
	ready := "yes"
	if err := n.ready(); err != nil {
		ready = err.Error()
	}
	type member struct {
		ID      string `json:"id"`
		Address string `json:"address"`
		Voter   bool   `json:"voter"`
	}
	members := make([]member, len(s.Members))
	for i, m := range s.Members {
		members[i] = member(m)
	}
	var certificate any // by ACME; null: none is wanted
	if n.acme != nil {
		certificate = n.acme.Standing()
	}
	return map[string]any{
		"acme": certificate, "node_id": s.NodeID, "leader": s.Leader, "members": members, "ready": ready, "time": time.Now().UTC(),
		"applied_index": uint64(root.Applied()), "digest": hex.EncodeToString(digest[:]), "organizations": root.Organizations(),
		"enforcement": map[string]any{
			"mode": report.Mode, "enforced_index": uint64(report.EnforcedIndex), "counters": report.Counters,
			"latency_p50_ns": report.LatencyP50.Nanoseconds(), "lease_held": report.LeaseHeld, "lease_left_ms": report.LeaseLeft.Milliseconds(),
		},
	}
}

// supportTallies are the counts of the request log, by the ids of connections.
func (n *Node) supportTallies() any {
	type tally struct {
		Organization string    `json:"organization"`
		Connection   string    `json:"connection"`
		Since        time.Time `json:"since"`
		LastRequest  time.Time `json:"last_request,omitzero"`
		LastSuccess  time.Time `json:"last_success,omitzero"`
		LastFailure  time.Time `json:"last_failure,omitzero"`
		LastRefused  time.Time `json:"last_refused,omitzero"`
		Consecutive  uint64    `json:"consecutive_failures"`
		Succeeded    uint64    `json:"succeeded"`
		ClientFailed uint64    `json:"client_failures"`
		ServerFailed uint64    `json:"server_failures"`
		Quarantine   string    `json:"quarantine,omitempty"`
	}
	all := []tally{}
	for _, t := range n.journal.Tallies(time.Now()) {
		s := t.State
		all = append(all, tally{
			Organization: t.Org.String(), Connection: t.Connection.String(), Since: s.Since,
			LastRequest: s.LastRequest, LastSuccess: s.LastSuccess, LastFailure: s.LastFailure, LastRefused: s.LastRefused,
			Consecutive: s.Consecutive, Succeeded: s.Window.Success, ClientFailed: s.Window.ClientFailure, ServerFailed: s.Window.ServerFailure,
			Quarantine: string(s.Quarantined()),
		})
	}
	return all
}

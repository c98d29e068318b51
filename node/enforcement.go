package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/bpf"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/keyring"
	"github.com/authfi/authfi/node/enforce"
)

// Modes of enforcement.
const (
	modeAuto   = "auto"
	modeKernel = "kernel"
	modeGate   = "gate"
)

// gate is an enforcement gate with what a node shows of it.
type gate interface {
	enforce.Gate
	// Report is verdicts by reason, the median time of one in nanoseconds (0
	// when unknown) and the lease on the boot clock.
	Report() (counters map[string]uint64, p50ns, leaseNs uint64, err error)
	// Lacking says in one line what the gate has no room for, and refuses.
	Lacking() string
	Close() error
}

// enforcer is a node's part in enforcement: one gate and what follows the log
// for it.
type enforcer struct {
	*enforce.Enforcer
	gate gate
	mode string
}

// openEnforcer chooses the gate: the kernel's where it can, or the user-space
// one, and says which in one line.
func openEnforcer(cfg Config, machine *fsm.Machine, ring *keyring.Keyring, log *slog.Logger) (*enforcer, error) {
	g, mode, err := openGate(cfg, log)
	if err != nil {
		return nil, err
	}
	secret := func(system *state.System) (k0, k1 uint64, err error) {
		s, err := login.OpenSecret(ring, system)
		if err != nil {
			return 0, 0, err
		}
		return s.K0, s.K1, nil
	}
	listens := func(address string) bool {
		return len(cfg.Enforce.Listen) == 0 || slices.Contains(cfg.Enforce.Listen, address)
	}
	e := enforce.New(g, enforce.BootClock{}, machine.Root, listens, secret, log)
	return &enforcer{Enforcer: e, gate: g, mode: mode}, nil
}

func openGate(cfg Config, log *slog.Logger) (gate, string, error) {
	if cfg.Enforce.Mode != modeGate {
		k, err := enforce.OpenKernel(bpf.Config{Cgroup: cfg.Enforce.Cgroup, PinDir: pinDir(cfg), Measure: true, Logger: log}, cfg.Enforce.services())
		if err == nil {
			log.Info("enforcement by the kernel")
			return k, modeKernel, nil
		}
		if cfg.Enforce.Mode == modeKernel {
			return nil, "", fmt.Errorf("kernel enforcement: %w", err)
		}
		log.Warn("enforcement by the user-space gate", "because", err)
	}
	return enforce.NewUserSpace(cfg.Enforce.services(), log), modeGate, nil
}

// pinDir belongs to this data directory: several nodes may share a machine.
func pinDir(cfg Config) string {
	if cfg.Enforce.PinDir != "" {
		return cfg.Enforce.PinDir
	}
	dir := cfg.Dir
	if absolute, err := filepath.Abs(dir); err == nil {
		dir = absolute
	}
	sum := sha256.Sum256([]byte(dir))
	return "/sys/fs/bpf/authfi-" + hex.EncodeToString(sum[:6])
}

// Detach takes the enforcement of a data directory's node out of the kernel.
func Detach(dir string) error {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return err
	}
	return bpf.Detach(pinDir(cfg))
}

// KernelSupported says in one line why this machine's kernel cannot enforce.
func KernelSupported() error { return bpf.Supported() }

// run follows the log and keeps the lease until the context ends.
func (e *enforcer) run(ctx context.Context, c *cluster.Cluster) {
	var both sync.WaitGroup
	both.Go(func() { e.Run(ctx) })
	both.Go(func() { e.Lease(ctx, c, leaseLife, leaseEvery) })
	both.Wait()
}

func (e *enforcer) changed(deltas []directory.Delta, reset bool) { e.Changed(deltas, reset) }

func (e *enforcer) close() error { return e.gate.Close() }

// Methods between nodes.
const (
	methodEnforced    = "node.enforced"    // waits until an index is enforced
	methodEnforcement = "node.enforcement" // what one node enforces
)

// awaitEnforced waits, for a bounded time, until every node that answers
// enforces an index: a token is handed out when the gates know it.
func (n *Node) awaitEnforced(ctx context.Context, index directory.Index) {
	ctx, cancel := context.WithTimeout(ctx, enforcedWait)
	defer cancel()
	body, err := json.Marshal(index)
	if err != nil {
		return
	}
	var all sync.WaitGroup
	for _, m := range n.cluster.Members() {
		if m.ID == n.cfg.NodeID {
			all.Go(func() { n.enforcer.Wait(ctx, index) })
			continue
		}
		all.Go(func() {
			if _, err := n.cluster.Call(ctx, m.ID, methodEnforced, body); err != nil {
				n.log.DebugContext(ctx, "a node does not say what it enforces", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
}

func (n *Node) serveEnforced(ctx context.Context, _ string, body []byte) ([]byte, error) {
	var index directory.Index
	if err := json.Unmarshal(body, &index); err != nil {
		return nil, errors.New("malformed index")
	}
	ctx, cancel := context.WithTimeout(ctx, enforcedWait)
	defer cancel()
	return nil, n.enforcer.Wait(ctx, index)
}

// report is what this node enforces.
func (n *Node) report() admin.NodeEnforcement {
	r := admin.NodeEnforcement{
		NodeID: n.cfg.NodeID, Reachable: true, Attached: true, Mode: n.enforcer.mode,
		EnforcedIndex: n.enforcer.Enforced(), AppliedIndex: n.machine.Applied(),
		Services: n.enforcer.services(), Refusals: n.enforcer.refusals(),
	}
	r.Detail = joined(dryRunLine(r.Services), n.enforcer.gate.Lacking())
	counters, p50, lease, err := n.enforcer.gate.Report()
	if err != nil {
		r.Detail = "the gate's counters cannot be read"
		n.log.Error(r.Detail, "error", err)
		return r
	}
	r.Counters, r.LatencyP50 = counters, time.Duration(p50)
	if now := bpf.BootNow(); lease > now {
		r.LeaseHeld, r.LeaseLeft = true, time.Duration(lease-now)
	}
	return r
}

// joined makes one line of those that say something.
func joined(lines ...string) string {
	return strings.Join(slices.DeleteFunc(lines, func(l string) bool { return l == "" }), "; ")
}

func (n *Node) serveEnforcement(context.Context, string, []byte) ([]byte, error) {
	return json.Marshal(n.report())
}

// enforcement asks every member at once; one that does not answer is reported
// as such.
func (n *Node) enforcement(ctx context.Context) []admin.NodeEnforcement {
	members := n.cluster.Members()
	reports := make([]admin.NodeEnforcement, len(members))
	var all sync.WaitGroup
	for i, m := range members {
		if m.ID == n.cfg.NodeID {
			reports[i] = n.report()
			continue
		}
		all.Go(func() {
			reports[i].NodeID = m.ID
			body, err := n.cluster.Call(ctx, m.ID, methodEnforcement, nil)
			if err == nil {
				err = json.Unmarshal(body, &reports[i])
			}
			if err != nil {
				n.log.DebugContext(ctx, "a node does not report its enforcement", "peer", m.ID, "error", err)
			}
		})
	}
	all.Wait()
	return reports
}

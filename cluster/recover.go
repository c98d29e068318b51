package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// recoverPing is how long another member may take to show that it lives.
const recoverPing = 2 * time.Second

// Recovered is what a node goes on from as its cluster's only member.
type Recovered struct {
	Index, Term uint64   // of the last entry that it holds
	Lost        []string // the members that count no more
	Copy        string   // of the log as it was
}

// Recover makes this node the only member of its cluster, after the others are lost for
// good and with them the quorum. All that its log holds counts as decided from then on,
// also what had not been; what only the others held is lost. It refuses while another
// member answers, unless it is told otherwise. The node does not run meanwhile.
func Recover(cfg Config, force bool) (out Recovered, err error) {
	if cfg.Advertise == "" {
		cfg.Advertise = cfg.Listen
	}
	if cfg.Network == nil {
		cfg.Network = TCP{}
	}
	c := &Cluster{cfg: cfg, log: cfg.Logger, known: loadAcquaintances(cfg.Dir), adapter: newAdapter(cfg.Machine)}
	alive := c.others(&out)
	if len(alive) > 0 && !force {
		return out, fmt.Errorf("%s answers: a quorum may be there. Stop what is left of the cluster and erase it first", strings.Join(alive, ", "))
	}
	store, err := c.openLog()
	if err != nil {
		return out, fmt.Errorf("open log: %w", err)
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	dir := filepath.Join(cfg.Dir, "raft")
	out.Copy = filepath.Join(cfg.Dir, "raft-before-recovery-"+time.Now().UTC().Format("20060102-150405"))
	if err := os.CopyFS(out.Copy, os.DirFS(dir)); err != nil {
		return out, fmt.Errorf("keep a copy of the log: %w", err)
	}
	return out, c.recover(store, dir, &out)
}

// others are the members but this one: all of them are lost, some may be alive.
func (c *Cluster) others(out *Recovered) (alive []string) {
	p := &peers{network: c.cfg.Network, identity: c.cfg.Identity}
	for _, m := range c.known.members() {
		if string(m.ID) == c.cfg.NodeID {
			continue
		}
		out.Lost = append(out.Lost, string(m.ID))
		if conn, err := p.dial(string(m.Address), string(m.ID), protocolRPC, recoverPing); err == nil {
			conn.Close()
			alive = append(alive, string(m.ID))
		}
	}
	return alive
}

func (c *Cluster) recover(store LogStore, dir string, out *Recovered) error {
	quiet := hclog.NewNullLogger()
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, quiet)
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	logs := checkedLog{store}
	damaged, err := c.needsRefill(logs, snapshots)
	if err != nil {
		return err
	}
	if damaged {
		return errors.New("the state of this node is damaged, and its log does not reach back: recover another node, or restore a backup")
	}
	config, err := c.raftConfig(snapshots, quiet)
	if err != nil {
		return err
	}
	_, transport := raft.NewInmemTransport("") // writes addresses as they are and sends nothing
	alone := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(c.cfg.NodeID), Address: raft.ServerAddress(c.cfg.Advertise)}}}
	if err := raft.RecoverCluster(config, c.adapter, logs, store, snapshots, transport, alone); err != nil {
		return fmt.Errorf("recover: %w", err)
	}
	list, err := snapshots.List()
	if err != nil || len(list) == 0 {
		return errors.Join(errors.New("recover: no snapshot was made"), err)
	}
	out.Index, out.Term = list[0].Index, list[0].Term
	c.rememberMembers(alone) // and whom it knew, so that those are shut out
	return nil
}

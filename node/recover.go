package node

import (
	"errors"
	"log/slog"
	"path/filepath"

	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/disk"
	"github.com/authfi/authfi/node/feed"
)

// Recover makes the node of a data directory the only member of its cluster, after the
// quorum is lost for good. The node does not run.
func Recover(dir string, force bool) (out cluster.Recovered, err error) {
	cfg, err := LoadConfig(dir)
	if err != nil {
		return out, err
	}
	if err := checkLeft(dir); err != nil {
		return out, err
	}
	identity, err := cluster.LoadIdentity(dir)
	if err != nil {
		return out, err
	}
	storage, err := disk.Open(filepath.Join(dir, stateDir), 0)
	if err != nil {
		return out, err
	}
	machine, err := fsm.Open(storage)
	if err != nil && !errors.Is(err, fsm.ErrDamaged) { // the log fills it again, or cannot
		return out, errors.Join(err, storage.Close())
	}
	defer func() { err = errors.Join(err, machine.Close()) }()
	r := &replica{
		machine: machine, feed: feed.New(machine.Applied()), timing: feed.NewTiming(),
		changed: func([]directory.Delta, bool) {}, // nothing is enforced meanwhile
	}
	return cluster.Recover(cluster.Config{
		NodeID: cfg.NodeID, Dir: dir, Listen: cfg.Peer, Identity: identity, Machine: r, Logger: slog.New(slog.DiscardHandler),
	}, force)
}

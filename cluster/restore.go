package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// Begin makes the log of a new cluster that goes on from a state: this node is its
// one member, and the state is its first snapshot, from which the nodes that join
// are filled. The machine must hold the same state already. dir has no log yet.
func Begin(dir, nodeID, advertise string, format LogFormat, s Snapshot) error {
	dir = filepath.Join(dir, "raft")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("raft directory: %w", err)
	}
	log, err := openLog(dir, format)
	if err != nil {
		return fmt.Errorf("open log: %w", err)
	}
	return errors.Join(begin(dir, nodeID, advertise, log, s), log.Close())
}

func begin(dir, nodeID, advertise string, log LogStore, s Snapshot) error {
	snapshots, err := raft.NewFileSnapshotStoreWithLogger(dir, snapshotsKept, hclog.NewNullLogger())
	if err != nil {
		return fmt.Errorf("open snapshots: %w", err)
	}
	exists, err := raft.HasExistingState(log, log, snapshots)
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	if exists {
		return errors.New("there is a log already")
	}
	_, transport := raft.NewInmemTransport("") // writes addresses as they are and sends nothing
	alone := raft.Configuration{Servers: []raft.Server{{ID: raft.ServerID(nodeID), Address: raft.ServerAddress(advertise)}}}
	sink, err := snapshots.Create(raft.SnapshotVersionMax, s.Index(), s.Term(), alone, s.Index(), transport)
	if err != nil {
		return fmt.Errorf("create snapshot: %w", err)
	}
	if _, err := s.WriteTo(sink); err != nil {
		return errors.Join(fmt.Errorf("write snapshot: %w", err), sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	return log.SetUint64(currentTerm, s.Term())
}

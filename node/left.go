package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/authfi/authfi/api/admin"
	"github.com/authfi/authfi/cluster"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/durable"
)

// leftFile marks a data directory whose node is no member any more. A node that
// came back with its old log could be voted for by those who have not heard of its
// going, so it does not come back.
const leftFile = "left.json"

// Timings of going.
const (
	// leaveWait bounds the whole of a leave: a hand-over, an election and an entry.
	leaveWait = 15 * time.Second
	// removedEvery is how often a node without a leader asks whether it was removed.
	removedEvery = 2 * time.Second
)

// left is what the mark says.
type left struct {
	NodeID string    `json:"node_id"`
	Time   time.Time `json:"time"`
	Why    string    `json:"why"`
}

// ErrLeft means that the node of a data directory is no member of its cluster.
var ErrLeft = errors.New("this node is no member of its cluster")

func (l left) error(dir string) error {
	return fmt.Errorf("%w: %s since %s (%s). Its data in %s is kept and not served; to use the machine again, join with an empty directory",
		ErrLeft, l.NodeID, l.Time.Format(time.RFC3339), l.Why, dir)
}

// checkLeft refuses a directory that is marked, and one whose mark cannot be read.
func checkLeft(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, leftFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read whether this node has left: %w", err)
	}
	var l left
	if err := json.Unmarshal(b, &l); err != nil {
		return fmt.Errorf("%s: %w", leftFile, err)
	}
	return l.error(dir)
}

// markLeft is durable when it returns. A node that is marked already stays so.
func (n *Node) markLeft(why string) (left, error) {
	l := left{NodeID: n.cfg.NodeID, Time: time.Now().UTC().Truncate(time.Second), Why: why}
	b, err := json.Marshal(l)
	if err != nil {
		return l, err
	}
	err = durable.New(filepath.Join(n.cfg.Dir, leftFile), durable.OwnerOnly, durable.Content(append(b, '\n')))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return l, fmt.Errorf("mark the data directory: %w", err)
	}
	return l, nil
}

// removeMember takes another, dead node out of the cluster.
func (n *Node) removeMember(ctx context.Context, id string) (admin.Rest, error) {
	ctx, cancel := context.WithTimeout(ctx, leaveWait)
	defer cancel()
	if id == n.cfg.NodeID {
		return admin.Rest{}, directory.Precondition("node_id", "%s answers this request: take it out with authfi leave", id)
	}
	rest, err := n.cluster.Remove(ctx, cluster.Removal{Node: id})
	return admin.Rest(rest), removal(err)
}

// leave takes this node out of the cluster, marks its directory and ends it. By
// force it goes even if the others could not be told.
func (n *Node) leave(ctx context.Context, force bool) (rest admin.Rest, removed bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWait) // who asked may be gone; half a leave is none
	defer cancel()
	going, err := n.cluster.Remove(ctx, cluster.Removal{Node: n.cfg.NodeID, Leave: true, Force: force})
	var refused *cluster.Refusal
	if err != nil && (!force || errors.As(err, &refused)) {
		return rest, false, removal(err)
	}
	why := "it left"
	if err != nil {
		why = "it left by force, without the others"
		n.log.WarnContext(ctx, "leaving although the others could not be told", "error", err)
	}
	if _, failed := n.markLeft(why); failed != nil {
		return rest, err == nil, failed
	}
	n.log.InfoContext(ctx, "this node has left the cluster")
	n.end(nil)
	return admin.Rest(going), err == nil, nil
}

func removal(err error) error {
	var refused *cluster.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused) && refused.Unknown:
		return directory.NotFound("member")
	case errors.As(err, &refused):
		return directory.Precondition("node_id", "%s", refused.Text)
	}
	return outcome(err)
}

// end makes Run return, once.
func (n *Node) end(why error) {
	select {
	case n.ended <- why:
	default:
	}
}

// watchRemoved ends a node that comes back after it was removed. It asks only while
// it has no leader: a leader does not speak to whom it does not count.
func (n *Node) watchRemoved(ctx context.Context) {
	ticker := time.NewTicker(removedEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		if _, ok := n.cluster.Leader(); ok {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, leaveWait)
		err := n.cluster.Removed(asking)
		cancel()
		if !errors.Is(err, cluster.ErrRemoved) {
			continue
		}
		l, failed := n.markLeft(err.Error())
		n.log.Error("this node was removed from the cluster and ends", "error", err)
		n.end(errors.Join(l.error(n.cfg.Dir), failed))
		return
	}
}

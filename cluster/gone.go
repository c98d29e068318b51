package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/hashicorp/raft"
)

// A certificate is good for years, also that of a node which was removed. So a node
// whose removal is known here gets no further than to be told. One that this node has
// never heard of may be new, and is let in: a node that lags behind must listen to a
// leader that joined meanwhile.

const membersFile = "members.json"

// acquaintances are the members that this node has ever seen, kept on disk together
// with those of now: a node whose snapshot and log are damaged must know whom to ask.
type acquaintances struct {
	file string

	mu   sync.Mutex
	seen remembered // guarded by mu
}

type remembered struct {
	raft.Configuration
	Known []string // ids, in the order in which they were seen
}

func loadAcquaintances(dir string) *acquaintances {
	a := &acquaintances{file: filepath.Join(dir, "raft", membersFile)}
	if b, err := os.ReadFile(a.file); err == nil && json.Unmarshal(b, &a.seen) != nil {
		a.seen = remembered{} // it is written anew with the next change
	}
	for _, s := range a.seen.Servers {
		a.seen.know(string(s.ID))
	}
	return a
}

func (r *remembered) know(id string) {
	if !slices.Contains(r.Known, id) {
		r.Known = append(r.Known, id)
	}
}

// see remembers the members of a configuration. The file is replaced in one step;
// failing costs convenience in a disaster, never correctness.
func (a *acquaintances) see(members raft.Configuration) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen.Configuration = members
	for _, s := range members.Servers {
		a.seen.know(string(s.ID))
	}
	b, err := json.Marshal(a.seen)
	if err != nil {
		return err
	}
	return writeFile(a.file, b)
}

func (a *acquaintances) knows(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.seen.Known, id)
}

// members are the last that were seen.
func (a *acquaintances) members() []raft.Server {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.seen.Servers
}

// gone is whether a node was a member and, by a change that is committed, is none now.
func (c *Cluster) gone(id string) bool {
	if c.raft == nil || id == c.cfg.NodeID || !c.known.knows(id) {
		return false
	}
	future := c.raft.GetConfiguration()
	if future.Error() != nil || future.Index() > c.Applied() {
		return false
	}
	return !slices.ContainsFunc(future.Configuration().Servers, func(s raft.Server) bool { return string(s.ID) == id })
}

// expel ends the connections of who is gone, but for its calls: one of them may be that
// by which it left, and waits for the answer. Later ones are refused.
func (c *Cluster) expel() {
	c.peers.mu.Lock()
	from := make(map[net.Conn]string, len(c.peers.open))
	for conn, id := range c.peers.open {
		from[conn] = id
	}
	c.peers.mu.Unlock()
	for conn, id := range from {
		if id != "" && c.gone(id) {
			c.peers.forget(conn)
		}
	}
}

// errGone is what a removed node is told, whatever it asks but whether it was removed.
func errGone(id string) error { return fmt.Errorf("%s was removed from the cluster", id) }

package cluster

import (
	"time"

	"github.com/hashicorp/raft"
)

// Place is where this node is in the log of its cluster.
type Place struct {
	Term, Committed uint64
	// ContactAge is how long ago it heard of its leader; zero at the leader, and of a
	// node that never has.
	ContactAge time.Duration
}

// Place asks nobody.
func (c *Cluster) Place() Place {
	p := Place{Term: c.raft.CurrentTerm(), Committed: c.raft.CommitIndex()}
	if heard := c.raft.LastContact(); !c.IsLeader() && !heard.IsZero() {
		p.ContactAge = time.Since(heard)
	}
	return p
}

// Report is how the log of this node stands, for who has to find out why it does not
// go on: terms, indexes, the newest snapshot, and the members as the library has them.
func (c *Cluster) Report() map[string]string { return c.raft.Stats() }

// RememberedMembers are the members that the node of a directory last saw, by its
// files alone.
func RememberedMembers(dir string) []Member {
	var members []Member
	for _, s := range loadAcquaintances(dir).members() {
		members = append(members, Member{ID: string(s.ID), Address: string(s.Address), Voter: s.Suffrage == raft.Voter})
	}
	return members
}

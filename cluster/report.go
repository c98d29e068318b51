package cluster

import "github.com/hashicorp/raft"

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

package journal

import (
	"slices"
	"time"

	"github.com/authfi/authfi/directory"
)

// Tally is how the requests of one connection went, without a request.
type Tally struct {
	Org        directory.OrgID
	Connection directory.ConnectionID
	State      State
}

// Tallies are those of all connections that this node remembers, in the order of
// their ids. The names of tokens are not in them.
func (j *Journal) Tallies(now time.Time) []Tally {
	j.mu.Lock()
	defer j.mu.Unlock()
	all := make([]Tally, 0, len(j.of))
	for _, c := range j.of {
		state := c.report(now)
		state.Tokens = nil
		all = append(all, Tally{Org: c.org, Connection: c.id, State: state})
	}
	slices.SortFunc(all, func(a, b Tally) int { return slices.Compare(a.Connection[:], b.Connection[:]) })
	return all
}

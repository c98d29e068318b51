package state

import "github.com/authfi/authfi/directory"

// What a connection has sent is counted, not listed: a row in memory for each user
// would be as much again as the rows by which they are found. Whose a user or group
// is never changes.

func sentKey(table byte, by directory.ConnectionID) string {
	return idKey(derivedSent, by) + string(rune(table))
}

// countSent keeps the number of rows of a table that a connection has sent.
func (tx *OrgTx) countSent(table byte, by directory.ConnectionID, step int) {
	if by.IsZero() {
		return
	}
	n := tx.sent(table, by) + step
	if key := sentKey(table, by); n == 0 {
		tx.underive(key)
	} else {
		tx.derive(key, n)
	}
}

func (r *rows) sent(table byte, by directory.ConnectionID) int {
	n, _ := r.tree.Get(sentKey(table, by))
	count, _ := n.(int)
	return count
}

// UsersOf and GroupsOf count what a connection has sent.
func (r *rows) UsersOf(by directory.ConnectionID) int  { return r.sent(tableUser, by) }
func (r *rows) GroupsOf(by directory.ConnectionID) int { return r.sent(tableGroup, by) }

// EachUserOf and EachGroupOf walk in id order through what a connection has sent. They
// look at all that is between, but read no more of it than whose it is.
func (r *rows) EachUserOf(by directory.ConnectionID, after directory.UserID, yield func(*directory.User) bool) {
	left, pivot := r.UsersOf(by), idKey(tableUser, after)
	r.scan(string(rune(tableUser)), pivot, func(key string, v any) bool {
		if p := v.(packedUser); key != pivot && p.sentBy() == by {
			left--
			return yield(p.user()) && left > 0
		}
		return left > 0
	})
}
func (r *rows) EachGroupOf(by directory.ConnectionID, after directory.GroupID, yield func(*directory.Group) bool) {
	left := r.GroupsOf(by)
	r.EachGroup(after, func(g *directory.Group) bool {
		if g.Connection != by {
			return left > 0
		}
		left--
		return yield(g) && left > 0
	})
}

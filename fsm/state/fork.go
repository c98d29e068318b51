package state

import "github.com/authfi/authfi/directory"

// Fork is a private copy of one organization that starts as it is in a root and
// goes its own way: nothing of it is stored, published or seen by anybody else.
// It shares what it does not change, so it costs what it changes. One goroutine
// uses it.
type Fork struct {
	*working
	applied directory.Index
}

// Fork starts a copy of the organization.
func (o *Org) Fork() *Fork {
	w := &working{rows: *o.rows, pending: map[string][]byte{}}
	tree := *o.tree // Copy writes to its receiver, which other readers share
	w.tree = tree.Copy()
	w.editor = o.index.Edit()
	return &Fork{working: w, applied: o.applied}
}

// Run changes the copy. An error from apply undoes all that it did.
func (f *Fork) Run(apply func(*OrgTx) error) error { return f.run(apply) }

// View is the copy as it is now, for any number of readers; the fork goes on. Its
// Applied is that of the root it was started from.
func (f *Fork) View() *Org {
	copied := f.freeze()
	return &Org{rows: &copied, applied: f.applied}
}

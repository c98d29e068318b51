package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Fork answers what a change would do: it applies commands to a private copy of
// one organization, on the same path as the machine, as if they were the next
// entry of the log. What it tells can so not differ from what the change will do
// to the same state, and nothing of it reaches the state. One goroutine uses it.
type Fork struct {
	fork    *state.Fork
	system  *state.System
	index   directory.Index
	ordinal uint32 // of the next event
}

// NewFork starts from a published root; false when it has no such organization.
func NewFork(root *state.Root, org directory.OrgID) (*Fork, bool) {
	o, ok := root.Org(org)
	if !ok {
		return nil, false
	}
	return &Fork{fork: o.Fork(), system: root.System(), index: root.Applied() + 1}, true
}

// Apply applies a command of the fork's organization, with the actor's rights. A
// request's id is not looked at: a question is not a repeat.
func (f *Fork) Apply(env *Envelope) (out Outcome, err error) {
	c, ok := env.Command.(OrgCommand)
	if !ok {
		return out, directory.Invalid("changes", "only changes of an organization can be tried")
	}
	if env.Org != f.View().ID() {
		return out, directory.NotFound("organization")
	}
	e := &effects{index: f.index, ordinal: f.ordinal, env: env}
	err = f.fork.Run(func(tx *state.OrgTx) (err error) {
		out, err = change(tx, f.operator, c, e)
		return err
	})
	if err != nil {
		out = Outcome{}
		if failed := f.fork.Run(e.logRefusal(err)); failed != nil {
			return out, failed
		}
	}
	f.ordinal = e.ordinal
	return out, err
}

func (f *Fork) operator(id directory.OperatorID) bool {
	_, known := f.system.Operator(id)
	return known
}

// View is the organization with the changes, for any number of readers. Its Applied
// is the index of the root that the fork was started from.
func (f *Fork) View() *state.Org { return f.fork.View() }

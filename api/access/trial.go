package access

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
)

// Trial is a copy of one organization on which a caller's changes are tried and
// not made. Its passes ask the same table of the copy and propose to it alone:
// what they answer is what the changes would be answered in this order, and
// nothing of them reaches the log. One goroutine uses it.
type Trial struct {
	gate   *Gate
	caller Caller
	fork   *fsm.Fork
}

// Trial starts a copy of what the pass sees.
func (p *Pass) Trial() (*Trial, error) {
	if p.root == nil {
		return nil, directory.Invalid("", "a trial cannot be started in a trial")
	}
	fork, ok := fsm.NewFork(p.root, p.Org())
	if !ok {
		return nil, directory.NotFound("organization")
	}
	return &Trial{gate: p.gate, caller: p.caller, fork: fork}, nil
}

// View is the organization with the changes so far.
func (t *Trial) View() *state.Org { return t.fork.View() }

// Admit gives a pass for one operation in the trial's organization; there is no
// other.
func (t *Trial) Admit(org directory.OrgID, op Operation) (*Pass, error) {
	p, err := t.gate.unasked(t.caller, org, op)
	if err != nil {
		return nil, err
	}
	p.view, p.trial = t.View(), t
	if org != p.Org() {
		return nil, directory.NotFound("organization")
	}
	if err := p.allowed(); err != nil {
		return nil, err
	}
	return p, nil
}

// propose goes the way of an entry, through its bytes, up to the log.
func (t *Trial) propose(p *Pass, env *fsm.Envelope) (fsm.Result, error) {
	env.Now = directory.TimeOf(t.gate.now())
	entry, err := wire.Encode(env)
	if err != nil {
		return fsm.Result{}, err
	}
	if env, err = wire.Decode(entry); err != nil {
		return fsm.Result{}, err
	}
	out, err := t.fork.Apply(env)
	p.view = t.View()
	return fsm.Result{Index: p.view.Applied(), Outcome: out, Err: err}, err
}

package access

import (
	"context"
	"crypto/sha256"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/codec"
	"github.com/authfi/authfi/fsm/state"
)

// Pass is proof that one caller may perform one operation in one organization.
type Pass struct {
	gate   *Gate
	caller Caller
	op     Operation
	rule   Rule
	root   *state.Root // of the view; nil in a trial
	view   *state.Org
	self   bool   // admitted only to what concerns the caller
	trial  *Trial // changes are tried on it; nil: they are made
}

// allowed compares the caller with the row.
func (p *Pass) allowed() error {
	switch p.caller.Actor.Kind {
	case directory.ActorOperator:
		if p.rule.Operator {
			return nil
		}
	case directory.ActorConnection:
		if p.rule.Connection && p.view.Record().Status == directory.OrganizationActive {
			return nil
		}
	case directory.ActorUser:
		return p.allowedUser()
	case directory.ActorAPIKey:
		return p.allowedAPIKey()
	}
	return directory.Denied("the caller may not do this")
}

func (p *Pass) allowedUser() error {
	if p.view.Record().Status != directory.OrganizationActive {
		return directory.Denied("the organization is suspended")
	}
	user := directory.UserID(p.caller.Actor.ID)
	if p.rule.Permission != "" && p.view.Permissions().Has(user, p.rule.Permission) {
		return nil
	}
	if u, ok := p.view.User(user); ok && u.Active && p.rule.Self {
		p.self = true
		return nil
	}
	return directory.Denied("permission %s is required", p.rule.Permission)
}

// allowedAPIKey: a key may do what it names and its owner still holds. Nothing is
// open to it on the ground of who its owner is.
func (p *Pass) allowedAPIKey() error {
	if !p.view.Record().Active() {
		return directory.Denied("the organization is suspended")
	}
	if p.rule.NoAPIKey || p.rule.Permission == "" {
		return directory.Denied("an API key may not do this")
	}
	k, ok := usable(p.view, directory.APIKeyID(p.caller.Actor.ID), directory.TimeOf(p.gate.now()))
	if ok && k.Covers(p.rule.Permission) && p.view.Permissions().Has(k.Owner, p.rule.Permission) {
		return nil
	}
	return directory.Denied("permission %s is required", p.rule.Permission)
}

// View is the organization at one index; all reads of a request use it.
func (p *Pass) View() *state.Org { return p.view }

// Org is the organization that the pass is bound to.
func (p *Pass) Org() directory.OrgID { return p.view.ID() }

// Caller is who is asking.
func (p *Pass) Caller() Caller { return p.caller }

// Self is the user who was admitted only to what is about themselves; false when
// the pass is about the whole organization.
func (p *Pass) Self() (directory.UserID, bool) {
	if !p.self {
		return directory.UserID{}, false
	}
	return directory.UserID(p.caller.Actor.ID), true
}

// About refuses a caller who was admitted to their own data and asks for
// somebody else's.
func (p *Pass) About(user directory.UserID) error {
	if p.self && directory.UserID(p.caller.Actor.ID) != user {
		return directory.Denied("permission %s is required", p.rule.Permission)
	}
	return nil
}

// Propose makes a change and refreshes the view to the index of its entry. A
// key that is not empty makes the request idempotent: a repeat with the same
// key and the same command answers with the first result.
func (p *Pass) Propose(ctx context.Context, command fsm.OrgCommand, key IdempotencyKey) (fsm.Result, error) {
	required := p.rule.Permission
	if p.self {
		// The machine looks whom the command is about.
		if !p.rule.SelfWrites || !fsm.IsSelf(command) {
			return fsm.Result{}, directory.Denied("permission %s is required", p.rule.Permission)
		}
		required = ""
	}
	env := &fsm.Envelope{
		Org: p.Org(), Actor: p.caller.Actor, Required: required,
		Source: p.caller.Source, Command: command, Operation: string(p.op),
	}
	if p.trial != nil {
		if err := p.gate.understood(env); err != nil {
			return fsm.Result{}, err // a dry run says what the change would meet
		}
		return p.trial.propose(p, env)
	}
	key.stamp(env, p.caller, p.op)
	result, err := p.gate.propose(ctx, env)
	if err != nil {
		return result, err
	}
	root := p.gate.root()
	if view, ok := root.Org(p.Org()); ok {
		p.root, p.view = root, view
	}
	return result, nil
}

// Now is the clock that will stamp the proposal.
func (p *Pass) Now() time.Time { return p.gate.now() }

// IdempotencyKey is what the client sent and what it asked for: the same key
// for another request is a conflict. The body is the client's, not the
// command's, since the command holds ids that are made anew on every attempt.
type IdempotencyKey struct {
	Key  string
	Body []byte
}

// KeyMax bounds an Idempotency-Key.
const KeyMax = 255

func (k IdempotencyKey) stamp(env *fsm.Envelope, caller Caller, op Operation) {
	if k.Key == "" {
		return
	}
	scope := codec.Encode([]any{caller.Actor, string(op), k.Key})
	sum := sha256.Sum256(scope)
	copy(env.Request[:], sum[:])
	env.Digest = sha256.Sum256(k.Body)
}

// SystemPass is for operators: the instance's tables and new organizations, no
// way to an organization's data.
type SystemPass struct {
	gate   *Gate
	caller Caller
	root   *state.Root
}

// View is the instance's tables at one index.
func (p *SystemPass) View() *state.System { return p.root.System() }

// Summary is what operators see of an organization: its record, and how much of
// its quota is used.
type Summary struct {
	*directory.Organization
	Users int
}

func summary(o *state.Org) Summary { return Summary{o.Record(), o.Users()} }

// Summary is the pass's organization at the index of its view.
func (p *Pass) Summary() Summary { return summary(p.view) }

// Addresses counts those on which the services of all organizations listen: every
// one has a row in the tables of each node that enforces it.
func (p *Pass) Addresses() (n int) {
	p.gate.root().EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		o.EachService(func(s *directory.Service) bool {
			n += len(s.Listen)
			return true
		})
		return true
	})
	return n
}

// EachOrganization walks the organizations in id order.
func (p *SystemPass) EachOrganization(after directory.OrgID, yield func(Summary) bool) {
	p.root.EachOrg(after, func(o *state.Org) bool { return yield(summary(o)) })
}

// OrganizationBySlug finds one by its exact slug.
func (p *SystemPass) OrganizationBySlug(slug string) (Summary, bool) {
	id, ok := p.root.System().OrganizationBySlug(slug)
	if !ok {
		return Summary{}, false
	}
	o, ok := p.root.Org(id)
	if !ok {
		return Summary{}, false
	}
	return summary(o), true
}

// Organizations counts them.
func (p *SystemPass) Organizations() int { return p.root.Organizations() }

// Organization reads one from the newest state.
func (p *SystemPass) Organization(id directory.OrgID) (Summary, bool) {
	o, ok := p.gate.root().Org(id)
	if !ok {
		return Summary{}, false
	}
	return summary(o), true
}

// Operator reads one from the newest state.
func (p *SystemPass) Operator(id directory.OperatorID) (*directory.Operator, bool) {
	return p.gate.root().System().Operator(id)
}

// RecoveryKey is that of the newest state.
func (p *SystemPass) RecoveryKey() (*directory.RecoveryKey, bool) {
	return p.gate.root().System().RecoveryKey()
}

// Rotation is the last rotation of the CA, after what this pass has proposed.
func (p *SystemPass) Rotation() (*directory.Rotation, bool) { return p.gate.root().System().Rotation() }

// Level is the feature level of the newest state, and when it was reached.
func (p *SystemPass) Level() directory.Level { return p.gate.root().System().Level() }

// Applied is the index of the view.
func (p *SystemPass) Applied() directory.Index { return p.root.Applied() }

// Digest is the checksum of the whole state at Applied.
func (p *SystemPass) Digest() [32]byte { return fsm.Digest(p.root) }

// Now is the clock that will stamp the proposal.
func (p *SystemPass) Now() time.Time { return p.gate.now() }

// Propose changes the instance.
func (p *SystemPass) Propose(ctx context.Context, command fsm.SystemCommand, key IdempotencyKey, op Operation) (fsm.Result, error) {
	env := &fsm.Envelope{Actor: p.caller.Actor, Source: p.caller.Source, Command: command, Operation: string(op)}
	key.stamp(env, p.caller, op)
	return p.gate.propose(ctx, env)
}

// ProposeAsNode proposes what a node does by itself: refreshing a session for a
// token that it has verified, and its timers. The machine allows nothing else
// to this actor.
func (g *Gate) ProposeAsNode(ctx context.Context, org directory.OrgID, command fsm.Command) (fsm.Result, error) {
	return g.propose(ctx, &fsm.Envelope{
		Org: org, Actor: directory.Actor{Kind: directory.ActorNode}, Source: "node", Command: command,
	})
}

// Root is the newest state, for what needs no pass: verifying credentials and
// publishing keys.
func (g *Gate) Root() *state.Root { return g.root() }

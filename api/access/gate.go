package access

import (
	"context"
	"strings"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	"github.com/authfi/authfi/fsm/wire"
)

// Log is what access needs of the cluster. Its errors are directory errors or
// the world's; a write whose fate is not known is KindUnknownOutcome.
type Log interface {
	// Propose returns this node's own result once this node has applied it.
	Propose(ctx context.Context, entry []byte) (fsm.Result, error)
	ReadIndex(ctx context.Context) (directory.Index, error)
	WaitApplied(ctx context.Context, index directory.Index) error
}

// Verifier checks access tokens. Its errors are always KindUnauthenticated.
type Verifier interface {
	// Verify checks a token against a root and names the session behind it.
	Verify(root *state.Root, token string) (Session, error)
	// Live checks of a token that was verified what can change: it refuses what
	// Verify would now refuse of the same token, at a hundredth of the cost.
	Live(root *state.Root, verified Session) error
}

// Session is a verified user's session, by one token.
type Session struct {
	Org     directory.OrgID
	User    directory.UserID
	ID      directory.SessionID
	Client  directory.ClientID // that the token was issued to; zero: to the user's own backend
	Key     string             // that signed the token
	Expires directory.Time     // of the token
}

// Gate admits credentials to operations.
type Gate struct {
	log      Log
	root     func() *state.Root
	verifier Verifier
	issuers  Issuers // nil: no token of somebody else's is good
	now      func() time.Time
	observe  func(*Origin)
	refusals pace
	rootAt   func(directory.Index) (*state.Root, bool) // nil: no root but the newest
	pins     pins
}

// NewGate wires the gate; now is the clock that stamps proposals.
func NewGate(log Log, root func() *state.Root, verifier Verifier, now func() time.Time) *Gate {
	return &Gate{log: log, root: root, verifier: verifier, now: now}
}

// Caller is an authenticated credential.
type Caller struct {
	Actor  directory.Actor
	Org    directory.OrgID     // zero for an operator
	Source string              // what the sync log calls the caller
	Token  directory.TokenName // of a connection: which of its tokens
}

// Freshness says which state a request must be answered from.
type Freshness struct {
	AtLeast      directory.Index // wait until this index is applied
	Linearizable bool            // no acknowledged write may be missing
}

// Authenticate finds out who is asking. Every failure looks the same.
func (g *Gate) Authenticate(token string) (Caller, error) {
	caller, _, err := g.authenticate(token)
	return caller, err
}

// authenticate names the session, too, when the credential is a token of one.
func (g *Gate) authenticate(token string) (caller Caller, session Session, err error) {
	root, ok := g.root(), false
	switch {
	case len(token) > CredentialMax:
	case strings.HasPrefix(token, operatorPrefix):
		caller, ok = operator(root, token)
	case strings.HasPrefix(token, connectionPrefix):
		caller, ok = connection(root, token)
	case strings.HasPrefix(token, apiKeyPrefix):
		caller, ok = apiKey(root, token, directory.TimeOf(g.now()))
	case token != "" && g.verifier != nil:
		session, err = g.verifier.Verify(root, token)
		caller = Caller{
			Actor:  directory.Actor{Kind: directory.ActorUser, ID: session.User},
			Org:    session.Org,
			Source: "api",
		}
		// A client's token is for the services of its users. Here it would do what
		// its user may, whatever the client was given.
		ok = err == nil && session.Client.IsZero()
	}
	if !ok && root.System().Operators() == 0 {
		return Caller{}, Session{}, directory.Unavailable("the cluster is being founded, which takes a moment")
	}
	if !ok {
		return Caller{}, Session{}, directory.Unauthenticated("a valid bearer token is required")
	}
	return caller, session, nil
}

// AuthenticateFresh is Authenticate for a credential that another node may have
// made a moment ago: one that this node does not know is looked up once more in
// the newest state. Only what has the form of a credential buys that.
func (g *Gate) AuthenticateFresh(ctx context.Context, token string) (Caller, error) {
	caller, err := g.Authenticate(token)
	if err == nil || !wellFormed(token) {
		return caller, err
	}
	if err := g.settle(ctx, Freshness{Linearizable: true}); err != nil {
		return Caller{}, err
	}
	return g.Authenticate(token)
}

// A token is compared even when there is nothing to compare it with, so that the
// time of the answer does not tell a wrong secret from a wrong id.

func operator(root *state.Root, token string) (Caller, bool) {
	var id directory.OperatorID
	if !parseOpaque(operatorPrefix, token, (*[16]byte)(&id)) {
		return Caller{}, false
	}
	stored, ok := root.System().Operator(id)
	if !ok {
		stored = new(directory.Operator)
	}
	if !matches(token, stored.Token) || !ok {
		return Caller{}, false
	}
	return Caller{Actor: directory.Actor{Kind: directory.ActorOperator, ID: id}, Source: "api"}, true
}

func connection(root *state.Root, token string) (Caller, bool) {
	var org directory.OrgID
	var id directory.ConnectionID
	if !parseOpaque(connectionPrefix, token, (*[16]byte)(&org), (*[16]byte)(&id)) {
		return Caller{}, false
	}
	var stored *directory.Connection
	o, ok := root.Org(org)
	if ok = ok && o.Record().Active(); ok {
		stored, ok = o.Connection(id)
	}
	if !ok {
		stored = new(directory.Connection)
	}
	if !matchesAny(token, stored.Valid()) || !ok || stored.Disabled {
		return Caller{}, false
	}
	actor := directory.Actor{Kind: directory.ActorConnection, ID: id}
	shown := directory.ConnectionToken{Hash: Hash(token)}
	return Caller{Actor: actor, Org: org, Source: string(stored.Provider), Token: shown.Name()}, true
}

// Claim is the connection that a token names, be the token good or not: whoever looks
// after the connection may want to know that somebody tried. It proves nothing.
type Claim struct {
	Org        directory.OrgID
	Connection directory.ConnectionID // zero: no connection that there is
}

// Claimed reads the claim of a connection's own token.
func (g *Gate) Claimed(token string) Claim {
	var c Claim
	if !parseOpaque(connectionPrefix, token, (*[16]byte)(&c.Org), (*[16]byte)(&c.Connection)) {
		return Claim{}
	}
	if o, ok := g.root().Org(c.Org); ok {
		if _, ok := o.Connection(c.Connection); ok {
			return c
		}
	}
	return Claim{}
}

func apiKey(root *state.Root, token string, now directory.Time) (Caller, bool) {
	var org directory.OrgID
	var id directory.APIKeyID
	if !parseOpaque(apiKeyPrefix, token, (*[16]byte)(&org), (*[16]byte)(&id)) {
		return Caller{}, false
	}
	var stored *directory.APIKey
	o, ok := root.Org(org)
	if ok = ok && o.Record().Active(); ok {
		stored, ok = usable(o, id, now)
	}
	if !ok {
		stored = new(directory.APIKey)
	}
	if !matches(token, stored.Token) || !ok {
		return Caller{}, false
	}
	return Caller{Actor: directory.Actor{Kind: directory.ActorAPIKey, ID: id}, Org: org, Source: "api"}, true
}

// usable finds a key that has not expired and whose owner is active: a key is
// good for what its owner is good for.
func usable(org *state.Org, id directory.APIKeyID, now directory.Time) (*directory.APIKey, bool) {
	k, ok := org.APIKey(id)
	if !ok || !k.Live(now) {
		return nil, false
	}
	owner, ok := org.User(k.Owner)
	return k, ok && owner.Active
}

// Admit gives a pass for one operation in one organization. An organization
// that the caller does not belong to does not exist for them.
func (g *Gate) Admit(ctx context.Context, caller Caller, org directory.OrgID, op Operation, fresh Freshness) (*Pass, error) {
	p, err := g.unasked(caller, org, op)
	if err != nil {
		return nil, err
	}
	if err := g.settle(ctx, fresh); err != nil {
		return nil, err
	}
	var ok bool
	p.root = g.root()
	if p.view, ok = p.root.Org(org); !ok {
		return nil, directory.NotFound("organization")
	}
	if err := p.allowed(); err != nil {
		return nil, err
	}
	return p, nil
}

// unasked is a pass without a view, whose caller has not been compared with the
// row yet: it admits to nothing.
func (g *Gate) unasked(caller Caller, org directory.OrgID, op Operation) (*Pass, error) {
	rule, ok := RuleOf(op)
	if !ok || rule.Scope != Organization {
		return nil, directory.Denied("operation %s is not open to anybody", op)
	}
	if caller.Actor.Kind != directory.ActorOperator && caller.Org != org {
		return nil, directory.NotFound("organization")
	}
	return &Pass{gate: g, caller: caller, op: op, rule: rule}, nil
}

// AdmitSystem gives a pass for one operation on the instance.
func (g *Gate) AdmitSystem(ctx context.Context, caller Caller, op Operation, fresh Freshness) (*SystemPass, error) {
	rule, ok := RuleOf(op)
	if !ok || rule.Scope != Instance || !rule.Operator || caller.Actor.Kind != directory.ActorOperator {
		return nil, directory.Denied("operation %s is for operators", op)
	}
	if err := g.settle(ctx, fresh); err != nil {
		return nil, err
	}
	return &SystemPass{gate: g, caller: caller, root: g.root()}, nil
}

// AdmitParts lets a request for several operations through to its parts, each of
// which is admitted by its own row. An identity provider has none here.
func (g *Gate) AdmitParts(caller Caller, op Operation) error {
	rule, ok := RuleOf(op)
	if !ok || rule.Scope != Parts {
		return directory.Denied("operation %s is not open to anybody", op)
	}
	switch caller.Actor.Kind {
	case directory.ActorOperator, directory.ActorUser, directory.ActorAPIKey:
		return nil
	}
	return directory.Denied("the caller may not do this")
}

// settle waits until this node's state is as new as the request demands.
func (g *Gate) settle(ctx context.Context, fresh Freshness) error {
	index := fresh.AtLeast
	if fresh.Linearizable {
		ctx, cancel := context.WithTimeout(ctx, proposeWait)
		defer cancel()
		read, err := g.log.ReadIndex(ctx)
		if err != nil {
			return err
		}
		index = max(index, read)
	}
	if index <= g.root().Applied() {
		return nil
	}
	return g.log.WaitApplied(ctx, index)
}

// Fresh waits until this node's state misses no acknowledged write. Without a quorum
// it is an error.
func (g *Gate) Fresh(ctx context.Context) error {
	return g.settle(ctx, Freshness{Linearizable: true})
}

// Locate finds the organization of an object by its id, for operators, whose
// requests name none. Everybody else's organization is known. It asks each
// organization: at 10,000 of them a few milliseconds.
func (g *Gate) Locate(caller Caller, has func(*state.Org) bool) (directory.OrgID, bool) {
	root := g.root()
	if caller.Actor.Kind != directory.ActorOperator {
		org, ok := root.Org(caller.Org)
		return caller.Org, ok && has(org)
	}
	var found directory.OrgID
	root.EachOrg(directory.OrgID{}, func(o *state.Org) bool {
		if has(o) {
			found = o.ID()
		}
		return found.IsZero()
	})
	return found, !found.IsZero()
}

// proposeWait bounds a write: without a quorum the caller hears that its fate is
// not known, well before identity providers give up after 60 s.
const proposeWait = 10 * time.Second

// understood refuses a change that a node of an older build could not read. The level
// only rises, so what this node's state allows the others' allows when they come to
// the entry.
func (g *Gate) understood(env *fsm.Envelope) error {
	need, have := fsm.LevelOf(env), g.root().System().Level()
	if need <= have {
		return nil
	}
	return directory.Precondition("", "this needs feature level %d, and the cluster is at %d: when every node runs the new build, an operator ends the upgrade with authfi upgrade finalize", need, have)
}

func (g *Gate) propose(ctx context.Context, env *fsm.Envelope) (fsm.Result, error) {
	if err := g.understood(env); err != nil {
		return fsm.Result{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, proposeWait)
	defer cancel()
	origin := OriginOf(ctx)
	env.Now = directory.TimeOf(g.now())
	origin.stamp(env)
	entry, err := wire.Encode(env)
	if err != nil {
		return fsm.Result{}, err
	}
	result, err := g.log.Propose(ctx, entry)
	if err != nil {
		return fsm.Result{}, err
	}
	g.answered(origin)
	return result, result.Err
}

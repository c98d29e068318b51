package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// operators says whether there is an operator of this id.
type operators func(directory.OperatorID) bool

// authorize asks again, at apply, what admission asked before the proposal: a
// right lost at index n is not usable by any entry after n. There is no actor
// that is not asked.
func authorize(tx *state.OrgTx, operator operators, env *Envelope) error {
	switch env.Actor.Kind {
	case directory.ActorOperator:
		if !operator(directory.OperatorID(env.Actor.ID)) {
			return denied()
		}
		return nil
	case directory.ActorNode:
		return authorizeNode(env.Command)
	}
	if tx.Record().Status != directory.OrganizationActive {
		return denied()
	}
	switch env.Actor.Kind {
	case directory.ActorConnection:
		return authorizeConnection(tx, env)
	case directory.ActorUser:
		return authorizeUser(tx, env)
	case directory.ActorAPIKey:
		return authorizeAPIKey(tx, env)
	}
	return denied()
}

// selfCommand is what a user may do about themselves without a permission;
// concerns is whom it is about.
type selfCommand interface {
	concerns(*state.OrgTx) directory.UserID
}

// IsSelf reports whether a user may ask for a command of this kind about
// themselves without a permission.
func IsSelf(c OrgCommand) bool {
	_, ok := c.(selfCommand)
	return ok
}

func authorizeUser(tx *state.OrgTx, env *Envelope) error {
	user := directory.UserID(env.Actor.ID)
	if env.Required != "" {
		if tx.Edges().Has(user, env.Required) {
			return nil
		}
		return denied()
	}
	u, ok := tx.User(user)
	if c, self := env.Command.(selfCommand); ok && u.Active && self && c.concerns(tx) == user {
		return nil
	}
	return denied()
}

// A key may do what it names and its owner still holds, and nothing on the
// ground of who its owner is.
func authorizeAPIKey(tx *state.OrgTx, env *Envelope) error {
	k, ok := tx.APIKey(directory.APIKeyID(env.Actor.ID))
	if ok && k.Live(env.Now) && env.Required != "" && k.Covers(env.Required) && tx.Edges().Has(k.Owner, env.Required) {
		return nil
	}
	return denied()
}

func denied() error { return directory.Denied("the caller may not do this, or no longer") }

// A connection provisions users and groups of its organization and nothing else.
func authorizeConnection(tx *state.OrgTx, env *Envelope) error {
	if con, ok := tx.Connection(directory.ConnectionID(env.Actor.ID)); !ok || con.Disabled {
		return denied()
	}
	switch env.Command.Kind() {
	case KindCreateUser, KindUpdateUser, KindSetUserActive, KindDeleteUser,
		KindCreateGroup, KindChangeGroup, KindDeleteGroup, KindRecordRefusal:
		return nil
	}
	return denied()
}

// A node acts for a credential that it has verified itself (a refresh token, a code,
// a client's secret, the token of an event stream, a person at the sign-in page) or
// for its timers.
func authorizeNode(c Command) error {
	switch c.Kind() {
	case KindRefreshSession, KindEndSession, KindExpireSessions, KindRedeemJoinToken, KindExpireGrants,
		KindAcknowledgeEvents, KindRedeemCode, KindAnnounceKey, KindMoveKey,
		KindSpendProofs, KindAskDevice, KindDecideDevice, KindToldLogout, KindStartRotation, KindMoveRotation:
		return nil
	}
	if start, ok := c.(*StartSession); ok && !start.Client.IsZero() {
		return nil
	}
	return denied()
}

// authorizeSystem lets operators through, a node that redeems a join token,
// and whoever initialises an instance that has no operator yet.
func authorizeSystem(tx *state.SystemTx, env *Envelope) error {
	switch env.Actor.Kind {
	case directory.ActorOperator:
		if _, ok := tx.Operator(directory.OperatorID(env.Actor.ID)); ok {
			return nil
		}
	case directory.ActorNode:
		if tx.Operators() == 0 && founds(env.Command) {
			return nil
		}
		return authorizeNode(env.Command)
	}
	return denied()
}

// founds is true of what a new instance is made of.
func founds(c Command) bool {
	switch c.Kind() {
	case KindCreateOperator, KindPutTokenSecret, KindSetRecoveryKey, KindRaiseLevel:
		return true
	}
	return false
}

package fsm

import (
	"crypto/subtle"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// instance is the object of events that are about no other.
const instance = label("instance")

type label string

func (l label) String() string { return string(l) }

// CreateOperator adds an operator. The first one is made when the instance is
// initialised; afterwards only an operator makes another.
type CreateOperator struct {
	Operator directory.Operator `cbor:"1,keyasint"`
}

func (*CreateOperator) Kind() Kind { return KindCreateOperator }

func (c *CreateOperator) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	o := c.Operator
	if err := directory.CheckText("name", o.Name, directory.NameMax, true); err != nil {
		return Outcome{}, err
	}
	if _, taken := tx.Operator(o.ID); taken || o.ID.IsZero() {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	if tx.Operators() >= directory.OperatorsMax {
		return Outcome{}, directory.Exhausted("operators", "the instance has %d operators", directory.OperatorsMax)
	}
	o.Created = env.Now
	tx.PutOperator(&o)
	e.event(directory.OperatorCreated, o.ID, "%s", o.Name)
	return changed(o.ID)
}

// DeleteOperator makes an operator's token worthless at once. The last operator
// stays: an instance without one could be taken over by whoever founds it again.
type DeleteOperator struct {
	ID directory.OperatorID `cbor:"1,keyasint"`
}

func (*DeleteOperator) Kind() Kind { return KindDeleteOperator }

func (c *DeleteOperator) applySystem(tx *state.SystemTx, _ *Envelope, e *effects) (Outcome, error) {
	o, ok := tx.Operator(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("operator")
	}
	if tx.Operators() == 1 {
		return Outcome{}, directory.Precondition("id", "the last operator cannot be removed")
	}
	tx.DeleteOperator(o)
	e.event(directory.OperatorDeleted, o.ID, "%s", o.Name)
	return changed(o.ID)
}

// PutTokenSecret sets the secret under which token keys are made. It is set
// once; replacing it would orphan every live token.
type PutTokenSecret struct {
	Secret directory.TokenSecret `cbor:"1,keyasint"`
}

func (*PutTokenSecret) Kind() Kind { return KindPutTokenSecret }

func (c *PutTokenSecret) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	if _, set := tx.TokenSecret(); set {
		return Outcome{}, directory.Conflict("token_secret", "is set already")
	}
	c.Secret.Created = env.Now
	tx.PutTokenSecret(&c.Secret)
	e.event(directory.TokenSecretSet, instance, "")
	e.row(directory.RowTokenSecret, [16]byte{})
	return Outcome{Changed: true}, nil
}

// SetRecoveryKey says for whom backups are made from now on; older ones stay their
// keys'.
type SetRecoveryKey struct {
	Key directory.RecoveryKey `cbor:"1,keyasint"`
}

func (*SetRecoveryKey) Kind() Kind { return KindSetRecoveryKey }

func (c *SetRecoveryKey) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	k := c.Key
	if err := directory.CheckText("name", k.Name, directory.RecoveryNameMax, true); err != nil {
		return Outcome{}, err
	}
	if err := directory.CheckText("recipient", k.Recipient, directory.RecoveryRecipientMax, true); err != nil {
		return Outcome{}, err
	}
	if len(k.Proof) == 0 || len(k.Proof) > directory.RecoveryProofMax {
		return Outcome{}, directory.Invalid("proof", "has %d bytes instead of 1 to %d", len(k.Proof), directory.RecoveryProofMax)
	}
	k.Created = env.Now
	tx.PutRecoveryKey(&k)
	e.event(directory.RecoveryKeySet, instance, "%s", k.Name)
	return Outcome{Changed: true}, nil
}

// CreateJoinToken lets one node join.
type CreateJoinToken struct {
	Token directory.JoinToken `cbor:"1,keyasint"`
}

func (*CreateJoinToken) Kind() Kind { return KindCreateJoinToken }

func (c *CreateJoinToken) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	if _, taken := tx.JoinToken(c.Token.ID); taken || c.Token.ID == "" {
		return Outcome{}, directory.Conflict("id", "is taken")
	}
	c.Token.Created, c.Token.Redeemed = env.Now, 0
	tx.PutJoinToken(&c.Token)
	e.event(directory.JoinTokenCreated, instance, "%s", c.Token.ID)
	return Outcome{Changed: true}, nil
}

// RedeemJoinToken uses a join token up. The same node may repeat it, since its
// first answer may have been lost.
type RedeemJoinToken struct {
	ID     string   `cbor:"1,keyasint"`
	Secret [32]byte `cbor:"2,keyasint"` // SHA-256
	Node   string   `cbor:"3,keyasint"`
}

func (*RedeemJoinToken) Kind() Kind { return KindRedeemJoinToken }

func (c *RedeemJoinToken) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	t, ok := tx.JoinToken(c.ID)
	if !ok || subtle.ConstantTimeCompare(t.Secret[:], c.Secret[:]) != 1 || env.Now >= t.Expires {
		return Outcome{}, directory.Denied("join token is unknown or has expired")
	}
	if t.Redeemed != 0 && t.Node != c.Node {
		return Outcome{}, directory.Denied("join token was used by another node")
	}
	used := *t
	used.Redeemed, used.Node = env.Now, c.Node
	tx.PutJoinToken(&used)
	e.event(directory.JoinTokenRedeemed, instance, "%s by %s", c.ID, c.Node)
	return Outcome{Changed: true}, nil
}

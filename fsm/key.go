package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// PutKey adds a signing key or moves one to another state. The sealed private
// half never changes.
type PutKey struct {
	Key directory.SigningKey `cbor:"1,keyasint"`
}

func (*PutKey) Kind() Kind { return KindPutKey }

func (c *PutKey) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	k := c.Key
	if k.ID == "" || k.State < directory.KeyAnnounced || k.State > directory.KeyRetiring {
		return Outcome{}, directory.Invalid("key", "needs an id and a state")
	}
	if old, ok := tx.Key(k.ID); ok {
		k.Public, k.Sealed, k.Created = old.Public, old.Sealed, old.Created
	} else {
		k.Created = env.Now
	}
	k.Version = e.index
	tx.PutKey(&k)
	e.event(directory.KeyChanged, tx.Record().ID, "%s", k.ID)
	e.row(directory.RowKey, [16]byte{})
	return Outcome{Changed: true}, nil
}

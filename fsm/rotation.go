package fsm

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Kinds of the rotation of the CA.
const (
	KindStartRotation Kind = 77
	KindMoveRotation  Kind = 78
)

// StartRotation announces the next CA. The machine reads no certificate: it keeps what
// the nodes go by.
type StartRotation struct {
	Rotation directory.Rotation `cbor:"1,keyasint"`
}

func (*StartRotation) Kind() Kind { return KindStartRotation }

func (c *StartRotation) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	r := c.Rotation
	if err := r.Check(); err != nil {
		return Outcome{}, err
	}
	if old, ok := tx.Rotation(); ok && underWay(old, &r) {
		return Outcome{}, directory.Conflict("", "the CA %s is on its way already: its rotation is at %q", old.ID, old.Phase)
	}
	r.Created = env.Now
	putRotation(tx, env, e, &r, directory.RotationAnnounced)
	return Outcome{Changed: true}, nil
}

// underWay is false of a rotation that is done, and of one in which the CA that is to be
// replaced now has no part: that one is of the cluster from whose backup this one was
// made.
func underWay(old, r *directory.Rotation) bool {
	return old.Phase != directory.RotationDone && old.Concerns(r.Replaces)
}

// MoveRotation takes a rotation to its next phase. Whether every node is ready for it is
// the proposer's to find out. The CA before is let go of when clients have had their
// time, or early at the word of an operator.
type MoveRotation struct {
	ID    string                  `cbor:"1,keyasint"`
	To    directory.RotationPhase `cbor:"2,keyasint"`
	Early bool                    `cbor:"3,keyasint,omitempty"`
}

func (*MoveRotation) Kind() Kind { return KindMoveRotation }

func (c *MoveRotation) applySystem(tx *state.SystemTx, env *Envelope, e *effects) (Outcome, error) {
	r, ok := tx.Rotation()
	if !ok || r.ID != c.ID {
		return Outcome{}, directory.NotFound("rotation")
	}
	if c.To > directory.RotationDone || c.To != r.Phase+1 {
		return Outcome{}, directory.Precondition("", "the rotation cannot go from %q to %q", r.Phase, c.To)
	}
	moved := *r
	if c.To == directory.RotationDone {
		if at, ok := r.Ends(); !ok || env.Now < at && !c.Early {
			return Outcome{}, directory.Precondition("", "clients may go by the CA before until %s", at.Std().UTC().Format("2006-01-02T15:04:05Z"))
		}
		moved.Sealed = nil // every node has the key by now
	}
	putRotation(tx, env, e, &moved, c.To)
	return Outcome{Changed: true}, nil
}

func putRotation(tx *state.SystemTx, env *Envelope, e *effects, r *directory.Rotation, to directory.RotationPhase) {
	r.Phase, r.Began, r.Version = to, env.Now, e.index
	tx.PutRotation(r)
	e.event(directory.AuthorityRotated, instance, "%s %s", r.ID, to)
}

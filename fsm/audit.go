package fsm

import (
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// SetRetention sets how long the organization's log remembers.
type SetRetention struct {
	Retention directory.Retention `cbor:"1,keyasint"`
}

func (*SetRetention) Kind() Kind { return KindSetRetention }

func (c *SetRetention) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	if err := c.Retention.Check(); err != nil {
		return Outcome{}, err
	}
	id, old := tx.Record().ID, tx.AuditLog().Retention
	if old == c.Retention {
		return unchanged(id)
	}
	tx.SetRetention(c.Retention)
	e.event(directory.RetentionUpdated, id, "%d entries and %d days, before %d and %d",
		c.Retention.Count, c.Retention.Days, old.Count, old.Days)
	return changed(id)
}

// RecordRefusal records that a request of an identity provider was refused
// before anything was proposed. It changes nothing else.
type RecordRefusal struct {
	Method string `cbor:"1,keyasint"`
	Class  string `cbor:"2,keyasint"` // of the path: "Users/{id}"
	Status uint16 `cbor:"3,keyasint"`
	Detail string `cbor:"4,keyasint,omitempty"`
}

// Bounds of a recorded refusal.
const (
	refusalMethodMax = 16
	refusalClassMax  = 64
	refusalDetailMax = 512
	refusalStatusMin = 400
	refusalStatusMax = 499
)

func (*RecordRefusal) Kind() Kind { return KindRecordRefusal }

func (c *RecordRefusal) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	if c.Status < refusalStatusMin || c.Status > refusalStatusMax {
		return Outcome{}, directory.Invalid("status", "must be %d to %d", refusalStatusMin, refusalStatusMax)
	}
	refused := e.refusal(cut(c.Detail, refusalDetailMax))
	refused.Detail = cut(c.Method, refusalMethodMax) + " " + cut(c.Class, refusalClassMax)
	tx.LogRefusal(refused, e.env.Now)
	return Outcome{Changed: true}, nil
}

// cut shortens a text to at most max bytes and never inside a character.
func cut(s string, max int) string {
	if len(s) > max {
		s = s[:max]
	}
	return strings.ToValidUTF8(s, "")
}

// errorMax bounds the reason of a refusal: it may hold what the caller sent.
const errorMax = 512

// refusal is the entry of a change that was asked for and not made.
func (e *effects) refusal(why string) directory.Event {
	refused := e.entry(directory.ChangeRefused)
	refused.Refused, refused.Error = true, cut(why, errorMax)
	return refused
}

// logged says of an error whether it is a refusal worth an entry: a repeat of an
// earlier request has its entry already.
func (e *effects) logged(err error) bool { return err != nil && !e.repeated }

// logRefusal records a refused command in the log of whoever it was about.
func (e *effects) logRefusal(err error) func(*state.OrgTx) error {
	return func(tx *state.OrgTx) error {
		tx.LogRefusal(e.refusal(err.Error()), e.env.Now)
		return nil
	}
}

package fsm

import (
	"fmt"

	"github.com/authfi/authfi/directory"
)

// effects collects what an entry reports while it is applied.
type effects struct {
	index   directory.Index
	ordinal uint32 // of the next event within the index
	env     *Envelope
	events  []directory.Event
	rows    []directory.Row
}

// event reports a fact about an object.
func (e *effects) event(typ directory.EventType, object fmt.Stringer, format string, args ...any) {
	e.events = append(e.events, directory.Event{
		Index:   e.index,
		Ordinal: e.ordinal,
		Time:    e.env.Now,
		Type:    typ,
		Actor:   e.env.Actor,
		Source:  e.env.Source,
		Object:  object.String(),
		Detail:  fmt.Sprintf(format, args...),
	})
	e.ordinal++
}

// row reports a changed row.
func (e *effects) row(kind directory.RowKind, id [16]byte) {
	e.rows = append(e.rows, directory.Row{Kind: kind, ID: id})
}

// changed and unchanged are the two outcomes without an error.
func changed[ID ~[16]byte](id ID) (Outcome, error) {
	return Outcome{Object: [16]byte(id), Changed: true}, nil
}
func unchanged[ID ~[16]byte](id ID) (Outcome, error) {
	return Outcome{Object: [16]byte(id)}, nil
}

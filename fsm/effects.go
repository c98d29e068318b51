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

	repeated bool // the answer was remembered; nothing was applied
}

// event reports a fact about an object.
func (e *effects) event(typ directory.EventType, object fmt.Stringer, format string, args ...any) {
	one := e.entry(typ)
	one.Object, one.Detail = object.String(), fmt.Sprintf(format, args...)
	e.events = append(e.events, one)
}

// entry is a new entry of the log with all that the envelope says.
func (e *effects) entry(typ directory.EventType) directory.Event {
	one := directory.Event{
		Index: e.index, Ordinal: e.ordinal, Time: e.env.Now, Type: typ,
		Actor: e.env.Actor, Source: e.env.Source,
		Origin:    cut(e.env.Origin, directory.OriginMax),
		Operation: cut(e.env.Operation, directory.OperationMax),
		Trace:     e.env.Trace, Received: e.env.Received,
	}
	e.ordinal++
	return one
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

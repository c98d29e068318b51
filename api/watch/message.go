package watch

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The types of messages that are no events.
const (
	typeHeartbeat = "heartbeat"
	typeResync    = "resync"
	typeRow       = "row"
	typeSynced    = "synced"
)

// eventMessage shows what the sync log shows. Values before and after are for
// readers of the audit log.
func eventMessage(view *state.Org, e *directory.Event) *authfiv1.Event {
	m := &authfiv1.Event{
		Index: uint64(e.Index), Ordinal: e.Ordinal, Time: timestamppb.New(e.Time.Std()), Type: string(e.Type),
		Actor: e.Actor.String(), Source: e.Source, Object: e.Object, Detail: e.Detail, Operation: e.Operation,
	}
	if e.Refused && e.Detail != "" && e.Error != "" {
		m.Detail += ": "
	}
	if e.Refused {
		m.Detail += e.Error
	}
	if !e.Trace.IsZero() {
		m.RequestId = e.Trace.String()
	}
	var touched []directory.UserID
	touched, m.Everybody = affected(view, e)
	for _, id := range touched {
		m.UserIds = append(m.UserIds, id.String())
	}
	return m
}

// mark is a message about the stream itself.
func mark(typ string, index directory.Index) *authfiv1.Event {
	return &authfiv1.Event{Type: typ, Index: uint64(index)}
}

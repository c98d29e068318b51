package admin

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// ListSyncLog implements SyncLogService: the events of an organization, newest
// first.
func (a *api) ListSyncLog(ctx context.Context, r *authfiv1.ListSyncLogRequest) (*authfiv1.ListSyncLogResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId())
	if err != nil {
		return nil, err
	}
	events, cursor, err := eventsBefore(pass.View(), p)
	return &authfiv1.ListSyncLogResponse{
		Entries: convert(events, a.syncLogEntry), Total: int32(pass.View().Events()), Cursor: cursor,
	}, err
}

// eventsBefore takes one page; the place in a cursor is the event's index and
// ordinal.
func eventsBefore(org *state.Org, p *page) (events []*directory.Event, cursor string, err error) {
	index, ordinal := directory.Index(math.MaxUint64), uint32(math.MaxUint32)
	if len(p.after) == 12 {
		index, ordinal = directory.Index(binary.BigEndian.Uint64(p.after)), binary.BigEndian.Uint32(p.after[8:])
	}
	more := false
	org.EachEventBefore(index, ordinal, func(e *directory.Event) bool {
		if more = len(events) == p.limit; more {
			return false
		}
		events = append(events, e)
		return true
	})
	if more {
		last := events[len(events)-1]
		place := binary.BigEndian.AppendUint64(nil, uint64(last.Index))
		cursor, err = p.cursor(binary.BigEndian.AppendUint32(place, last.Ordinal))
	}
	return events, cursor, err
}

func (a *api) syncLogEntry(e *directory.Event) *authfiv1.SyncLogEntry {
	entry := &authfiv1.SyncLogEntry{
		Time: timestamp(e.Time), Source: e.Source, Event: string(e.Type), Detail: e.Detail,
		Status: "ok", // an event is a fact; what failed left none
		Index:  uint64(e.Index),
	}
	if took, ok := a.Latency(e.Index); ok {
		ms := float64(took.Microseconds()) / 1000
		entry.LatencyMs = &ms
	}
	return entry
}

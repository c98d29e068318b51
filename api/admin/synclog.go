package admin

import (
	"context"
	"time"

	"github.com/authfi/authfi/directory"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Moment is an entry whose latency is asked for.
type Moment struct {
	Index directory.Index
	Trace directory.TraceID // of the request behind it; zero: none
}

// Latency is how long an entry took from the first byte of its request.
type Latency struct {
	Commit   time.Duration            // to being committed and applied; negative: unknown
	Enforced map[string]time.Duration // to being enforced, by node that knows
}

// latencyWait bounds how long a silent node holds up the sync log.
const latencyWait = 500 * time.Millisecond

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
	filter := eventFilter{source: r.GetSource(), status: r.GetStatus()}
	if err := filter.times(r.GetAfterTime(), r.GetBeforeTime()); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), append(filter.parts(), r.GetOrgId())...)
	if err != nil {
		return nil, err
	}
	events, cursor, err := find(pass.View(), p, &filter)
	return &authfiv1.ListSyncLogResponse{
		Entries: a.syncLog(ctx, events), Total: int32(pass.View().Events()), Cursor: cursor,
	}, err
}

func (a *api) syncLog(ctx context.Context, events []*directory.Event) []*authfiv1.SyncLogEntry {
	ctx, cancel := context.WithTimeout(ctx, latencyWait)
	defer cancel()
	latencies := a.Latency(ctx, convert(events, func(e *directory.Event) Moment { return Moment{e.Index, e.Trace} }))
	entries := make([]*authfiv1.SyncLogEntry, len(events))
	for i, e := range events {
		entries[i] = syncLogEntry(e, latencies[i])
	}
	return entries
}

func syncLogEntry(e *directory.Event, took Latency) *authfiv1.SyncLogEntry {
	entry := &authfiv1.SyncLogEntry{
		Time: timestamp(e.Time), Source: e.Source, Event: string(e.Type), Detail: e.Detail,
		Status: e.Status(), Index: uint64(e.Index), EnforcedMs: map[string]float64{},
	}
	if e.Refused {
		entry.Detail = joined(e.Detail, e.Error)
	}
	if !e.Trace.IsZero() {
		entry.RequestId = e.Trace.String()
	}
	if took.Commit >= 0 {
		ms := milliseconds(took.Commit)
		entry.LatencyMs = &ms
	}
	for node, d := range took.Enforced {
		entry.EnforcedMs[node] = milliseconds(d)
	}
	return entry
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + ": " + b
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

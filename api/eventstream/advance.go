package eventstream

import (
	"context"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// When a position moves although nothing was acknowledged: well before retention,
// which keeps 1,000 events and 7 days at least, takes the events behind it, which the
// receiver did not want.
const (
	advanceEvents = 500
	advanceAge    = 24 * time.Hour
)

// Advance takes the positions of streams that have nothing outstanding along with the
// log, and notes what retention has taken from those that have. The leader calls it
// every minute.
func (s *Streams) Advance(ctx context.Context, now time.Time) {
	s.Gate.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		org.EachEventStream(func(stream *directory.EventStream) bool {
			command, err := s.advance(org, stream, directory.TimeOf(now))
			if err == nil && command != nil {
				_, err = s.Gate.ProposeAsNode(ctx, org.ID(), command)
			}
			if err != nil {
				s.Log.WarnContext(ctx, "an event stream was not taken along", "organization", org.ID(), "stream", stream.ID, "error", err)
			}
			return ctx.Err() == nil
		})
		return ctx.Err() == nil
	})
}

func (s *Streams) advance(org *state.Org, stream *directory.EventStream, now directory.Time) (*fsm.AcknowledgeEvents, error) {
	anchor := org.AuditLog().Anchor
	if stream.Progress.Position.Compare(directory.EventPlace{Index: anchor.Index, Ordinal: anchor.Ordinal}) < 0 {
		return &fsm.AcknowledgeEvents{ID: stream.ID}, nil // the machine notes the gap
	}
	w, err := s.teller(org, stream).walk(1)
	if err != nil || w.passed == 0 || w.passed < advanceEvents && now < w.since.Add(advanceAge) {
		return nil, err
	}
	return &fsm.AcknowledgeEvents{ID: stream.ID, Through: w.clear}, nil
}

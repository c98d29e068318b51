package fsm

import (
	"slices"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// EventStreamsMax bounds the event streams of one organization. Each is asked by a
// receiver or pushed by the leader, at its own pace.
const EventStreamsMax = 16

// PutEventStream makes an event stream, or replaces the settings of the one that has
// the version of Stream; zero makes a new one. A receiver learns who is in the
// directory, so whoever decides over one must be able to read it.
type PutEventStream struct {
	Stream directory.EventStream `cbor:"1,keyasint"`
}

func (*PutEventStream) Kind() Kind { return KindPutEventStream }

func (c *PutEventStream) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	s := c.Stream
	s.Events, s.Reason = slices.Clone(s.Events), ""
	if err := s.Check(); err != nil {
		return Outcome{}, err
	}
	old, there := tx.EventStream(s.ID)
	switch {
	case s.Version == 0:
		if there || s.ID.IsZero() {
			return Outcome{}, directory.Conflict("id", "is taken")
		}
		return makeEventStream(tx, env, e, &s)
	case !there:
		return Outcome{}, directory.NotFound("event stream")
	case s.Version != old.Version:
		return Outcome{}, directory.Precondition("version", "the event stream has changed since it was read")
	case s.Delivery != old.Delivery:
		return Outcome{}, directory.Invalid("delivery", "cannot be changed; make another event stream")
	}
	return replaceEventStream(tx, env, e, old, &s)
}

// makeEventStream starts behind what the log holds now.
func makeEventStream(tx *state.OrgTx, env *Envelope, e *effects, s *directory.EventStream) (Outcome, error) {
	if err := mayGive(tx, env, []directory.Permission{directory.ReadDirectory}); err != nil {
		return Outcome{}, err
	}
	if tx.EventStreams() >= EventStreamsMax {
		return Outcome{}, directory.Exhausted("event_streams", "the organization has %d event streams", EventStreamsMax)
	}
	s.Created, s.Version = env.Now, e.index
	s.Progress = directory.StreamProgress{Position: logHead(tx)}
	tx.PutEventStream(s)
	e.event(directory.EventStreamCreated, s.ID, "%s to %s", s.Delivery, s.Audience)
	e.row(directory.RowEventStream, s.ID)
	return changed(s.ID)
}

// replaceEventStream keeps how far the receiver has come.
func replaceEventStream(tx *state.OrgTx, env *Envelope, e *effects, old, s *directory.EventStream) (Outcome, error) {
	s.Created, s.Progress = old.Created, old.Progress
	if s.SameSettings(old) {
		return unchanged(s.ID)
	}
	paused := *old
	if paused.Paused = true; !s.SameSettings(&paused) { // whoever may not read may still stop it
		if err := mayGive(tx, env, []directory.Permission{directory.ReadDirectory}); err != nil {
			return Outcome{}, err
		}
	}
	s.Version = e.index
	s.Progress.Failing, s.Progress.Failure = 0, "" // whether it fails with these settings is not known
	tx.PutEventStream(s)
	e.event(directory.EventStreamUpdated, s.ID, "%s to %s", s.Delivery, s.Audience)
	e.row(directory.RowEventStream, s.ID)
	return changed(s.ID)
}

// DeleteEventStream ends an event stream at once.
type DeleteEventStream struct {
	ID directory.EventStreamID `cbor:"1,keyasint"`
}

func (*DeleteEventStream) Kind() Kind { return KindDeleteEventStream }

func (c *DeleteEventStream) apply(tx *state.OrgTx, _ *Envelope, e *effects) (Outcome, error) {
	s, ok := tx.EventStream(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("event stream")
	}
	tx.DeleteEventStream(s)
	e.event(directory.EventStreamDeleted, s.ID, "%s to %s", s.Delivery, s.Audience)
	e.row(directory.RowEventStream, s.ID)
	return changed(s.ID)
}

// AcknowledgeEvents moves the progress of a stream. What it says was true when it was
// proposed and cannot become untrue, so that it is added to what is known: the order
// in which several nodes propose does not matter, and neither does a repeat. It makes
// no entry in the log, which it would push out.
type AcknowledgeEvents struct {
	ID        directory.EventStreamID `cbor:"1,keyasint"`
	Presented [32]byte                `cbor:"2,keyasint,omitzero"` // SHA-256 of the receiver's token; zero: the node speaks for itself
	Through   directory.EventPlace    `cbor:"3,keyasint,omitzero"` // nothing up to it is outstanding
	Places    []directory.EventPlace  `cbor:"4,keyasint,omitempty"`
	Refused   uint32                  `cbor:"5,keyasint,omitempty"` // of Places, tokens that the receiver could not use
	Refusal   string                  `cbor:"6,keyasint,omitempty"` // the last one
	Failure   *string                 `cbor:"7,keyasint,omitempty"` // of a push; empty: it has succeeded again
	Pause     string                  `cbor:"8,keyasint,omitempty"` // why the node gives up
}

func (*AcknowledgeEvents) Kind() Kind { return KindAcknowledgeEvents }

func (c *AcknowledgeEvents) apply(tx *state.OrgTx, env *Envelope, e *effects) (Outcome, error) {
	old, ok := tx.EventStream(c.ID)
	if !ok {
		return Outcome{}, directory.NotFound("event stream")
	}
	if c.Presented != [32]byte{} && (!same(c.Presented, old.Token) || !tx.Record().Active()) {
		return Outcome{}, directory.Unauthenticated("the token is not valid")
	}
	if len(c.Places) > directory.StreamWindow {
		return Outcome{}, directory.Invalid("ack", "more than %d tokens", directory.StreamWindow)
	}
	if head := logHead(tx); c.Through.Compare(head) > 0 || slices.ContainsFunc(c.Places, func(p directory.EventPlace) bool { return p.Compare(head) > 0 }) {
		return Outcome{}, directory.Invalid("ack", "is of an event that is not there yet")
	}
	s := *old
	c.move(&s.Progress, tx.AuditLog().Anchor, env.Now)
	c.judge(&s, env.Now)
	if c.Pause != "" && !s.Paused {
		s.Paused, s.Reason, s.Version = true, cut(c.Pause, directory.StreamTextMax), e.index
		e.event(directory.EventStreamUpdated, s.ID, "paused: %s", s.Reason)
	} else if sameProgress(&s.Progress, &old.Progress) {
		return unchanged(s.ID)
	}
	tx.PutEventStream(&s)
	e.row(directory.RowEventStream, s.ID)
	return changed(s.ID)
}

// move takes the position forward, never back. What retention has removed beyond the
// old position is noted: nobody can deliver it any more.
func (c *AcknowledgeEvents) move(p *directory.StreamProgress, anchor directory.LogPlace, now directory.Time) {
	kept := directory.EventPlace{Index: anchor.Index, Ordinal: anchor.Ordinal}
	if p.Position.Compare(kept) < 0 {
		p.Gap = directory.EventGap{After: p.Position, Until: kept, Noted: now}
		p.Position = kept
	}
	if p.Position.Compare(c.Through) < 0 {
		p.Position = c.Through
	}
	all := append(slices.Clone(p.Acknowledged), c.Places...)
	slices.SortFunc(all, directory.EventPlace.Compare)
	all = slices.DeleteFunc(slices.Compact(all), func(place directory.EventPlace) bool { return place.Compare(p.Position) <= 0 })
	p.Acknowledged = all[:min(len(all), directory.StreamWindow)] // what is beyond comes again
	if len(p.Acknowledged) == 0 {
		p.Acknowledged = nil
	}
}

// judge notes what the receiver could not use, and whether pushes fail.
func (c *AcknowledgeEvents) judge(s *directory.EventStream, now directory.Time) {
	p := &s.Progress
	p.Refused += uint64(c.Refused)
	if c.Refused > 0 {
		p.LastRefusal = cut(c.Refusal, directory.StreamTextMax)
	}
	if c.Failure == nil || s.Delivery != directory.DeliveryPush {
		return
	}
	if p.Failure = cut(*c.Failure, directory.StreamTextMax); p.Failure == "" {
		p.Failing = 0
	} else if p.Failing == 0 {
		p.Failing = now
	}
}

func sameProgress(a, b *directory.StreamProgress) bool {
	return a.Position == b.Position && slices.Equal(a.Acknowledged, b.Acknowledged) && a.Refused == b.Refused &&
		a.LastRefusal == b.LastRefusal && a.Failing == b.Failing && a.Failure == b.Failure && a.Gap == b.Gap
}

// logHead is the place of the newest event of the organization's log.
func logHead(tx *state.OrgTx) directory.EventPlace {
	head := tx.AuditLog().Head
	return directory.EventPlace{Index: head.Index, Ordinal: head.Ordinal}
}

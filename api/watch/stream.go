package watch

import (
	"context"
	"errors"
	"time"

	"connectrpc.com/connect"
	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/problem"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
)

// Bounds of a batch, which is what is sent between two checks of the right to
// watch and held in memory at most.
const (
	batchEvents = 500
	batchBytes  = 256 << 10
)

// stream is one follower's way through the log.
type stream struct {
	*Watcher
	out    *outlet
	send   func(*authfiv1.Event) error // in the dialect of the follower
	who    *access.Standing
	org    directory.OrgID
	filter filter
	leave  func() // gives the seat back

	opened   directory.Index // of the state that admitted the follower
	at       place
	snapshot bool      // the rows come first
	beat     time.Time // when the next heartbeat is due
	fill     fill
}

// fill is how much of a batch is used.
type fill struct{ events, bytes int }

func (f *fill) full() bool { return f.events >= batchEvents || f.bytes >= batchBytes }

// open admits a follower. Its errors are the answer to the request; afterwards
// the dialect sets send, calls run, and leave when that has ended.
func (w *Watcher) open(ctx context.Context, r request, out *outlet) (*stream, error) {
	if w.closing.Err() != nil {
		return nil, errStopping()
	}
	ctx, cancel := context.WithTimeout(ctx, w.bounds.reach)
	defer cancel()
	who, err := w.gate.Stand(ctx, r.token)
	if err != nil {
		return nil, err
	}
	caller := who.Caller()
	if r.org.IsZero() {
		r.org = caller.Org
	}
	if r.org.IsZero() {
		return nil, directory.Invalid("org_id", "must name an organization")
	}
	pass, err := w.admit(ctx, caller, r)
	if err != nil {
		return nil, err
	}
	leave, err := w.seats.take(caller.Actor, r.org)
	if err != nil {
		return nil, err
	}
	s := &stream{
		Watcher: w, out: out, who: who, org: r.org, filter: r.filter, leave: leave,
		opened: pass.View().Applied(), at: r.from, snapshot: r.snapshot,
	}
	if err := out.start(); err != nil {
		leave()
		return nil, err
	}
	return s, nil
}

// admit waits for what this node may not know yet: the organization, when it was
// made on another node a moment ago, and the place that the follower has come to
// there.
func (w *Watcher) admit(ctx context.Context, caller access.Caller, r request) (*access.Pass, error) {
	pass, err := w.gate.Admit(ctx, caller, r.org, operation, access.Freshness{AtLeast: r.atLeast})
	if directory.KindOf(err) == directory.KindNotFound || err == nil && r.from.index > pass.View().Applied() {
		pass, err = w.gate.Admit(ctx, caller, r.org, operation, access.Freshness{AtLeast: r.atLeast, Linearizable: true})
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = directory.Unavailable("this node has not reached the index yet; try again, or another node")
	}
	return pass, err
}

// run sends until something ends the stream, which it returns.
func (s *stream) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(s.closing, func() {
		cancel(errStopping())
		s.out.hurry()
	})
	defer stop()
	for {
		view, more, err := s.batch(ctx)
		if err == nil && !more {
			err = s.rest(ctx, view)
		}
		if err != nil {
			_ = s.out.begin() // the time for the last words
			return err
		}
	}
}

// batch sends what there is next.
func (s *stream) batch(ctx context.Context) (view *state.Org, more bool, err error) {
	due := !time.Now().Before(s.beat)
	current := due && s.current(ctx)
	if view, err = s.turn(ctx); err != nil {
		return nil, false, err
	}
	switch {
	case s.snapshot:
		more, err = true, s.rows(ctx, view)
	case s.lost(view):
		more, err = true, s.resync(view)
	default:
		more, err = s.events(view)
	}
	if err == nil && !more && due {
		err = s.heartbeat(view, current)
	}
	if err == nil {
		err = s.out.flush()
	}
	return view, more, err
}

// current reports whether the state misses nothing that was acknowledged before the
// call. A node that is cut off cannot tell by itself: it has sent all that it knows.
func (s *stream) current(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, s.bounds.recheck)
	defer cancel()
	return s.gate.Fresh(ctx) == nil
}

// heartbeat is for a follower that must know that it has missed nothing. Where the
// node cannot say so it is silent, which followers take for what it is, and tries
// again.
func (s *stream) heartbeat(view *state.Org, current bool) error {
	if !current {
		s.beat = time.Now().Add(s.bounds.recheck)
		return nil
	}
	s.beat = time.Now().Add(s.bounds.heartbeat)
	m := mark(typeHeartbeat, view.Applied())
	var err error
	if m.Proof, err = s.prove(view); err != nil {
		return err
	}
	return s.send(m)
}

// turn begins a batch: is the follower still who it was, and may it still watch?
func (s *stream) turn(ctx context.Context) (*state.Org, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err := s.who.Again(); err != nil {
		return nil, err
	}
	pass, err := s.gate.Admit(ctx, s.who.Caller(), s.org, operation, access.Freshness{})
	if err != nil {
		return nil, err
	}
	s.fill = fill{}
	return pass.View(), s.out.begin()
}

// lost: retention has removed events behind the place, or the cluster has been
// restored to a state from before it.
func (s *stream) lost(view *state.Org) bool {
	anchor := view.AuditLog().Anchor
	return s.at != place{} &&
		(s.at.index > view.Applied() || s.at.before(place{anchor.Index, anchor.Ordinal}))
}

func (s *stream) resync(view *state.Org) error {
	s.snapshot = true
	return s.send(mark(typeResync, view.Applied()))
}

// rows sends what there is at one index, in batches, and goes on behind it.
func (s *stream) rows(ctx context.Context, view *state.Org) (err error) {
	until := time.Now().Add(s.bounds.snapshot)
	eachRow(view, func(m *authfiv1.Event) bool {
		if !s.filter.matchesObject(m.GetObject()) {
			return true
		}
		if s.fill.full() {
			err = s.nextRows(ctx, until)
		}
		if err == nil {
			s.fill.events++
			err = s.queue(m)
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	s.snapshot, s.at = false, place{view.Applied(), wholeIndex}
	return s.send(mark(typeSynced, view.Applied()))
}

func (s *stream) nextRows(ctx context.Context, until time.Time) error {
	if err := s.out.flush(); err != nil {
		return err
	}
	if time.Now().After(until) {
		return directory.Exhausted("", "the rows were not read within %s", s.bounds.snapshot)
	}
	_, err := s.turn(ctx)
	return err
}

// events sends those behind the place, as far as a batch goes. What the filter
// leaves out counts, too: it has to be read.
func (s *stream) events(view *state.Org) (more bool, err error) {
	view.EachEvent(s.at.index, s.at.ordinal, func(e *directory.Event) bool {
		if more = s.fill.full(); more {
			return false
		}
		s.fill.events++
		if s.filter.matches(e) {
			err = s.queue(eventMessage(view, e))
		}
		s.at = place{e.Index, e.Ordinal}
		return err == nil
	})
	if !more && err == nil {
		s.at = place{view.Applied(), wholeIndex}
	}
	return more, err
}

// queue sends into the batch under way.
func (s *stream) queue(m *authfiv1.Event) error {
	s.fill.bytes += proto.Size(m)
	return s.send(m)
}

// rest waits for the organization to change, or until something is due.
func (s *stream) rest(ctx context.Context, view *state.Org) error {
	due := min(s.bounds.recheck, time.Until(s.beat))
	wake, cancel := context.WithTimeout(ctx, due)
	defer cancel()
	for seen := view.Applied(); pause(wake, s.bounds.pace); {
		applied, err := s.wait(wake, seen)
		if err != nil || s.changed(view) {
			break
		}
		seen = applied
	}
	return context.Cause(ctx)
}

// changed looks at nothing but this organization: what others do must not cost
// its followers anything.
func (s *stream) changed(view *state.Org) bool {
	now, ok := s.gate.Root().Org(s.org)
	return !ok || now.Sum() != view.Sum()
}

// pause reports whether the whole time has passed.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// farewell is what the follower hears of the end of its stream, if it listens.
func (s *stream) farewell(ctx context.Context, err error) (refused *connect.Error, listens bool) {
	switch {
	case errors.Is(err, errGone), errors.Is(err, context.Canceled):
		s.log.DebugContext(ctx, "a follower left or was cut off", "org", s.org, "error", err)
		return connect.NewError(connect.CodeCanceled, errGone), false
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(connect.CodeDeadlineExceeded, "", "", "the time that the request gave itself is over"), true
	}
	refused = problem.Of(err)
	if refused.Code() == connect.CodeInternal {
		s.log.ErrorContext(ctx, "a stream of events failed", "org", s.org, "error", err)
	}
	return refused, true
}

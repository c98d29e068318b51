package eventstream

import (
	"context"
	"sync"
	"time"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// Times of the leader's work.
const (
	// lookEvery is how late the leader notices a stream to push, and a node that it
	// does not lead any more: a look at the streams of each organization.
	lookEvery = time.Second
	// advanceEvery is how often positions are taken along.
	advanceEvery = time.Minute
)

// streamName names a stream among those of all organizations.
type streamName struct {
	org directory.OrgID
	id  directory.EventStreamID
}

// pushing is a worker for each stream that this node pushes.
type pushing struct {
	mu      sync.Mutex
	workers map[streamName]context.CancelFunc // guarded by mu
	ended   sync.WaitGroup
}

// Run does the leader's work until the context ends: it pushes, takes positions along,
// and tells clients of sessions that have ended. When leadership moves, two leaders may push for a second: receivers get some
// tokens twice, which they may anyway.
func (s *Streams) Run(ctx context.Context, leads func() bool) {
	look, advance := time.NewTicker(lookEvery), time.NewTicker(advanceEvery)
	defer look.Stop()
	defer advance.Stop()
	p := &pushing{workers: map[streamName]context.CancelFunc{}}
	c := newCalls()
	defer c.ended.Wait()
	defer p.ended.Wait()
	defer p.stop()
	for {
		select {
		case <-look.C:
			if !leads() {
				p.stop()
				c.forget()
				continue
			}
			s.employ(ctx, p)
			s.call(ctx, c)
		case <-advance.C:
			if leads() {
				s.Advance(ctx, time.Now())
			}
		case <-ctx.Done():
			return
		}
	}
}

// employ starts a worker for each stream that is to be pushed and has none.
func (s *Streams) employ(ctx context.Context, p *pushing) {
	s.Gate.Root().EachOrg(directory.OrgID{}, func(org *state.Org) bool {
		if org.EventStreams() == 0 {
			return true
		}
		org.EachEventStream(func(stream *directory.EventStream) bool {
			if pushable(org, stream) {
				p.start(ctx, streamName{org.ID(), stream.ID}, s.push)
			}
			return true
		})
		return ctx.Err() == nil
	})
}

func pushable(org *state.Org, stream *directory.EventStream) bool {
	return org.Record().Active() && stream.Delivery == directory.DeliveryPush && !stream.Paused
}

// start starts a worker unless there is one; it is forgotten when it ends.
func (p *pushing) start(ctx context.Context, name streamName, work func(context.Context, streamName)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, busy := p.workers[name]; busy {
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	p.workers[name] = cancel
	p.ended.Go(func() {
		defer cancel()
		work(ctx, name)
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.workers, name)
	})
}

// stop ends all workers without waiting: one is at most a request away from its end.
func (p *pushing) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, cancel := range p.workers {
		cancel()
	}
}

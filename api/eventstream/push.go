package eventstream

import (
	"context"
	"fmt"
	"time"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// Bounds of pushing one stream.
const (
	// pushAtOnce is how many tokens are made from one state.
	pushAtOnce = 32
	retryMin   = time.Second
	retryMax   = 5 * time.Minute
)

// backoff doubles with every failure.
func (b *bounds) backoff(retries int) time.Duration {
	return min(b.retry<<min(retries, 20), retryMax)
}

// courier pushes one stream, one token after the other.
type courier struct {
	*Streams
	name    streamName
	at      directory.EventPlace // nothing up to it is left to deliver
	done    directory.EventPlace // the last that was delivered, perhaps not committed yet
	noted   time.Time            // when progress was committed last
	retries int                  // since the last success
}

// push is the worker of a stream. It ends with the right to it: the stream is gone or
// paused, or this node does not lead any more.
func (s *Streams) push(ctx context.Context, name streamName) {
	c := &courier{Streams: s, name: name}
	for ctx.Err() == nil {
		view, stream, ok := c.look()
		if !ok {
			return
		}
		t := s.teller(view, stream)
		w, err := t.walk(pushAtOnce)
		if err == nil {
			err = c.round(ctx, t, &w)
		}
		if err != nil && ctx.Err() == nil {
			s.Log.WarnContext(ctx, "an event stream was not pushed", "organization", name.org, "stream", name.id, "error", err)
			pause(ctx, s.bounds.backoff(c.retries))
			c.retries++
		}
	}
}

// look is the stream as it is now. What has been delivered is ahead of what has been
// committed.
func (c *courier) look() (*state.Org, *directory.EventStream, bool) {
	org, ok := c.Gate.Root().Org(c.name.org)
	if !ok {
		return nil, nil, false
	}
	stored, ok := org.EventStream(c.name.id)
	if !ok || !pushable(org, stored) {
		return nil, nil, false
	}
	stream := *stored
	if stream.Progress.Position.Compare(c.at) < 0 {
		stream.Progress.Position = c.at
	}
	return org, &stream, true
}

// round delivers what there is, notes how far it came, and waits when there is
// nothing. A failure is the receiver's or the network's and is noted, too; an error is
// ours.
func (c *courier) round(ctx context.Context, t *teller, w *walk) error {
	if len(w.found) == 0 {
		c.at = w.clear
		if err := c.note(ctx, false); err != nil {
			return err
		}
		wait, cancel := context.WithTimeout(ctx, c.bounds.poll)
		defer cancel()
		c.rest(wait, t.view)
		return nil
	}
	signer, err := c.Tokens.EventSigner(t.view)
	if err != nil {
		return err
	}
	header, err := c.header(t.stream)
	if err != nil {
		return err
	}
	for _, o := range w.found {
		signed, err := signer.Sign(*o.token)
		if err != nil {
			return err
		}
		if failure := c.send(ctx, t.stream.URL, header, signed); failure != "" {
			return c.failed(ctx, failure)
		}
		c.at, c.done, c.retries = o.place, o.place, 0
		if err := c.note(ctx, true); err != nil {
			return err
		}
		if _, now, ok := c.look(); !ok || now.Version != t.stream.Version {
			return nil // it was changed, paused or deleted meanwhile
		}
	}
	return nil
}

func (c *courier) header(stream *directory.EventStream) (string, error) {
	if len(stream.Authorization) == 0 {
		return "", nil
	}
	header, err := c.Ring.Open(access.AuthorizationPurpose(c.name.org, stream.ID), stream.Authorization)
	return string(header), err
}

// note commits progress: at once when there is nothing more to deliver or the stream
// had failed, otherwise once in a while. What a lost leader has not noted comes again.
func (c *courier) note(ctx context.Context, more bool) error {
	stored, ok := c.stored()
	if !ok {
		return nil
	}
	recovered := more && stored.Progress.Failing != 0
	if !recovered && (!c.ahead(stored) || more && time.Since(c.noted) < c.bounds.note) {
		return nil
	}
	command := &fsm.AcknowledgeEvents{ID: c.name.id, Through: c.at}
	if recovered {
		command.Failure = new(string)
	}
	return c.commit(ctx, command)
}

// ahead: something was delivered that is not committed. What the stream does not want
// is no reason for an entry; Advance takes the position along.
func (c *courier) ahead(stored *directory.EventStream) bool {
	return stored.Progress.Position.Compare(c.done) < 0
}

// failed notes the first failure, waits, and gives up after a long time.
func (c *courier) failed(ctx context.Context, failure string) error {
	stored, ok := c.stored()
	if !ok || ctx.Err() != nil {
		return nil
	}
	since := stored.Progress.Failing
	command := &fsm.AcknowledgeEvents{ID: c.name.id, Through: c.done, Failure: &failure}
	if gaveUp := since != 0 && directory.TimeOf(time.Now()) >= since.Add(c.bounds.giveUp); gaveUp {
		command.Pause = fmt.Sprintf("the receiver has failed for %s: %s", c.bounds.giveUp, failure)
	}
	if since == 0 || command.Pause != "" {
		if err := c.commit(ctx, command); err != nil {
			return err
		}
	}
	pause(ctx, c.bounds.backoff(c.retries))
	c.retries++
	return nil
}

func (c *courier) commit(ctx context.Context, command *fsm.AcknowledgeEvents) error {
	c.noted = time.Now()
	_, err := c.Gate.ProposeAsNode(ctx, c.name.org, command)
	return err
}

func (c *courier) stored() (*directory.EventStream, bool) {
	org, ok := c.Gate.Root().Org(c.name.org)
	if !ok {
		return nil, false
	}
	return org.EventStream(c.name.id)
}

// pause waits, or less when the context ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

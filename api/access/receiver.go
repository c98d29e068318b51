package access

import (
	"context"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// NewEventStreamToken makes the token of the receiver that polls an event stream.
func NewEventStreamToken(org directory.OrgID, id directory.EventStreamID) (token string, hash [32]byte) {
	return opaque(eventStreamPrefix, org[:], id[:])
}

// AuthorizationPurpose binds the sealed authorization of a push to its stream.
func AuthorizationPurpose(org directory.OrgID, id directory.EventStreamID) string {
	return "event-stream " + org.String() + " " + id.String()
}

// Receiver is proof that whoever asks holds the token of one event stream. It reads
// what the stream delivers and acknowledges it; there is no other operation that it is
// admitted to.
type Receiver struct {
	gate      *Gate
	org       directory.OrgID
	id        directory.EventStreamID
	presented [32]byte
}

// Receive admits the token of an event stream, at a state that holds every
// acknowledgement that was answered. Every failure of the token looks the same.
func (g *Gate) Receive(ctx context.Context, token string) (*Receiver, error) {
	r := &Receiver{gate: g}
	if !parseOpaque(eventStreamPrefix, token, (*[16]byte)(&r.org), (*[16]byte)(&r.id)) {
		return nil, notReceived()
	}
	r.presented = Hash(token)
	if err := g.settle(ctx, Freshness{Linearizable: true}); err != nil {
		return nil, err
	}
	if _, _, err := r.View(); err != nil {
		return nil, err
	}
	return r, nil
}

func notReceived() error {
	return directory.Unauthenticated("a valid token of an event stream is required")
}

// View is the organization and the stream as they are now; it refuses a token that is
// not good any more. A hash is compared even when there is nothing to compare with.
func (r *Receiver) View() (*state.Org, *directory.EventStream, error) {
	var stored *directory.EventStream
	org, ok := r.gate.root().Org(r.org)
	if ok = ok && org.Record().Active(); ok {
		stored, ok = org.EventStream(r.id)
	}
	if !ok {
		stored = new(directory.EventStream)
	}
	if !sameHash(r.presented, stored.Token) || !ok || stored.Delivery != directory.DeliveryPoll {
		return nil, nil, notReceived()
	}
	return org, stored, nil
}

// Acknowledge moves the progress of the stream. The machine looks at the token again.
func (r *Receiver) Acknowledge(ctx context.Context, command fsm.AcknowledgeEvents) error {
	command.ID, command.Presented = r.id, r.presented
	_, err := r.gate.ProposeAsNode(ctx, r.org, &command)
	return err
}

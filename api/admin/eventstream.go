package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateEventStream implements EventStreamService.
func (a *api) CreateEventStream(ctx context.Context, r *authfiv1.CreateEventStreamRequest) (*authfiv1.CreateEventStreamResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	s := directory.EventStream{
		ID: access.NewID[directory.EventStreamID](pass.Now()), Name: r.GetName(), Audience: r.GetAudience(),
		Delivery: directory.Delivery(r.GetDelivery()), URL: r.GetUrl(), Events: r.GetEvents(), Full: r.GetFull(),
	}
	token := ""
	if s.Delivery == directory.DeliveryPoll {
		token, s.Token = access.NewEventStreamToken(pass.Org(), s.ID)
	}
	if s.Authorization, err = a.sealAuthorization(pass.Org(), s.ID, r.GetAuthorization()); err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.PutEventStream{Stream: s}, r)
	if err != nil {
		return nil, err
	}
	id := directory.EventStreamID(result.Outcome.Object)
	if id != s.ID && token != "" {
		return nil, shownOnce("event stream", "token")
	}
	made, err := c.oneEventStream(pass, id)
	return &authfiv1.CreateEventStreamResponse{EventStream: made, Token: token}, err
}

// sealAuthorization bounds the header before it is sealed. An empty one is none.
func (a *api) sealAuthorization(org directory.OrgID, id directory.EventStreamID, header string) ([]byte, error) {
	if header == "" {
		return nil, nil
	}
	if err := directory.CheckText("authorization", header, directory.AuthorizationMax, true); err != nil {
		return nil, err
	}
	return a.Ring.Seal(access.AuthorizationPurpose(org, id), []byte(header))
}

// ListEventStreams implements EventStreamService.
func (a *api) ListEventStreams(ctx context.Context, r *authfiv1.ListEventStreamsRequest) (*authfiv1.ListEventStreamsResponse, error) {
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
	found, cursor, err := collect(p, pass.View().EachEventStream, func(s *directory.EventStream) [16]byte { return s.ID })
	return &authfiv1.ListEventStreamsResponse{
		EventStreams: convert(found, a.eventStream(pass)), Total: int32(pass.View().EventStreams()), Cursor: cursor,
	}, err
}

// GetEventStream implements EventStreamService.
func (a *api) GetEventStream(ctx context.Context, r *authfiv1.GetEventStreamRequest) (*authfiv1.EventStream, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseEventStreamID)
	if err != nil {
		return nil, err
	}
	return c.oneEventStream(pass, id)
}

// UpdateEventStream implements EventStreamService. It replaces what it has read: a
// change that came between refuses it.
func (a *api) UpdateEventStream(ctx context.Context, r *authfiv1.UpdateEventStreamRequest) (*authfiv1.EventStream, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseEventStreamID)
	if err != nil {
		return nil, err
	}
	m, err := maskOf(r)
	if err != nil {
		return nil, err
	}
	version, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	old, ok := pass.View().EventStream(id)
	if !ok {
		return nil, directory.NotFound("event stream")
	}
	s := *old
	if version != 0 {
		s.Version = version
	}
	if err := a.change(&s, pass.Org(), m, r); err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.PutEventStream{Stream: s}, r); err != nil {
		return nil, err
	}
	return c.oneEventStream(pass, id)
}

// change puts what a request says into a stream.
func (a *api) change(s *directory.EventStream, org directory.OrgID, m mask, r *authfiv1.UpdateEventStreamRequest) (err error) {
	for _, f := range []struct {
		field string
		value *string
		into  *string
	}{{"name", r.Name, &s.Name}, {"audience", r.Audience, &s.Audience}, {"url", r.Url, &s.URL}} {
		if text := m.text(f.field, f.value); text != nil {
			*f.into = *text
		}
	}
	if m.changes("events") {
		s.Events = r.GetEvents().GetEvents()
	}
	if m.changes("full") {
		s.Full = r.GetFull()
	}
	if m.changes("paused") {
		s.Paused = r.GetPaused()
	}
	if m.changes("authorization") {
		s.Authorization, err = a.sealAuthorization(org, s.ID, r.GetAuthorization())
	}
	return err
}

// RotateEventStreamToken implements EventStreamService.
func (a *api) RotateEventStreamToken(ctx context.Context, r *authfiv1.RotateEventStreamTokenRequest) (*authfiv1.RotateEventStreamTokenResponse, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseEventStreamID)
	if err != nil {
		return nil, err
	}
	old, ok := pass.View().EventStream(id)
	if !ok {
		return nil, directory.NotFound("event stream")
	}
	if old.Delivery != directory.DeliveryPoll {
		return nil, directory.Precondition("id", "the event stream is pushed: nobody asks for it with a token")
	}
	s := *old
	token, hash := access.NewEventStreamToken(pass.Org(), id)
	s.Token = hash
	if _, err := c.propose(pass, &fsm.PutEventStream{Stream: s}, r); err != nil {
		return nil, err
	}
	made, err := c.oneEventStream(pass, id)
	if err != nil {
		return nil, err
	}
	if now, ok := pass.View().EventStream(id); !ok || now.Token != hash {
		return nil, shownOnce("event stream", "token") // a repeat of a request that was answered
	}
	return &authfiv1.RotateEventStreamTokenResponse{Token: token, EventStream: made}, nil
}

// DeleteEventStream implements EventStreamService.
func (a *api) DeleteEventStream(ctx context.Context, r *authfiv1.DeleteEventStreamRequest) (*authfiv1.DeleteEventStreamResponse, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseEventStreamID)
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteEventStream{ID: id}, r)
	return &authfiv1.DeleteEventStreamResponse{}, err
}

func (c *call) oneEventStream(pass *access.Pass, id directory.EventStreamID) (*authfiv1.EventStream, error) {
	found, ok := pass.View().EventStream(id)
	if !ok {
		return nil, directory.NotFound("event stream")
	}
	c.etag(found.Version)
	return c.api.eventStream(pass)(found), nil
}

func (a *api) eventStream(pass *access.Pass) func(*directory.EventStream) *authfiv1.EventStream {
	return func(s *directory.EventStream) *authfiv1.EventStream {
		p := &s.Progress
		made := &authfiv1.EventStream{
			Id: s.ID.String(), OrgId: pass.Org().String(), Name: s.Name, Audience: s.Audience, Delivery: string(s.Delivery),
			Url: s.URL, Authorization: len(s.Authorization) > 0, Events: s.Events, Full: s.Full, Paused: s.Paused, Reason: s.Reason,
			Created: timestamp(s.Created), Version: uint64(s.Version),
			Progress: &authfiv1.EventStreamProgress{
				Index: uint64(p.Position.Index), Ordinal: p.Position.Ordinal, Acknowledged: int32(len(p.Acknowledged)),
				Refused: p.Refused, LastRefusal: p.LastRefusal, FailingSince: timestamp(p.Failing), Failure: p.Failure,
			},
		}
		if s.Delivery == directory.DeliveryPoll {
			made.PollUrl = a.Issuer + "/o/" + pass.View().Record().Slug + "/events/poll"
		}
		if p.Gap != (directory.EventGap{}) {
			made.Progress.Gap = &authfiv1.EventStreamGap{
				After: uint64(p.Gap.After.Index), Until: uint64(p.Gap.Until.Index), Noted: timestamp(p.Gap.Noted),
			}
		}
		return made
	}
}

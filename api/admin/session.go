package admin

import (
	"context"

	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// refreshTokenMax bounds a refresh token; ours have some 110 bytes.
const refreshTokenMax = 512

// StartSession implements SessionService. The claims of the tokens come from
// the newest state, so that a sign-in never carries a right that was taken
// before it.
func (a *api) StartSession(ctx context.Context, r *authfiv1.StartSessionRequest) (*authfiv1.SessionTokens, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	c.fresh.Linearizable = true
	user, err := directory.ParseUserID(r.GetUserId())
	if err != nil {
		return nil, err
	}
	if len(r.GetAmr()) == 0 {
		return nil, directory.Invalid("amr", "must name how the user proved who they are")
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	grant, err := a.Sessions.Start(ctx, pass, user, r.GetAmr(), login.Device{Address: r.GetAddress(), Name: r.GetDevice()})
	if err != nil {
		return nil, err
	}
	c.index(grant.Index)
	return tokens(grant), nil
}

// RefreshSession implements SessionService. The refresh token is the
// credential, so there is no caller and no pass.
func (a *api) RefreshSession(ctx context.Context, r *authfiv1.RefreshSessionRequest) (*authfiv1.SessionTokens, error) {
	if len(r.GetRefreshToken()) > refreshTokenMax {
		return nil, directory.Invalid("refresh_token", "longer than %d bytes", refreshTokenMax)
	}
	grant, err := a.Sessions.Refresh(ctx, r.GetRefreshToken(), directory.ClientID{})
	if err != nil {
		return nil, err
	}
	if asked, ok := exchangeOf(ctx); ok {
		(&call{exchange: asked}).index(grant.Index)
	}
	return tokens(grant), nil
}

func tokens(g login.Grant) *authfiv1.SessionTokens {
	return &authfiv1.SessionTokens{
		SessionId: g.Session.String(), AccessToken: g.AccessToken, RefreshToken: g.RefreshToken,
		ExpiresIn: int32(g.ExpiresIn.Seconds()),
	}
}

// ListSessions implements SessionService.
func (a *api) ListSessions(ctx context.Context, r *authfiv1.ListSessionsRequest) (*authfiv1.ListSessionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	if err := pass.About(id); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetUserId())
	if err != nil {
		return nil, err
	}
	walk := func(yield func(*directory.Session) bool) { pass.View().EachUserSession(id, yield) }
	found, cursor, err := collect(p, walk, func(s *directory.Session) [16]byte { return s.ID })
	return &authfiv1.ListSessionsResponse{
		Sessions: convert(found, session(pass.View().Record().SignIn)), Total: int32(count(walk)), Cursor: cursor,
	}, err
}

// EndSession implements SessionService.
func (a *api) EndSession(ctx context.Context, r *authfiv1.EndSessionRequest) (*authfiv1.EndSessionResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	id, err := directory.ParseSessionID(r.GetId())
	if err != nil {
		return nil, inField("id", err)
	}
	pass, err := c.at("session", func(o *state.Org) bool { _, ok := o.Session(id); return ok })
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.EndSession{ID: id, Reason: endReason}, r)
	return &authfiv1.EndSessionResponse{}, err
}

// endReason is what the sync log shows of a session that was ended here.
const endReason = "ended by an administrator"

// EndUserSessions implements SessionService.
func (a *api) EndUserSessions(ctx context.Context, r *authfiv1.EndUserSessionsRequest) (*authfiv1.EndUserSessionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.EndUserSessions{User: id, Reason: endReason}, r)
	if err != nil {
		return nil, err
	}
	walk := func(yield func(*directory.Session) bool) { pass.View().EachUserSession(id, yield) }
	return &authfiv1.EndUserSessionsResponse{Ended: endedAt(walk, result)}, nil
}

// EndOrganizationSessions implements SessionService.
func (a *api) EndOrganizationSessions(ctx context.Context, r *authfiv1.EndOrganizationSessionsRequest) (*authfiv1.EndOrganizationSessionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.EndOrganizationSessions{Reason: endReason}, r)
	if err != nil {
		return nil, err
	}
	return &authfiv1.EndOrganizationSessionsResponse{Ended: endedAt(pass.View().EachSession, result)}, nil
}

// endedAt counts the sessions that the entry ended: it is the last to have
// changed them.
func endedAt(walk func(yield func(*directory.Session) bool), result fsm.Result) (n int32) {
	walk(func(s *directory.Session) bool {
		if result.Outcome.Changed && s.Ended != 0 && s.Version == result.Index {
			n++
		}
		return true
	})
	return n
}

func session(in directory.SignIn) func(*directory.Session) *authfiv1.Session {
	return func(s *directory.Session) *authfiv1.Session {
		made := &authfiv1.Session{
			Id: s.ID.String(), UserId: s.User.String(), Amr: s.Methods,
			Created: timestamp(s.Created), Refreshed: timestamp(s.Refreshed), Expires: timestamp(s.Expires(in)),
			Ended: timestamp(s.Ended), Reason: s.Reason, Address: s.Address, Device: s.Device,
		}
		if !s.Client.IsZero() {
			made.ClientId = s.Client.String()
		}
		return made
	}
}

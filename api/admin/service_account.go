package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateServiceAccount implements UserService.
func (a *api) CreateServiceAccount(ctx context.Context, r *authfiv1.CreateServiceAccountRequest) (*authfiv1.User, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	owner, err := accountOwner(pass, r.GetOwnerId())
	if err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.CreateUser{User: directory.User{
		ID: access.NewID[directory.UserID](pass.Now()), UserName: r.GetUserName(), DisplayName: r.GetDisplayName(),
		Active: r.Active == nil || r.GetActive(), Source: directory.SourceAPI, Service: true, Owner: owner,
	}}, r)
	if err != nil {
		return nil, err
	}
	return c.user(pass, directory.UserID(result.Outcome.Object))
}

// accountOwner is who the request names or, without a name, the person who asks.
// An operator is nobody in the organization.
func accountOwner(pass *access.Pass, named string) (directory.UserID, error) {
	actor := pass.Caller().Actor
	if named == "" && actor.Kind == directory.ActorUser {
		return directory.UserID(actor.ID), nil
	}
	if key, ok := pass.View().APIKey(directory.APIKeyID(actor.ID)); ok && named == "" && actor.Kind == directory.ActorAPIKey {
		return key.Owner, nil
	}
	if named == "" {
		return directory.UserID{}, directory.Invalid("owner_id", "must name a person of the organization, since the caller is none")
	}
	id, err := directory.ParseUserID(named)
	return id, inField("owner_id", err)
}

package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// CreateApiKey implements ApiKeyService.
func (a *api) CreateApiKey(ctx context.Context, r *authfiv1.CreateApiKeyRequest) (*authfiv1.CreateApiKeyResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	owner, err := c.keyOwner(pass, r.GetUserId())
	if err != nil {
		return nil, err
	}
	expires, err := end(r.GetExpires(), pass)
	if err != nil {
		return nil, err
	}
	id := access.NewID[directory.APIKeyID](pass.Now())
	key, hash := access.NewAPIKey(pass.Org(), id)
	result, err := c.propose(pass, &fsm.CreateAPIKey{Key: directory.APIKey{
		ID: id, Name: r.GetName(), Owner: owner, Permissions: permissions(r.GetPermissions()), Token: hash, Expires: expires,
	}}, r)
	if err != nil {
		return nil, err
	}
	if directory.APIKeyID(result.Outcome.Object) != id {
		return nil, shownOnce("API key", "text")
	}
	made, ok := pass.View().APIKey(id)
	if !ok {
		return nil, directory.NotFound("API key")
	}
	return &authfiv1.CreateApiKeyResponse{ApiKey: apiKey(pass.Org())(made), Key: key}, nil
}

// keyOwner is whose key is to be made; without a name the caller's own.
func (c *call) keyOwner(pass *access.Pass, text string) (owner directory.UserID, err error) {
	switch {
	case text != "":
		if owner, err = directory.ParseUserID(text); err != nil {
			return owner, err
		}
	case c.caller.Actor.Kind == directory.ActorUser:
		owner = directory.UserID(c.caller.Actor.ID)
	default:
		return owner, directory.Invalid("user_id", "must name the owner, since the caller is not a user")
	}
	return owner, pass.About(owner)
}

// end is when something that is made now ends; zero when it does not.
func end(at *timestamppb.Timestamp, pass *access.Pass) (directory.Time, error) {
	if at == nil {
		return 0, nil
	}
	if err := at.CheckValid(); err != nil {
		return 0, directory.Invalid("expires", "is not a time")
	}
	expires, now := directory.TimeOf(at.AsTime()), directory.TimeOf(pass.Now())
	if expires <= now { // also the time whose number would mean that there is no end
		return 0, directory.Invalid("expires", "is in the past")
	}
	return expires, nil
}

// ListApiKeys implements ApiKeyService. Whoever may see only their own keys and
// names no owner asks for these.
func (a *api) ListApiKeys(ctx context.Context, r *authfiv1.ListApiKeysRequest) (*authfiv1.ListApiKeysResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	owner, of, err := keysOf(pass, r.GetUserId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), owner.String())
	if err != nil {
		return nil, err
	}
	org := pass.View()
	walk, total := func(yield func(*directory.APIKey) bool) {
		org.EachAPIKey(afterID[directory.APIKeyID](p), yield)
	}, org.APIKeys()
	if of {
		walk = func(yield func(*directory.APIKey) bool) { org.EachUserAPIKey(owner, yield) }
		total = count(walk)
	}
	found, cursor, err := collect(p, walk, func(k *directory.APIKey) [16]byte { return k.ID })
	return &authfiv1.ListApiKeysResponse{
		ApiKeys: convert(found, apiKey(pass.Org())), Total: int32(total), Cursor: cursor,
	}, err
}

// keysOf is whose keys to list; of is false for everybody's.
func keysOf(pass *access.Pass, text string) (owner directory.UserID, of bool, err error) {
	if text == "" {
		owner, of = pass.Self()
		return owner, of, nil
	}
	if owner, err = directory.ParseUserID(text); err != nil {
		return owner, true, err
	}
	if err := pass.About(owner); err != nil {
		return owner, true, err
	}
	if _, ok := pass.View().User(owner); !ok {
		return owner, true, directory.NotFound("user")
	}
	return owner, true, nil
}

// GetApiKey implements ApiKeyService.
func (a *api) GetApiKey(ctx context.Context, r *authfiv1.GetApiKeyRequest) (*authfiv1.ApiKey, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, k, err := c.atAPIKey(r)
	if err != nil {
		return nil, err
	}
	c.etag(k.Version)
	return apiKey(pass.Org())(k), nil
}

// atAPIKey admits the call to the organization of an API key, and to the key.
func (c *call) atAPIKey(r identified) (*access.Pass, *directory.APIKey, error) {
	id, err := directory.ParseAPIKeyID(r.GetId())
	if err != nil {
		return nil, nil, err
	}
	pass, err := c.at("API key", func(o *state.Org) bool { _, ok := o.APIKey(id); return ok })
	if err != nil {
		return nil, nil, err
	}
	k, ok := pass.View().APIKey(id)
	if !ok {
		return nil, nil, directory.NotFound("API key")
	}
	return pass, k, pass.About(k.Owner)
}

// RevokeApiKey implements ApiKeyService.
func (a *api) RevokeApiKey(ctx context.Context, r *authfiv1.RevokeApiKeyRequest) (*authfiv1.RevokeApiKeyResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, k, err := c.atAPIKey(r)
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.RevokeAPIKey{ID: k.ID}, r)
	return &authfiv1.RevokeApiKeyResponse{}, err
}

func apiKey(org directory.OrgID) func(*directory.APIKey) *authfiv1.ApiKey {
	return func(k *directory.APIKey) *authfiv1.ApiKey {
		return &authfiv1.ApiKey{
			Id: k.ID.String(), OrgId: org.String(), Name: k.Name, UserId: k.Owner.String(),
			Permissions: permissionTexts(k.Permissions), Created: timestamp(k.Created), Expires: timestamp(k.Expires),
			By: k.By.String(), Version: uint64(k.Version),
		}
	}
}

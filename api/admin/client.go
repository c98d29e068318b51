package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/login"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateClient implements ClientService.
func (a *api) CreateClient(ctx context.Context, r *authfiv1.CreateClientRequest) (*authfiv1.CreateClientResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	client := directory.Client{
		ID: access.NewID[directory.ClientID](pass.Now()), Name: r.GetName(), Public: r.GetPublic(),
		Redirects: r.GetRedirectUris(), Grants: grantTypes(r.GetGrantTypes()),
		Permissions: permissions(r.GetPermissions()), Unbounded: r.GetAllPermissions(),
		Algorithm: directory.KeyAlgorithm(r.GetSigningAlgorithm()), Logout: r.GetBackchannelLogoutUri(),
		PostLogout: r.GetPostLogoutRedirectUris(), Binds: r.GetDpopBoundAccessTokens(), Pushes: r.GetRequirePushedAuthorizationRequests(),
	}
	if r.GetAccountId() != "" {
		if client.Account, err = directory.ParseUserID(r.GetAccountId()); err != nil {
			return nil, inField("account_id", err)
		}
	}
	var secret string
	switch {
	case r.GetKeys() != "":
		if client.Keys, err = login.CheckClientKeys(r.GetKeys()); err != nil {
			return nil, err
		}
	case !client.Public:
		secret, client.Secret = access.NewClientSecret(pass.Org(), client.ID)
	}
	result, err := c.propose(pass, &fsm.CreateClient{Client: client}, r)
	if err != nil {
		return nil, err
	}
	if made := directory.ClientID(result.Outcome.Object); made != client.ID {
		if secret != "" {
			return nil, shownOnce("client", "secret")
		}
		client.ID = made
	}
	made, err := c.oneClient(pass, client.ID)
	return &authfiv1.CreateClientResponse{Client: made, ClientSecret: secret}, err
}

// ListClients implements ClientService.
func (a *api) ListClients(ctx context.Context, r *authfiv1.ListClientsRequest) (*authfiv1.ListClientsResponse, error) {
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
	found, cursor, err := collect(p, pass.View().EachClient, func(c *directory.Client) [16]byte { return c.ID })
	return &authfiv1.ListClientsResponse{
		Clients: convert(found, client(pass.Org())), Total: int32(pass.View().Clients()), Cursor: cursor,
	}, err
}

// GetClient implements ClientService.
func (a *api) GetClient(ctx context.Context, r *authfiv1.GetClientRequest) (*authfiv1.Client, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseClientID)
	if err != nil {
		return nil, err
	}
	return c.oneClient(pass, id)
}

// UpdateClient implements ClientService.
func (a *api) UpdateClient(ctx context.Context, r *authfiv1.UpdateClientRequest) (*authfiv1.Client, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseClientID)
	if err != nil {
		return nil, err
	}
	m, err := maskOf(r)
	if err != nil {
		return nil, err
	}
	command := &fsm.UpdateClient{ID: id, Name: m.text("name", r.Name)}
	if command.IfVersion, err = c.ifMatch(); err != nil {
		return nil, err
	}
	if m.changes("redirect_uris") {
		redirects := r.GetRedirectUris().GetRedirectUris()
		command.Redirects = &redirects
	}
	if m.changes("grant_types") {
		grants := grantTypes(r.GetGrantTypes().GetGrantTypes())
		command.Grants = &grants
	}
	if m.changes("permissions") {
		list := permissions(r.GetPermissions().GetPermissions())
		command.Permissions = &list
	}
	if m.changes("all_permissions") {
		all := r.GetAllPermissions()
		command.Unbounded = &all
	}
	if m.changes("keys") {
		keys, err := login.CheckClientKeys(r.GetKeys())
		if err != nil {
			return nil, err
		}
		command.Keys = &keys
	}
	changeLogout(command, m, r)
	if _, err := c.propose(pass, command, r); err != nil {
		return nil, err
	}
	return c.oneClient(pass, id)
}

// changeLogout continues UpdateClient with what protects the client's tokens and ends
// its sessions.
func changeLogout(command *fsm.UpdateClient, m mask, r *authfiv1.UpdateClientRequest) {
	if m.changes("signing_algorithm") {
		algorithm := directory.KeyAlgorithm(r.GetSigningAlgorithm())
		command.Algorithm = &algorithm
	}
	if m.changes("backchannel_logout_uri") {
		uri := r.GetBackchannelLogoutUri()
		command.Logout = &uri
	}
	if m.changes("post_logout_redirect_uris") {
		uris := r.GetPostLogoutRedirectUris().GetRedirectUris()
		command.PostLogout = &uris
	}
	if m.changes("dpop_bound_access_tokens") {
		binds := r.GetDpopBoundAccessTokens()
		command.Binds = &binds
	}
	if m.changes("require_pushed_authorization_requests") {
		pushes := r.GetRequirePushedAuthorizationRequests()
		command.Pushes = &pushes
	}
}

// RotateClientSecret implements ClientService.
func (a *api) RotateClientSecret(ctx context.Context, r *authfiv1.RotateClientSecretRequest) (*authfiv1.RotateClientSecretResponse, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseClientID)
	if err != nil {
		return nil, err
	}
	secret, hash := access.NewClientSecret(pass.Org(), id)
	if _, err := c.propose(pass, &fsm.UpdateClient{ID: id, Secret: &hash}, r); err != nil {
		return nil, err
	}
	if stored, ok := pass.View().Client(id); ok && !access.Matches(secret, stored.Secret) {
		return nil, shownOnce("client", "secret") // a repeat of a request that was answered
	}
	made, err := c.oneClient(pass, id)
	return &authfiv1.RotateClientSecretResponse{ClientSecret: secret, Client: made}, err
}

// DeleteClient implements ClientService.
func (a *api) DeleteClient(ctx context.Context, r *authfiv1.DeleteClientRequest) (*authfiv1.DeleteClientResponse, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseClientID)
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteClient{ID: id}, r)
	return &authfiv1.DeleteClientResponse{}, err
}

func (c *call) oneClient(pass *access.Pass, id directory.ClientID) (*authfiv1.Client, error) {
	found, ok := pass.View().Client(id)
	if !ok {
		return nil, directory.NotFound("client")
	}
	c.etag(found.Version)
	return client(pass.Org())(found), nil
}

func client(org directory.OrgID) func(*directory.Client) *authfiv1.Client {
	return func(c *directory.Client) *authfiv1.Client {
		made := &authfiv1.Client{
			Id: c.ID.String(), OrgId: org.String(), Name: c.Name, Public: c.Public, RedirectUris: c.Redirects,
			Permissions: permissionTexts(c.Permissions), AllPermissions: c.Unbounded, Keys: string(c.Keys),
			Created: timestamp(c.Created), Version: uint64(c.Version),
			SigningAlgorithm: string(c.Algorithm), BackchannelLogoutUri: c.Logout, PostLogoutRedirectUris: c.PostLogout,
			DpopBoundAccessTokens: c.Binds, RequirePushedAuthorizationRequests: c.Pushes,
		}
		for _, g := range c.Grants {
			made.GrantTypes = append(made.GrantTypes, string(g))
		}
		if !c.Account.IsZero() {
			made.AccountId = c.Account.String()
		}
		return made
	}
}

func grantTypes(texts []string) (list []directory.GrantType) {
	for _, text := range texts {
		list = append(list, directory.GrantType(text))
	}
	return list
}

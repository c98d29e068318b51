package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateConnection implements ConnectionService.
func (a *api) CreateConnection(ctx context.Context, r *authfiv1.CreateConnectionRequest) (*authfiv1.CreateConnectionResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	id := access.NewID[directory.ConnectionID](pass.Now())
	token, hash := access.NewConnectionToken(pass.Org(), id)
	result, err := c.propose(pass, &fsm.CreateConnection{Connection: directory.Connection{
		ID: id, Provider: directory.Provider(r.GetProvider()), Token: hash,
	}}, r)
	if err != nil {
		return nil, err
	}
	if directory.ConnectionID(result.Outcome.Object) != id {
		return nil, shownOnce("connection", "token")
	}
	return &authfiv1.CreateConnectionResponse{Id: id.String(), BaseUrl: a.baseURL(pass), Token: token}, nil
}

// baseURL is what the identity provider calls the tenant URL.
func (a *api) baseURL(pass *access.Pass) string {
	return a.Issuer + "/scim/v2/" + pass.View().Record().Slug
}

// ListConnections implements ConnectionService.
func (a *api) ListConnections(ctx context.Context, r *authfiv1.ListConnectionsRequest) (*authfiv1.ListConnectionsResponse, error) {
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
	found, cursor, err := collect(p, pass.View().EachConnection, func(c *directory.Connection) [16]byte { return c.ID })
	return &authfiv1.ListConnectionsResponse{
		Connections: convert(found, a.connection(pass)), Total: int32(pass.View().Connections()), Cursor: cursor,
	}, err
}

// DeleteConnection implements ConnectionService.
func (a *api) DeleteConnection(ctx context.Context, r *authfiv1.DeleteConnectionRequest) (*authfiv1.DeleteConnectionResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	id, err := directory.ParseConnectionID(r.GetId())
	if err != nil {
		return nil, inField("id", err)
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteConnection{ID: id}, r)
	return &authfiv1.DeleteConnectionResponse{}, err
}

func (a *api) connection(pass *access.Pass) func(*directory.Connection) *authfiv1.Connection {
	return func(c *directory.Connection) *authfiv1.Connection {
		return &authfiv1.Connection{
			Id: c.ID.String(), OrgId: pass.Org().String(), Provider: string(c.Provider), BaseUrl: a.baseURL(pass),
			Created: timestamp(c.Created), Version: uint64(c.Version),
		}
	}
}

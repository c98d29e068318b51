package admin

import (
	"context"
	"fmt"

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
		ID: id, Provider: directory.Provider(r.GetProvider()), Tokens: []directory.ConnectionToken{{Hash: hash, Hint: access.Hint(token)}},
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

// GetConnection implements ConnectionService.
func (a *api) GetConnection(ctx context.Context, r *authfiv1.GetConnectionRequest) (*authfiv1.Connection, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseConnectionID)
	if err != nil {
		return nil, err
	}
	return c.oneConnection(pass, id)
}

// UpdateConnection implements ConnectionService.
func (a *api) UpdateConnection(ctx context.Context, r *authfiv1.UpdateConnectionRequest) (*authfiv1.Connection, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseConnectionID)
	if err != nil {
		return nil, err
	}
	m, err := maskOf(r)
	if err != nil {
		return nil, err
	}
	command := &fsm.UpdateConnection{ID: id, Name: m.text("name", r.Name)}
	if command.IfVersion, err = c.ifMatch(); err != nil {
		return nil, err
	}
	if m.changes("disabled") {
		disabled := r.GetDisabled()
		command.Disabled = &disabled
	}
	command.Issuer, command.Audience, command.Application = m.text("issuer", r.Issuer), m.text("audience", r.Audience), m.text("application", r.Application)
	if command.Issuer != nil && *command.Issuer != "" {
		if err := a.CheckIssuer(*command.Issuer); err != nil {
			return nil, err
		}
	}
	if m.changes("sees_all") {
		all := r.GetSeesAll()
		command.SeesAll = &all
	}
	if m.changes("unique_group_display_name") {
		// A mask that names the field without a value means what is there without it.
		shares := r.UniqueGroupDisplayName != nil && !r.GetUniqueGroupDisplayName()
		command.SharesNames = &shares
	}
	for _, s := range []struct {
		field, zero, other string
		value              *string
		into               **bool
	}{
		{"replace_missing_value_path", "add", "no_target", r.ReplaceMissingValuePath, &command.NoTarget},
		{"unknown_members", "skip", "reject", r.UnknownMembers, &command.RejectMembers},
		{"unknown_attributes", "ignore", "reject", r.UnknownAttributes, &command.RejectAttributes},
	} {
		text := m.text(s.field, s.value)
		if text == nil {
			continue
		}
		if *text != s.zero && *text != s.other {
			return nil, directory.Invalid(s.field, "must be %s or %s", s.zero, s.other)
		}
		other := *text == s.other
		*s.into = &other
	}
	if _, err := c.propose(pass, command, r); err != nil {
		return nil, err
	}
	return c.oneConnection(pass, id)
}

// RotateConnectionToken implements ConnectionService.
func (a *api) RotateConnectionToken(ctx context.Context, r *authfiv1.RotateConnectionTokenRequest) (*authfiv1.RotateConnectionTokenResponse, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseConnectionID)
	if err != nil {
		return nil, err
	}
	token, hash := access.NewConnectionToken(pass.Org(), id)
	made := directory.ConnectionToken{Hash: hash, Hint: access.Hint(token)}
	if _, err := c.propose(pass, &fsm.RotateConnectionToken{ID: id, Token: made}, r); err != nil {
		return nil, err
	}
	connection, err := c.oneConnection(pass, id)
	if err != nil {
		return nil, err
	}
	for _, t := range connection.GetTokens() {
		if t.GetToken() == made.Name().String() {
			return &authfiv1.RotateConnectionTokenResponse{Token: token, Connection: connection}, nil
		}
	}
	return nil, shownOnce("connection", "token") // a repeat of a request that was answered
}

// RevokeConnectionToken implements ConnectionService.
func (a *api) RevokeConnectionToken(ctx context.Context, r *authfiv1.RevokeConnectionTokenRequest) (*authfiv1.Connection, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseConnectionID)
	if err != nil {
		return nil, err
	}
	name, err := directory.ParseTokenName(r.GetToken())
	if err != nil {
		return nil, inField("token", err)
	}
	if _, err := c.propose(pass, &fsm.RevokeConnectionToken{ID: id, Token: name}, r); err != nil {
		return nil, err
	}
	return c.oneConnection(pass, id)
}

// SetConnectionMappings implements ConnectionService.
func (a *api) SetConnectionMappings(ctx context.Context, r *authfiv1.SetConnectionMappingsRequest) (*authfiv1.Connection, error) {
	c, pass, id, err := at(ctx, a, r.GetOrgId(), r.GetId(), directory.ParseConnectionID)
	if err != nil {
		return nil, err
	}
	command := &fsm.SetConnectionMappings{ID: id}
	if command.IfVersion, err = c.ifMatch(); err != nil {
		return nil, err
	}
	if len(r.GetMappings()) > directory.MappingsMax {
		return nil, directory.Invalid("mappings", "more than %d", directory.MappingsMax)
	}
	for i, m := range r.GetMappings() {
		role, err := directory.ParseRoleID(m.GetRoleId())
		if err != nil {
			return nil, inField(fmt.Sprintf("mappings[%d].role_id", i), err)
		}
		command.Mappings = append(command.Mappings, directory.Mapping{Name: m.GetGroupName(), ExternalID: m.GetGroupExternalId(), Role: role})
	}
	if _, err := c.propose(pass, command, r); err != nil {
		return nil, err
	}
	return c.oneConnection(pass, id)
}

func (c *call) oneConnection(pass *access.Pass, id directory.ConnectionID) (*authfiv1.Connection, error) {
	found, ok := pass.View().Connection(id)
	if !ok {
		return nil, directory.NotFound("connection")
	}
	c.etag(found.Version)
	return c.api.connection(pass)(found), nil
}

func (a *api) connection(pass *access.Pass) func(*directory.Connection) *authfiv1.Connection {
	return func(c *directory.Connection) *authfiv1.Connection {
		made := &authfiv1.Connection{
			Id: c.ID.String(), OrgId: pass.Org().String(), Provider: string(c.Provider), BaseUrl: a.baseURL(pass),
			Created: timestamp(c.Created), Version: uint64(c.Version), Name: c.Name, Disabled: c.Disabled,
			Switches: &authfiv1.ConnectionSwitches{
				ReplaceMissingValuePath: either(c.Switches.NoTarget, "no_target", "add"),
				UnknownMembers:          either(c.Switches.RejectMembers, "reject", "skip"),
				UnknownAttributes:       either(c.Switches.RejectAttributes, "reject", "ignore"),
				SeesAll:                 c.Switches.SeesAll,
				UniqueGroupDisplayName:  !c.Switches.SharesNames,
			},
			Issuer: c.Trust.Issuer, Audience: c.Trust.Audience, Application: c.Trust.Application,
		}
		for _, t := range c.Valid() {
			made.Tokens = append(made.Tokens, &authfiv1.ConnectionToken{Token: t.Name().String(), Hint: t.Hint, Created: timestamp(t.Created)})
		}
		for _, m := range c.Mappings {
			made.Mappings = append(made.Mappings, &authfiv1.ConnectionMapping{GroupName: m.Name, GroupExternalId: m.ExternalID, RoleId: m.Role.String()})
		}
		return made
	}
}

func either(other bool, set, unset string) string {
	if other {
		return set
	}
	return unset
}

package admin

import (
	"context"
	"fmt"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// CreateRole implements RoleService.
func (a *api) CreateRole(ctx context.Context, r *authfiv1.CreateRoleRequest) (*authfiv1.Role, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	if err := checkPermissions(r.GetPermissions()); err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.CreateRole{Role: directory.Role{
		ID: access.NewID[directory.RoleID](pass.Now()), Name: r.GetName(), Description: r.GetDescription(),
		Permissions: permissions(r.GetPermissions()),
	}}, r)
	if err != nil {
		return nil, err
	}
	return c.role(pass, directory.RoleID(result.Outcome.Object))
}

// ListRoles implements RoleService.
func (a *api) ListRoles(ctx context.Context, r *authfiv1.ListRolesRequest) (*authfiv1.ListRolesResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	found, total, cursor, err := list(c, roleListing(pass.View()), r)
	return &authfiv1.ListRolesResponse{
		Roles: convert(found, role(pass.Org())), Total: int32(total), Cursor: cursor,
	}, err
}

// GetRole implements RoleService.
func (a *api) GetRole(ctx context.Context, r *authfiv1.GetRoleRequest) (*authfiv1.Role, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atRole(r.GetId())
	if err != nil {
		return nil, err
	}
	return c.role(pass, id)
}

// atRole admits the call to the organization of a role.
func (c *call) atRole(text string) (*access.Pass, directory.RoleID, error) {
	id, err := directory.ParseRoleID(text)
	if err != nil {
		return nil, id, inField("id", err)
	}
	pass, err := c.at("role", func(o *state.Org) bool { _, ok := o.Role(id); return ok })
	return pass, id, err
}

func (c *call) role(pass *access.Pass, id directory.RoleID) (*authfiv1.Role, error) {
	r, ok := pass.View().Role(id)
	if !ok {
		return nil, directory.NotFound("role")
	}
	c.etag(r.Version)
	return role(pass.Org())(r), nil
}

// UpdateRole implements RoleService.
func (a *api) UpdateRole(ctx context.Context, r *authfiv1.UpdateRoleRequest) (*authfiv1.Role, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atRole(r.GetId())
	if err != nil {
		return nil, err
	}
	m, err := maskOf(r)
	if err != nil {
		return nil, err
	}
	if err := checkPermissions(r.GetPermissions().GetPermissions()); err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.UpdateRole{
		Role: id, Name: m.text("name", r.Name), Description: m.text("description", r.Description), IfVersion: want,
		SetPermissions: m.changes("permissions"),
		Permissions:    permissions(r.GetPermissions().GetPermissions()),
	}, r); err != nil {
		return nil, err
	}
	return c.role(pass, id)
}

// DeleteRole implements RoleService.
func (a *api) DeleteRole(ctx context.Context, r *authfiv1.DeleteRoleRequest) (*authfiv1.DeleteRoleResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atRole(r.GetId())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteRole{Role: id, IfVersion: want}, r)
	return &authfiv1.DeleteRoleResponse{}, err
}

// checkPermissions asks what the machine asks, and says which one is at fault.
func checkPermissions(texts []string) error {
	if len(texts) > directory.PermissionsPerRoleMax {
		return directory.Invalid("permissions", "more than %d", directory.PermissionsPerRoleMax)
	}
	for i, text := range texts {
		if err := directory.Permission(text).Check(); err != nil {
			return inField(fmt.Sprintf("permissions[%d]", i), err)
		}
	}
	return nil
}

func permissions(texts []string) []directory.Permission {
	return convert(texts, func(s string) directory.Permission { return directory.Permission(s) })
}

func permissionTexts(ps []directory.Permission) []string {
	return convert(ps, func(p directory.Permission) string { return string(p) })
}

func role(org directory.OrgID) func(*directory.Role) *authfiv1.Role {
	return func(r *directory.Role) *authfiv1.Role {
		return &authfiv1.Role{
			Id: r.ID.String(), OrgId: org.String(), Name: r.Name, Description: r.Description,
			Permissions: permissionTexts(r.Permissions), Builtin: r.Builtin,
			Created: timestamp(r.Created), Modified: timestamp(r.Modified), Version: uint64(r.Version),
		}
	}
}

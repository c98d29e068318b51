package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// checksMax bounds the questions of one request.
const checksMax = 1000

// ListPermissions implements PermissionService.
func (a *api) ListPermissions(ctx context.Context, r *authfiv1.ListPermissionsRequest) (*authfiv1.ListPermissionsResponse, error) {
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
	org := pass.View()
	answer := &authfiv1.ListPermissionsResponse{
		Source: map[string]*authfiv1.GrantSources{}, Index: uint64(org.Applied()),
	}
	for _, grant := range org.Permissions().List(id) { // in order of permissions
		name := string(grant.Permission)
		of, ok := answer.Source[name]
		if !ok {
			of = &authfiv1.GrantSources{}
			answer.Source[name] = of
			answer.Effective = append(answer.Effective, name)
		}
		of.Sources = append(of.Sources, source(org)(grant.Source))
	}
	return answer, nil
}

func source(org *state.Org) func(effective.Source) *authfiv1.GrantSource {
	return func(s effective.Source) *authfiv1.GrantSource {
		grant := &authfiv1.GrantSource{RoleId: s.Role.String()}
		if r, ok := org.Role(s.Role); ok {
			grant.Role = r.Name
		}
		if g, ok := org.Group(s.Group); ok {
			grant.Via, grant.ViaId = g.Name, g.ID.String()
		}
		return grant
	}
}

// Check implements PermissionService.
func (a *api) Check(ctx context.Context, r *authfiv1.CheckRequest) (*authfiv1.CheckResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	checks, one, err := questions(r)
	if err != nil {
		return nil, err
	}
	pass, _, err := c.atUser("user_id", checks[0].GetUserId())
	if err != nil {
		return nil, err
	}
	answer := &authfiv1.CheckResponse{Index: uint64(pass.View().Applied())}
	for _, check := range checks {
		result, err := ask(pass, check)
		if err != nil {
			return nil, err
		}
		answer.Results = append(answer.Results, result)
	}
	if one {
		answer.Allowed, answer.Source, answer.Results = &answer.Results[0].Allowed, answer.Results[0].Source, nil
	}
	return answer, nil
}

// questions reads the two forms of the request.
func questions(r *authfiv1.CheckRequest) (checks []*authfiv1.PermissionCheck, one bool, err error) {
	single := r.GetUserId() != "" || r.GetPermission() != ""
	switch {
	case single && len(r.GetChecks()) > 0:
		return nil, false, directory.Invalid("checks", "ask one question without checks, or several in checks")
	case len(r.GetChecks()) > checksMax:
		return nil, false, directory.Invalid("checks", "more than %d", checksMax)
	case len(r.GetChecks()) > 0:
		return r.GetChecks(), false, nil
	}
	return []*authfiv1.PermissionCheck{{UserId: r.GetUserId(), Permission: r.GetPermission()}}, true, nil
}

// ask answers one question from the pass's view. All questions are about one
// organization; somebody from another is not found.
func ask(pass *access.Pass, check *authfiv1.PermissionCheck) (*authfiv1.CheckResult, error) {
	id, err := directory.ParseUserID(check.GetUserId())
	if err != nil {
		return nil, err
	}
	permission := directory.Permission(check.GetPermission())
	if err := permission.Check(); err != nil {
		return nil, err
	}
	if err := pass.About(id); err != nil {
		return nil, err
	}
	org := pass.View()
	if _, ok := org.User(id); !ok {
		return nil, directory.NotFound("user")
	}
	why := org.Permissions().Why(id, permission)
	return &authfiv1.CheckResult{Allowed: len(why) > 0, Source: convert(why, source(org))}, nil
}

// ListPermissionUsers implements PermissionService.
func (a *api) ListPermissionUsers(ctx context.Context, r *authfiv1.ListPermissionUsersRequest) (*authfiv1.ListPermissionUsersResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	permission := directory.Permission(r.GetPermission())
	if err := permission.Check(); err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetPermission())
	if err != nil {
		return nil, err
	}
	org := pass.View()
	ids, total := org.Permissions().Who(permission, afterID[directory.UserID](p), p.limit+1)
	found, cursor, err := collectIDs(p, ids)
	return &authfiv1.ListPermissionUsersResponse{
		Users: convert(found, permissionHolder(org, permission)), Total: int32(total), Cursor: cursor,
		Index: uint64(org.Applied()),
	}, err
}

func permissionHolder(org *state.Org, permission directory.Permission) func(directory.UserID) *authfiv1.PermissionHolder {
	return func(id directory.UserID) *authfiv1.PermissionHolder {
		h := &authfiv1.PermissionHolder{Id: id.String()}
		if u, ok := org.User(id); ok {
			h.UserName, h.DisplayName, h.Email = u.UserName, u.DisplayName, u.Email
		}
		h.Source = convert(org.Permissions().Why(id, permission), source(org))
		return h
	}
}

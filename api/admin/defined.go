package admin

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// ListDefinedPermissions implements PermissionService. A page looks at every role:
// 200 of them with 2,000 permissions each take some 20 ms.
func (a *api) ListDefinedPermissions(ctx context.Context, r *authfiv1.ListDefinedPermissionsRequest) (*authfiv1.ListDefinedPermissionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	if err := directory.CheckText("q", r.GetQ(), directory.PermissionMax, false); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetQ())
	if err != nil {
		return nil, err
	}
	roles := granting(pass.View(), r.GetQ())
	all := slices.Sorted(maps.Keys(roles))
	from, seen := slices.BinarySearch(all, directory.Permission(p.after))
	if seen {
		from++
	}
	found := all[from:]
	answer := &authfiv1.ListDefinedPermissionsResponse{Total: int32(len(all))}
	if len(found) > p.limit {
		found = found[:p.limit]
		if answer.Cursor, err = p.cursor([]byte(found[p.limit-1])); err != nil {
			return nil, err
		}
	}
	answer.Permissions = convert(found, func(name directory.Permission) *authfiv1.DefinedPermission {
		return defined(pass.View(), name, roles[name])
	})
	return answer, nil
}

// granting counts the roles that name each permission which begins with q, and
// knows those that are only described.
func granting(org *state.Org, q string) map[directory.Permission]int {
	roles := map[directory.Permission]int{}
	org.EachRole(func(r *directory.Role) bool {
		for _, p := range r.Permissions {
			if strings.HasPrefix(string(p), q) {
				roles[p]++
			}
		}
		return true
	})
	org.EachPermissionText(func(text *directory.PermissionText) bool {
		if strings.HasPrefix(string(text.Permission), q) {
			roles[text.Permission] += 0
		}
		return true
	})
	return roles
}

// DescribePermission implements PermissionService.
func (a *api) DescribePermission(ctx context.Context, r *authfiv1.DescribePermissionRequest) (*authfiv1.DefinedPermission, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	name := directory.Permission(r.GetPermission())
	if _, err := c.propose(pass, &fsm.DescribePermission{Permission: name, Description: r.GetDescription()}, r); err != nil {
		return nil, err
	}
	return defined(pass.View(), name, granting(pass.View(), string(name))[name]), nil
}

func defined(org *state.Org, name directory.Permission, roles int) *authfiv1.DefinedPermission {
	d := &authfiv1.DefinedPermission{Permission: string(name), Roles: int32(roles), Builtin: name.Builtin()}
	if text, ok := org.PermissionText(name); ok {
		d.Description = text.Description
	}
	return d
}

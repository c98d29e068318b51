package admin

import (
	"bytes"
	"context"
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
)

// NestGroup implements GroupService.
func (a *api) NestGroup(ctx context.Context, r *authfiv1.NestGroupRequest) (*authfiv1.Group, error) {
	return a.changeNesting(ctx, r, func(outer, inner directory.GroupID) fsm.OrgCommand {
		return &fsm.NestGroup{Parent: outer, Child: inner}
	})
}

// UnnestGroup implements GroupService.
func (a *api) UnnestGroup(ctx context.Context, r *authfiv1.UnnestGroupRequest) (*authfiv1.Group, error) {
	return a.changeNesting(ctx, r, func(outer, inner directory.GroupID) fsm.OrgCommand {
		return &fsm.UnnestGroup{Parent: outer, Child: inner}
	})
}

// nestingRequest names a group and one that is or becomes a member of it.
type nestingRequest interface {
	proto.Message
	GetId() string
	GetGroupId() string
}

func (a *api) changeNesting(ctx context.Context, r nestingRequest, command func(outer, inner directory.GroupID) fsm.OrgCommand) (*authfiv1.Group, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, outer, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	inner, err := directory.ParseGroupID(r.GetGroupId())
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, command(outer, inner), r); err != nil {
		return nil, err
	}
	return c.group(pass, outer)
}

// ListNestedGroups implements GroupService.
func (a *api) ListNestedGroups(ctx context.Context, r *authfiv1.ListNestedGroupsRequest) (*authfiv1.ListNestedGroupsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	direction, next := "groups", pass.View().Permissions().Children
	if r.GetParents() {
		direction, next = "parents", pass.View().Permissions().Parents
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetId(), direction)
	if err != nil {
		return nil, err
	}
	ids := next(id)
	page, cursor, err := collectIDs(p, ids)
	return &authfiv1.ListNestedGroupsResponse{
		Groups: convert(groupsOf(pass.View(), page), group(pass.View())), Total: int32(len(ids)), Cursor: cursor,
	}, err
}

// groupsOf are the records of groups that the index names.
func groupsOf(org *state.Org, ids []directory.GroupID) (groups []*directory.Group) {
	for _, id := range ids {
		if g, ok := org.Group(id); ok {
			groups = append(groups, g)
		}
	}
	return groups
}

// ListUserGroups implements UserService.
func (a *api) ListUserGroups(ctx context.Context, r *authfiv1.ListUserGroupsRequest) (*authfiv1.ListUserGroupsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("id", r.GetId())
	if err != nil {
		return nil, err
	}
	if err := pass.About(id); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetId())
	if err != nil {
		return nil, err
	}
	all, direct := groupsOfUser(pass, id)
	page, cursor, err := collectIDs(p, all)
	return &authfiv1.ListUserGroupsResponse{
		Groups: convert(groupsOf(pass.View(), page), func(g *directory.Group) *authfiv1.UserGroup {
			return &authfiv1.UserGroup{Id: g.ID.String(), Name: g.Name, Direct: direct[g.ID]}
		}),
		Total: int32(len(all)), Cursor: cursor,
	}, err
}

// groupsOfUser are the groups that a user is in, directly or by nesting, in id
// order.
func groupsOfUser(pass *access.Pass, user directory.UserID) (all []directory.GroupID, direct map[directory.GroupID]bool) {
	index := pass.View().Permissions()
	direct = map[directory.GroupID]bool{}
	for _, g := range index.Groups(user) {
		direct[g] = true
		all = append(append(all, g), index.Ancestors(g)...)
	}
	slices.SortFunc(all, func(a, b directory.GroupID) int { return bytes.Compare(a[:], b[:]) })
	return slices.Compact(all), direct
}

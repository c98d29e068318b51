package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// holder is who gets a role: a user or a group, the other id is zero.
type holder struct {
	user  directory.UserID
	group directory.GroupID
}

// AssignGroupRole implements AssignmentService.
func (a *api) AssignGroupRole(ctx context.Context, r *authfiv1.AssignGroupRoleRequest) (*authfiv1.AssignedRole, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("group_id", r.GetGroupId())
	if err != nil {
		return nil, err
	}
	return c.assign(pass, holder{group: id}, r)
}

// AssignUserRole implements AssignmentService.
func (a *api) AssignUserRole(ctx context.Context, r *authfiv1.AssignUserRoleRequest) (*authfiv1.AssignedRole, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	return c.assign(pass, holder{user: id}, r)
}

// roleChoice is a request that names a role by id or by name.
type roleChoice interface {
	proto.Message
	GetRoleId() string
	GetRoleName() string
	GetExpires() *timestamppb.Timestamp
}

func (c *call) assign(pass *access.Pass, to holder, r roleChoice) (*authfiv1.AssignedRole, error) {
	chosen, err := c.chosenRole(pass, r)
	if err != nil {
		return nil, err
	}
	expires, err := endOf(r.GetExpires())
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.AssignRole{
		ID: access.NewID[directory.AssignmentID](pass.Now()), Role: chosen, User: to.user, Group: to.group, Expires: expires,
	}, r); err != nil {
		return nil, err
	}
	given, ok := pass.View().Role(chosen)
	if !ok {
		return nil, directory.NotFound("role")
	}
	assigned, ok := pass.View().AssignmentOf(chosen, to.user, to.group)
	if !ok {
		return nil, directory.NotFound("assignment")
	}
	return &authfiv1.AssignedRole{
		RoleId: given.ID.String(), RoleName: given.Name, Permissions: permissionTexts(given.Permissions),
		AssignmentId: assigned.ID.String(), Expires: timestamp(assigned.Expires),
	}, nil
}

// endOf is when something ends, zero when it does not by itself. Whether that is
// in the future is decided by the clock that stamps the proposal.
func endOf(t *timestamppb.Timestamp) (directory.Time, error) {
	if t == nil {
		return 0, nil
	}
	ends := directory.TimeOf(t.AsTime())
	if !t.IsValid() || ends <= 0 {
		return 0, directory.Invalid("expires", "is not a time to come")
	}
	return ends, nil
}

func (c *call) chosenRole(pass *access.Pass, r roleChoice) (directory.RoleID, error) {
	switch {
	case (r.GetRoleId() == "") == (r.GetRoleName() == ""):
		return directory.RoleID{}, directory.Invalid("role_id", "name the role by role_id or by role_name")
	case r.GetRoleId() != "":
		return directory.ParseRoleID(r.GetRoleId())
	}
	if err := directory.CheckText("role_name", r.GetRoleName(), directory.NameMax, true); err != nil {
		return directory.RoleID{}, err
	}
	if found, ok := pass.View().RoleByName(r.GetRoleName()); ok {
		return found.ID, nil
	}
	// It may have been made on another node a moment ago.
	newest, err := c.admit(pass.Org(), c.newest())
	if err != nil {
		return directory.RoleID{}, err
	}
	if found, ok := newest.View().RoleByName(r.GetRoleName()); ok {
		return found.ID, nil
	}
	return directory.RoleID{}, directory.NotFound("role")
}

// UnassignGroupRole implements AssignmentService.
func (a *api) UnassignGroupRole(ctx context.Context, r *authfiv1.UnassignGroupRoleRequest) (*authfiv1.UnassignGroupRoleResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("group_id", r.GetGroupId())
	if err != nil {
		return nil, err
	}
	return &authfiv1.UnassignGroupRoleResponse{}, c.unassign(pass, holder{group: id}, r.GetRoleId(), r)
}

// UnassignUserRole implements AssignmentService.
func (a *api) UnassignUserRole(ctx context.Context, r *authfiv1.UnassignUserRoleRequest) (*authfiv1.UnassignUserRoleResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	return &authfiv1.UnassignUserRoleResponse{}, c.unassign(pass, holder{user: id}, r.GetRoleId(), r)
}

func (c *call) unassign(pass *access.Pass, from holder, role string, request proto.Message) error {
	id, err := directory.ParseRoleID(role)
	if err != nil {
		return err
	}
	_, err = c.propose(pass, &fsm.UnassignRole{Role: id, User: from.user, Group: from.group}, request)
	return err
}

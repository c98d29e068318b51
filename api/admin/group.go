package admin

import (
	"context"
	"errors"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// membersMax bounds the users of one request; provisioning larger groups is
// SCIM's business.
const membersMax = 1000

// CreateGroup implements GroupService.
func (a *api) CreateGroup(ctx context.Context, r *authfiv1.CreateGroupRequest) (*authfiv1.Group, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.CreateGroup{Group: directory.Group{
		ID: access.NewID[directory.GroupID](pass.Now()), Name: r.GetName(), Description: r.GetDescription(),
		ExternalID: r.GetExternalId(), Source: directory.SourceAPI,
	}}, r)
	if err != nil {
		return nil, err
	}
	return c.group(pass, directory.GroupID(result.Outcome.Object))
}

// ListGroups implements GroupService.
func (a *api) ListGroups(ctx context.Context, r *authfiv1.ListGroupsRequest) (*authfiv1.ListGroupsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	found, total, cursor, err := list(c, groupListing(pass.View()), r)
	return &authfiv1.ListGroupsResponse{
		Groups: convert(found, group(pass.View())), Total: int32(total), Cursor: cursor,
	}, err
}

// GetGroup implements GroupService.
func (a *api) GetGroup(ctx context.Context, r *authfiv1.GetGroupRequest) (*authfiv1.Group, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	return c.group(pass, id)
}

// atGroup admits the call to the organization of a group.
func (c *call) atGroup(field, text string) (*access.Pass, directory.GroupID, error) {
	id, err := directory.ParseGroupID(text)
	if err != nil {
		return nil, id, inField(field, err)
	}
	pass, err := c.at("group", func(o *state.Org) bool { _, ok := o.Group(id); return ok })
	return pass, id, err
}

func (c *call) group(pass *access.Pass, id directory.GroupID) (*authfiv1.Group, error) {
	g, ok := pass.View().Group(id)
	if !ok {
		return nil, directory.NotFound("group")
	}
	c.etag(g.Version)
	return group(pass.View())(g), nil
}

// UpdateGroup implements GroupService.
func (a *api) UpdateGroup(ctx context.Context, r *authfiv1.UpdateGroupRequest) (*authfiv1.Group, error) {
	return a.changeGroup(ctx, r, func(change *fsm.ChangeGroup) error {
		m, err := maskOf(r)
		if err != nil {
			return err
		}
		change.Name = m.text("name", r.Name)
		change.Description = m.text("description", r.Description)
		change.ExternalID = m.text("external_id", r.ExternalId)
		return nil
	})
}

// AddGroupMembers implements GroupService.
func (a *api) AddGroupMembers(ctx context.Context, r *authfiv1.AddGroupMembersRequest) (*authfiv1.Group, error) {
	field := "user_ids"
	if r.GetUserId() != "" {
		field = "user_id"
	}
	made, err := a.changeGroup(ctx, r, func(change *fsm.ChangeGroup) (err error) {
		change.Add, err = newMembers(r)
		return err
	})
	return made, ofMembers(field, err)
}

// RemoveGroupMember implements GroupService.
func (a *api) RemoveGroupMember(ctx context.Context, r *authfiv1.RemoveGroupMemberRequest) (*authfiv1.Group, error) {
	made, err := a.changeGroup(ctx, r, func(change *fsm.ChangeGroup) error {
		id, err := directory.ParseUserID(r.GetUserId())
		change.Remove = []directory.UserID{id}
		return err
	})
	return made, ofMembers("user_id", err)
}

// ofMembers names the field of the request that the machine calls members.
func ofMembers(field string, err error) error {
	var own *directory.Error
	if errors.As(err, &own) && own.Field == "members" {
		return inField(field, err)
	}
	return err
}

func newMembers(r *authfiv1.AddGroupMembersRequest) ([]directory.UserID, error) {
	field, texts := "user_ids", r.GetUserIds()
	if r.GetUserId() != "" {
		if len(texts) > 0 {
			return nil, directory.Invalid("user_id", "name one user here or several in user_ids")
		}
		field, texts = "user_id", []string{r.GetUserId()}
	}
	if len(texts) == 0 || len(texts) > membersMax {
		return nil, directory.Invalid(field, "must name 1 to %d users", membersMax)
	}
	ids := make([]directory.UserID, len(texts))
	for i, text := range texts {
		id, err := directory.ParseUserID(text)
		if err != nil {
			return nil, inField(field, err)
		}
		ids[i] = id
	}
	return ids, nil
}

// changeGroup proposes one change of a group.
func (a *api) changeGroup(ctx context.Context, r identified, fill func(*fsm.ChangeGroup) error) (*authfiv1.Group, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	change := &fsm.ChangeGroup{Group: id, IfVersion: want}
	if err := fill(change); err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, change, r); err != nil {
		return nil, err
	}
	return c.group(pass, id)
}

// DeleteGroup implements GroupService.
func (a *api) DeleteGroup(ctx context.Context, r *authfiv1.DeleteGroupRequest) (*authfiv1.DeleteGroupResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteGroup{Group: id, IfVersion: want}, r)
	return &authfiv1.DeleteGroupResponse{}, err
}

// ListGroupMembers implements GroupService.
func (a *api) ListGroupMembers(ctx context.Context, r *authfiv1.ListGroupMembersRequest) (*authfiv1.ListGroupMembersResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("id", r.GetId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetId())
	if err != nil {
		return nil, err
	}
	ids, total := pass.View().Permissions().Members(id, afterID[directory.UserID](p), p.limit+1)
	found, cursor, err := collectIDs(p, ids)
	return &authfiv1.ListGroupMembersResponse{
		Members: convert(found, member(pass.View())), Total: int32(total), Cursor: cursor,
	}, err
}

func member(org *state.Org) func(directory.UserID) *authfiv1.GroupMember {
	return func(id directory.UserID) *authfiv1.GroupMember {
		m := &authfiv1.GroupMember{Id: id.String()}
		if u, ok := org.User(id); ok {
			m.UserName, m.DisplayName, m.Email, m.Active = u.UserName, u.DisplayName, u.Email, u.Active
		}
		return m
	}
}

func group(org *state.Org) func(*directory.Group) *authfiv1.Group {
	return func(g *directory.Group) *authfiv1.Group {
		return &authfiv1.Group{
			Id: g.ID.String(), OrgId: org.ID().String(), Name: g.Name, Description: g.Description,
			ExternalId: g.ExternalID, Source: g.Source.String(),
			MemberCount: int32(org.Permissions().MemberCount(g.ID)),
			GroupCount:  int32(len(org.Permissions().Children(g.ID))), ConnectionId: optionalID(g.Connection),
			Created: timestamp(g.Created), Modified: timestamp(g.Modified), Version: uint64(g.Version),
		}
	}
}

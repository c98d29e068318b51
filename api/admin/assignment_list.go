package admin

import (
	"context"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// assignmentsOf is which assignments are asked for. Zero ids ask for all; at most
// one of user and group is set.
type assignmentsOf struct {
	role   directory.RoleID
	holder holder
}

// ListAssignments implements AssignmentService.
func (a *api) ListAssignments(ctx context.Context, r *authfiv1.ListAssignmentsRequest) (*authfiv1.ListAssignmentsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	of, err := chosenAssignments(r)
	if err != nil {
		return nil, err
	}
	if noun := of.missing(pass.View()); noun != "" {
		// It may have been made on another node a moment ago.
		if pass, err = c.admit(pass.Org(), c.newest()); err != nil {
			return nil, err
		}
		if noun := of.missing(pass.View()); noun != "" {
			return nil, directory.NotFound(noun)
		}
		c.index(pass.View().Applied())
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetRoleId(), r.GetUserId(), r.GetGroupId())
	if err != nil {
		return nil, err
	}
	return of.answer(pass, p)
}

func chosenAssignments(r *authfiv1.ListAssignmentsRequest) (of assignmentsOf, err error) {
	if r.GetUserId() != "" && r.GetGroupId() != "" {
		return of, directory.Invalid("user_id", "name a user or a group, not both: a role is given to one of them")
	}
	if r.GetRoleId() != "" {
		if of.role, err = directory.ParseRoleID(r.GetRoleId()); err != nil {
			return of, err
		}
	}
	if of.holder.user, err = optionalUser("user_id", r.GetUserId()); err != nil {
		return of, err
	}
	if r.GetGroupId() != "" {
		of.holder.group, err = directory.ParseGroupID(r.GetGroupId())
	}
	return of, err
}

// missing is the noun of what is asked for and not there.
func (of assignmentsOf) missing(org *state.Org) string {
	if _, ok := org.Role(of.role); !ok && !of.role.IsZero() {
		return "role"
	}
	if !of.holder.user.IsZero() && !org.HasUser(of.holder.user) {
		return "user"
	}
	if _, ok := org.Group(of.holder.group); !ok && !of.holder.group.IsZero() {
		return "group"
	}
	return ""
}

// ListGroupRoles implements AssignmentService.
func (a *api) ListGroupRoles(ctx context.Context, r *authfiv1.ListGroupRolesRequest) (*authfiv1.ListAssignmentsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atGroup("group_id", r.GetGroupId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetGroupId())
	if err != nil {
		return nil, err
	}
	return assignmentsOf{holder: holder{group: id}}.answer(pass, p)
}

// ListUserRoles implements AssignmentService.
func (a *api) ListUserRoles(ctx context.Context, r *authfiv1.ListUserRolesRequest) (*authfiv1.ListAssignmentsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetUserId())
	if err != nil {
		return nil, err
	}
	return assignmentsOf{holder: holder{user: id}}.answer(pass, p)
}

// answer is one page, in the order of what the list is not about: the holders of
// a role, the roles of a holder, and all assignments as they were made.
func (of assignmentsOf) answer(pass *access.Pass, p *page) (*authfiv1.ListAssignmentsResponse, error) {
	org := pass.View()
	var walk func(yield func(*directory.Assignment) bool)
	var place func(*directory.Assignment) []byte
	var total int
	switch {
	case of.holder != holder{}:
		walk, total = of.ofHolder(org)
		place = func(a *directory.Assignment) []byte { return a.Role[:] }
	case !of.role.IsZero():
		walk, total = of.ofRole(org, p.after)
		place = holderPlace
	default:
		walk = func(yield func(*directory.Assignment) bool) {
			org.EachAssignment(afterID[directory.AssignmentID](p), yield)
		}
		place = func(a *directory.Assignment) []byte { return a.ID[:] }
		total = org.Assignments()
	}
	found, cursor, err := collectAt(p, walk, place)
	return &authfiv1.ListAssignmentsResponse{
		Assignments: convert(found, assignment(org)), Total: int32(total), Cursor: cursor,
	}, err
}

// ofHolder walks the roles of one user or group, which are bounded.
func (of assignmentsOf) ofHolder(org *state.Org) (walk func(yield func(*directory.Assignment) bool), total int) {
	roles := org.Permissions().GroupRoles(of.holder.group)
	if of.holder.group.IsZero() {
		roles = org.Permissions().DirectRoles(of.holder.user)
	}
	var all []*directory.Assignment
	for _, r := range roles {
		if a, ok := org.AssignmentOf(r, of.holder.user, of.holder.group); ok && (of.role.IsZero() || r == of.role) {
			all = append(all, a)
		}
	}
	return func(yield func(*directory.Assignment) bool) {
		for _, a := range all {
			if !yield(a) {
				return
			}
		}
	}, len(all)
}

// ofRole walks the holders of one role behind a place.
func (of assignmentsOf) ofRole(org *state.Org, after []byte) (walk func(yield func(*directory.Assignment) bool), total int) {
	groups, users := org.Permissions().RoleHolders(of.role)
	var user directory.UserID
	var group directory.GroupID
	if len(after) == len(user)+1 {
		copy(user[:], after)
		if after[len(user)] == placeGroup {
			user, group = directory.UserID{}, directory.GroupID(user)
		}
	}
	return func(yield func(*directory.Assignment) bool) {
		org.EachRoleAssignment(of.role, user, group, yield)
	}, len(groups) + len(users)
}

// The kinds of holder in a place; a group comes before a user of the same id, as
// in the state.
const (
	placeGroup = 'g'
	placeUser  = 'u'
)

func holderPlace(a *directory.Assignment) []byte {
	if a.User.IsZero() {
		return append(a.Group[:len(a.Group):len(a.Group)], placeGroup)
	}
	return append(a.User[:len(a.User):len(a.User)], placeUser)
}

func assignment(org *state.Org) func(*directory.Assignment) *authfiv1.Assignment {
	return func(a *directory.Assignment) *authfiv1.Assignment {
		out := &authfiv1.Assignment{
			Id: a.ID.String(), RoleId: a.Role.String(), UserId: optionalID(a.User), GroupId: optionalID(a.Group),
			Created: timestamp(a.Created), By: a.By.String(), Expires: timestamp(a.Expires),
		}
		if r, ok := org.Role(a.Role); ok {
			out.RoleName = r.Name
		}
		if u, ok := org.User(a.User); ok {
			out.HolderName = u.UserName
		}
		if g, ok := org.Group(a.Group); ok {
			out.HolderName = g.Name
		}
		return out
	}
}

package admin

import (
	"context"
	"fmt"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/effective"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// Bounds of the closest grants of one explanation.
const (
	closestDefault = 5
	closestMax     = 100
)

// Reasons of an explanation.
const (
	reasonGranted    = "granted"
	reasonNotGranted = "not_granted"
	reasonInactive   = "user_inactive"
	reasonSuspended  = "organization_suspended"
)

// Explain implements PermissionService.
func (a *api) Explain(ctx context.Context, r *authfiv1.ExplainRequest) (*authfiv1.ExplainResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	permission := directory.Permission(r.GetPermission())
	if err := permission.Check(); err != nil {
		return nil, err
	}
	limit, err := limitOf(r.GetLimit(), closestDefault, closestMax)
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
	user, ok := pass.View().User(id)
	if !ok {
		return nil, directory.NotFound("user")
	}
	answer := explain(pass, user, permission)
	if _, self := pass.Self(); len(answer.Source) > 0 || self {
		// Which other groups and roles there are is the directory's, not the user's.
		return answer, nil
	}
	answer.Closest, answer.More, err = c.closest(pass, user, permission, limit)
	return answer, err
}

// limitOf reads a limit that may be left out.
func limitOf(stated int32, otherwise, most int) (int, error) {
	switch {
	case stated == 0:
		return otherwise, nil
	case stated < 0 || int(stated) > most:
		return 0, directory.Invalid("limit", "must be 1 to %d", most)
	}
	return int(stated), nil
}

// explain says whether a user holds a permission and why. What stands in the way
// of everything comes first; the ways that would count without it are told all
// the same.
func explain(pass *access.Pass, user *directory.User, permission directory.Permission) *authfiv1.ExplainResponse {
	org := pass.View()
	ways := org.Permissions().WhyIfActive(user.ID, permission)
	answer := &authfiv1.ExplainResponse{
		Index: uint64(org.Applied()), Source: convert(ways, sources{org: org, user: user.ID}.source),
	}
	switch {
	case !org.Record().Active():
		answer.Reason, answer.Detail = reasonSuspended, "the organization is suspended: nobody in it holds anything"
	case !user.Active:
		answer.Reason, answer.Detail = reasonInactive, fmt.Sprintf("%s is deactivated", user.UserName)
	case len(ways) == 0:
		answer.Reason, answer.Detail = reasonNotGranted, fmt.Sprintf("no role of %s grants %s", user.UserName, permission)
	default:
		answer.Allowed, answer.Reason = true, reasonGranted
		answer.Detail = fmt.Sprintf("%s holds %s through %s", user.UserName, permission, through(answer.Source))
	}
	return answer
}

// through names the first way, and counts the others.
func through(ways []*authfiv1.GrantSource) string {
	text := "role " + ways[0].GetRole()
	if ways[0].GetVia() != "" {
		text += " of group " + ways[0].GetVia()
	}
	switch more := len(ways) - 1; more {
	case 0:
		return text
	case 1:
		return text + " and in 1 other way"
	default:
		return fmt.Sprintf("%s and in %d other ways", text, more)
	}
}

// closest names the grants that would give the permission, and says of each
// whether the caller may make it.
func (c *call) closest(pass *access.Pass, user *directory.User, permission directory.Permission, limit int) ([]*authfiv1.PossibleGrant, bool, error) {
	org := pass.View()
	found, more := org.Permissions().Closest(user.ID, permission, limit)
	grants := make([]*authfiv1.PossibleGrant, len(found))
	for i, possible := range found {
		grant := &authfiv1.PossibleGrant{Gained: int32(possible.Gained)}
		if g, ok := org.Group(possible.Group); ok {
			grant.GroupId, grant.GroupName = g.ID.String(), g.Name
		}
		if r, ok := org.Role(possible.Role); ok {
			grant.RoleId, grant.RoleName = r.ID.String(), r.Name
		}
		var err error
		if grant.Allowed, err = c.mayMake(pass, user.ID, possible); err != nil {
			return nil, false, err
		}
		grants[i] = grant
	}
	return grants, more, nil
}

// mayMake tries the change as the caller on a copy: admission, delegation and
// ownership are judged by what judges the change itself.
func (c *call) mayMake(pass *access.Pass, user directory.UserID, possible effective.Possible) (bool, error) {
	trial, err := pass.Trial()
	if err != nil {
		return false, err
	}
	var op access.Operation
	var command fsm.OrgCommand
	if possible.Role.IsZero() {
		op, command = "groups.update", &fsm.ChangeGroup{Group: possible.Group, Add: []directory.UserID{user}}
	} else {
		op, command = "roles.assign", &fsm.AssignRole{
			ID: access.NewID[directory.AssignmentID](pass.Now()), Role: possible.Role, User: user,
		}
	}
	admitted, err := trial.Admit(pass.Org(), op)
	if err == nil {
		_, err = admitted.Propose(c.ctx, command, access.IdempotencyKey{})
	}
	if directory.KindOf(err) == directory.KindInternal && err != nil {
		return false, err
	}
	return err == nil, nil
}

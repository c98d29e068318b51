package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// changesMax bounds the changes of one preview.
const changesMax = 100

// PreviewPermissions implements PermissionService. Every change is served by the
// handler that would make it, on a copy of the organization, as the caller.
func (a *api) PreviewPermissions(ctx context.Context, r *authfiv1.PreviewPermissionsRequest) (*authfiv1.PreviewPermissionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(r.GetLimit(), pageDefault, pageMax)
	if err != nil {
		return nil, err
	}
	if n := len(r.GetChanges()); n == 0 || n > changesMax {
		return nil, directory.Invalid("changes", "must be 1 to %d", changesMax)
	}
	parts, err := a.parts("changes", r.GetChanges())
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	trial, err := pass.Trial()
	if err != nil {
		return nil, err
	}
	for i, p := range parts {
		asked := exchange{procedure: p.procedure, request: http.Header{}, response: http.Header{}, trial: trial}
		if _, err := p.call(withPart(ctx, asked)); err != nil {
			return nil, inChange(fmt.Sprintf("changes[%d]", i), p.name, err)
		}
	}
	return preview(pass, trial, limit), nil
}

// inChange names the change that fails, and the field of its own request.
func inChange(change, name string, err error) error {
	var own *directory.Error
	if !errors.As(err, &own) {
		return err
	}
	if own.Field != "" {
		change += "." + name + "." + own.Field
	}
	return inField(change, err)
}

// preview tells what users would gain and lose.
func preview(pass *access.Pass, trial *access.Trial, limit int) *authfiv1.PreviewPermissionsResponse {
	before, after := pass.View(), trial.View()
	touched := effective.Touched(before.Held(), after.Held())
	c := effective.Compare(before.Held(), after.Held(), slices.Values(touched), limit)
	return &authfiv1.PreviewPermissionsResponse{
		Index: uint64(before.Applied()), UsersChanged: int32(c.Users), Gained: int64(c.Gained), Lost: int64(c.Lost),
		Permissions: convert(c.Permissions, func(m effective.Moved) *authfiv1.PermissionChange {
			return &authfiv1.PermissionChange{Permission: string(m.Permission), Gained: int32(m.Gained), Lost: int32(m.Lost)}
		}),
		Users: convert(c.Changes, userChange(before, after)), More: c.Users > limit,
	}
}

// userChange shows a user, who may be there on one side alone.
func userChange(before, after *state.Org) func(effective.UserChanges) *authfiv1.UserChange {
	return func(changes effective.UserChanges) *authfiv1.UserChange {
		change := &authfiv1.UserChange{
			UserId: changes.User.String(), Gained: permissionTexts(changes.Gained), Lost: permissionTexts(changes.Lost),
		}
		for _, org := range []*state.Org{before, after} {
			if u, ok := org.User(changes.User); ok {
				change.UserName = u.UserName
			}
		}
		return change
	}
}

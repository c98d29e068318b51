package admin

import (
	"context"
	"slices"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
)

// DiffPermissions implements PermissionService. It compares what the user's roles
// granted; whether the organization was suspended meanwhile is not part of it.
func (a *api) DiffPermissions(ctx context.Context, r *authfiv1.DiffPermissionsRequest) (*authfiv1.DiffPermissionsResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("user_id", r.GetUserId())
	if err != nil {
		return nil, err
	}
	from, to := directory.Index(r.GetFrom()), directory.Index(r.GetTo())
	if pass, err = c.reaching(pass, "from", from); err != nil {
		return nil, err
	}
	if pass, err = c.reaching(pass, "to", to); err != nil {
		return nil, err
	}
	if to == 0 {
		to = pass.View().Applied()
	}
	if from > to {
		return nil, directory.Invalid("from", "is after to, which is %d", to)
	}
	before, err := then(pass, id, "from", from)
	if err != nil {
		return nil, err
	}
	after, err := then(pass, id, "to", to)
	if err != nil {
		return nil, err
	}
	answer := difference(before, after)
	answer.From, answer.To = uint64(from), uint64(to)
	return answer, nil
}

// reaching is a pass whose view is not older than an index. One that no node has
// reached is the caller's mistake, and nothing to wait for.
func (c *call) reaching(pass *access.Pass, field string, index directory.Index) (*access.Pass, error) {
	if index <= pass.View().Applied() {
		return pass, nil
	}
	newest, err := c.admitted(pass.Org(), c.newest())
	if err != nil {
		return nil, err
	}
	if applied := newest.View().Applied(); index > applied {
		return nil, directory.Invalid(field, "is in the future: the newest index is %d", applied)
	}
	return newest, nil
}

// then is what a user held at an index: of the state itself while it is kept, and
// otherwise as the organization's log tells it, or says that it cannot.
func then(pass *access.Pass, user directory.UserID, field string, index directory.Index) (sources, error) {
	if org, ok := pass.Kept(index); ok {
		return sources{org: org, user: user}, nil
	}
	told, err := pass.View().PermissionsAt(user, index)
	if err != nil {
		return sources{}, inField(field, err)
	}
	return sources{org: pass.View(), user: user, told: told}, nil
}

// difference compares two moments of one user.
func difference(before, after sources) *authfiv1.DiffPermissionsResponse {
	answer := &authfiv1.DiffPermissionsResponse{Source: map[string]*authfiv1.GrantSources{}}
	was, is := before.permissions().List(before.user), after.permissions().List(after.user)
	names := func(grants []effective.Grant) []string {
		return slices.Compact(convert(grants, func(g effective.Grant) string { return string(g.Permission) }))
	}
	held, holds := names(was), names(is) // in order
	only := func(of, other []string) []string {
		return slices.DeleteFunc(slices.Clone(of), func(name string) bool { _, both := slices.BinarySearch(other, name); return both })
	}
	answer.Gained, answer.Lost = only(holds, held), only(held, holds)
	answer.Kept = only(holds, answer.Gained)
	tell := func(grants []effective.Grant, at sources, moved []string) {
		for _, g := range grants {
			name := string(g.Permission)
			if _, found := slices.BinarySearch(moved, name); !found {
				continue
			}
			if answer.Source[name] == nil {
				answer.Source[name] = &authfiv1.GrantSources{}
			}
			answer.Source[name].Sources = append(answer.Source[name].Sources, at.source(g.Source))
		}
	}
	tell(is, after, answer.Gained)
	tell(was, before, answer.Lost)
	return answer
}

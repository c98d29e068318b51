package admin

import (
	"context"
	"fmt"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/effective"
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
	return permissionsAnswer(pass, id)
}

// permissionsAnswer is the whole answer of ListPermissions, from the pass's view
// alone: whatever dialect asked, it says the same.
func permissionsAnswer(pass *access.Pass, id directory.UserID) (*authfiv1.ListPermissionsResponse, error) {
	if err := pass.About(id); err != nil {
		return nil, err
	}
	org := pass.View()
	answer := &authfiv1.ListPermissionsResponse{
		Source: map[string]*authfiv1.GrantSources{}, Index: uint64(org.Applied()),
	}
	of := sources{org: org, user: id}
	for _, grant := range org.Held().List(id) { // in order of permissions
		name := string(grant.Permission)
		ways, ok := answer.Source[name]
		if !ok {
			ways = &authfiv1.GrantSources{}
			answer.Source[name] = ways
			answer.Effective = append(answer.Effective, name)
		}
		ways.Sources = append(ways.Sources, of.source(grant.Source))
	}
	return answer, nil
}

// Check implements PermissionService.
func (a *api) Check(ctx context.Context, r *authfiv1.CheckRequest) (*authfiv1.CheckResponse, error) {
	return inquire(ctx, a, r, checkAnswer)
}

// inquire admits a call of Check and has it answered.
func inquire[Answer any](ctx context.Context, a *api, r *authfiv1.CheckRequest, answer func(*access.Pass, *inquiry) (Answer, error)) (none Answer, err error) {
	c, err := a.begin(ctx)
	if err != nil {
		return none, err
	}
	asked, err := questions(r)
	if err != nil {
		return none, err
	}
	pass, _, err := c.atUser(asked.userField(0), asked.checks[0].user)
	if err != nil {
		return none, err
	}
	found, err := answer(pass, asked)
	if directory.KindOf(err) != directory.KindNotFound {
		return found, err
	}
	// One of the other users may have been made on another node a moment ago.
	if pass, err = c.admitted(pass.Org(), c.newest()); err != nil {
		return none, err
	}
	return answer(pass, asked)
}

// question is one check, as its request has it.
type question struct{ user, permission string }

// inquiry is the questions of one request, which has three forms.
type inquiry struct {
	checks []question
	one    bool   // a single question: the answer is allowed and source
	list   string // "checks", "permissions" or "": the field that holds several
}

// userField and permissionField name what a question has of the request.
func (q *inquiry) userField(i int) string {
	if q.list != "checks" {
		return "user_id"
	}
	return fmt.Sprintf("checks[%d].user_id", i)
}

func (q *inquiry) permissionField(i int) string {
	switch q.list {
	case "checks":
		return fmt.Sprintf("checks[%d].permission", i)
	case "permissions":
		return fmt.Sprintf("permissions[%d]", i)
	}
	return "permission"
}

// questions reads the forms of the request, of which it may use one.
func questions(r *authfiv1.CheckRequest) (*inquiry, error) {
	checks, permissions := r.GetChecks(), r.GetPermissions()
	switch {
	case len(checks) > checksMax:
		return nil, directory.Invalid("checks", "more than %d", checksMax)
	case len(permissions) > checksMax:
		return nil, directory.Invalid("permissions", "more than %d", checksMax)
	case len(checks) > 0 && (r.GetUserId() != "" || r.GetPermission() != "" || len(permissions) > 0):
		return nil, directory.Invalid("checks", "ask one question without checks, or several in checks")
	case len(permissions) > 0 && r.GetPermission() != "":
		return nil, directory.Invalid("permissions", "ask for one permission, or for several in permissions")
	}
	asked := &inquiry{}
	switch {
	case len(checks) > 0:
		asked.list = "checks"
		for _, check := range checks {
			asked.checks = append(asked.checks, question{check.GetUserId(), check.GetPermission()})
		}
	case len(permissions) > 0:
		asked.list = "permissions"
		for _, permission := range permissions {
			asked.checks = append(asked.checks, question{r.GetUserId(), permission})
		}
	default:
		asked.one, asked.checks = true, []question{{r.GetUserId(), r.GetPermission()}}
	}
	return asked, nil
}

// checkAnswer is the whole answer of Check, from the pass's view alone and so at
// one index: whatever dialect asked, it says the same.
func checkAnswer(pass *access.Pass, asked *inquiry) (*authfiv1.CheckResponse, error) {
	answer := &authfiv1.CheckResponse{Index: uint64(pass.View().Applied())}
	results := make([]*authfiv1.CheckResult, len(asked.checks))
	for i := range asked.checks {
		of, ways, err := ask(pass, asked, i)
		if err != nil {
			return nil, err
		}
		results[i] = &authfiv1.CheckResult{Allowed: len(ways) > 0, Source: convert(ways, of.source)}
	}
	if asked.one {
		answer.Allowed, answer.Source = &results[0].Allowed, results[0].Source
	} else {
		answer.Results = results
	}
	return answer, nil
}

// ask answers one question with every way in which the permission reaches the user:
// none says no. All questions are about one organization; somebody from another is
// not found.
func ask(pass *access.Pass, asked *inquiry, i int) (of sources, ways []effective.Source, err error) {
	id, err := directory.ParseUserID(asked.checks[i].user)
	if err != nil {
		return of, nil, inField(asked.userField(i), err)
	}
	permission := directory.Permission(asked.checks[i].permission)
	if err := permission.Check(); err != nil {
		return of, nil, inField(asked.permissionField(i), err)
	}
	if err := pass.About(id); err != nil {
		return of, nil, err
	}
	of = sources{org: pass.View(), user: id}
	if !of.org.HasUser(id) {
		return of, nil, directory.NotFound("user")
	}
	return of, of.org.Held().Why(id, permission), nil
}

package admin

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/types/known/structpb"
)

// ListUsers implements UserService.
func (a *api) ListUsers(ctx context.Context, r *authfiv1.ListUsersRequest) (*authfiv1.ListUsersResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	if err := directory.CheckText("q", r.GetQ(), directory.NameMax, false); err != nil {
		return nil, err
	}
	p, err := c.page(r.GetLimit(), r.GetCursor(), r.GetOrgId(), r.GetQ())
	if err != nil {
		return nil, err
	}
	found, cursor, err := collect(p, usersAfter(pass.View(), p, r.GetQ()), func(u *directory.User) [16]byte { return u.ID })
	return &authfiv1.ListUsersResponse{
		Users: convert(found, user(pass.Org())), Total: int32(userTotal(pass.View(), r.GetQ())), Cursor: cursor,
	}, err
}

type userWalk = func(yield func(*directory.User) bool)

// usersAfter walks the users of a page that have q somewhere in their names.
func usersAfter(org *state.Org, p *page, q string) userWalk {
	folded := directory.Fold(q)
	return func(yield func(*directory.User) bool) {
		org.EachUser(afterID[directory.UserID](p), func(u *directory.User) bool {
			return !hasText(u, folded) || yield(u)
		})
	}
}

// userTotal reads every user when there is a q: 100,000 take some ten
// milliseconds.
func userTotal(org *state.Org, q string) int {
	if q == "" {
		return org.Users()
	}
	return count(usersAfter(org, new(page), q))
}

func hasText(u *directory.User, folded string) bool {
	if folded == "" {
		return true
	}
	for _, text := range []string{u.UserName, u.Email, u.DisplayName} {
		if strings.Contains(directory.Fold(text), folded) {
			return true
		}
	}
	return false
}

// GetUser implements UserService.
func (a *api) GetUser(ctx context.Context, r *authfiv1.GetUserRequest) (*authfiv1.User, error) {
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
	return c.user(pass, id)
}

// atUser admits the call to the organization of a user.
func (c *call) atUser(field, text string) (*access.Pass, directory.UserID, error) {
	id, err := directory.ParseUserID(text)
	if err != nil {
		return nil, id, inField(field, err)
	}
	pass, err := c.at("user", func(o *state.Org) bool { _, ok := o.User(id); return ok })
	return pass, id, err
}

// user answers with a user as the pass's view has it.
func (c *call) user(pass *access.Pass, id directory.UserID) (*authfiv1.User, error) {
	u, ok := pass.View().User(id)
	if !ok {
		return nil, directory.NotFound("user")
	}
	c.etag(u.Version)
	return user(pass.Org())(u), nil
}

// CreateUser implements UserService.
func (a *api) CreateUser(ctx context.Context, r *authfiv1.CreateUserRequest) (*authfiv1.User, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, err := c.named(r.GetOrgId())
	if err != nil {
		return nil, err
	}
	attributes, err := attributeText(r.GetAttributes())
	if err != nil {
		return nil, err
	}
	u := directory.User{
		ID: access.NewID[directory.UserID](pass.Now()), UserName: r.GetUserName(), ExternalID: r.GetExternalId(),
		Email: r.GetEmail(), DisplayName: r.GetDisplayName(), GivenName: r.GetGivenName(), FamilyName: r.GetFamilyName(),
		Active: true, Source: directory.SourceAPI, Attributes: attributes,
	}
	if u.UserName == "" {
		u.UserName = u.Email
	}
	result, err := c.propose(pass, &fsm.CreateUser{User: u}, r)
	if err != nil {
		return nil, err
	}
	return c.user(pass, directory.UserID(result.Outcome.Object))
}

// attributeText is the canonical JSON of attributes: names in order.
func attributeText(attributes *structpb.Struct) ([]byte, error) {
	if len(attributes.GetFields()) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(attributes.AsMap())
	if err != nil {
		return nil, directory.Invalid("attributes", "cannot be written as JSON")
	}
	return text, nil
}

// updateAttempts bounds how often an update that names no version is tried
// again when the user changes under it.
const updateAttempts = 4

// UpdateUser implements UserService.
func (a *api) UpdateUser(ctx context.Context, r *authfiv1.UpdateUserRequest) (*authfiv1.User, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	for attempt := 1; ; attempt++ {
		updated, err := c.updateUser(r, want)
		if directory.KindOf(err) != directory.KindPrecondition || want != 0 || attempt == updateAttempts {
			return updated, err
		}
	}
}

// updateUser reads and writes the whole user, conditional on what it read.
func (c *call) updateUser(r *authfiv1.UpdateUserRequest, want directory.Index) (*authfiv1.User, error) {
	pass, id, err := c.atUser("id", r.GetId())
	if err != nil {
		return nil, err
	}
	old, ok := pass.View().User(id)
	if !ok {
		return nil, directory.NotFound("user")
	}
	u := *old
	if err := change(&u, r); err != nil {
		return nil, err
	}
	if want == 0 {
		want = old.Version
	}
	if _, err := c.propose(pass, &fsm.UpdateUser{User: u, IfVersion: want}, r); err != nil {
		return nil, err
	}
	return c.user(pass, id)
}

func change(u *directory.User, r *authfiv1.UpdateUserRequest) error {
	fields := []struct{ to, from *string }{
		{&u.Email, r.Email}, {&u.UserName, r.UserName}, {&u.DisplayName, r.DisplayName},
		{&u.GivenName, r.GivenName}, {&u.FamilyName, r.FamilyName}, {&u.ExternalID, r.ExternalId},
	}
	for _, f := range fields {
		if f.from != nil {
			*f.to = *f.from
		}
	}
	if r.GetAttributes() == nil {
		return nil
	}
	var err error
	u.Attributes, err = attributeText(r.GetAttributes())
	return err
}

// DeleteUser implements UserService.
func (a *api) DeleteUser(ctx context.Context, r *authfiv1.DeleteUserRequest) (*authfiv1.DeleteUserResponse, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	want, err := c.ifMatch()
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("id", r.GetId())
	if err != nil {
		return nil, err
	}
	_, err = c.propose(pass, &fsm.DeleteUser{User: id, IfVersion: want}, r)
	return &authfiv1.DeleteUserResponse{}, err
}

// DeactivateUser implements UserService.
func (a *api) DeactivateUser(ctx context.Context, r *authfiv1.DeactivateUserRequest) (*authfiv1.User, error) {
	return a.setUserActive(ctx, r, false)
}

// ActivateUser implements UserService.
func (a *api) ActivateUser(ctx context.Context, r *authfiv1.ActivateUserRequest) (*authfiv1.User, error) {
	return a.setUserActive(ctx, r, true)
}

func (a *api) setUserActive(ctx context.Context, r identified, active bool) (*authfiv1.User, error) {
	c, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	pass, id, err := c.atUser("id", r.GetId())
	if err != nil {
		return nil, err
	}
	if _, err := c.propose(pass, &fsm.SetUserActive{User: id, Active: active}, r); err != nil {
		return nil, err
	}
	return c.user(pass, id)
}

func user(org directory.OrgID) func(*directory.User) *authfiv1.User {
	return func(u *directory.User) *authfiv1.User {
		return &authfiv1.User{
			Id: u.ID.String(), OrgId: org.String(), UserName: u.UserName, Email: u.Email,
			DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName,
			ExternalId: u.ExternalID, Active: u.Active, Source: u.Source.String(), Attributes: attributes(u.Attributes),
			Created: timestamp(u.Created), Modified: timestamp(u.Modified), Version: uint64(u.Version),
		}
	}
}

// attributes that are not a JSON object cannot be in the log; a user stays
// readable all the same.
func attributes(text []byte) *structpb.Struct {
	fields := map[string]any{}
	if len(text) > 0 && json.Unmarshal(text, &fields) != nil {
		return nil
	}
	packed, err := structpb.NewStruct(fields)
	if err != nil {
		return nil
	}
	return packed
}

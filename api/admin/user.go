package admin

import (
	"context"
	"encoding/json"

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
	found, total, cursor, err := list(c, userListing(pass.View()), r)
	return &authfiv1.ListUsersResponse{
		Users: convert(found, user(pass.View())), Total: int32(total), Cursor: cursor,
	}, err
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
	pass, err := c.at("user", func(o *state.Org) bool { return o.HasUser(id) })
	return pass, id, err
}

// user answers with a user as the pass's view has it.
func (c *call) user(pass *access.Pass, id directory.UserID) (*authfiv1.User, error) {
	u, ok := pass.View().User(id)
	if !ok {
		return nil, directory.NotFound("user")
	}
	c.etag(u.Version)
	return user(pass.View())(u), nil
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
	u := directory.User{
		ID: access.NewID[directory.UserID](pass.Now()), UserName: r.GetUserName(), ExternalID: r.GetExternalId(),
		Email: r.GetEmail(), DisplayName: r.GetDisplayName(), GivenName: r.GetGivenName(), FamilyName: r.GetFamilyName(),
		Phone: r.GetPhone(), Title: r.GetTitle(), Department: r.GetDepartment(),
		Active: true, Source: directory.SourceAPI,
	}
	if u.UserName == "" {
		u.UserName = u.Email
	}
	if u.Manager, err = optionalUser("manager_id", r.GetManagerId()); err != nil {
		return nil, err
	}
	if u.Attributes, err = objectText("attributes", r.GetAttributes()); err != nil {
		return nil, err
	}
	if u.Custom, err = objectText("custom", r.GetCustom()); err != nil {
		return nil, err
	}
	result, err := c.propose(pass, &fsm.CreateUser{User: u}, r)
	if err != nil {
		return nil, err
	}
	return c.user(pass, directory.UserID(result.Outcome.Object))
}

// optionalUser reads an id that may be absent.
func optionalUser(field, text string) (directory.UserID, error) {
	if text == "" {
		return directory.UserID{}, nil
	}
	id, err := directory.ParseUserID(text)
	return id, inField(field, err)
}

// objectText is the canonical JSON of an object: names in order; nil when it is
// empty.
func objectText(field string, object *structpb.Struct) ([]byte, error) {
	if len(object.GetFields()) == 0 {
		return nil, nil
	}
	text, err := json.Marshal(object.AsMap())
	if err != nil {
		return nil, directory.Invalid(field, "cannot be written as JSON")
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

// change puts into u what the request changes.
func change(u *directory.User, r *authfiv1.UpdateUserRequest) error {
	m, err := maskOf(r)
	if err != nil {
		return err
	}
	for _, field := range []struct {
		name     string
		to, from *string
	}{
		{"email", &u.Email, r.Email}, {"user_name", &u.UserName, r.UserName},
		{"display_name", &u.DisplayName, r.DisplayName}, {"given_name", &u.GivenName, r.GivenName},
		{"family_name", &u.FamilyName, r.FamilyName}, {"external_id", &u.ExternalID, r.ExternalId},
		{"phone", &u.Phone, r.Phone}, {"title", &u.Title, r.Title}, {"department", &u.Department, r.Department},
	} {
		if text := m.text(field.name, field.from); text != nil {
			*field.to = *text
		}
	}
	return changeRelated(u, m, r)
}

// changeRelated is change for what is not text.
func changeRelated(u *directory.User, m mask, r *authfiv1.UpdateUserRequest) (err error) {
	if text := m.text("manager_id", r.ManagerId); text != nil {
		if u.Manager, err = optionalUser("manager_id", *text); err != nil {
			return err
		}
	}
	if text := m.text("owner_id", r.OwnerId); text != nil {
		if u.Owner, err = optionalUser("owner_id", *text); err != nil {
			return err
		}
	}
	if m.changes("attributes") {
		if u.Attributes, err = objectText("attributes", r.GetAttributes()); err != nil {
			return err
		}
	}
	if m.changes("custom") {
		u.Custom, err = objectText("custom", r.GetCustom())
	}
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

func user(org *state.Org) func(*directory.User) *authfiv1.User {
	return func(u *directory.User) *authfiv1.User {
		return &authfiv1.User{
			Id: u.ID.String(), OrgId: org.ID().String(), UserName: u.UserName, Email: u.Email,
			DisplayName: u.DisplayName, GivenName: u.GivenName, FamilyName: u.FamilyName,
			ExternalId: u.ExternalID, Active: u.Active, Source: u.Source.String(), Attributes: object(u.Attributes),
			Created: timestamp(u.Created), Modified: timestamp(u.Modified), Version: uint64(u.Version),
			Phone: u.Phone, Title: u.Title, Department: u.Department, ManagerId: optionalID(u.Manager),
			Custom: object(u.Custom), Service: u.Service, OwnerId: optionalID(u.Owner),
			ConnectionId: optionalID(u.Connection), OwnedFields: fsm.OwnedFields(org, u),
		}
	}
}

// object is stored JSON as the API has it. What is not a JSON object cannot be in
// the log; a user stays readable all the same.
func object(text []byte) *structpb.Struct {
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

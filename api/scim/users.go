package scim

import (
	"maps"
	"net/http"
	"slices"
	"strconv"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

// patchAttempts bounds how often a PATCH of a user is computed anew because
// somebody else changed the user in between. Each attempt loses to a change
// that succeeded, and a provider sends the changes of one user one by one.
const patchAttempts = 8

// headerIndex is where in the log a change is.
const headerIndex = "X-Authfi-Index"

func sortedKeys(m map[string]any) []string { return slices.Sorted(maps.Keys(m)) }

// findUser reads the id of the path. A text that is no id names nobody.
func (r *request) findUser(view *state.Org) (*directory.User, error) {
	id, err := directory.ParseUserID(r.id)
	if err != nil {
		return nil, directory.NotFound("user")
	}
	u, ok := r.sees.userOf(view, id)
	if !ok {
		return nil, directory.NotFound("user")
	}
	return u, nil
}

func (r *request) writeUser(status int, view *state.Org, u *directory.User) error {
	tag := r.userTag(view, u)
	if r.unchanged(tag) {
		return nil
	}
	answer, err := r.userAnswer(view, u)
	if err != nil {
		return err
	}
	r.w.Header().Set("ETag", tag)
	r.w.Header().Set("Location", r.root+"/Users/"+u.ID.String())
	return r.write(status, answer)
}

// noteIndex tells the client where in the log its change is.
func (r *request) noteIndex(result fsm.Result) {
	r.w.Header().Set(headerIndex, strconv.FormatUint(uint64(result.Index), 10))
}

func getUser(r *request) error {
	pass, err := r.admit("scim.users.read")
	if err != nil {
		return err
	}
	u, err := r.findUser(pass.View())
	if err != nil {
		return err
	}
	return r.writeUser(http.StatusOK, pass.View(), u)
}

func postUser(r *request) error {
	body, err := r.body(patch.MaxUser)
	if err != nil {
		return err
	}
	resource, err := patch.CanonicalUser(body, r.options())
	if err != nil {
		return err
	}
	pass, err := r.admit("scim.users.create")
	if err != nil {
		return err
	}
	u := directory.User{
		ID:     access.NewID[directory.UserID](pass.Now()),
		Source: directory.SourceSCIM, Connection: directory.ConnectionID(r.caller.Actor.ID),
	}
	if err := assign(pass.View().Schema(), &u, resource); err != nil {
		return err
	}
	result, err := pass.Propose(r.Context(), &fsm.CreateUser{User: u}, access.IdempotencyKey{})
	if err != nil {
		return err
	}
	r.noteIndex(result)
	return r.writeChanged(http.StatusCreated, pass.View(), u.ID)
}

// writeChanged sends the user as it is after the change, which may already be
// gone again.
func (r *request) writeChanged(status int, view *state.Org, id directory.UserID) error {
	u, ok := view.User(id)
	if !ok {
		return directory.NotFound("user")
	}
	return r.writeUser(status, view, u)
}

func putUser(r *request) error {
	body, err := r.body(patch.MaxUser)
	if err != nil {
		return err
	}
	resource, err := patch.CanonicalUser(body, r.options())
	if err != nil {
		return err
	}
	return r.changeUser(func(old map[string]any) (map[string]any, error) {
		next := maps.Clone(resource)
		if _, ok := next["active"]; !ok { // silence must not let anybody in again
			next["active"] = old["active"]
		}
		return next, nil
	})
}

func patchUser(r *request) error {
	body, err := r.body(patch.MaxBody)
	if err != nil {
		return err
	}
	ops, err := patch.Parse(body)
	if err != nil {
		return err
	}
	return r.changeUser(func(old map[string]any) (map[string]any, error) {
		next, _, err := patch.ApplyUser(old, ops, r.options())
		return next, err
	})
}

// changeUser computes a user from what it is and proposes the difference,
// bound to the version that was read; when somebody was faster it reads again.
func (r *request) changeUser(change func(old map[string]any) (map[string]any, error)) (err error) {
	for range patchAttempts {
		pass, admitErr := r.admit("scim.users.update")
		if admitErr != nil {
			return admitErr
		}
		if err = r.tryChange(pass, change); directory.KindOf(err) != directory.KindPrecondition || r.guard(1) != 0 {
			return err
		}
	}
	return directory.Unavailable("the user is being changed by others: %v", err)
}

func (r *request) tryChange(pass *access.Pass, change func(map[string]any) (map[string]any, error)) error {
	old, err := r.findUser(pass.View())
	if err != nil {
		return err
	}
	if err := r.matches(old.Version); err != nil {
		return err
	}
	schema := pass.View().Schema()
	before, err := attributesOf(schema, old, everything)
	if err != nil {
		return err
	}
	after, err := change(before)
	if err != nil {
		return err
	}
	next := *old
	if err := assign(schema, &next, after); err != nil {
		return err
	}
	if same(&next, old) {
		return r.writeUser(http.StatusOK, pass.View(), old)
	}
	// A provider can do nothing about values that the schema no longer allows.
	if next.Custom, err = withoutDisallowed(schema, &next); err != nil {
		return err
	}
	command := &fsm.UpdateUser{User: next, IfVersion: old.Version}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return err
	}
	r.noteIndex(result)
	return r.writeChanged(http.StatusOK, pass.View(), next.ID)
}

// same tells whether a proposal would change nothing. The fields are parts of
// the attributes, except while an other way in has changed only the fields.
func same(a, b *directory.User) bool {
	return string(a.Attributes) == string(b.Attributes) && string(a.Custom) == string(b.Custom) && a.UserName == b.UserName && a.Active == b.Active &&
		a.ExternalID == b.ExternalID && a.Email == b.Email && a.DisplayName == b.DisplayName &&
		a.GivenName == b.GivenName && a.FamilyName == b.FamilyName
}

func deleteUser(r *request) error {
	pass, err := r.admit("scim.users.delete")
	if err != nil {
		return err
	}
	u, err := r.findUser(pass.View())
	if err != nil {
		return err
	}
	if err := r.matches(u.Version); err != nil {
		return err
	}
	command := &fsm.DeleteUser{User: u.ID, IfVersion: r.guard(u.Version)}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return err
	}
	r.noteIndex(result)
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

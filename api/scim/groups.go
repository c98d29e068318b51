package scim

import (
	"net/http"

	"github.com/authfi/authfi/api/access"
	"github.com/authfi/authfi/api/scim/patch"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm"
	"github.com/authfi/authfi/fsm/state"
)

func (r *request) findGroup(view *state.Org) (*directory.Group, error) {
	id, err := directory.ParseGroupID(r.id)
	if err != nil {
		return nil, directory.NotFound("group")
	}
	g, ok := view.Group(id)
	if !ok {
		return nil, directory.NotFound("group")
	}
	return g, nil
}

// groupResource is a group without its members, at a cost that does not depend
// on their number.
func (r *request) groupResource(g *directory.Group) map[string]any {
	resource := map[string]any{
		"schemas":     []any{patch.GroupURN},
		"id":          g.ID.String(),
		"displayName": g.Name,
		"meta":        r.meta("Group", g.ID.String(), g.Created, g.Modified, g.Version),
	}
	if g.ExternalID != "" {
		resource["externalId"] = g.ExternalID
	}
	return resource
}

func (r *request) member(id string) map[string]any {
	return map[string]any{"value": id, "$ref": r.root + "/Users/" + id, "type": "User"}
}

func (r *request) membersOf(view *state.Org, g directory.GroupID) (members []any) {
	view.Permissions().EachMember(g, func(u directory.UserID) bool {
		members = append(members, r.member(u.String()))
		return true
	})
	return members
}

// groupAnswer is the part of a group that the client wants.
func (r *request) groupAnswer(view *state.Org, g *directory.Group) map[string]any {
	resource := r.groupResource(g)
	if r.fields.wants("members") {
		if members := r.membersOf(view, g.ID); len(members) > 0 {
			resource["members"] = members
		}
	}
	return r.fields.apply(resource)
}

func (r *request) writeGroup(status int, view *state.Org, id directory.GroupID) error {
	g, ok := view.Group(id)
	if !ok {
		return directory.NotFound("group")
	}
	r.w.Header().Set("ETag", etag(g.Version))
	r.w.Header().Set("Location", r.root+"/Groups/"+id.String())
	return r.write(status, r.groupAnswer(view, g))
}

func getGroup(r *request) error {
	pass, err := r.admit("scim.groups.read")
	if err != nil {
		return err
	}
	g, err := r.findGroup(pass.View())
	if err != nil {
		return err
	}
	return r.writeGroup(http.StatusOK, pass.View(), g.ID)
}

// userIDs leaves out what cannot be a user here: ids of groups, since groups
// do not nest, and ids that were never ours. One stray id must not cost the
// provider the whole push.
func userIDs(texts []string) (ids []directory.UserID) {
	for _, text := range texts {
		if id, err := directory.ParseUserID(text); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

func (r *request) groupBody() (patch.GroupBody, error) {
	body, err := r.body(patch.MaxBody)
	if err != nil {
		return patch.GroupBody{}, err
	}
	return patch.CanonicalGroup(body, patch.Options{})
}

func postGroup(r *request) error {
	body, err := r.groupBody()
	if err != nil {
		return err
	}
	pass, err := r.admit("scim.groups.create")
	if err != nil {
		return err
	}
	g := directory.Group{
		ID:   access.NewID[directory.GroupID](pass.Now()),
		Name: body.DisplayName, ExternalID: body.ExternalID,
		Source: directory.SourceSCIM, Connection: directory.ConnectionID(r.caller.Actor.ID),
	}
	command := &fsm.CreateGroup{Group: g, Members: userIDs(body.Members), SkipUnknown: true}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return err
	}
	r.noteIndex(result)
	return r.writeGroup(http.StatusCreated, pass.View(), g.ID)
}

func putGroup(r *request) error {
	body, err := r.groupBody()
	if err != nil {
		return err
	}
	pass, id, err := r.changeGroup(patch.Delta{
		DisplayName: &body.DisplayName, ExternalID: &body.ExternalID, Replace: &body.Members,
	})
	if err != nil {
		return err
	}
	return r.writeGroup(http.StatusOK, pass.View(), id)
}

// patchGroup answers without a body: nobody who adds one member to a large
// group wants to read all the others.
func patchGroup(r *request) error {
	body, err := r.body(patch.MaxBody)
	if err != nil {
		return err
	}
	ops, err := patch.Parse(body)
	if err != nil {
		return err
	}
	delta, err := patch.GroupDelta(ops, patch.Options{})
	if err != nil {
		return err
	}
	if _, _, err := r.changeGroup(delta); err != nil {
		return err
	}
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

// changeGroup proposes the delta as it is. It is applied to whatever the group
// holds by then, so two providers' changes at the same time both count.
func (r *request) changeGroup(delta patch.Delta) (*access.Pass, directory.GroupID, error) {
	pass, err := r.admit("scim.groups.update")
	if err != nil {
		return nil, directory.GroupID{}, err
	}
	g, err := r.findGroup(pass.View())
	if err != nil {
		return nil, directory.GroupID{}, err
	}
	if err := r.matches(g.Version); err != nil {
		return nil, g.ID, err
	}
	command := &fsm.ChangeGroup{
		Group: g.ID, Name: delta.DisplayName, ExternalID: delta.ExternalID,
		Add: userIDs(delta.Add), Remove: userIDs(delta.Remove),
		SkipUnknown: true, IfVersion: r.guard(g.Version),
	}
	if delta.Replace != nil {
		command.SetMembers, command.Set = true, userIDs(*delta.Replace)
	}
	if changesNothing(pass.View(), g, command) {
		return pass, g.ID, nil
	}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return nil, g.ID, err
	}
	r.noteIndex(result)
	return pass, g.ID, nil
}

// changesNothing spares the log what providers repeat: Okta sends the name of
// a group with every change of its members, Entra members who are in it.
func changesNothing(view *state.Org, g *directory.Group, c *fsm.ChangeGroup) bool {
	if c.SetMembers || c.Name != nil && *c.Name != g.Name || c.ExternalID != nil && *c.ExternalID != g.ExternalID {
		return false
	}
	for _, u := range c.Add {
		if view.HasUser(u) && !view.Permissions().IsMember(g.ID, u) {
			return false
		}
	}
	for _, u := range c.Remove {
		if view.Permissions().IsMember(g.ID, u) {
			return false
		}
	}
	return true
}

func deleteGroup(r *request) error {
	pass, err := r.admit("scim.groups.delete")
	if err != nil {
		return err
	}
	g, err := r.findGroup(pass.View())
	if err != nil {
		return err
	}
	if err := r.matches(g.Version); err != nil {
		return err
	}
	command := &fsm.DeleteGroup{Group: g.ID, IfVersion: r.guard(g.Version)}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return err
	}
	r.noteIndex(result)
	r.w.WriteHeader(http.StatusNoContent)
	return nil
}

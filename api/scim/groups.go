package scim

import (
	"net/http"
	"slices"

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
	g, ok := r.sees.groupOf(view, id)
	if !ok {
		return nil, directory.NotFound("group")
	}
	return g, nil
}

// groupResource is a group without its members, at a cost that does not depend
// on their number.
func (r *request) groupResource(view *state.Org, g *directory.Group) map[string]any {
	resource := map[string]any{
		"schemas":     []any{patch.GroupURN},
		"id":          g.ID.String(),
		"displayName": g.Name,
		"meta":        r.meta("Group", g.ID.String(), g.Created, g.Modified, r.groupTag(view, g)),
	}
	if g.ExternalID != "" {
		resource["externalId"] = g.ExternalID
	}
	return resource
}

func (r *request) member(kind, id string) map[string]any {
	return map[string]any{"value": id, "$ref": r.root + "/" + kind + "s/" + id, "type": kind}
}

func (r *request) membersOf(view *state.Org, g directory.GroupID) (members []any) {
	everyone := r.sees.everyone(view)
	view.Permissions().EachMember(g, func(u directory.UserID) bool {
		if everyone || r.sees.hasUser(view, u) {
			members = append(members, r.member("User", u.String()))
		}
		return true
	})
	for _, nested := range view.Permissions().Children(g) {
		if r.sees.hasGroup(view, nested) {
			members = append(members, r.member("Group", nested.String()))
		}
	}
	return members
}

// groupAnswer is the part of a group that the client wants.
func (r *request) groupAnswer(view *state.Org, g *directory.Group) map[string]any {
	resource := r.groupResource(view, g)
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
	tag := r.groupTag(view, g)
	if r.unchanged(tag) {
		return nil
	}
	r.w.Header().Set("ETag", tag)
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

// membership is a list of members, each of them a user or a group by its id. What
// is neither was never ours.
type membership struct {
	users   []directory.UserID
	groups  []directory.GroupID
	unknown []string
}

func membersFrom(texts []string) (m membership) {
	for _, text := range texts {
		if user, err := directory.ParseUserID(text); err == nil {
			m.users = append(m.users, user)
		} else if group, err := directory.ParseGroupID(text); err == nil {
			m.groups = append(m.groups, group)
		} else {
			m.unknown = append(m.unknown, text)
		}
	}
	return m
}

// joining reads members who are to be in a group. One stray id must not cost the
// provider the whole push, unless its connection asks for that.
func (r *request) joining(texts []string) (membership, error) {
	m := membersFrom(texts)
	if len(m.unknown) > 0 && r.options().UnknownMembers == patch.RejectUnknownMembers {
		return m, directory.Invalid("members", "no such user or group %.100q", m.unknown[0])
	}
	return m, nil
}

func (r *request) groupBody() (patch.GroupBody, error) {
	body, err := r.body(patch.MaxBody)
	if err != nil {
		return patch.GroupBody{}, err
	}
	return patch.CanonicalGroup(body, r.options())
}

func postGroup(r *request) error {
	body, err := r.groupBody()
	if err != nil {
		return err
	}
	members, err := r.joining(body.Members)
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
	command := &fsm.CreateGroup{
		Group: g, Members: members.users, Groups: members.groups,
		SkipUnknown: r.options().UnknownMembers == patch.SkipUnknownMembers, SentOnly: !r.sees.all,
	}
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
// group wants to read all the others. Who names attributes does (RFC 7644 section
// 3.5.2).
func patchGroup(r *request) error {
	body, err := r.body(patch.MaxBody)
	if err != nil {
		return err
	}
	ops, err := patch.Parse(body)
	if err != nil {
		return err
	}
	delta, err := patch.GroupDelta(ops, r.options())
	if err != nil {
		return err
	}
	pass, id, err := r.changeGroup(delta)
	if err != nil {
		return err
	}
	if len(r.fields.include) > 0 {
		return r.writeGroup(http.StatusOK, pass.View(), id)
	}
	if g, ok := pass.View().Group(id); ok {
		r.w.Header().Set("ETag", r.groupTag(pass.View(), g))
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
	command, err := r.groupChange(g, delta)
	if err != nil {
		return nil, g.ID, err
	}
	if r.changesNothing(pass.View(), g, command) {
		return pass, g.ID, nil
	}
	result, err := pass.Propose(r.Context(), command, access.IdempotencyKey{})
	if err != nil {
		return nil, g.ID, err
	}
	r.noteIndex(result)
	return pass, g.ID, nil
}

// groupChange is the delta in the words of the machine.
func (r *request) groupChange(g *directory.Group, delta patch.Delta) (*fsm.ChangeGroup, error) {
	add, err := r.joining(delta.Add)
	if err != nil {
		return nil, err
	}
	remove := membersFrom(delta.Remove)
	command := &fsm.ChangeGroup{
		Group: g.ID, Name: delta.DisplayName, ExternalID: delta.ExternalID,
		Add: add.users, Remove: remove.users, AddNested: add.groups, RemoveNested: remove.groups,
		SkipUnknown: r.options().UnknownMembers == patch.SkipUnknownMembers, SentOnly: !r.sees.all, IfVersion: r.guard(g.Version),
	}
	if delta.Replace == nil {
		return command, nil
	}
	all, err := r.joining(*delta.Replace)
	if err != nil {
		return nil, err
	}
	command.SetMembers, command.Set = true, all.users
	command.SetNested, command.Nested = true, all.groups
	return command, nil
}

// changesNothing spares the log what providers repeat: Okta sends the name of
// a group with every change of its members, Entra members who are in it.
func (r *request) changesNothing(view *state.Org, g *directory.Group, c *fsm.ChangeGroup) bool {
	if c.SetMembers || c.Name != nil && *c.Name != g.Name || c.ExternalID != nil && *c.ExternalID != g.ExternalID {
		return false
	}
	for _, u := range c.Add {
		known := r.sees.hasUser(view, u)
		if !known && !c.SkipUnknown || known && !view.Permissions().IsMember(g.ID, u) {
			return false
		}
	}
	for _, u := range c.Remove {
		if view.Permissions().IsMember(g.ID, u) {
			return false
		}
	}
	return r.nestsNothing(view, g.ID, c)
}

// nestsNothing is what changesNothing says of the groups among the members.
func (r *request) nestsNothing(view *state.Org, parent directory.GroupID, c *fsm.ChangeGroup) bool {
	in := func(child directory.GroupID) bool {
		return slices.Contains(view.Permissions().Parents(child), parent)
	}
	for _, child := range c.AddNested {
		known := r.sees.hasGroup(view, child)
		if !known && !c.SkipUnknown || known && !in(child) {
			return false
		}
	}
	return !slices.ContainsFunc(c.RemoveNested, in)
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

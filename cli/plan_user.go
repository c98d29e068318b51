package cli

import (
	"encoding/json"
	"maps"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// userFields are what the API sets of a user, as far as the record speaks of it.
func userFields(u *archive.User, of *archive.User) map[string]any {
	out := map[string]any{}
	texts := map[string]string{
		"user_name": u.UserName, "email": u.Email, "display_name": u.DisplayName, "given_name": u.GivenName,
		"family_name": u.FamilyName, "external_id": u.ExternalID, "phone": u.Phone, "title": u.Title, "department": u.Department,
	}
	for name, text := range texts {
		// What a version of the API does not know is empty there.
		if of.Has(name) && (text != "" || has("UserService.CreateUser", name)) {
			out[name] = text
		}
	}
	for name, text := range map[string]json.RawMessage{"attributes": u.Attributes, "custom": u.Custom} {
		if of.Has(name) && (len(text) > 0 || has("UserService.CreateUser", name)) {
			out[name] = string(text)
		}
	}
	return out
}

// objects turns the JSON of a user's fields back into objects.
func objects(fields map[string]any) map[string]any {
	out := maps.Clone(fields)
	for _, name := range []string{"attributes", "custom"} {
		text, ok := out[name].(string)
		if !ok {
			continue
		}
		if text == "" {
			text = "{}"
		}
		out[name] = json.RawMessage(text)
	}
	return out
}

// users finds each user by name, or by the identity provider's id.
func (p *plan) users(file *archive.File) {
	c := count{Kind: "users"}
	old := index(p.now.file.Users, func(u *archive.User) string { return u.UserName })
	var changes, switches []change
	for _, u := range file.Users {
		held := old[directory.Fold(u.UserName)]
		if held == nil && u.ExternalID != "" {
			held = old[directory.Fold(p.now.externalIDs[u.ExternalID])]
		}
		id, before := "", map[string]any{}
		if held != nil {
			id, before = p.now.users.of(held.UserName), userFields(held, u)
		}
		toggled := u.Has("active") && u.IsActive() != (held == nil || held.IsActive())
		var user count
		made, ok := p.write(&user, "User", id, u.Line, before, userFields(u, u), p.now.users, u.UserName)
		c.tally(id != "", toggled || user.Changed > 0)
		if ok {
			fields := made.fields()
			made.fields = func() map[string]any { return objects(fields) }
			changes = append(changes, made)
		}
		if toggled {
			switches = append(switches, p.toggle(u, ok))
		}
	}
	p.counts = append(p.counts, c)
	p.quota(c.Created)
	p.add("users", changes)
	p.add("deactivation", switches)
}

// toggle sets whether a user is active, which the API does by its own name.
func (p *plan) toggle(u *archive.User, counted bool) change {
	c := change{procedure: "UserService.DeactivateUser", line: u.Line, weight: 1}
	if u.IsActive() {
		c.procedure = "UserService.ActivateUser"
	}
	if counted {
		c.weight = 0
	}
	c.fields = func() map[string]any { return map[string]any{"id": p.id(p.now.users, u.UserName)} }
	return c
}

// quota refuses before the first change what would be refused in the middle.
func (p *plan) quota(created int) {
	have := len(p.now.file.Users)
	if quota := int(p.now.quota); quota > 0 && have+created > quota {
		p.found.Add(0, "%d users and %d new ones are more than the organization's quota of %d", have, created, quota)
	}
}

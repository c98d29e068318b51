package cli

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// userFields are what the API sets of a user by value, as far as the record of
// speaks of it. Objects are their text, so that they compare.
func userFields(u *archive.User, of *archive.User) map[string]any {
	out := map[string]any{}
	for name, text := range map[string]string{
		"user_name": u.UserName, "email": u.Email, "display_name": u.DisplayName, "given_name": u.GivenName,
		"family_name": u.FamilyName, "external_id": u.ExternalID, "phone": u.Phone, "title": u.Title, "department": u.Department,
		"attributes": string(u.Attributes), "custom": string(u.Custom),
	} {
		if of.Has(name) {
			out[name] = text
		}
	}
	return out
}

// objects turns the text of a user's objects back into objects.
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

// userChanges are the phases of users, in their order: names that others want are
// freed first; persons are there, and active, before the service accounts that
// they own, and there before anybody reports to them; who is switched off is so at
// the end, since service accounts go with their owner.
type userChanges struct {
	renames, persons, activations, accounts, profiles, rests, references, switches []change
}

// users finds each user by name, or by the identity provider's id.
func (p *plan) users(file *archive.File) {
	c := count{Kind: "users"}
	old := index(p.now.file.Users, func(u *archive.User) string { return u.UserName })
	var all userChanges
	for _, u := range file.Users {
		p.user(&c, &all, u, p.held(old, u))
	}
	p.counts = append(p.counts, c)
	p.quota(file, c.Created)
	p.add("renames", all.renames)
	p.add("users", all.persons)
	p.add("activation", all.activations)
	p.add("accounts", all.accounts)
	p.add("profiles", all.profiles)
	p.add("rests", all.rests)
	p.add("managers", all.references)
	p.add("deactivation", all.switches)
}

// held is the user of the organization whom a record is about.
func (p *plan) held(old map[string]*archive.User, u *archive.User) *archive.User {
	named := old[directory.Fold(u.UserName)]
	if u.ExternalID == "" {
		return named
	}
	known := old[directory.Fold(p.now.externalIDs[u.ExternalID])]
	if named != nil && known != nil && named != known {
		p.found.Add(u.Line, "external_id %q is that of user %q", u.ExternalID, known.UserName)
	}
	if named == nil {
		return known
	}
	return named
}

func (p *plan) user(c *count, all *userChanges, u, held *archive.User) {
	r := record{noun: "User", name: u.UserName, line: u.Line, new: userFields(u, u), in: p.now.users}
	if held != nil {
		r.id, r.old = p.now.users.of(held.UserName), userFields(held, u)
		if u.Has("service") && held.Service != u.Service {
			p.found.Add(u.Line, "user %q is there, and a person does not become a service account nor the other way round", u.UserName)
			return
		}
	} else {
		held = &archive.User{Service: u.Service, Owner: u.Owner}
	}
	changed := differing(r.old, r.new)
	moved := u.Has("manager") && directory.Fold(u.Manager) != directory.Fold(held.Manager)
	given := u.Has("owner") && directory.Fold(u.Owner) != directory.Fold(held.Owner)
	toggled := u.Has("active") && u.IsActive() != held.IsActive()
	if r.id != "" {
		p.refuseFields(u, held, changed, moved)
	}
	c.tally(r.id != "", len(changed) > 0 || moved || given || toggled)
	counted := p.profile(all, r, u, changed)
	if moved {
		all.references = append(all.references, p.point(u, "manager_id", u.Manager, counted))
		counted = true
	}
	if given {
		all.references = append(all.references, p.point(u, "owner_id", u.Owner, counted))
		counted = true
	}
	if toggled {
		p.toggle(all, u, counted)
	}
}

// profile makes the user or changes the fields that differ, and says whether
// there is something to do.
func (p *plan) profile(all *userChanges, r record, u *archive.User, changed map[string]any) bool {
	if r.id != "" && len(changed) == 0 {
		return false
	}
	var unused count
	made, _ := p.write(&unused, r)
	fields := made.fields()
	made.fields = func() map[string]any { return objects(fields) }
	_, renamed := changed["user_name"]
	switch {
	case r.id != "" && renamed:
		all.renames = append(all.renames, made)
	case r.id != "":
		all.persons = append(all.persons, made)
	case u.Service:
		all.account(p, made, u)
	default:
		all.persons = append(all.persons, made)
	}
	return true
}

// account makes a service account. What its creation does not take follows as a
// change.
func (all *userChanges) account(p *plan, made change, u *archive.User) {
	fields := made.fields()
	made.procedure, made.what = "UserService.CreateServiceAccount", "create service account "+u.UserName
	rest := map[string]any{}
	for name, value := range fields {
		if !slices.Contains([]string{orgField, "user_name", "display_name"}, name) {
			rest[name] = value
		}
	}
	made.fields = func() map[string]any {
		first := map[string]any{orgField: p.now.id, "user_name": u.UserName, "display_name": u.DisplayName}
		if u.Owner != "" {
			first["owner_id"] = p.id(p.now.users, u.Owner)
		}
		if !u.IsActive() { // as its owner may be, whom nothing switches on for it
			first["active"] = false
		}
		return first
	}
	all.accounts = append(all.accounts, made)
	if len(rest) == 0 {
		return
	}
	all.profiles = append(all.profiles, change{
		procedure: "UserService.UpdateUser", lines: made.lines, counted: true, what: "set the profile of service account " + u.UserName,
		fields: func() map[string]any {
			request := maps.Clone(rest)
			request["id"] = p.id(p.now.users, u.UserName)
			return request
		},
	})
}

// point makes one user refer to another.
func (p *plan) point(u *archive.User, field, to string, counted bool) change {
	return change{
		procedure: "UserService.UpdateUser", lines: []int{u.Line}, counted: counted, what: "set " + field + " of user " + u.UserName,
		fields: func() map[string]any {
			id := ""
			if to != "" {
				id = p.id(p.now.users, to)
			}
			return map[string]any{"id": p.id(p.now.users, u.UserName), field: id}
		},
	}
}

// toggle sets whether a user is active, which the API does by its own name.
func (p *plan) toggle(all *userChanges, u *archive.User, counted bool) {
	c := change{
		procedure: "UserService.DeactivateUser", lines: []int{u.Line}, counted: counted, what: "deactivate user " + u.UserName,
		fields: func() map[string]any { return map[string]any{"id": p.id(p.now.users, u.UserName)} },
	}
	switch {
	case !u.IsActive() && u.Service: // before it gets an owner who is off
		all.rests = append(all.rests, c)
		return
	case !u.IsActive():
		all.switches = append(all.switches, c)
		return
	}
	c.procedure, c.what = "UserService.ActivateUser", "activate user "+u.UserName
	if u.Service { // after its owner
		all.switches = append(all.switches, c)
		return
	}
	all.activations = append(all.activations, c)
}

// refuseFields: what an identity provider sends is the provider's.
func (p *plan) refuseFields(u, held *archive.User, changed map[string]any, moved bool) {
	by, owned := p.now.owned[directory.Fold(held.UserName)]
	if !owned {
		return
	}
	names := slices.Sorted(maps.Keys(changed))
	if moved {
		names = append(names, "manager_id")
	}
	for _, name := range names {
		if by.fields[name] {
			p.found.Add(u.Line, "%s of user %q is owned by %s; change it there", name, held.UserName, by.connection)
		}
	}
}

// quota refuses before the first change what would be refused in the middle.
func (p *plan) quota(file *archive.File, created int) {
	quota := int(p.now.file.Organization.UserQuota)
	if o := file.Organization; o != nil && o.UserQuota != 0 {
		quota = int(o.UserQuota)
	}
	if have := p.now.held; quota > 0 && have+created > quota {
		p.found.Add(0, "the organization has %d users, and %d new ones are more than its quota of %d; an operator raises it: authfi organizations limits set %s --user-quota %d",
			have, created, quota, p.now.named, have+created)
	}
}

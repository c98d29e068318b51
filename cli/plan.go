package cli

import (
	"maps"
	"slices"
	"sync"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

// change is one request that an import makes. It is built when its turn comes,
// since ids of what the import itself makes are known only then.
type change struct {
	procedure string
	fields    func() map[string]any
	line      int // of the file
	weight    int // records that it changes
	done      func(id string)
}

// phase is a set of changes that need each other in no way.
type phase struct {
	what    string
	changes []change
}

// plan is what has to be done to make an organization hold a file.
type plan struct {
	mu     sync.Mutex // guards the ids of snapshot while phases run
	now    *snapshot
	phases []phase
	counts []count
	found  archive.Findings
}

// count says what becomes of the records of a kind.
type count struct {
	Kind      string `json:"kind"`
	Created   int    `json:"created"`
	Changed   int    `json:"changed"`
	Unchanged int    `json:"unchanged"`
}

// newPlan compares. Nothing is taken away: what the file does not hold stays.
func newPlan(now *snapshot, file *archive.File) (*plan, error) {
	p := &plan{now: now}
	p.organization(file)
	p.roles(file)
	p.groups(file)
	p.users(file)
	p.members(file)
	p.services(file)
	p.connections(file)
	if err := p.found.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *plan) add(what string, changes []change) {
	if len(changes) > 0 {
		p.phases = append(p.phases, phase{what: what, changes: changes})
	}
}

// changes is how many records the plan changes.
func (p *plan) changes() (n int) {
	for _, c := range p.counts {
		n += c.Created + c.Changed
	}
	return n
}

func (p *plan) id(of ids, name string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return of.of(name)
}

// named remembers the id of what was made.
func (p *plan) named(in ids, name string) func(string) {
	return func(id string) {
		p.mu.Lock()
		defer p.mu.Unlock()
		in.put(name, id)
	}
}

// tally counts a record and keeps its change.
func (c *count) tally(exists bool, changed bool) {
	switch {
	case !exists:
		c.Created++
	case changed:
		c.Changed++
	default:
		c.Unchanged++
	}
}

// index finds records by their folded name.
func index[T any](records []*T, name func(*T) string) map[string]*T {
	out := make(map[string]*T, len(records))
	for _, r := range records {
		out[directory.Fold(name(r))] = r
	}
	return out
}

// differing are the fields whose values are not the same.
func differing(old, new map[string]any) map[string]any {
	out := map[string]any{}
	for name, value := range new {
		if !equal(old[name], value) {
			out[name] = value
		}
	}
	return out
}

func equal(a, b any) bool {
	listA, ok := a.([]string)
	if listB, also := b.([]string); ok && also {
		return slices.Equal(listA, listB)
	}
	return a == b
}

// write makes or changes one object.
func (p *plan) write(c *count, noun, id string, line int, old, new map[string]any, in ids, name string) (change, bool) {
	exists := id != ""
	changed := new
	if exists {
		changed = differing(old, new)
	}
	c.tally(exists, len(changed) > 0)
	if exists && len(changed) == 0 {
		return change{}, false
	}
	procedure := noun + "Service.Create" + noun
	request := maps.Clone(changed)
	if exists {
		procedure = noun + "Service.Update" + noun
		request["id"] = id
	} else {
		request[orgField] = p.now.id
		maps.DeleteFunc(request, func(_ string, value any) bool { return value == "" || value == nil })
	}
	for field := range request {
		if !has(procedure, field) {
			p.found.Add(line, "%s: this version of the API cannot set it", field)
		}
	}
	return change{
		procedure: procedure, line: line, weight: 1,
		fields: func() map[string]any { return request },
		done:   p.named(in, name),
	}, true
}

func (p *plan) organization(file *archive.File) {
	if file.Organization == nil {
		return
	}
	c := count{Kind: "organization"}
	changed := differing(
		map[string]any{"name": p.now.file.Organization.Name, "user_quota": p.now.file.Organization.UserQuota},
		map[string]any{"name": file.Organization.Name, "user_quota": file.Organization.UserQuota})
	c.tally(true, len(changed) > 0)
	var changes []change
	for field, value := range changed {
		procedure := "OrganizationService.UpdateOrganization"
		if field == "user_quota" && !has(procedure, field) {
			procedure = "OrganizationService.SetOrganizationLimits"
		}
		if !has(procedure, field) {
			p.found.Add(file.Organization.Line, "%s: this version of the API cannot set it", field)
			continue
		}
		changes = append(changes, change{procedure: procedure, line: file.Organization.Line, weight: 1,
			fields: func() map[string]any { return map[string]any{"id": p.now.id, field: value} }})
	}
	p.counts = append(p.counts, c)
	p.add("organization", changes)
}

func (p *plan) roles(file *archive.File) {
	c := count{Kind: "roles"}
	fields := func(r *archive.Role) map[string]any {
		return map[string]any{"name": r.Name, "description": r.Description, "permissions": r.Permissions}
	}
	var changes []change
	old := index(p.now.file.Roles, func(r *archive.Role) string { return r.Name })
	for _, r := range file.Roles {
		id := p.now.roles.of(r.Name)
		before := map[string]any{}
		if held := old[directory.Fold(r.Name)]; held != nil {
			before = fields(held)
		} else if id != "" {
			p.found.Add(r.Line, "role %q is the product's own", r.Name)
			continue
		}
		if made, ok := p.write(&c, "Role", id, r.Line, before, fields(r), p.now.roles, r.Name); ok {
			changes = append(changes, made)
		}
	}
	p.counts = append(p.counts, c)
	p.add("roles", changes)
}

func (p *plan) groups(file *archive.File) {
	c := count{Kind: "groups"}
	fields := func(r *archive.Group) map[string]any {
		out := map[string]any{"name": r.Name, "description": r.Description}
		if r.ExternalID != "" || has("GroupService.CreateGroup", "external_id") {
			out["external_id"] = r.ExternalID
		}
		return out
	}
	var changes []change
	old := index(p.now.file.Groups, func(r *archive.Group) string { return r.Name })
	for _, r := range file.Groups {
		before := map[string]any{}
		if held := old[directory.Fold(r.Name)]; held != nil {
			before = fields(held)
		}
		if made, ok := p.write(&c, "Group", p.now.groups.of(r.Name), r.Line, before, fields(r), p.now.groups, r.Name); ok {
			changes = append(changes, made)
		}
	}
	p.counts = append(p.counts, c)
	p.add("groups", changes)
}

// membersPerCall is what the API takes at once.
const membersPerCall = 1000

func (p *plan) members(file *archive.File) {
	c := count{Kind: "members"}
	missing := map[string][]*archive.Member{}
	var order []string
	for _, r := range file.Members {
		group := directory.Fold(r.Group)
		held := p.now.members[group][directory.Fold(r.User)]
		c.tally(held, false)
		if held {
			continue
		}
		if missing[group] == nil {
			order = append(order, group)
		}
		missing[group] = append(missing[group], r)
	}
	var changes []change
	for _, group := range order {
		for batch := range slices.Chunk(missing[group], membersPerCall) {
			changes = append(changes, change{
				procedure: "GroupService.AddGroupMembers", line: batch[0].Line, weight: len(batch),
				fields: func() map[string]any {
					users := make([]string, len(batch))
					for i, m := range batch {
						users[i] = p.id(p.now.users, m.User)
					}
					return map[string]any{"id": p.id(p.now.groups, group), "user_ids": users}
				},
			})
		}
	}
	p.counts = append(p.counts, c)
	p.add("members", changes)
}

func (p *plan) connections(file *archive.File) {
	c := count{Kind: "connections"}
	held := map[string]int{}
	for _, r := range p.now.file.Connections {
		held[r.Provider]++
	}
	var changes []change
	for _, r := range file.Connections {
		held[r.Provider]--
		exists := held[r.Provider] >= 0
		c.tally(exists, false)
		if exists {
			continue
		}
		changes = append(changes, change{procedure: "ConnectionService.CreateConnection", line: r.Line, weight: 1,
			fields: func() map[string]any { return map[string]any{orgField: p.now.id, "provider": r.Provider} }})
	}
	p.counts = append(p.counts, c)
	p.add("connections", changes)
}

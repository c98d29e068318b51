package cli

import (
	"time"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

func (p *plan) permissions(file *archive.File) {
	c := count{Kind: "permissions"}
	old := index(p.now.file.Permissions, func(r *archive.Permission) string { return r.Permission })
	var changes []change
	for _, r := range file.Permissions {
		held := old[r.Permission]
		changed := held == nil || held.Description != r.Description
		c.tally(held != nil, changed)
		if !changed {
			continue
		}
		changes = append(changes, change{procedure: "PermissionService.DescribePermission", lines: []int{r.Line}, what: "describe " + r.Permission,
			fields: func() map[string]any {
				return map[string]any{orgField: p.now.id, "permission": r.Permission, "description": r.Description}
			}})
	}
	p.counts = append(p.counts, c)
	p.add("permissions", changes)
}

func (p *plan) roles(file *archive.File) {
	c := count{Kind: "roles"}
	fields := func(r *archive.Role) map[string]any {
		return map[string]any{"name": r.Name, "description": r.Description, "permissions": r.Permissions}
	}
	var changes []change
	old := index(p.now.file.Roles, func(r *archive.Role) string { return r.Name })
	for _, r := range file.Roles {
		made := record{noun: "Role", name: r.Name, line: r.Line, id: p.now.roles.of(r.Name), new: fields(r), in: p.now.roles}
		if held := old[directory.Fold(r.Name)]; held != nil {
			made.old = fields(held)
		} else if made.id != "" {
			p.found.Add(r.Line, "role %q is the product's own", r.Name)
			continue
		}
		if made, ok := p.write(&c, made); ok {
			changes = append(changes, made)
		}
	}
	p.counts = append(p.counts, c)
	p.add("roles", changes)
}

// assignments gives each role, or moves the end of what is given already. What
// would have ended by now is left out: giving it would be refused.
func (p *plan) assignments(file *archive.File) {
	c := count{Kind: "assignments"}
	old := index(p.now.file.Assignments, assignmentName)
	var changes []change
	for _, r := range file.Assignments {
		held := old[directory.Fold(assignmentName(r))]
		over := r.Expires != nil && !r.Expires.After(time.Now())
		changed := !over && (held == nil || !sameTime(held.Expires, r.Expires))
		c.tally(held != nil || over, changed)
		if changed {
			changes = append(changes, p.assign(r))
		}
	}
	p.counts = append(p.counts, c)
	p.add("assignments", changes)
}

func assignmentName(r *archive.Assignment) string {
	if r.Group != "" {
		return r.Role + "\x00group\x00" + r.Group
	}
	return r.Role + "\x00user\x00" + r.User
}

func sameTime(a, b *time.Time) bool {
	return orEmpty(a).Equal(orEmpty(b))
}

func (p *plan) assign(r *archive.Assignment) change {
	c := change{procedure: "AssignmentService.AssignUserRole", lines: []int{r.Line}, what: "give role " + r.Role + " to user " + r.User}
	holder := func() (string, string) { return "user_id", p.id(p.now.users, r.User) }
	if r.Group != "" {
		c.procedure, c.what = "AssignmentService.AssignGroupRole", "give role "+r.Role+" to group "+r.Group
		holder = func() (string, string) { return "group_id", p.id(p.now.groups, r.Group) }
	}
	c.fields = func() map[string]any {
		field, id := holder()
		fields := map[string]any{field: id, "role_id": p.id(p.now.roles, r.Role)}
		if r.Expires != nil {
			fields["expires"] = r.Expires.UTC().Format(time.RFC3339Nano)
		}
		return fields
	}
	return c
}

package cli

import (
	"fmt"
	"slices"

	"github.com/authfi/authfi/archive"
	"github.com/authfi/authfi/directory"
)

func (p *plan) groups(file *archive.File) {
	c := count{Kind: "groups"}
	fields := func(r *archive.Group) map[string]any {
		return map[string]any{"name": r.Name, "description": r.Description, "external_id": r.ExternalID}
	}
	var changes []change
	old := index(p.now.file.Groups, func(r *archive.Group) string { return r.Name })
	for _, r := range file.Groups {
		made := record{noun: "Group", name: r.Name, line: r.Line, id: p.now.groups.of(r.Name), new: fields(r), in: p.now.groups}
		if held := old[directory.Fold(r.Name)]; held != nil {
			made.old = fields(held)
			changed := differing(made.old, made.new)
			if _, renamed := changed["name"]; renamed || changed["external_id"] != nil {
				p.refuseOwned(r.Line, r.Name)
			}
		}
		if made, ok := p.write(&c, made); ok {
			changes = append(changes, made)
		}
	}
	p.counts = append(p.counts, c)
	p.add("groups", changes)
}

// refuseOwned: name and members of a group that an identity provider has sent are
// the provider's.
func (p *plan) refuseOwned(line int, group string) {
	if by, owned := p.now.ownedGroups[directory.Fold(group)]; owned {
		p.found.Add(line, "group %q and its members are owned by %s; change them there", group, by.connection)
	}
}

// membersPerCall is what the API takes at once.
const membersPerCall = 1000

func (p *plan) members(file *archive.File) {
	c := count{Kind: "members"}
	missing := map[string][]*archive.Member{}
	var order []string
	for _, r := range file.Members {
		group, user := directory.Fold(r.Group), directory.Fold(r.User)
		if p.now.members[group] == nil {
			p.now.members[group] = map[string]bool{}
		}
		held := p.now.members[group][user]
		c.tally(held, false)
		if held {
			continue
		}
		p.now.members[group][user] = true // said twice is once
		p.refuseOwned(r.Line, r.Group)
		if missing[group] == nil {
			order = append(order, group)
		}
		missing[group] = append(missing[group], r)
	}
	var changes []change
	for _, group := range order {
		for batch := range slices.Chunk(missing[group], membersPerCall) {
			changes = append(changes, p.join(batch))
		}
	}
	p.counts = append(p.counts, c)
	p.add("members", changes)
}

// join puts users into one group.
func (p *plan) join(members []*archive.Member) change {
	c := change{procedure: "GroupService.AddGroupMembers", what: fmt.Sprintf("add members to group %s: %d", members[0].Group, len(members))}
	for _, m := range members {
		c.lines = append(c.lines, m.Line)
	}
	c.fields = func() map[string]any {
		users := make([]string, len(members))
		for i, m := range members {
			users[i] = p.id(p.now.users, m.User)
		}
		return map[string]any{"id": p.id(p.now.groups, members[0].Group), "user_ids": users}
	}
	if len(members) > 1 {
		c.apart = func() (each []change) {
			for i := range members {
				each = append(each, p.join(members[i:i+1]))
			}
			return each
		}
	}
	return c
}

func (p *plan) nestings(file *archive.File) {
	c := count{Kind: "nestings"}
	old := index(p.now.file.Nestings, nestingName)
	var changes []change
	for _, r := range file.Nestings {
		held := old[directory.Fold(nestingName(r))] != nil
		c.tally(held, false)
		if held {
			continue
		}
		old[directory.Fold(nestingName(r))] = r
		p.refuseOwned(r.Line, r.Group)
		changes = append(changes, change{procedure: "GroupService.NestGroup", lines: []int{r.Line}, what: "put group " + r.Member + " into group " + r.Group,
			fields: func() map[string]any {
				return map[string]any{"id": p.id(p.now.groups, r.Group), "group_id": p.id(p.now.groups, r.Member)}
			}})
	}
	p.counts = append(p.counts, c)
	p.add("nestings", changes)
}

func nestingName(r *archive.Nesting) string { return r.Group + "\x00" + r.Member }

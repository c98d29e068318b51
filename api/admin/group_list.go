package admin

import (
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
)

// groupListing is what groups can be asked for.
func groupListing(org *state.Org) *listing[*directory.Group] {
	kept := map[string]orderedWalk[*directory.Group]{"name": org.EachGroupByName}
	if org.GroupNamesShared() {
		kept = nil
	}
	return &listing[*directory.Group]{
		noun: "group", total: org.Groups(),
		each:    func(after [16]byte, yield func(*directory.Group) bool) { org.EachGroup(after, yield) },
		id:      func(g *directory.Group) [16]byte { return g.ID },
		find:    finder(org.FindGroups),
		kept:    kept,
		columns: groupColumns(org),
		sorts: map[string]func(*directory.Group) string{
			"name":     func(g *directory.Group) string { return directory.Fold(g.Name) },
			"created":  func(g *directory.Group) string { return timeKey(g.Created) },
			"modified": func(g *directory.Group) string { return timeKey(g.Modified) },
		},
		exact: map[string]lookup[*directory.Group]{
			"id":          one(directory.ParseGroupID, org.Group),
			"name":        org.EachGroupNamed,
			"external_id": org.EachGroupByExternalID,
		},
	}
}

func groupColumns(org *state.Org) map[string]column[*directory.Group] {
	type (
		text   = textColumn[*directory.Group]
		when   = timeColumn[*directory.Group]
		number = numberColumn[*directory.Group]
	)
	index := org.Permissions()
	return map[string]column[*directory.Group]{
		"id": idColumn[*directory.Group, directory.GroupID]{
			func(g *directory.Group) directory.GroupID { return g.ID }, directory.ParseGroupID,
		},
		"name":         text(func(g *directory.Group) string { return g.Name }),
		"description":  text(func(g *directory.Group) string { return g.Description }),
		"external_id":  exactColumn[*directory.Group](func(g *directory.Group) string { return g.ExternalID }),
		"source":       text(func(g *directory.Group) string { return g.Source.String() }),
		"member_count": number(func(g *directory.Group) float64 { return float64(index.MemberCount(g.ID)) }),
		"group_count":  number(func(g *directory.Group) float64 { return float64(len(index.Children(g.ID))) }),
		"created":      when(func(g *directory.Group) directory.Time { return g.Created }),
		"modified":     when(func(g *directory.Group) directory.Time { return g.Modified }),
		"version":      number(func(g *directory.Group) float64 { return float64(g.Version) }),
		"connection_id": idColumn[*directory.Group, directory.ConnectionID]{
			func(g *directory.Group) directory.ConnectionID { return g.Connection }, directory.ParseConnectionID,
		},
	}
}

package scim

import (
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
)

// hints are equalities that hold for every match, by lower-case attribute. An
// index can answer each of them; the filter is evaluated on what it gives.
func hints(e filter.Expr, into map[string]string) map[string]string {
	switch e := e.(type) {
	case filter.And:
		hints(e.Right, hints(e.Left, into))
	case filter.Compare:
		if value, ok := e.Value.(string); ok && e.Op == filter.Equal {
			into[attrName(e.Attr)] = value
		}
	case filter.ValuePath:
		for sub, value := range hints(e.Filter, map[string]string{}) {
			into[attrName(e.Attr)+"."+sub] = value
		}
	}
	return into
}

func attrName(a filter.Attr) string { return coreName(strings.ToLower(a.String())) }

// eachCandidateUser yields every user that the connection sees and that can match,
// from the narrowest index.
func (l *listing) eachCandidateUser(after directory.UserID, yield func(*directory.User) bool) {
	known, view := hints(l.query.filter, map[string]string{}), l.view
	seen := func(u *directory.User) bool { return !l.sees.user(u) || yield(u) }
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseUserID(text); err == nil {
			if u, ok := view.User(id); ok {
				seen(u)
			}
		}
		return
	}
	if name, ok := known["username"]; ok {
		if u, ok := view.UserByName(name); ok {
			seen(u)
		}
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachUserByExternalID(external, seen)
		return
	}
	l.sees.eachUser(view, after, yield)
}

// eachCandidateGroup yields every group that the connection sees and that can match.
func (l *listing) eachCandidateGroup(after directory.GroupID, yield func(*directory.Group) bool) {
	known, view := hints(l.query.filter, map[string]string{}), l.view
	seen := func(g *directory.Group) bool { return !l.sees.group(g) || yield(g) }
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseGroupID(text); err == nil {
			if g, ok := view.Group(id); ok {
				seen(g)
			}
		}
		return
	}
	if name, ok := known["displayname"]; ok {
		view.EachGroupNamed(name, seen)
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachGroupByExternalID(external, seen)
		return
	}
	l.sees.eachGroup(view, after, yield)
}

// addMembers gives a group the members that the query has to see: of equalities only
// those they name, which costs the same for a group of any size, and for an order
// all.
func (c *candidate) addMembers(group map[string]any) {
	if !c.compared.names["members"] {
		return
	}
	permissions, g := c.view.Permissions(), c.group.ID
	named, all := namedMembers(c.query.filter)
	if all || strings.EqualFold(c.query.sortPath.Name, "members") {
		if members := c.membersOf(c.view, g); len(members) > 0 {
			group["members"] = members
		}
		return
	}
	var members []any
	asked := membersFrom(named)
	for _, u := range asked.users {
		if permissions.IsMember(g, u) && c.sees.hasUser(c.view, u) {
			members = append(members, c.member("User", u.String()))
		}
	}
	for _, nested := range asked.groups {
		if slices.Contains(permissions.Parents(nested), g) && c.sees.hasGroup(c.view, nested) {
			members = append(members, c.member("Group", nested.String()))
		}
	}
	if len(members) > 0 {
		group["members"] = members
	}
}

// namedMembers lists the members that a filter compares with; all is set when
// it asks anything else of them.
func namedMembers(e filter.Expr) (named []string, all bool) {
	switch e := e.(type) {
	case filter.And:
		return bothMembers(e.Left, e.Right)
	case filter.Or:
		return bothMembers(e.Left, e.Right)
	case filter.Not:
		return namedMembers(e.Expr)
	case filter.ValuePath:
		if attrName(e.Attr) != "members" {
			return nil, false
		}
		if c, ok := e.Filter.(filter.Compare); ok && attrName(c.Attr) == "value" {
			return equalMember(c)
		}
		return nil, true
	case filter.Compare:
		switch name := attrName(e.Attr); {
		case name == "members" || name == "members.value":
			return equalMember(e)
		case strings.HasPrefix(name, "members."):
			return nil, true
		}
	}
	return nil, false
}

func bothMembers(left, right filter.Expr) ([]string, bool) {
	a, all := namedMembers(left)
	b, also := namedMembers(right)
	return append(a, b...), all || also
}

func equalMember(c filter.Compare) ([]string, bool) {
	value, ok := c.Value.(string)
	if c.Op != filter.Equal || !ok {
		return nil, true
	}
	return []string{value}, false
}

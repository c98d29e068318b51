package scim

import (
	"slices"
	"strings"

	"github.com/authfi/authfi/api/scim/filter"
	"github.com/authfi/authfi/directory"
	"github.com/authfi/authfi/fsm/state"
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

// eachCandidateUser yields every user that can match, from the narrowest index.
func eachCandidateUser(view *state.Org, e filter.Expr, after directory.UserID, yield func(*directory.User) bool) {
	known := hints(e, map[string]string{})
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseUserID(text); err == nil {
			if u, ok := view.User(id); ok {
				yield(u)
			}
		}
		return
	}
	if name, ok := known["username"]; ok {
		if u, ok := view.UserByName(name); ok {
			yield(u)
		}
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachUserByExternalID(external, yield)
		return
	}
	view.EachUser(after, yield)
}

// eachCandidateGroup yields every group that can match.
func eachCandidateGroup(view *state.Org, e filter.Expr, after directory.GroupID, yield func(*directory.Group) bool) {
	known := hints(e, map[string]string{})
	if text, ok := known["id"]; ok {
		if id, err := directory.ParseGroupID(text); err == nil {
			if g, ok := view.Group(id); ok {
				yield(g)
			}
		}
		return
	}
	if name, ok := known["displayname"]; ok {
		if g, ok := view.GroupByName(name); ok {
			yield(g)
		}
		return
	}
	if external, ok := known["externalid"]; ok {
		view.EachGroupByExternalID(external, yield)
		return
	}
	view.EachGroup(after, yield)
}

// comparable gives the members that a filter has to see: of equalities only
// those it names, which costs the same for a group of any size.
func (r *request) comparable(view *state.Org, g directory.GroupID, e filter.Expr) (members []any) {
	named, all := namedMembers(e)
	if all {
		return r.membersOf(view, g)
	}
	asked := membersFrom(named)
	for _, u := range asked.users {
		if view.Permissions().IsMember(g, u) {
			members = append(members, r.member("User", u.String()))
		}
	}
	for _, nested := range asked.groups {
		if slices.Contains(view.Permissions().Parents(nested), g) {
			members = append(members, r.member("Group", nested.String()))
		}
	}
	return members
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
